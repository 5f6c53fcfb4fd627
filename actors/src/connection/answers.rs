//! Answers to the client that have to wait until what they promise is kept.

use micro_mq_core::protocol::Ending;
use micro_mq_core::worker::{Promise, WorkerState};
use mqtt_codec::{PacketIdentifier, ReasonCode};

use super::actor::Connection;
use super::context::ConnectionContext;

impl Connection {
    /// At the beginning of a turn: lets all answers leave that may. Returns how the network connection ends if something
    /// was not kept.
    #[inline]
    pub(super) fn answer_what_is_complete(
        &mut self,
        context: &ConnectionContext,
        is_any_pending: bool,
    ) -> Option<Ending> {
        if is_any_pending {
            self.let_answers_leave();
        }
        if self.awaits_kept_change() {
            self.answer_changes(context);
        }
        self.rare.as_mut()?.ending.take()
    }

    /// Releases QoS 2 messages, each when that is kept.
    pub(super) fn release(&mut self, identifiers: &mut Vec<PacketIdentifier>) {
        {
            let mut worker = self.worker.state();
            for identifier in identifiers.drain(..) {
                let Some(session) = worker.sessions.get(self.key) else { return };
                let mut conditions = None;
                // What is unknown has nothing to be kept, but leaves in its turn.
                if session.incoming.contains(identifier) {
                    let keep = worker.node.ask_keepers(session, &Promise::Release(identifier));
                    worker.record_forgotten(self.key, identifier, &keep);
                    conditions = keep.of(0);
                }
                if let Some(session) = worker.sessions.get_mut(self.key) {
                    session.release_in_turn(identifier, conditions);
                }
            }
        }
        self.let_answers_leave();
    }

    fn let_answers_leave(&mut self) {
        let answered = {
            let WorkerState { sessions, pool, .. } = &mut *self.worker.state();
            let Some(session) = sessions.get_mut(self.key) else { return };
            session.answer_what_is_complete(pool)
        };
        self.worker.counters.packets_sent.add(answered.sent);
        // What had to wait for that may be stepped through now.
        self.goes_on |= answered.sent > 0 && self.partial_is_ready;
        if answered.failed {
            self.end_unkept();
        }
    }

    /// Something that was to be promised could not be kept: the client gets no answer, and will send again.
    pub(super) fn end_unkept(&mut self) {
        if self.rare().ending.is_none() {
            self.worker.counters.promises_failed.add(1);
            self.rare().ending = Some(Ending::because(ReasonCode::ImplementationSpecificError));
        }
    }
}
