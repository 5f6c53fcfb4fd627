//! The disk of the session store runs full, and is left again: what has to be kept is refused meanwhile.

use std::rc::Rc;
use std::sync::Arc;

use micro_mq_core::ids::{SessionKey, shared_part};

use super::actor::Sessions;
use crate::worker::Worker;

/// Sessions whose subscriptions are listed in one turn.
const SESSIONS_PER_TURN: usize = 256;

impl Sessions {
    /// Follows whether the disk is full, for as long as this worker lives.
    pub(super) fn follow_disk(&self) -> impl Future<Output = ()> + 'static {
        let worker = Rc::clone(&self.worker);
        let mut room = worker.node.store.follow_room();
        async move {
            loop {
                let is_full = *room.borrow_and_update();
                if is_full {
                    worker.list_durable().await;
                } else {
                    let kept = Arc::clone(&worker.state().node.kept);
                    kept.note_disk_room();
                }
                if room.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    /// The sessions have come back: if the disk was full before, theirs is listed now.
    pub(super) fn list_if_disk_is_full(&self) -> impl Future<Output = ()> + 'static {
        let worker = Rc::clone(&self.worker);
        async move {
            let is_full = *worker.node.store.follow_room().borrow();
            if is_full {
                worker.list_durable().await;
            }
        }
    }
}

impl Worker {
    /// Lists what the durable sessions of this worker are subscribed to.
    async fn list_durable(&self) {
        let (keys, kept) = {
            let state = self.state();
            (state.sessions.keys(), Arc::clone(&state.node.kept))
        };
        for some in keys.chunks(SESSIONS_PER_TURN) {
            self.list_durable_of(some);
            tokio::task::yield_now().await;
        }
        let (worker, workers) = (1 << self.id, u64::MAX >> (u64::BITS as usize - self.node.peers.len()));
        kept.note_listed(worker, workers);
    }

    fn list_durable_of(&self, keys: &[SessionKey]) {
        let state = self.state();
        let sessions = keys.iter().filter_map(|key| state.sessions.get(*key));
        let filters = sessions.filter(|session| session.is_recorded).flat_map(|session| {
            session.subscriptions.keys().map(|filter| shared_part(filter).unwrap_or(filter))
        });
        state.node.kept.list_durable(filters);
    }
}
