//! How what changes of durable sessions reaches the store: one batch of a worker at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use micro_mq_core::changes::Batch;
use micro_mq_core::completion::Conditions;
use micro_mq_core::ids::{Position, SessionKey};
use micro_mq_core::timers::Timer;
use tracing::{info, warn};

use super::actor::Sessions;
use crate::clock;
use crate::messages::{KeepChanges, SendChanges};
use crate::store::StoreError;
use crate::worker::Worker;

/// Until a batch that was not kept is sent again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Whether the session store has a session, or is to have it.
    pub(super) fn is_kept(&self, key: SessionKey) -> bool {
        self.state().sessions.get(key).is_some_and(|session| session.is_recorded)
    }

    /// Has whoever is told of what was noted last wait until it is kept, if that is to outlive the process. It is sent at
    /// once then, with all that comes before the store takes it.
    pub fn gate(self: &Rc<Self>, conditions: &Conditions) {
        if !self.node.store.outlives_process() {
            return;
        }
        let is_to_be_sent = self.state().changes.gate(conditions);
        if is_to_be_sent {
            self.keep_changes();
        }
    }

    /// Sends the changes of durable sessions to the store, one batch after the other; what it could not keep is sent
    /// again, before what changed since.
    pub(super) fn keep_changes(self: &Rc<Self>) {
        if self.state().changes.begin() {
            actix_rt::spawn(Rc::clone(self).keep_all());
        }
    }

    async fn keep_all(self: Rc<Self>) {
        loop {
            let Some(batch) = self.state().changes.next_batch() else { break };
            match self.node.store.append(self.id, Arc::clone(&batch.entry)).await {
                Ok(()) => {
                    self.note_kept(batch.entry.next_position());
                    batch.open_gates();
                }
                Err(error) => {
                    self.keep_later(batch, &error);
                    break;
                }
            }
        }
        self.changes_settled.notify_waiters();
    }

    fn note_kept(&self, before: Position) {
        self.state().note_kept(before, clock::now());
        if self.state().changes.note_kept() {
            info!(worker = self.id, "the session store keeps changes again");
        }
    }

    fn keep_later(&self, batch: Batch, error: &StoreError) {
        let mut state = self.state();
        if state.changes.put_back(batch) {
            let cause = std::error::Error::source(error).map(tracing::field::display);
            warn!(worker = self.id, %error, cause, "changes of sessions were not kept; it is tried every second");
        }
        let now = clock::now();
        state.set_timer(now, now + RETRY_PAUSE, Timer::Changes);
    }
}

impl Handler<SendChanges> for Sessions {
    type Result = ();

    fn handle(&mut self, _: SendChanges, _ctx: &mut Self::Context) {
        self.worker.keep_changes();
    }
}

impl Handler<KeepChanges> for Sessions {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: KeepChanges, _ctx: &mut Self::Context) -> Self::Result {
        let worker = Rc::clone(&self.worker);
        Box::pin(async move {
            let settled = worker.changes_settled.notified();
            worker.state().record_settled();
            worker.keep_changes();
            let is_under_way = worker.state().changes.is_under_way();
            if is_under_way {
                settled.await;
            }
        })
    }
}
