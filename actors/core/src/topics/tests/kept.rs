//! Two workers, and what a disk has of both: what a process that is killed leaves to the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use mqtt_codec::QoS::{AtMostOnce, ExactlyOnce};
use mqtt_codec::{PacketType, ProtocolVersion, QoS, ReasonCode, encode_ack};

use super::workers::Workers;
use crate::changes::Changes;
use crate::homes::{Homes, drawn_key};
use crate::ids::SessionKey;
use crate::kept_shard::KeptShards;
use crate::message::{Ack, Publication};
use crate::protocol::Granted;
use crate::session::Acknowledged;
use crate::settings::Settings;
use crate::subscriptions::Subscription;
use crate::testing::{id, online, options};
use crate::worker::RestoredMessages;

/// Two workers, and what a disk has of both.
pub(super) struct Kept {
    pub(super) workers: Workers,
    shards: KeptShards,
}

impl Kept {
    pub(super) fn new() -> Self {
        Self::with_homes(Homes::new(&drawn_key(), 2))
    }

    pub(super) fn with_homes(homes: Homes) -> Self {
        let mut workers = Workers::with_homes(Settings::default(), homes);
        workers.states.iter_mut().for_each(|state| state.copies.is_on = true);
        let shards = KeptShards::new(workers.own().node.homes.clone());
        Self { workers, shards }
    }

    /// All that a worker has noted is kept.
    pub(super) fn keep(&mut self, at: usize) {
        let now = self.workers.now;
        let state = &mut self.workers.states[at];
        state.record_settled();
        if state.changes.begin() {
            while let Some(batch) = state.changes.next_batch() {
                self.shards.apply(batch.entry.bytes()).unwrap();
                state.note_kept(batch.entry.next_position(), now);
                batch.open_gates();
            }
        }
        self.workers.settle();
    }

    /// Answers to publishes that may leave do.
    pub(super) fn read(&mut self, key: SessionKey) -> Vec<String> {
        let state = &mut self.workers.states[usize::from(key.worker)];
        let session = state.sessions.get_mut(key).unwrap();
        session.answer_what_is_complete(&mut state.pool);
        self.workers.read(key)
    }

    pub(super) fn subscribe(&mut self, key: SessionKey, filter: &str, qos: QoS) {
        let subscription = Subscription { options: options(qos), identifier: 0 };
        self.workers.subscribe_with(key, &[filter], subscription);
        let granted = Granted { filter: filter.into(), subscription, replay: false };
        self.workers.states[usize::from(key.worker)].record_subscribed(key, &[granted]);
        self.workers.settle();
    }

