//! Which retained messages there may be.

use std::time::Duration;

use tokio::time::Instant;

use super::message::Instance;
use super::topics::matches;
use super::world::{Asked, Candidate, MARGIN, World, how};

impl World<'_> {
    pub(crate) fn retain(&mut self, topic: &'static str, candidate: Candidate) {
        // Whoever is still to get what was retained may get this as it is published, and not what it supersedes.
        for session in self.clients.iter_mut().filter_map(|client| client.session.as_mut()) {
            let messages = &self.messages;
            session.doubt(|copy| copy.replay.is_some() && messages[copy.message].topic == topic);
        }
        let nothing = Candidate { message: None, instance: None, again: false, client: usize::MAX, round: 0 };
        self.retained.entry(topic).or_insert_with(|| vec![nothing]).push(candidate);
    }

    /// At the end of a round: which retained messages there may be, and who is to get them for its subscriptions.
    pub(crate) fn settle_retained(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for Asked { client, session, link, filter, options, identifier, certain } in asked {
            // Nobody waits for what was asked for on a network connection that is lost.
            let is_last = self.session(client, session).is_some_and(|session| {
                session.replays.push((filter, options, identifier));
                let last = session.subscriptions.get(filter).and_then(|variants| variants.last());
                last.is_some_and(|last| last.wanted == Some((options, identifier)))
            });
            let is_same = self.clients[client].link.as_ref().is_some_and(|other| other.number == link);
            let certain = certain && is_last && is_same;
            for (topic, candidates) in self.retained.clone() {
                if !matches(filter, topic) || self.session(client, session).is_none() {
                    continue;
                }
                let is_only = candidates.len() == 1 && candidates[0].round < self.round;
                // No local counts for them, too [MQTT-3.8.3-3].
                let foreign = candidates.iter().filter(|held| !options.no_local || held.client != client);
                for (message, given) in foreign.filter_map(|held| Some((held.message?, held.instance?))) {
                    let published = self.messages[message].clone();
                    let at = self.instances[given].at;
                    let lifetime = published.expiry.map(|seconds| Duration::from_secs(seconds.into()));
                    if lifetime.is_some_and(|lifetime| at.1 + lifetime + MARGIN < Instant::now()) {
                        continue;
                    }
                    let is_old = lifetime.is_some_and(|lifetime| at.0 + lifetime < Instant::now() + MARGIN);
                    let mut how = how(&published, options, identifier);
                    how.retain = true;
                    let is_certain =
                        certain && is_only && !is_old && self.is_certain_for(client, &published, how.qos);
                    let (instance, round, copies) = (self.instances.len(), self.round, Vec::new());
                    self.instances.push(Instance { message, round, at, certain: true, copies });
                    self.expect(client, instance, message, how, is_certain, Some(filter));
                }
            }
        }
        let (instances, round) = (&self.instances, self.round);
        for candidates in self.retained.values_mut() {
            let is_certain = |candidate: &Candidate| {
                candidate.round == round
                    && !candidate.again
                    && candidate.instance.is_some_and(|instance| instances[instance].certain)
            };
            let Some(first) = candidates.iter().position(|candidate| candidate.round == round) else {
                continue;
            };
            let client = candidates[first].client;
            let is_of_one = candidates[first..].iter().all(|candidate| candidate.client == client);
            if is_of_one && let Some(last) = candidates.iter().rposition(is_certain) {
                candidates.drain(..last);
            } else if candidates.iter().any(is_certain) {
                candidates.drain(..first);
            }
            if candidates.iter().all(|candidate| candidate.message.is_none()) {
                candidates.truncate(1);
            }
        }
    }
}
