//! How sessions begin, part from their network connections, come back and end [MQTT-3.1.2-4 to 6, 3.1.2-23].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_mq_core::ids::{Epoch, SessionKey, client_hash, shared_part};
use micro_mq_core::session::{NEVER_EXPIRES, Online, Parting, Session};
use micro_mq_core::timers::Timer;

use crate::topics::{Added, Join, Subscribe};
use crate::worker::Worker;

impl Worker {
    /// Takes a session from the network connection that holds it. Its outbox goes to the caller; what QoS 0 it could
    /// not write is counted when the caller closes it. Publishes that it was held up with are on their way then. None if the connection does not hold it any more.
    pub fn part(&self, key: SessionKey, epoch: u32, publish_will: bool, now: Instant) -> Option<Online> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(key).filter(|session| session.epoch == epoch)?;
        let mut online = session.online.take()?;
        self.counters.held.online.sub(1);
        session.absence().parting = Some(Parting { publish_will, at: now });
        if let Some(outgoing) = &mut session.outgoing {
            outgoing.inflight.forget_wire();
            outgoing.resend.clear();
        }
        if let Some(replays) = &mut session.replays {
            replays.asked = false;
            replays.pending.answer_all();
        }
        session.drop_held_at_most_once(&self.ledger);
        self.counters.answers_left.add(session.leave_pending_unanswered(&mut online) as u64);
        drop(sessions);
        if let Some(batch) = online.take_held_up() {
            if self.node.keepers.iter().any(|keeper| keeper.is_full()) {
                self.give_up(key, &batch);
                return Some(online);
            }
            self.route_what_was_left(key, *batch);
        }
        Some(online)
    }

    /// Deals with the end of a session's network connection: its will, its expiry, its shared subscriptions.
    pub fn settle_parting(&self, key: SessionKey, now: Instant) {
        let mut ends = false;
        let mut will_now = None;
        {
            let mut sessions = self.sessions.borrow_mut();
            let Some(session) = sessions.get_mut(key) else { return };
            let Some(parting) = session.absence.as_mut().and_then(|absence| absence.parting.take()) else {
                return;
            };
            if !parting.publish_will {
                session.replace_will(None);
            }
            // DISCONNECT may have changed it [MQTT-3.14.2-2].
            self.note_expiry(session);
            if !session.is_durable() {
                // The session ends now, and a will with it, whatever its delay [MQTT-3.1.2-8].
                session.absence().will_due = session.will.is_some().then_some(parting.at);
                ends = true;
            } else {
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
                self.set_offline_timer(session, now);
            }
        }
        if let Some(will) = will_now {
            self.publish_will(key, self.client_hash(key), will, now);
        }
        if ends {
            self.end_session(key, now);
        } else {
            self.tell_groups(key);
        }
    }

    fn client_hash(&self, key: SessionKey) -> u64 {
        self.sessions.borrow().get(key).map_or(0, |session| client_hash(session.client_identifier()))
    }

    fn set_offline_timer(&self, session: &Session, now: Instant) {
        if let Some(due) = session.next_due() {
            self.set_timer(now, due, Timer::Offline(session.key, session.epoch));
        }
    }

    /// The timer is due of a session that is offline since this network connection ended.
    pub fn offline_due(&self, key: SessionKey, epoch: Epoch, now: Instant) {
        let mut will = None;
        let expired = {
            let mut sessions = self.sessions.borrow_mut();
            let held =
                sessions.get_mut(key).filter(|session| session.epoch == epoch && session.online.is_none());
            let Some(session) = held else { return };
            let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
            let expired = is_due(session.absence().expires_at);
            if !expired {
                if is_due(session.absence().will_due) {
                    session.absence().will_due = None;
                    will = session.replace_will(None);
                }
                self.set_offline_timer(session, now);
            }
            expired
        };
        if let Some(will) = will {
            self.publish_will(key, self.client_hash(key), will, now);
        }
        if expired {
            self.counters.sessions_expired.add(1);
            self.end_session(key, now);
        }
    }

    /// Ends a session: its subscriptions, its messages, and a will that was still to be published.
    pub fn end_session(&self, key: SessionKey, now: Instant) {
        let Some(mut session) = self.sessions.borrow_mut().remove(key) else { return };
        self.node.session_places.leave(session.names_bytes());
        let hash = client_hash(session.client_identifier());
        session.expiry_interval = 0;
        self.note_expiry(&mut session);
        let is_due = session.absence.as_ref().is_some_and(|absence| absence.will_due.is_some());
        let will = session.replace_will(None).filter(|_| is_due);
        self.leave_behind(session);
        if let Some(will) = will {
            self.publish_will(key, hash, will, now);
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
    pub fn join_again(&self, home: u16) {
        let sessions = self.sessions.borrow();
        for session in sessions.iter() {
            let Some(load) = &session.load else { continue };
            let shared = session.subscriptions.iter().filter(|(filter, _)| {
                shared_part(filter).is_some() && self.node.homes.of_group(filter) == home
            });
            let filters: VecDeque<_> =
                shared.map(|(filter, subscription)| (filter.clone(), *subscription)).collect();
            if !filters.is_empty() {
                let (online, durable, load) = (session.online.is_some(), session.is_durable(), load.clone());
                let client = client_hash(session.client_identifier());
                let join = Join { client, session: session.key, filters, online, durable, load, reply: None };
                self.tell_trie(home, join);
            }
        }
    }

    /// Puts all subscriptions of a session into the tries, for a session that is brought back.
    pub fn subscribe_all(&self, key: SessionKey) {
        let sessions = self.sessions.borrow();
        let Some(session) = sessions.get(key) else { return };
        let client = client_hash(session.client_identifier());
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
                self.tell_trie(home, Subscribe { client, session: key, filters, replays: 0..0, reply: None });
            }
            if let Some(load) = session.load.clone().filter(|_| !shared.is_empty()) {
                let (online, durable) = (session.online.is_some(), session.is_durable());
                let join = Join { client, session: key, filters: shared, online, durable, load, reply: None };
                self.tell_trie(home, join);
            }
        }
    }
}
