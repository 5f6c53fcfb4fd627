//! Answering publishers: at once as a rule, and what has something open in its turn.

use micro_mq_core::completion::Completion;
use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::message::Ack;
use mqtt_codec::ReasonCode;

use super::Worker;

impl Worker {
    /// PUBACK and PUBREC, in the order of the publishes, now that every worker with a match has accepted them. Each stands
    /// beside its place among what `completion` counts, and whether there is a match.
    #[inline]
    pub(crate) fn answer(
        &self,
        publisher: SessionKey,
        epoch: Epoch,
        acks: impl Iterator<Item = (usize, Ack, bool)>,
        completion: Option<&Completion>,
    ) {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(publisher).filter(|session| session.epoch == epoch);
        let Some(session) = session.filter(|session| session.online.is_some()) else {
            drop(sessions);
            return self.leave_unanswered(publisher, acks, completion);
        };
        let acks = acks.map(|(item, ack, has_match)| {
            let reason = ack.settled.unwrap_or(match has_match {
                true => ReasonCode::Success,
                false => ReasonCode::NoMatchingSubscribers,
            });
            (item, ack, reason)
        });
        let (mut pool, mut sent) = (self.pool.borrow_mut(), 0);
        if completion.is_some() || !session.answers_at_once() {
            session.acknowledge_in_turn(acks, completion);
            // The connection's turn deals with what has failed.
            let answered = session.answer_what_is_complete(&mut pool);
            sent = answered.sent + u64::from(answered.failed);
            self.counters.packets_sent.add(answered.sent);
        } else if let Some(online) = &mut session.online {
            for (_, ack, reason) in acks {
                online.acknowledge(ack, reason, &mut pool);
                sent += 1;
            }
            self.counters.packets_sent.add(sent);
        }
        if sent > 0 {
            self.wakes.borrow_mut().touch(session.online.as_mut(), publisher);
        }
    }

    /// The network connection that published these is gone, or about to be closed: it gets no answer.
    #[cold]
    pub(crate) fn leave_unanswered(
        &self,
        publisher: SessionKey,
        acks: impl Iterator<Item = (usize, Ack, bool)>,
        completion: Option<&Completion>,
    ) {
        let mut sessions = self.sessions.borrow_mut();
        if let Some(completion) = completion
            && let Some(session) = sessions.get_mut(publisher)
        {
            session.leave_unanswered(acks.map(|(item, ack, _)| (item, ack)), completion);
        }
    }
}
