//! Answering publishers: at once as a rule, and what has something open in its turn.

use crate::completion::Completion;
use crate::ids::{Epoch, SessionKey};
use crate::message::Ack;
use mqtt_codec::ReasonCode;

use super::state::WorkerState;

impl WorkerState {
    /// PUBACK and PUBREC, in the order of the publishes, now that every worker with a match has accepted them. Each stands
    /// beside its place among what `completion` counts, and whether there is a match.
    #[inline]
    pub(crate) fn answer(
        &mut self,
        publisher: SessionKey,
        epoch: Epoch,
        acks: impl Iterator<Item = (usize, Ack, bool)>,
        completion: Option<&Completion>,
    ) {
        let Self { sessions, pool, wakes, counters, .. } = self;
        let session = sessions.get_mut(publisher).filter(|session| session.epoch == epoch);
        let Some(session) = session.filter(|session| session.online.is_some()) else {
            return self.leave_unanswered(publisher, acks, completion);
        };
        let acks = acks.map(|(item, ack, has_match)| {
            let reason = ack.settled.unwrap_or(match has_match {
                true => ReasonCode::Success,
                false => ReasonCode::NoMatchingSubscribers,
            });
            (item, ack, reason)
        });
        let mut sent = 0;
        if completion.is_some() || !session.answers_at_once() {
            session.acknowledge_in_turn(acks, completion);
            // The connection's turn deals with what has failed.
            let answered = session.answer_what_is_complete(pool);
            sent = answered.sent + u64::from(answered.failed);
            counters.packets_sent.add(answered.sent);
        } else if let Some(online) = &mut session.online {
            for (_, ack, reason) in acks {
                online.acknowledge(ack, reason, pool);
                sent += 1;
            }
            counters.packets_sent.add(sent);
        }
        if sent > 0 {
            wakes.touch(session.online.as_mut(), publisher);
        }
    }

    /// The network connection that published these is gone, or about to be closed: it gets no answer.
    #[cold]
    pub(crate) fn leave_unanswered(
        &mut self,
        publisher: SessionKey,
        acks: impl Iterator<Item = (usize, Ack, bool)>,
        completion: Option<&Completion>,
    ) {
        if let Some(completion) = completion
            && let Some(session) = self.sessions.get_mut(publisher)
        {
            session.leave_unanswered(acks.map(|(item, ack, _)| (item, ack)), completion);
        }
    }
}
