//! Publishes that other nodes sent, on their way to the workers with a match.

use std::sync::Arc;
use std::task::Waker;

use super::state::NodeState;
use crate::message::Batch;
use crate::routing::Route;

impl NodeState {
    /// Whether what comes from other nodes has room at all workers; if not, `waker` is called when one has some.
    pub fn has_room_for_arrivals(&self, waker: &Waker) -> bool {
        self.ways.iter().all(|way| way.inbound.has_room_or_wake(waker))
    }

    /// Publishes of another node are here. Returns what is to be sent to the topic trie of which worker.
    pub fn arrive(&self, mut batch: Batch) -> Vec<(u16, Route)> {
        let workers = self.look_up(&mut batch);
        batch.stamp = self.order.stamp();
        let batch = Arc::new(batch);
        let with_a_match = (0..self.workers() as u16).filter(|id| workers & (1 << id) != 0);
        let route = |id: u16| Route {
            batch: Arc::clone(&batch),
            home: false,
            sent_at: None,
            room: self.ways[usize::from(id)].inbound.enter(batch.weight(id, false)),
            passage: None,
            opened: None,
        };
        with_a_match.map(|id| (id, route(id))).collect()
    }
}
