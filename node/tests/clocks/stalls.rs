//! When this thread did not run: what came meanwhile it could only see afterwards, whatever the node did.
//!
//! A task that does nothing but sleep notes when it was woken late. That is the machine's or this process's doing, as
//! the node has its own; so it is taken off the lateness of an event that was due or seen meanwhile.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::Starved;

const PACE: Duration = Duration::from_millis(10);
/// Less is not worth mentioning: half a second has room for it.
const STALL: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Stalls {
    own: RefCell<Vec<(Instant, Instant)>>,
    node: Arc<Starved>,
}

impl Stalls {
    /// Watches the thread that this is called on, as long as it lives.
    pub(crate) fn watch(node: Arc<Starved>) -> Rc<Self> {
        let stalls = Rc::new(Self { own: RefCell::default(), node });
        let watched = Rc::clone(&stalls);
        tokio::task::spawn_local(async move {
            loop {
                let due = Instant::now() + PACE;
                tokio::time::sleep_until(due.into()).await;
                let woken = Instant::now();
                if woken - due > STALL {
                    watched.own.borrow_mut().push((due, woken));
                }
            }
        });
        stalls
    }

    /// How much of the time from `due` to `seen` this thread did not run, or else the node was kept from running.
    pub(crate) fn between(&self, due: Instant, seen: Instant) -> Duration {
        let stalls = self.own.borrow();
        let own = stalls
            .iter()
            .map(|(from, to)| (*to.min(&seen)).saturating_duration_since(*from.max(&due)))
            .sum::<Duration>();
        // They may be the same moments: the longer counts.
        own.max(Some(self.node.between(due, seen)).filter(|node| *node > STALL).unwrap_or_default())
    }

    pub(crate) fn worst(&self) -> Duration {
        self.own.borrow().iter().map(|(from, to)| *to - *from).max().unwrap_or_default()
    }
}
