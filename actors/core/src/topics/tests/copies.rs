//! Messages to sessions that outlive the process: what waits for their records, and what a process that is killed leaves to
//! the next one.

use std::collections::BTreeMap;

use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{QoS, ReasonCode};

use super::workers::Workers;
use crate::changes::Changes;
use crate::completion::Conditions;
use crate::homes::{Homes, drawn_key};
use crate::ids::SessionKey;
use crate::kept_shard::KeptShards;
use crate::message::{Ack, Publication};
use crate::protocol::Granted;
use crate::session::Acknowledged;
use crate::settings::Settings;
use crate::subscriptions::Subscription;
use crate::testing::{id, online, options, publication};
use crate::worker::RestoredMessages;
use mqtt_codec::ProtocolVersion;

/// Two workers, and what a disk has of both.
struct Kept {
    workers: Workers,
    shards: KeptShards,
}

impl Kept {
    fn new() -> Self {
        Self::with_homes(Homes::new(&drawn_key(), 2))
    }

    fn with_homes(homes: Homes) -> Self {
        let mut workers = Workers::with_homes(Settings::default(), homes);
        workers.states.iter_mut().for_each(|state| state.copies.is_on = true);
        let shards = KeptShards::new(workers.own().node.homes.clone());
        Self { workers, shards }
    }

