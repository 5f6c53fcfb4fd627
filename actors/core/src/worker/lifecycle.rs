//! How sessions begin, part from their network connections, come back and end [MQTT-3.1.2-4 to 6, 3.1.2-23].

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::ids::{Epoch, SessionKey, client_hash, shared_part};
use crate::ledger::DropReason;
use crate::routing::{Added, Join, Owner, Subscribe, ToTrie, Work};
use crate::session::{NEVER_EXPIRES, Online, Parting};
use crate::timers::Timer;

use super::discards::Discard;
use super::errand::Errand;
use super::state::WorkerState;

impl WorkerState {
    /// Takes a session from the network connection that holds it. Its outbox goes to the caller; what QoS 0 it could
    /// not write is counted when the caller closes it. Publishes that it was held up with are on their way then. None if the connection does not hold it any more.
    pub fn part(&mut self, key: SessionKey, epoch: u32, publish_will: bool, now: Instant) -> Option<Online> {
        let session = self.sessions.get_mut(key).filter(|session| session.epoch == epoch)?;
        let mut online = session.online.take()?;
        self.counters.gauges.online.sub(1);
        session.absence().parting = Some(Parting { publish_will, at: now });
        if let Some(outgoing) = &mut session.outgoing {
            outgoing.inflight.forget_wire();
            outgoing.resend.clear();
        }
        if let Some(replays) = &mut session.replays {
            replays.asked = false;
            replays.pending.answer_all();
        }
        let held = session.take_held_at_most_once();
        self.counters.answers_left.add(session.leave_pending_unanswered(&mut online) as u64);
        if let Some((client, held)) = held {
            self.discard(Owner::Client(client), DropReason::ConnectionClosed, Discard::OfSession(held));
        }
        if let Some(batch) = online.take_held_up() {
            let is_kept_back = self.node.keepers.iter().any(|keeper| keeper.is_full())
                || self
                    .node
                    .elsewhere
                    .as_ref()
                    .is_some_and(|other| !other.may_set_out(&batch, Waker::noop()));
            match is_kept_back {
                true => self.give_up(key, &batch),
                false => self.errands.push(Errand::LeftBehind(key, batch)),
            }
        }
        Some(online)
    }

    /// Deals with the end of a session's network connection: its will, its expiry, its shared subscriptions.
    pub fn settle_parting(&mut self, key: SessionKey, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(parting) = session.absence.as_mut().and_then(|absence| absence.parting.take()) else {
            return;
        };
        if !parting.publish_will {
            session.replace_will(None);
        }
        if !session.is_durable() {
            // The session ends now, and a will with it, whatever its delay [MQTT-3.1.2-8].
            session.absence().will_due = session.will.is_some().then_some(parting.at);
            return self.end_session(key);
        }
        let mut will_now = None;
        match &session.will {
            Some(will) if will.delay_seconds > 0 => {
                let delay = Duration::from_secs(will.delay_seconds.into());
                session.absence().will_due = Some(parting.at + delay);
            }
            Some(_) => will_now = session.replace_will(None),
            None => {}
        }
        session.absence().expires_at = (session.expiry_interval != NEVER_EXPIRES)
            .then(|| parting.at + Duration::from_secs(session.expiry_interval.into()));
        self.record_parted(key, parting.at);
        self.set_offline_timer(key, now);
        if let Some(will) = will_now {
            self.publish_will(key, self.client_hash(key), will);
        }
        self.tell_groups(key);
    }

    fn client_hash(&self, key: SessionKey) -> u64 {
        self.sessions.get(key).map_or(0, |session| client_hash(session.client_identifier()))
    }

    fn set_offline_timer(&mut self, key: SessionKey, now: Instant) {
        let Some(session) = self.sessions.get(key) else { return };
        if let Some(due) = session.next_due() {
            self.set_timer(now, due, Timer::Offline(key, session.epoch));
        }
    }

