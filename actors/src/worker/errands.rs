//! Carrying out what a worker's state leaves to be done.

use micro_mq_core::worker::{Errand, WorkerState};

use super::Worker;
use crate::clock;
use crate::messages::{SendChanges, TrieMadeAnew, WillsJudged};

impl Worker {
    /// Carries out all errands in their order. What one of them brings comes before the next.
    pub(super) fn carry_out_errands(&self, state: &mut WorkerState) {
        if std::thread::panicking() {
            // Whoever has the state next does it.
            return;
        }
        state.carry_out_errands(&mut |state, errand| self.carry_out(errand, state));
    }

    #[inline]
    fn carry_out(&self, errand: Errand, state: &mut WorkerState) {
        match errand {
            Errand::ToTrie(worker, message) => self.node.tell_trie(worker, message),
            Errand::InForce(reply, replays) => reply.connection.in_force(reply.token, replays),
            Errand::Lost(reply) => reply.connection.lost(),
            Errand::WillDue { publisher, publisher_hash, will } => {
                let (rules, now) = (self.node.rules(), clock::now());
                if let Some(doubt) = state.route_due_will(publisher, publisher_hash, will, rules, now) {
                    self.wills_in_doubt.borrow_mut().push(doubt);
                    self.peer().sessions.do_send(WillsJudged);
                }
            }
            Errand::LeftBehind(publisher, batch) => {
                state.settle_what_was_left(publisher, *batch, self.node.rules(), clock::now());
            }
            Errand::SendChanges => self.peer().sessions.do_send(SendChanges),
            Errand::TrieMadeAnew => {
                for peer in &self.node.peers {
                    peer.sessions.do_send(TrieMadeAnew { worker: self.id });
                }
            }
        }
    }
}
