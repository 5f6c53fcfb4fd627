//! SUBSCRIBE and UNSUBSCRIBE: sent to every topic trie they concern, answered when all have said that they are in force,
//! one behind the other.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use micro_mq_core::completion::{Awaited, Conditions, State};
use micro_mq_core::protocol::SubscriptionChange;
use micro_mq_core::routing::{AwaitsChange, Reply};
use micro_mq_core::session::Session;
use micro_mq_core::worker::Promise;
use mqtt_codec::{Packet, ReasonCode, SubAck, UnsubAck};

use super::actor::Connection;
use super::context::ConnectionContext;
use super::messages::{ChangeInForce, Close};

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered.
#[derive(Debug)]
pub(super) struct PendingChange {
    token: u32,
    answers_missing: usize,
    /// The numbers of the subscriptions whose retained messages are to be sent.
    replays: Range<u64>,
    /// Its answer waits for the first of those.
    asked: bool,
    /// What has to be kept before it is answered.
    kept: Option<Awaited>,
    /// More of its packet is to come, and is answered with it.
    goes_on: bool,
    change: SubscriptionChange,
}

/// Filters of the SUBSCRIBE and UNSUBSCRIBE packets of one client in work; beyond, it is not read.
pub(super) const FILTERS_IN_WORK_MAX: usize = 8192;

impl PendingChange {
    /// Topic filters that it waits for.
    pub(super) fn filters(&self) -> usize {
        self.change.filters()
    }

    /// Subscriptions of several parts are numbered in a row.
    fn add_replays(&mut self, more: Range<u64>) {
        if self.replays.is_empty() {
            self.replays = more;
        } else if !more.is_empty() {
            self.replays = self.replays.start.min(more.start)..self.replays.end.max(more.end);
        }
    }

    /// This one is the next part of the packet that an earlier one is a part of, and answers for both.
    fn take_over(&mut self, earlier: Self) {
        self.add_replays(earlier.replays);
        self.change.answer_behind(earlier.change);
    }
}

/// A network connection that waits for its changes to be in force.
#[derive(Debug)]
struct Waiting(Addr<Connection>);

impl AwaitsChange for Waiting {
    fn in_force(&self, token: u32, replays: Range<u64>) {
        self.0.do_send(ChangeInForce { token, replays });
    }

    fn lost(&self) {
        self.0.do_send(Close { reason: ReasonCode::ImplementationSpecificError });
    }
}

impl Connection {
    /// Sends a change to every trie it concerns; it is answered when all have said that it is in force, in the order of
    /// the changes. One that goes on is answered with the next.
    pub(super) fn change(&mut self, context: &ConnectionContext, change: SubscriptionChange, goes_on: bool) {
        let worker = Rc::clone(&self.worker);
        let token = self.rare().next_token();
        let reply = Reply { connection: Arc::new(Waiting(context.address())), epoch: self.epoch, token };
        let kept = self.keep_change(&change);
        let answers_missing = match &change {
            SubscriptionChange::Subscribe { granted, .. } => {
                worker.state().subscribe(self.key, granted, &reply)
            }
            SubscriptionChange::Unsubscribe { filters, .. } => {
                worker.state().unsubscribe(self.key, filters, &reply)
            }
        };
        let is_durable = worker.state().sessions.get(self.key).is_some_and(Session::is_durable);
        if is_durable {
            worker.gate(&kept);
        }
        let kept = kept.of(0);
        let pending =
            PendingChange { token, answers_missing, replays: 0..0, asked: false, kept, goes_on, change };
        self.rare().changes.push_back(pending);
        self.answer_changes(context);
    }

    /// What has to be kept before a change is answered.
    fn keep_change(&self, change: &SubscriptionChange) -> Conditions {
        match self.worker.state().sessions.get(self.key) {
            Some(session) => self.worker.node.ask_keepers(session, &Promise::Change(change)),
            None => Conditions::default(),
        }
    }