    /// The timer is due of a session that is offline since this network connection ended.
    pub fn offline_due(&mut self, key: SessionKey, epoch: Epoch, now: Instant) {
        let session = self.sessions.get_mut(key);
        let held = session.filter(|session| session.epoch == epoch && session.online.is_none());
        let Some(session) = held else { return };
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_due(session.absence().expires_at) {
            self.counters.sessions_expired.add(1);
            return self.end_session(key);
        }
        let mut will = None;
        if is_due(session.absence().will_due) {
            session.absence().will_due = None;
            will = session.replace_will(None);
        }
        self.set_offline_timer(key, now);
        if let Some(will) = will {
            self.record_will_over(key);
            self.publish_will(key, self.client_hash(key), will);
        }
    }

    /// Ends a session: its subscriptions, its messages, and a will that was still to be published.
    pub fn end_session(&mut self, key: SessionKey) {
        let Some(mut session) = self.sessions.remove(key) else { return };
        if session.is_recorded {
            self.way().forget_recorded();
            self.record_ended(session.client_identifier());
        }
        self.node.session_places.leave(session.names_bytes());
        let hash = client_hash(session.client_identifier());
        let is_due = session.absence.as_ref().is_some_and(|absence| absence.will_due.is_some());
        let will = session.replace_will(None).filter(|_| is_due);
        self.leave_behind(session);
        if let Some(will) = will {
            self.publish_will(key, hash, will);
        }
    }

    /// Topic filters by the worker whose trie holds them: a shared one's is the home of its group.
    pub fn by_home<'a>(&self, filters: impl Iterator<Item = &'a Arc<str>>) -> Vec<(u16, Vec<Arc<str>>)> {
        let homes = &self.node.homes;
        let mut by_home: Vec<(u16, Vec<Arc<str>>)> = Vec::new();
        for filter in filters {
            let home = if shared_part(filter).is_some() { homes.of_group(filter) } else { self.id };
            match by_home.iter_mut().find(|(other, _)| *other == home) {
                Some((_, filters)) => filters.push(Arc::clone(filter)),
                None => by_home.push((home, vec![Arc::clone(filter)])),
            }
        }
        by_home
    }

    /// Joins the shared groups whose home is this worker again; to join twice changes nothing.
    pub fn join_again(&mut self, home: u16) {
        if home != self.id {
            self.depart();
        }
        for session in self.sessions.iter() {
            let Some(burden) = &session.burden else { continue };
            let shared = session.subscriptions.iter().filter(|(filter, _)| {
                shared_part(filter).is_some() && self.node.homes.of_group(filter) == home
            });
            let filters: VecDeque<_> =
                shared.map(|(filter, subscription)| (filter.clone(), *subscription)).collect();
            if !filters.is_empty() {
                let (online, durable, burden) =
                    (session.online.is_some(), session.is_durable(), burden.clone());
                let client = client_hash(session.client_identifier());
                let join =
                    Join { client, session: session.key, filters, online, durable, burden, reply: None };
                self.errands.push(Errand::ToTrie(home, ToTrie::Work(Work::Join(join))));
            }
        }
    }

    /// Puts all subscriptions of a session into the tries, for a session that is brought back.
    pub fn subscribe_all(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        let client = client_hash(session.client_identifier());
        let (online, durable, burden) =
            (session.online.is_some(), session.is_durable(), session.burden.clone());
        let mut messages = Vec::new();
        for (home, filters) in self.by_home(session.subscriptions.keys()) {
            let entries = filters
                .iter()
                .filter_map(|filter| Some((filter.clone(), *session.subscriptions.get(filter)?)));
            let (shared, plain): (VecDeque<_>, VecDeque<_>) =
                entries.partition(|(filter, _)| shared_part(filter).is_some());
            if !plain.is_empty() {
                let filters = plain.into_iter();
                let filters = filters
                    .map(|(filter, subscription)| Added { filter, subscription, replay: false })
                    .collect();
                let subscribe = Subscribe { client, session: key, filters, replays: 0..0, reply: None };
                messages.push((home, Work::Subscribe(subscribe)));
            }
            if let Some(burden) = burden.clone().filter(|_| !shared.is_empty()) {
                let join =
                    Join { client, session: key, filters: shared, online, durable, burden, reply: None };
                messages.push((home, Work::Join(join)));
            }
        }
        messages.into_iter().for_each(|(home, work)| self.tell_trie(home, ToTrie::Work(work)));
    }
}
