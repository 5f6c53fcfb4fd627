//! Batches that set out for other workers: collected while this worker's connections have their turns, and sent by its
//! topic trie, whose turn comes behind all that one look at the sockets has made ready.
//!
//! So another worker is woken once for what many publishers brought, and what its subscribers are sent comes in larger
//! pieces. They are counted as on their way ([`Inbound`](crate::pressure::Inbound)) from the moment they set out.

use std::task::Waker;

use super::errand::Errand;
use super::state::WorkerState;
use crate::routing::{Route, ToTrie};

/// See the module.
#[derive(Debug)]
pub struct Departures {
    by_worker: Box<[Vec<Route>]>,
    waiting: bool,
    /// Wakes the topic trie of this worker.
    trie: Option<Waker>,
}

impl Departures {
    /// None, from a node with so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self { by_worker: (0..workers).map(|_| Vec::new()).collect(), waiting: false, trie: None }
    }

    /// A batch for another worker.
    pub(super) fn add(&mut self, worker: usize, route: Route) {
        self.by_worker[worker].push(route);
        if !std::mem::replace(&mut self.waiting, true)
            && let Some(trie) = &self.trie
        {
            trie.wake_by_ref();
        }
    }

    /// How the topic trie is woken to send them; it sends what waits now by itself.
    pub fn note_trie(&mut self, waker: &Waker) {
        if self.trie.as_ref().is_none_or(|trie| !trie.will_wake(waker)) {
            self.trie = Some(waker.clone());
        }
    }
}

impl WorkerState {
    /// Sends what waits to depart, one message to each worker.
    pub(crate) fn depart(&mut self) {
        let Self { departures, errands, .. } = self;
        if std::mem::take(&mut departures.waiting) {
            for (worker, routes) in departures.by_worker.iter_mut().enumerate() {
                if !routes.is_empty() {
                    let routes = ToTrie::Arrivals(std::mem::take(routes));
                    errands.push(Errand::ToTrie(worker as u16, routes));
                }
            }
        }
    }
}
