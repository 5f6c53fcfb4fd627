//! What becomes of messages when the process is killed.
//!
//! Where they outlive it, what was acknowledged to its publisher comes to each session that outlives it: QoS 1 again, be it
//! acknowledged or not, for an acknowledgement is noted a while later; QoS 2 once, for what was sent is noted before.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_codec::QoS;
use tokio::time::Instant;

use super::crash::KEPT_WITHIN;
use super::message::Copy;
use super::session::{Inflight, Phase, Session};
use super::topics::{is_shared, matches};
use super::world::{Candidate, World, how};

/// Whether messages outlive the process in the play of kills: not before those that are retained, and those of shared groups,
/// are recorded for whoever they are given to.
pub(crate) const MESSAGES_OUTLIVE: bool = false;

impl World<'_> {
    /// The process is killed at that moment: what it had not acknowledged by then it may not have.
    pub(crate) fn doubt_messages(&mut self, at: Instant) {
        self.asked.clear();
        self.left.clear();
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let fresh = client.link.as_mut().map(|link| std::mem::take(&mut link.fresh)).unwrap_or_default();
            let pending = client.outgoing.iter().filter(|outgoing| !outgoing.recorded);
            let doubtful: Vec<usize> =
                pending.filter_map(|outgoing| outgoing.instance).chain(fresh).collect();
            doubtful.into_iter().for_each(|instance| self.doubt_instance(instance));
            if !MESSAGES_OUTLIVE {
                let outgoing = &mut self.clients[index].outgoing;
                outgoing.iter_mut().for_each(|outgoing| outgoing.instance = None);
            }
        }
        for instance in 0..self.instances.len() {
            let given = &self.instances[instance];
            // Nobody waits for what has QoS 0, and for wills.
            let message = &self.messages[given.message];
            let is_unanswered = message.qos == QoS::AtMostOnce || message.payload.starts_with(b"w");
            if !MESSAGES_OUTLIVE || is_unanswered && given.at.1 + KEPT_WITHIN > at {
                self.instances[instance].certain = false;
            }
        }
        // Whoever had it may be gone, with what it had, and what is sent again may come again.
        for entries in self.groups.values_mut() {
            for entry in entries.iter_mut() {
                entry.certain = false;
                entry.loose = MESSAGES_OUTLIVE && entry.received;
            }
            let again = entries
                .iter()
                .filter(|entry| MESSAGES_OUTLIVE && self.messages[entry.message].qos == QoS::ExactlyOnce);
            let again: Vec<_> =
                again.filter(|entry| !self.instances[entry.instance].certain).cloned().collect();
            entries.extend(again);
        }
        if MESSAGES_OUTLIVE { self.doubt_retained(at) } else { self.retained.clear() }
    }

    /// Of what was retained just now and not acknowledged the last may be missing: then what was before is there.
    fn doubt_retained(&mut self, at: Instant) {
        let round = self.round;
        for (topic, candidates) in &mut self.retained {
            let is_settled = |candidate: &Candidate| {
                candidate.instance.is_none_or(|instance| {
                    let given = &self.instances[instance];
                    given.certain && given.at.1 + KEPT_WITHIN <= at
                })
            };
            if candidates.iter().all(is_settled) {
                continue;
            }
            let given = self.instances.iter().enumerate().rev();
            let given = given.filter(|(_, given)| {
                let message = &self.messages[given.message];
                message.retain && message.topic == *topic
            });
            let mut all =
                vec![Candidate { message: None, instance: None, again: false, client: usize::MAX, round }];
            for (instance, given) in given {
                if all.iter().all(|other| other.message != Some(given.message)) {
                    all.push(Candidate {
                        message: Some(given.message).filter(|at| !self.messages[*at].payload.is_empty()),
                        instance: Some(instance),
                        again: true,
                        client: self.messages[given.message].lane,
                        round,
                    });
                }
            }
            *candidates = all;
        }
    }

    /// What a session is to get that is one of these, of which the last is `merged`.
    pub(crate) fn merge_messages(&self, all: &[Session], merged: &mut Session) {
        merged.latest.clear();
        if !MESSAGES_OUTLIVE {
            merged.copies.clear();
            merged.inflight.clear();
            merged.replays.clear();
            return;
        }
        let is_one = all.iter().all(|session| session.number == merged.number) && !merged.doubtful;
        for copy in &mut merged.copies {
            let is_kept = copy.how.qos > QoS::AtMostOnce && copy.replay.is_none();
            copy.certain &= is_one && is_kept && self.instances[copy.instance].certain;
        }
        let number = merged.number;
        for session in all.iter().filter(|session| session.number != number) {
            merged.copies.extend(session.copies.iter().map(|copy| Copy { certain: false, ..copy.clone() }));
            self.add_the_last(session, merged);
        }
        let inflight = std::mem::take(&mut merged.inflight);
        let replayed: BTreeSet<usize> =
            merged.copies.iter().filter(|copy| copy.replay.is_some()).map(|copy| copy.message).collect();
        let at_least_once = |copy: &Copy| copy.received && copy.how.qos == QoS::AtLeastOnce;
        let mut received = BTreeMap::<usize, usize>::new();
        for copy in merged.copies.iter().filter(|copy| at_least_once(copy)) {
            *received.entry(copy.message).or_default() += 1;
        }
        for copy in merged.copies.iter_mut().filter(|copy| at_least_once(copy)) {
            let is_open = |held: &&Inflight| {
                let is_it = held.message == copy.message && held.qos == copy.how.qos;
                is_it && held.phase == Phase::Received && held.group.is_none()
            };
            // Of several nobody knows which of them were acknowledged.
            let are_all_open = inflight.values().filter(is_open).count() >= received[&copy.message];
            let is_certain = self.instances[copy.instance].certain && !replayed.contains(&copy.message);
            copy.received = false;
            copy.certain = are_all_open && is_one && is_certain;
        }
        merged.finished = inflight.keys().copied().chain(merged.finished.iter().copied()).collect();
        merged.inflight = inflight
            .into_iter()
            .filter(|(_, held)| held.qos == QoS::ExactlyOnce)
            .map(|(identifier, mut held)| {
                held.sure = held.is_released;
                held.is_loose = held.group.is_some() || replayed.contains(&held.message);
                (identifier, held)
            })
            .collect();
    }

    /// A session that was taken for ended was there when something was published.
    fn add_the_last(&self, session: &Session, merged: &mut Session) {
        let last = self.instances.iter().enumerate().rev().take_while(|(_, given)| given.round == self.round);
        for (instance, given) in last {
            let message = &self.messages[given.message];
            let own = session.subscriptions.iter();
            let own = own.filter(|(filter, _)| !is_shared(filter) && matches(filter, message.topic));
            for (options, identifier) in
                own.flat_map(|(_, variants)| variants).filter_map(|variant| variant.wanted)
            {
                merged.copies.push(Copy {
                    instance,
                    order: (instance, instance),
                    message: given.message,
                    how: how(message, options, identifier),
                    certain: false,
                    received: false,
                    replay: None,
                });
            }
        }
    }
}