    /// All that a worker has noted is kept.
    fn keep(&mut self, at: usize) {
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
    fn read(&mut self, key: SessionKey) -> Vec<String> {
        let state = &mut self.workers.states[usize::from(key.worker)];
        let session = state.sessions.get_mut(key).unwrap();
        session.answer_what_is_complete(&mut state.pool);
        self.workers.read(key)
    }

    fn subscribe(&mut self, key: SessionKey, filter: &str, qos: QoS) {
        let subscription = Subscription { options: options(qos), identifier: 0 };
        self.workers.subscribe_with(key, &[filter], subscription);
        let granted = Granted { filter: filter.into(), subscription, replay: false };
        self.workers.states[usize::from(key.worker)].record_subscribed(key, &[granted]);
        self.workers.settle();
    }

    fn publish(&mut self, publisher: SessionKey, publications: &[Publication<'_>]) {
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

    /// The process is killed, and another one goes on with what is kept. Nobody is connected.
    fn killed(self) -> Self {
        let homes = self.workers.states[0].node.homes.clone();
        let mut next = Self::with_homes(homes.clone());
        next.shards = self.shards;
        let now = next.workers.now;
        let mut restored = RestoredMessages::default();
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
            kept.retained().for_each(|(_, retained)| state.restore_retained(retained, now));
            let seen = kept.beside_sessions().seen;
            seen.iter().for_each(|(publisher, count)| state.restore_seen(shard, *publisher, *count));
        }
        for state in &mut next.workers.states {
            state.changes = Changes::default();
            state.changes.begin_behind(next.shards.highest());
        }
        next.workers.settle();
        next
    }

    /// A client comes back to its session.
    fn resume(&mut self, client: &str) -> SessionKey {
        let found = self.workers.states.iter().find_map(|state| state.sessions.find(client));
        let key = found.expect("it has a session");
        self.workers.with(key, |session| {
            (session.online, session.absence) = (Some(online(ProtocolVersion::V5)), None);
            session.resume_sending();
        });
        self.workers.states[usize::from(key.worker)].record_connected(key);
        self.pump(key);
        key
    }

    fn pump(&mut self, key: SessionKey) {
        let now = self.workers.now;
        self.workers.states[usize::from(key.worker)].with_desk(key, now, |session, desk| session.pump(desk));
    }

    fn acknowledge(&mut self, key: SessionKey, identifier: u16, qos: QoS) -> Acknowledged {
        let now = self.workers.now;
        let state = &mut self.workers.states[usize::from(key.worker)];
        let acknowledged = state.with_desk(key, now, |session, desk| match qos {
            ExactlyOnce => session.on_pubrec(id(identifier), ReasonCode::Success, desk),
            _ => session.on_puback(id(identifier), ReasonCode::Success, desk),
        });
        acknowledged.unwrap()
    }

    /// Its client identifier has its home there.
    fn client_at(&self, prefix: &str, worker: u16) -> String {
        let homes = &self.workers.states[0].node.homes;
        let mut names = (0..).map(|number| format!("{prefix} {number}"));
        names.find(|name| homes.of_client(name) == worker).unwrap()
    }
}

/// A publish is acknowledged when every session that outlives the process has it on the disk, whichever worker that is on; one
/// that only others want waits for nothing.
#[test]
fn who_publishes_waits_for_what_outlives_the_process() {
    for home in [0, 1] {
        let mut kept = Kept::new();
        let name = kept.client_at("client", home);
        let durable = kept.workers.connect_at(home.into(), &name, 60);
        let (clean, publisher) = (kept.workers.connect("clean", 0), kept.workers.connect("publisher", 0));
        kept.subscribe(durable, "a/+", AtLeastOnce);
        kept.subscribe(clean, "#", AtLeastOnce);
        kept.keep(0);
        kept.keep(1);
        kept.publish(publisher, &[publication("b", "for clean ones", AtLeastOnce)]);
        assert_eq!(kept.read(publisher), ["PUBACK 1 0x00"], "home {home}");
        kept.publish(publisher, &[publication("a/b", "x", AtLeastOnce), publication("a/c", "y", AtMostOnce)]);
        assert!(kept.read(publisher).is_empty(), "home {home}");
        assert_eq!(kept.workers.read(durable).len(), 2, "QoS 1 need not wait");
        kept.keep(1 - usize::from(home));
        assert!(kept.read(publisher).is_empty(), "home {home}");
        kept.keep(home.into());
        assert_eq!(kept.read(publisher), ["PUBACK 1 0x00"], "home {home}");
    }
}

/// What was acknowledged to its publisher and not by its subscriber comes after a restart, in order; what both had does not.
#[test]
fn what_waits_comes_back() {
    let mut kept = Kept::new();
    let names = [kept.client_at("client", 0), kept.client_at("client", 1)];
    let publisher = kept.workers.connect("publisher", 0);
    for (at, name) in names.iter().enumerate() {
        let key = kept.workers.connect_at(at, name, 60);
        kept.subscribe(key, "t", AtLeastOnce);
    }
    let first = kept.workers.states[0].sessions.find(&names[0]).unwrap();
    let texts: Vec<_> = (1..=5).map(|number| number.to_string()).collect();
    let all: Vec<_> = texts.iter().map(|text| publication("t", text, AtLeastOnce)).collect();
    kept.publish(publisher, &all[..4]);
    for identifier in [1, 3] {
        assert_eq!(kept.acknowledge(first, identifier, AtLeastOnce), Acknowledged::Settled);
    }
    kept.keep(0);
    kept.keep(1);
    // Nobody was told of this one, and the disk has nothing of it.
    kept.publish(publisher, &all[4..]);
    let mut next = kept.killed();
    let keys = names.each_ref().map(|name| next.resume(name));
    assert_eq!(next.workers.read(keys[0]), ["t=2@1", "t=4@2"]);
    assert_eq!(next.workers.read(keys[1]), ["t=1@1", "t=2@2", "t=3@3", "t=4@4"]);
    let restored = next.workers.states.iter().map(|state| state.ledger.restored.get()).sum::<u64>();
    assert_eq!(restored, 6);
    // And it goes on: settled, kept, and killed again.
    assert_eq!(next.acknowledge(keys[0], 1, AtLeastOnce), Acknowledged::Settled);
    next.keep(0);
    next.keep(1);
    let mut last = next.killed();
    let key = last.resume(&names[0]);
    assert_eq!(last.workers.read(key), ["t=4@1"]);
}

/// A QoS 2 PUBLISH leaves when the disk knows its packet identifier, and its PUBREL when that knows of the PUBREC.
#[test]
fn exactly_once_is_kept_before_it_is_sent() {
    let mut kept = Kept::new();
    let name = kept.client_at("client", 0);
    let (durable, publisher) = (kept.workers.connect(&name, 60), kept.workers.connect("publisher", 0));
    kept.subscribe(durable, "t", ExactlyOnce);
    kept.keep(0);
    kept.publish(publisher, &[publication("t", "x", ExactlyOnce), publication("t", "y", ExactlyOnce)]);
    assert!(kept.workers.read(durable).is_empty());
    kept.keep(0);
    assert_eq!(kept.workers.read(durable), ["t=x@1", "t=y@2"]);
    assert_eq!(kept.acknowledge(durable, 1, ExactlyOnce), Acknowledged::Settled);
    assert!(kept.workers.read(durable).is_empty());
    kept.keep(0);
    assert_eq!(kept.workers.read(durable), ["PUBREL 1 0x00"]);
    let mut next = kept.killed();
    let durable = next.resume(&name);
    assert_eq!(next.workers.read(durable), ["PUBREL 1 0x00", "dup t=y@2"]);
    let now = next.workers.now;
    let acknowledged =
        next.workers.own().with_desk(durable, now, |session, desk| session.on_pubcomp(id(1), desk));
    assert_eq!(acknowledged, Some(Acknowledged::Settled));
    assert_eq!(next.acknowledge(durable, 2, ExactlyOnce), Acknowledged::Settled);
    next.keep(0);
    let mut last = next.killed();
    let durable = last.resume(&name);
    assert_eq!(last.workers.read(durable), ["PUBREL 2 0x00"]);
}

/// A QoS 2 publish that comes again behind a restart reaches those who had not had it, and nobody twice.
#[test]
fn exactly_once_that_comes_again_is_told_from_others() {
    let mut kept = Kept::new();
    let (here, there) = (kept.client_at("client", 0), kept.client_at("client", 1));
    let name = kept.client_at("publisher", 0);
    let publisher = kept.workers.connect(&name, 60);
    for (at, name) in [&here, &there].into_iter().enumerate() {
        let key = kept.workers.connect_at(at, name, 60);
        kept.subscribe(key, "t", ExactlyOnce);
    }
    kept.keep(0);
    kept.keep(1);
    kept.workers.with(publisher, |session| _ = session.incoming.insert(id(1), 7));
    kept.publish(publisher, &[publication("t", "x", ExactlyOnce)]);
    // It is received, and one of the two has it.
    kept.keep(0);
    assert!(kept.read(publisher).is_empty());
    let mut next = kept.killed();
    let publisher = next.resume(&name);
    let epoch = next.workers.with(publisher, |session| session.epoch);
    assert_eq!(next.workers.with(publisher, |session| session.incoming.insert(id(1), epoch)), None);
    next.publish(publisher, &[publication("t", "x", ExactlyOnce)]);
    for at in [0, 1] {
        next.keep(at);
    }
    assert_eq!(next.read(publisher), ["PUBREC 1 0x00"]);
    for name in [&here, &there] {
        let key = next.resume(name);
        for at in [0, 1] {
            next.keep(at);
        }
        // It may have been sent before.
        assert_eq!(next.workers.read(key).concat().replace("dup ", ""), "t=x@1", "{name}");
    }
    // Its PUBREL is answered when that is kept.
    let conditions = Conditions::default();
    next.workers.own().record_forgotten(publisher, id(1), &conditions);
    next.workers.with(publisher, |session| session.release_in_turn(id(1), conditions.of(0)));
    assert!(next.read(publisher).is_empty());
    next.keep(0);
    assert_eq!(next.read(publisher), ["PUBCOMP 1 0x00"]);
}
