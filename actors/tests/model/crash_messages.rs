//! What becomes of messages when the process is killed.
//!
//! Where they outlive it, what was acknowledged to its publisher comes to each session that outlives it: QoS 1 again, be it
//! acknowledged or not, for an acknowledgement is noted a while later; QoS 2 once, for what was sent is noted before.

use mqtt_codec::QoS;
use tokio::time::Instant;

use super::crash::KEPT_WITHIN;
use super::session::{Phase, Session};
use super::world::{Candidate, World};

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
        // Whoever had it may be gone, with what it had.
        for entry in self.groups.values_mut().flatten() {
            entry.certain = false;
            entry.loose = MESSAGES_OUTLIVE && entry.received;
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
        for session in all.iter().filter(|session| session.number != merged.number) {
            for copy in &session.copies {
                let mut copy = copy.clone();
                copy.certain = false;
                merged.copies.push(copy);
            }
        }
        let inflight = std::mem::take(&mut merged.inflight);
        for copy in merged.copies.iter_mut().filter(|copy| copy.received) {
            if copy.how.qos == QoS::AtLeastOnce {
                let is_open = inflight.values().any(|held| {
                    let is_it = held.message == copy.message && held.qos == copy.how.qos;
                    is_it && held.phase == Phase::Received && held.group.is_none()
                });
                copy.received = false;
                copy.certain = is_open && is_one && self.instances[copy.instance].certain;
            }
        }
        merged.finished = inflight.keys().copied().chain(merged.finished.iter().copied()).collect();
        merged.inflight = inflight
            .into_iter()
            .filter(|(_, held)| held.qos == QoS::ExactlyOnce)
            .map(|(identifier, mut held)| {
                held.sure = held.is_released;
                (identifier, held)
            })
            .collect();
    }
}
