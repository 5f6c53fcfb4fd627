//! Batches that set out for other workers: collected while this worker's connections have their turns, and sent by its
//! topic trie, whose turn comes behind all that one look at the sockets has made ready.
//!
//! So another worker is woken once for what many publishers brought, and what its subscribers are sent comes in larger
//! pieces. They are counted as on their way ([`Inbound`](micro_mq_core::pressure::Inbound)) from the moment they set out.

use std::task::Waker;

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::Worker;
use crate::topics::{Arrivals, Route, TopicTrie};

/// See the module.
#[derive(Debug)]
pub(crate) struct Departures {
    by_worker: Box<[Vec<Route>]>,
    waiting: bool,
    /// Wakes the topic trie of this worker.
    trie: Option<Waker>,
}

impl Departures {
    /// None, from a node with so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self { by_worker: (0..workers).map(|_| Vec::new()).collect(), waiting: false, trie: None }
    }

    /// A batch for another worker.
    pub(crate) fn add(&mut self, worker: usize, route: Route) {
        self.by_worker[worker].push(route);
        if !std::mem::replace(&mut self.waiting, true)
            && let Some(trie) = &self.trie
        {
            trie.wake_by_ref();
        }
    }

    /// How the topic trie is woken to send them; it sends what waits now by itself.
    pub(crate) fn note_trie(&mut self, waker: &Waker) {
        if self.trie.as_ref().is_none_or(|trie| !trie.will_wake(waker)) {
            self.trie = Some(waker.clone());
        }
    }
}

impl Worker {
    /// Sends what waits to depart, one message to each worker.
    pub(crate) fn depart(&self) {
        let mut departures = self.departures.borrow_mut();
        if std::mem::take(&mut departures.waiting) {
            for (peer, routes) in self.node.peers.iter().zip(&mut departures.by_worker) {
                if !routes.is_empty() {
                    peer.trie.do_send(Arrivals { routes: std::mem::take(routes) });
                }
            }
        }
    }

    /// Sends a message to a worker's topic trie, behind all that was published here before.
    pub(crate) fn tell_trie<M>(&self, worker: u16, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        TopicTrie: Handler<M>,
        <TopicTrie as Actor>::Context: ToEnvelope<TopicTrie, M>,
    {
        if worker != self.id {
            self.depart();
        }
        self.node.peers[usize::from(worker)].trie.do_send(message);
    }
}
