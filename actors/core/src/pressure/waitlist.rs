//! Publishers that a limit refused, and that wait for room: clients of 3.x, who cannot be told.
//!
//! Whoever makes room says so ([`Waitlist::room_was_made`]); then all who wait are called once, in the order in which they came, a
//! part of them at a time. Who finds none comes again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// Who is called at a time: the next is called when one of them has looked.
const CALLS_AT_A_TIME: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct Waitlist {
    is_awaited: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// Who waits, by number: in the order in which they came.
#[derive(Debug, Default)]
struct Waiting {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
    /// Those below are to be called: room was made since they came.
    called_below: u64,
}

impl Waiting {
    fn call(&mut self, count: usize, called: &mut Vec<Waker>) {
        for _ in 0..count {
            let Some(first) = self.wakers.first_entry().filter(|first| *first.key() < self.called_below)
            else {
                return;
            };
            called.push(first.remove());
        }
    }
}

impl Waitlist {
    /// Room was made at one of the limits. Costs a look if nobody waits.
    #[inline]
    pub(crate) fn room_was_made(&self) {
        if self.is_awaited.load(Ordering::SeqCst) {
            self.change(|waiting| {
                waiting.called_below = waiting.next;
                CALLS_AT_A_TIME
            });
        }
    }

    /// Waits for room, with the place given back when it is dropped. Who was refused before it had a place looks once
    /// more: room may have been made in between.
    pub fn wait(self: &Arc<Self>, waker: &Waker) -> WaitlistPlace {
        self.is_awaited.store(true, Ordering::SeqCst);
        let mut number = 0;
        self.change(|waiting| {
            number = waiting.next;
            waiting.next += 1;
            waiting.wakers.insert(number, waker.clone());
            0
        });
        WaitlistPlace { room: Arc::clone(self), number }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().wakers.len()
    }

    /// Changes who waits, and calls so many as the change says.
    fn change(&self, change: impl FnOnce(&mut Waiting) -> usize) {
        let mut called = Vec::new();
        {
            let mut waiting = self.waiting.lock();
            let count = change(&mut waiting);
            waiting.call(count, &mut called);
            self.is_awaited.store(!waiting.wakers.is_empty(), Ordering::SeqCst);
        }
        called.into_iter().for_each(Waker::wake);
    }
}

/// A place among those who wait.
#[derive(Debug)]
pub struct WaitlistPlace {
    room: Arc<Waitlist>,
    number: u64,
}

impl WaitlistPlace {
    /// Whether it was called: room was made since it came.
    pub fn was_called(&self) -> bool {
        !self.room.waiting.lock().wakers.contains_key(&self.number)
    }
}

impl Drop for WaitlistPlace {
    fn drop(&mut self) {
        // Who was called and has looked makes way for the next.
        self.room.change(|waiting| usize::from(waiting.wakers.remove(&self.number).is_none()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Called(Mutex<Vec<usize>>);

    struct Task(usize, Arc<Called>);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.1.0.lock().push(self.0);
        }
    }

    fn wait_all(room: &Arc<Waitlist>, count: usize) -> (Arc<Called>, Vec<WaitlistPlace>) {
        let called = Arc::new(Called(Mutex::default()));
        let waker = |number| Waker::from(Arc::new(Task(number, Arc::clone(&called))));
        let places = (0..count).map(|number| room.wait(&waker(number))).collect();
        (called, places)
    }

    /// All who wait are called once, in their order, a part of them at a time; those who come behind wait on.
    #[test]
    fn all_are_called_in_their_order() {
        let room = Arc::<Waitlist>::default();
        room.room_was_made();
        let (called, mut places) = wait_all(&room, CALLS_AT_A_TIME + 100);
        assert!(called.0.lock().is_empty());
        room.room_was_made();
        assert_eq!(*called.0.lock(), (0..CALLS_AT_A_TIME).collect::<Vec<_>>());
        assert!(places[0].was_called() && !places[CALLS_AT_A_TIME].was_called());
        let (behind, _behind) = wait_all(&room, 1);
        for number in 0..100 {
            drop(places.remove(0));
            assert_eq!(called.0.lock().last(), Some(&(CALLS_AT_A_TIME + number)));
        }
        places.clear();
        assert!(behind.0.lock().is_empty(), "it came behind");
        assert_eq!(room.waiting(), 1);
        room.room_was_made();
        assert_eq!((behind.0.lock().len(), room.waiting()), (1, 0));
    }

    /// Who leaves uncalled is forgotten, and nobody is called for it.
    #[test]
    fn who_leaves_is_forgotten() {
        let room = Arc::<Waitlist>::default();
        let (called, mut places) = wait_all(&room, 3);
        places.remove(1);
        assert_eq!(room.waiting(), 2);
        room.room_was_made();
        assert_eq!(*called.0.lock(), [0, 2]);
        drop(places);
        assert!(room.waiting() == 0 && !room.is_awaited.load(Ordering::SeqCst));
    }
}
