//! How a task that has more to do goes on, and how those that have much to do leave room for others.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;

use tokio::sync::Semaphore;

/// Wakes the task behind a look at the sockets, and behind all that are ready now. Woken at once it would be run some
/// thousand times before the runtime looks at sockets again, and whoever has just sent something would wait for that.
pub(crate) fn go_on_behind_sockets(task: &mut Context<'_>) {
    // It leaves the waker with the runtime, for then; there is nothing to poll a second time.
    let _ = pin!(tokio::task::yield_now()).poll(task);
}

/// So many pieces of work between two looks of this thread at its sockets; whoever comes later waits, in the order in which
/// they came.
#[derive(Debug)]
pub(crate) struct Turns {
    left: Semaphore,
    per_look: usize,
    /// A task makes the next ones after each look.
    renews: Cell<bool>,
}

impl Turns {
    pub(crate) fn new(per_look: usize) -> Self {
        Self { left: Semaphore::new(per_look), per_look, renews: Cell::new(false) }
    }

    /// Waits for a turn. What it is for has to be done before anything else is waited for.
    ///
    /// # Panics
    /// Outside of a runtime with local tasks.
    pub(crate) async fn take(self: &Rc<Self>) {
        if let Ok(turn) = self.left.acquire().await {
            turn.forget();
        }
        if !self.renews.replace(true) {
            actix_rt::spawn(Rc::clone(self).renew());
        }
    }

    /// Goes on as long as any are taken.
    async fn renew(self: Rc<Self>) {
        loop {
            tokio::task::yield_now().await;
            let taken = self.per_look - self.left.available_permits();
            if taken == 0 {
                self.renews.set(false);
                return;
            }
            self.left.add_permits(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// As many turns as there may be between two looks, and all who ask get theirs, in order.
    #[test]
    fn no_more_than_so_many_between_two_looks_at_the_sockets() {
        actix_rt::System::new().block_on(async {
            let (turns, looks) = (Rc::new(Turns::new(4)), Rc::new(Cell::new(0)));
            let taken = Rc::new(RefCell::new(Vec::new()));
            let looking = actix_rt::spawn({
                let looks = Rc::clone(&looks);
                async move {
                    loop {
                        tokio::task::yield_now().await;
                        looks.set(looks.get() + 1);
                    }
                }
            });
            let all: Vec<_> = (0..50)
                .map(|number| {
                    let (turns, looks, taken) = (Rc::clone(&turns), Rc::clone(&looks), Rc::clone(&taken));
                    actix_rt::spawn(async move {
                        turns.take().await;
                        taken.borrow_mut().push((number, looks.get()));
                    })
                })
                .collect();
            for one in all {
                one.await.expect("it takes its turn");
            }
            looking.abort();
            let taken = taken.borrow();
            assert!(taken.iter().map(|(number, _)| *number).eq(0..50), "{taken:?}");
            for first in taken.windows(5) {
                assert!(first[4].1 > first[0].1, "five in one look: {first:?}");
            }
        });
    }
}