    pub(super) fn publish(&mut self, publisher: SessionKey, publications: &[Publication<'_>]) {
        let epoch = self.workers.with(publisher, |session| session.epoch);
        let (now, state) = (self.workers.now, &mut self.workers.states[usize::from(publisher.worker)]);
        let mut batch = state.batch();
        for (number, publication) in (1..).zip(publications) {
            let exactly_once = publication.qos == ExactlyOnce;
            let ack = Ack { packet_identifier: id(number), exactly_once, settled: None };
            batch.push(publication, (publication.qos > AtMostOnce).then_some(ack));
        }
        (batch.publisher, batch.epoch, batch.admitted) = (Some(publisher), epoch, true);
        state.route(batch, None, now).expect("it cannot be held up");
        self.workers.settle();
    }

    /// The same of one, with a packet identifier.
    pub(super) fn publish_as(
        &mut self,
        publisher: SessionKey,
        identifier: u16,
        publication: &Publication<'_>,
    ) {
        let epoch = self.workers.with(publisher, |session| session.epoch);
        let (now, state) = (self.workers.now, &mut self.workers.states[usize::from(publisher.worker)]);
        let mut batch = state.batch();
        let exactly_once = publication.qos == ExactlyOnce;
        batch.push(publication, Some(Ack { packet_identifier: id(identifier), exactly_once, settled: None }));
        (batch.publisher, batch.epoch, batch.admitted) = (Some(publisher), epoch, true);
        let waker = std::task::Waker::noop();
        let mut held = state.route(batch, Some(waker), now);
        while let Err(batch) = held {
            // Others may not record it before it is kept that it came.
            self.keep(publisher.worker.into());
            held = self.workers.states[usize::from(publisher.worker)].route(*batch, Some(waker), now);
        }
        self.workers.settle();
    }

    /// A client acknowledges: QoS 1 by PUBACK, QoS 2 by PUBREC, and by PUBCOMP what is QoS 0 here. What that asks for is done.
    pub(super) fn settle_with(&mut self, key: SessionKey, identifier: u16, qos: QoS) {
        let (now, state) = (self.workers.now, &mut self.workers.states[usize::from(key.worker)]);
        state.with_desk(key, now, |session, desk| {
            let acknowledged = match qos {
                ExactlyOnce => session.on_pubrec(id(identifier), ReasonCode::Success, desk),
                AtMostOnce => session.on_pubcomp(id(identifier), desk),
                QoS::AtLeastOnce => session.on_puback(id(identifier), ReasonCode::Success, desk),
            };
            if acknowledged == Acknowledged::Release
                && let Some(online) = session.online.as_mut()
            {
                online.outbox.append_with(desk.pool, |out| {
                    let (kind, version) = (PacketType::PubRel, ProtocolVersion::V5);
                    encode_ack(kind, version, id(identifier), ReasonCode::Success, out);
                });
            }
            session.pump(desk);
        });
        self.workers.settle();
    }

    /// The process is killed, and another one goes on with what is kept. Nobody is connected.
    pub(super) fn killed(self) -> Self {
        let homes = self.workers.states[0].node.homes.clone();
        let mut next = Self::with_homes(homes.clone());
        next.shards = self.shards;
        let now = next.workers.now;
        let (mut restored, mut groups) = (RestoredMessages::default(), Vec::new());
        for (shard, kept) in next.shards.iter() {
            let state = &mut next.workers.states[usize::from(homes.home_of(shard))];
            for (client, session) in kept.sessions() {
                let waiting: BTreeMap<_, _> = session
                    .copies
                    .keys()
                    .filter_map(|id| Some((id.message, kept.message(id.message)?.clone())))
                    .collect();
                let waiting: Vec<_> = waiting.into_iter().collect();
                restored.take_in(state, shard, &waiting, now);
                let message = |at| restored.get(at);
                state.restore(client, session, message, now);
            }
            for (group, positions) in kept.groups() {
                let messages: Vec<_> =
                    positions.filter_map(|at| Some((at, kept.message(at)?.clone()))).collect();
                restored.take_in(state, shard, &messages, now);
                let messages = messages.iter().filter_map(|(at, _)| Some((*at, restored.get(*at)?)));
                groups.push((homes.home_of(shard), Arc::clone(group), messages.collect::<Vec<_>>()));
            }
            kept.retained().for_each(|(_, retained)| state.restore_retained(retained, now));
            let seen = kept.beside_sessions().seen;
            seen.iter().for_each(|(publisher, count)| state.restore_seen(shard, *publisher, *count));
        }
        for state in &mut next.workers.states {
            state.changes = Changes::default();
            state.begin_recording_behind(next.shards.highest());
        }
        next.workers.settle();
        for (home, group, messages) in groups {
            next.workers.states[usize::from(home)].restore_group(&group, messages.into_iter(), now);
        }
        next.workers.settle();
        next
    }

    /// A client comes back to its session.
    pub(super) fn resume(&mut self, client: &str) -> SessionKey {
        let found = self.workers.states.iter().find_map(|state| state.sessions.find(client));
        let key = found.expect("it has a session");
        self.workers.with(key, |session| {
            (session.online, session.absence) = (Some(online(ProtocolVersion::V5)), None);
            session.resume_sending();
        });
        let state = &mut self.workers.states[usize::from(key.worker)];
        state.record_connected(key);
        state.tell_groups(key);
        self.pump(key);
        self.workers.settle();
        key
    }

    pub(super) fn pump(&mut self, key: SessionKey) {
        let now = self.workers.now;
        self.workers.states[usize::from(key.worker)].with_desk(key, now, |session, desk| session.pump(desk));
    }

    pub(super) fn acknowledge(&mut self, key: SessionKey, identifier: u16, qos: QoS) -> Acknowledged {
        let now = self.workers.now;
        let state = &mut self.workers.states[usize::from(key.worker)];
        let acknowledged = state.with_desk(key, now, |session, desk| match qos {
            ExactlyOnce => session.on_pubrec(id(identifier), ReasonCode::Success, desk),
            _ => session.on_puback(id(identifier), ReasonCode::Success, desk),
        });
        acknowledged.unwrap()
    }

    /// Its client identifier has its home there.
    pub(super) fn client_at(&self, prefix: &str, worker: u16) -> String {
        let homes = &self.workers.states[0].node.homes;
        let mut names = (0..).map(|number| format!("{prefix} {number}"));
        names.find(|name| homes.of_client(name) == worker).unwrap()
    }
}
