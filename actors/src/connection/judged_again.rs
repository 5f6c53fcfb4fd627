//! Publishes that were allowed, and then held up for want of room until other rules were in force. They are judged again
//! before they set out, topic name by topic name; nobody reads their client meanwhile.

use micro_mq_core::message::Batch;
use micro_mq_core::protocol::{Action, Ending, Limit, Verdict};
use micro_mq_core::settings::DeniedPublish;
use mqtt_codec::{ProtocolVersion, ReasonCode};
use std::time::Instant;

use super::actor::Connection;
use super::context::ConnectionContext;

/// How far a batch is judged again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JudgedAgain {
    /// By the rules of this revision.
    revision: u64,
    /// So many of its publishes.
    items: usize,
}

impl Connection {
    /// Whether all publishes of a batch are judged by the rules in force: what those deny is refused then, and the others
    /// may set out. If not, an answer is waited for, or the network connection ends.
    pub(super) fn is_judged(&mut self, context: &ConnectionContext, batch: &mut Batch, now: Instant) -> bool {
        let in_force = self.worker.node.policy.in_force();
        if batch.revision == in_force.revision || !in_force.policy.authorizes {
            return true;
        }
        if self.is_asking() || self.waits_to_ask() {
            return false;
        }
        let mut judged = self.rare().judged_again;
        if judged.revision != in_force.revision {
            judged = JudgedAgain { revision: in_force.revision, items: 0 };
        }
        while judged.items < batch.items().len() {
            if batch.items()[judged.items].is_routed() && !self.judge_again(context, batch, judged, now) {
                self.rare().judged_again = judged;
                return false;
            }
            judged.items += 1;
        }
        self.rare().judged_again = JudgedAgain::default();
        self.forget_unanswered();
        batch.revision = in_force.revision;
        true
    }

    fn judge_again(
        &mut self,
        context: &ConnectionContext,
        batch: &mut Batch,
        judged: JudgedAgain,
        now: Instant,
    ) -> bool {
        let is_old = self.protocol.version() != ProtocolVersion::V5;
        let has_answer = batch.items()[judged.items].ack.is_some();
        match self.protocol.verdict(batch.topic(judged.items), judged.revision, now) {
            Some(Verdict::Allowed) => return true,
            None => {
                let wish = (Action::Publish, batch.topic(judged.items).to_owned());
                self.ask(context, [wish].into());
                return false;
            }
            Some(Verdict::Unanswered) if is_old && has_answer => {
                self.worker.counters.publishes_not_authorized.add(1);
                self.hold(Limit::Answer, now);
                return false;
            }
            Some(Verdict::Denied)
                if is_old && self.worker.node.settings.mqtt.denied_publish == DeniedPublish::Close =>
            {
                self.rare().ending = Some(Ending::because(ReasonCode::NotAuthorized));
                return false;
            }
            Some(Verdict::Denied | Verdict::Unanswered) => {}
        }
        self.worker.counters.publishes_not_authorized.add(1);
        self.worker.state().refuse_admitted(self.key, batch, judged.items);
        true
    }
}