    /// SUBACK and UNSUBACK, as far as the changes are in force. A SUBACK waits for the first retained messages, so that
    /// they stand before whatever is published because of it.
    pub(super) fn answer_changes(&mut self, context: &ConnectionContext) {
        while let Some(first) = self.rare.as_ref().and_then(|rare| rare.changes.front()) {
            if first.answers_missing > 0 || first.asked {
                return;
            }
            let waker = self.worker.state().waker_of(self.key);
            match first.kept.as_ref().zip(waker).map(|(kept, waker)| kept.state_or_wake(&waker)) {
                None | Some(State::Done) => {}
                Some(State::Open) => return,
                Some(State::Failed) => return self.end_unkept(),
            }
            if first.goes_on {
                if !self.answer_with_next() {
                    return;
                }
                continue;
            }
            let replays = first.replays.clone();
            if !replays.is_empty() && self.ask_for_first_pieces(context, &replays) {
                if let Some(first) = self.rare().changes.front_mut() {
                    first.asked = true;
                }
                return;
            }
            self.answer_first_change();
            self.note_answered(&replays);
        }
    }

    /// The first change is a part of its packet: the next part answers for both, if it is there.
    fn answer_with_next(&mut self) -> bool {
        let changes = &mut self.rare().changes;
        if changes.len() < 2 {
            return false;
        }
        let earlier = changes.pop_front();
        if let Some((next, earlier)) = changes.front_mut().zip(earlier) {
            next.take_over(earlier);
        }
        true
    }

    /// Whether something published now would come before a change that is not in force.
    #[inline]
    pub(super) fn waits_for_changes(&self) -> bool {
        let is_waited_for = |change: &PendingChange| change.answers_missing > 0 || change.asked;
        self.rare.as_ref().is_some_and(|rare| rare.changes.iter().any(is_waited_for))
    }

    /// Whether the next change to be answered waits for being kept.
    #[inline]
    pub(super) fn awaits_kept_change(&self) -> bool {
        let first = self.rare.as_ref().and_then(|rare| rare.changes.front());
        first.is_some_and(|first| first.kept.is_some())
    }

    /// How many changes wait for being kept, or behind such.
    pub(super) fn changes_to_be_kept(&self) -> usize {
        self.rare
            .as_ref()
            .map_or(0, |rare| rare.changes.iter().filter(|change| change.kept.is_some()).count())
    }

    /// Whether all SUBSCRIBE and UNSUBSCRIBE packets are answered.
    pub(super) fn awaits_no_change(&self) -> bool {
        self.rare.as_ref().is_none_or(|rare| rare.changes.is_empty())
    }

    /// The first retained messages for a SUBSCRIBE are here, and are sent behind its SUBACK. Returns the numbers of its
    /// subscriptions, which are answered when that is done.
    pub(super) fn answer_first_pieces(&mut self) -> Option<Range<u64>> {
        let first = self.rare.as_ref()?.changes.front().filter(|first| first.asked)?;
        let replays = first.replays.clone();
        self.answer_first_change();
        Some(replays)
    }

    /// From now on another subscription with an equal topic filter replaces these.
    pub(super) fn note_answered(&self, replays: &Range<u64>) {
        let sessions = &mut self.worker.state().sessions;
        let waiting = sessions.get_mut(self.key).and_then(|session| session.replays.as_mut());
        if let Some(waiting) = waiting.filter(|_| !replays.is_empty()) {
            waiting.pending.answer(replays);
        }
    }

    fn answer_first_change(&mut self) {
        let Some(first) = self.rare().changes.pop_front() else { return };
        match first.change {
            SubscriptionChange::Subscribe { packet_identifier, reasons, reason_string, .. } => {
                let properties = reason_string.map(|text| {
                    Box::new(mqtt_codec::AckProperties {
                        reason_string: Some(text),
                        user_properties: Vec::new(),
                    })
                });
                self.send(&Packet::SubAck(SubAck { packet_identifier, properties, reason_codes: reasons }));
            }
            SubscriptionChange::Unsubscribe { packet_identifier, reasons, .. } => {
                let packet = UnsubAck { packet_identifier, properties: None, reason_codes: reasons };
                self.send(&Packet::UnsubAck(packet));
            }
        }
    }
}

impl Handler<ChangeInForce> for Connection {
    type Result = ();

    fn handle(&mut self, in_force: ChangeInForce, context: &mut Self::Context) {
        if !self.holds_session() {
            return;
        }
        let Some(rare) = &mut self.rare else { return };
        let Some(change) = rare.changes.iter_mut().find(|change| change.token == in_force.token) else {
            return;
        };
        change.answers_missing -= 1;
        change.add_replays(in_force.replays);
        self.answer_changes(context);
    }
}
