//! Waking network connections, and deciding about one session with all that deciding needs.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::state::WorkerState;
use crate::ids::{Epoch, SessionKey};
use crate::moment::Moment;
use crate::outbox::Outbox;
use crate::session::{Desk, Replay, ReplayPlace, Session, Touch, Wakes};
use crate::subscriptions::Subscription;

impl WorkerState {
    /// Wakes connections whose outboxes were appended to: at the end of a run all of them, before only those with
    /// enough for a good write.
    /// Returns whether others are due, in the next turn.
    pub(crate) fn wake_touched(&mut self, run_is_over: bool) -> bool {
        let Self { wakes, sessions, .. } = self;
        for key in wakes.take(run_is_over) {
            let Some(session) = sessions.get_mut(key) else { continue };
            session.publish_load();
            if let Some(online) = &mut session.online
                && online.touch != Touch::No
            {
                online.touch = Touch::No;
                online.wake();
            }
        }
        wakes.is_any_due()
    }

    /// Lets `act` decide about one session with all that deciding needs; none if the session is gone.
    pub fn with_desk<R>(
        &mut self,
        key: SessionKey,
        now: Instant,
        act: impl FnOnce(&mut Session, &mut Desk<'_>) -> R,
    ) -> Option<R> {
        let Self { sessions, node, ledger, pool, frames, .. } = self;
        let session = sessions.get_mut(key)?;
        let mut desk = Desk { settings: &node.settings, ledger, pool, frames, now };
        let result = act(session, &mut desk);
        session.publish_load();
        if session.has_notes() {
            self.record_notes(key);
        }
        Some(result)
    }

    /// Notes that retained messages are to be sent for a subscription, which began at a moment, and whether the session
    /// had it before. Returns its number among those of the session.
    pub(crate) fn replay(
        &mut self,
        key: SessionKey,
        filter: Arc<str>,
        subscription: Subscription,
        (since, renews): (Moment, bool),
    ) -> u64 {
        let Some(session) = self.sessions.get_mut(key) else { return 0 };
        let place = session.outgoing.as_ref().map_or(0, |outgoing| outgoing.appended);
        let turn = ReplayPlace { place, renews };
        let replay = Replay { filter, subscription, after: None, since, turn };
        // The network connection that subscribed may be gone, and another one hold the session.
        self.wakes.touch(session.online.as_mut(), key);
        session.replays.get_or_insert_default().pending.push_back(replay)
    }

    /// A SUBSCRIBE with these replays is in force. Where its network connection has lost the session meanwhile nobody
    /// answers it, and the retained messages go to whichever has it then.
    pub(crate) fn note_unanswered(&mut self, key: SessionKey, asked_by: Epoch, replays: &Range<u64>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let is_answered = session.epoch == asked_by && session.online.is_some();
        if let Some(waiting) = session.replays.as_mut().filter(|_| !is_answered && !replays.is_empty()) {
            waiting.pending.answer(replays);
            self.wakes.touch(session.online.as_mut(), key);
        }
    }

    /// A network connection is over: of the QoS 0 messages in its outbox, those written whole are delivered and the
    /// others lost.
    pub fn close_outbox(&mut self, key: SessionKey, outbox: Outbox) {
        match self.sessions.get_mut(key) {
            Some(session) => session.close_outbox(outbox, &self.ledger),
            None => _ = self.ledger.close(outbox),
        }
    }

    /// Wakes all connections: a panic may have lost which of them were appended to.
    pub(crate) fn wake_all(&mut self) {
        self.wakes = Wakes::default();
        for key in self.sessions.keys() {
            if let Some(online) = self.sessions.get_mut(key).and_then(|session| session.online.as_mut()) {
                online.touch = Touch::No;
                online.wake();
            }
        }
    }

    /// Wakes a network connection, if it still holds its session.
    pub fn wake(&self, key: SessionKey, epoch: Epoch) {
        let session = self.sessions.get(key).filter(|session| session.epoch == epoch);
        if let Some(online) = session.and_then(|session| session.online.as_ref()) {
            online.wake();
        }
    }

    /// What wakes the network connection that holds a session.
    pub fn waker_of(&self, key: SessionKey) -> Option<Waker> {
        self.sessions.get(key)?.online.as_ref()?.waker.clone()
    }
}
