//! What the tests of this module share: two workers without a runtime, their tries, and somebody who carries out what they
//! leave to be done.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_codec::{Packet, ProtocolVersion};

use crate::counters::Counters;
use crate::homes::{Homes, drawn_key};
use crate::ids::{SessionKey, shared_part};
use crate::ledger::Ledger;
use crate::message::{Ack, Publication};
use crate::records::{Position, WallClock};
use crate::rules::Rules;
use crate::session::{Session, Will};
use crate::settings::Settings;
use crate::subscriptions::Subscription;
use crate::testing::{drain, id, online, options, packets, summary};
use crate::timers::{TICK, Timer};
use crate::topics::{Topics, Watch};
use crate::worker::{Errand, NodeState, WorkerState};

/// Whatever was allowed is.
const RULES: Rules = Rules { revision: 0, authorizes: false };

/// Nobody counts.
struct Unwatched;

impl Watch for Unwatched {
    fn begin(&self, _: Option<Instant>) -> Option<Instant> {
        None
    }

    fn end(&self, _: Option<Instant>) {}
}

/// Worker 0 is home to the sessions here; worker 1 has a trie that homes of groups may lie at.
pub(super) struct Workers {
    pub(super) states: [WorkerState; 2],
    pub(super) topics: [Topics; 2],
    has_tries: bool,
    pub(super) now: Instant,
}

impl Workers {
    /// Without tries: what they would be told is lost.
    pub(super) fn alone() -> Self {
        Self { has_tries: false, ..Self::with_tries(Settings::default()) }
    }

    /// With a trie each.
    pub(super) fn with_tries(settings: Settings) -> Self {
        Self::with_homes(settings, Homes::new(&drawn_key(), 2))
    }

    /// The same, with the homes of others.
    pub(super) fn with_homes(settings: Settings, homes: Homes) -> Self {
        let now = crate::testing::now();
        let node = Arc::new(NodeState::new(settings, homes, Vec::new(), now, WallClock(1_000_000)));
        let states = [0, 1].map(|id| {
            let (ledger, counters) = (Ledger::of(&node.kept), Counters::default());
            let mut state =
                WorkerState::new(id, Arc::clone(&node), Arc::new(ledger), Arc::new(counters), now);
            state.changes.begin_behind(Position(6));
            state
        });
        let topics = states.each_ref().map(Topics::new);
        Self { states, topics, has_tries: true, now }
    }

    /// What the workers left to be done is: wills are allowed, and what tries are told waits there. Returns whether there
    /// was anything.
    pub(super) fn carry_out(&mut self) -> bool {
        let mut some = false;
        for at in [0, 1] {
            while !self.states[at].errands.is_empty() {
                some = true;
                for errand in std::mem::take(&mut self.states[at].errands) {
                    self.carry_out_one(at, errand);
                }
            }
        }
        some
    }

    fn carry_out_one(&mut self, at: usize, errand: Errand) {
        let now = self.now;
        match errand {
            Errand::ToTrie(worker, message) if self.has_tries => {
                self.topics[usize::from(worker)].push(message);
            }
            Errand::ToTrie(..) => {}
            Errand::InForce(reply, replays) => reply.connection.in_force(reply.token, replays),
            Errand::Lost(reply) => reply.connection.lost(),
            Errand::WillDue { publisher, publisher_hash, will } => {
                let doubt = self.states[at].route_due_will(publisher, publisher_hash, will, RULES, now);
                assert!(doubt.is_none());
            }
            Errand::LeftBehind(publisher, batch) => {
                self.states[at].settle_what_was_left(publisher, *batch, RULES, now);
            }
            Errand::SendChanges => {}
            Errand::TrieMadeAnew => {
                self.states[at].go_on_with_remains();
                self.states.iter_mut().for_each(|state| state.join_again(at as u16));
            }
        }
    }

    /// One turn of a worker's trie. Returns whether something is left.
    pub(super) fn turn(&mut self, at: usize) -> bool {
        self.topics[at].turn(&mut self.states[at], self.now, Waker::noop(), &Unwatched)
    }

    /// Both tries have done what they were told, and what came of it.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            let carried = self.carry_out();
            let more = self.turn(0) | self.turn(1);
            if !carried && !more && self.states.iter().all(|state| state.errands.is_empty()) {
                return;
            }
        }
        panic!("they never come to rest");
    }

    pub(super) fn own(&mut self) -> &mut WorkerState {
        &mut self.states[0]
    }

    /// A new session that a network connection holds.
    pub(super) fn connect(&mut self, client_identifier: &str, expiry_interval: u32) -> SessionKey {
        self.connect_at(0, client_identifier, expiry_interval)
    }

    /// The same at another worker.
    pub(super) fn connect_at(&mut self, at: usize, client_identifier: &str, expiry: u32) -> SessionKey {
        let worker = &mut self.states[at];
        let names = client_identifier.len();
        worker.node.session_places.take(Some(names), names).expect("it has one").keep();
        worker.node.session_places.rename(0, names);
        let session = worker.sessions.create(client_identifier, ProtocolVersion::V5);
        session.epoch = 7;
        session.expiry_interval = expiry;
        session.online = Some(online(ProtocolVersion::V5));
        let key = session.key;
        worker.record_connected(key);
        key
    }

    pub(super) fn with<R>(&mut self, key: SessionKey, act: impl FnOnce(&mut Session) -> R) -> R {
        let sessions = &mut self.states[usize::from(key.worker)].sessions;
        act(sessions.get_mut(key).expect("the session is there"))
    }

    pub(super) fn exists(&self, key: SessionKey) -> bool {
        self.states[0].sessions.contains(key)
    }

    /// The network connection is lost; `publish_will` says whether without a DISCONNECT of reason 0.
    pub(super) fn lose(&mut self, key: SessionKey, publish_will: bool) {
        let (now, worker) = (self.now, &mut self.states[usize::from(key.worker)]);
        let epoch = worker.sessions.get(key).map_or(0, |session| session.epoch);
        assert!(worker.part(key, epoch, publish_will, now).is_some());
        worker.settle_parting(key, now);
        self.carry_out();
    }

    /// Time passes, and what is due is done.
    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let now = self.now;
        for timer in self.own().timers.take_due(now + TICK) {
            if let Timer::Offline(key, epoch) = timer {
                self.own().offline_due(key, epoch, now);
            }
        }
        self.carry_out();
    }

    pub(super) fn wills_published(&self) -> u64 {
        self.states[0].counters.wills_published.get()
    }

    /// What was recorded since this was asked last.
    pub(super) fn recorded(&mut self) -> Vec<u8> {
        self.own().changes.take_noted()
    }

    /// The session has these subscriptions of QoS 1, and the tries know.
    pub(super) fn subscribe(&mut self, key: SessionKey, filters: &[&str]) {
        let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
        self.subscribe_with(key, filters, subscription);
    }

    /// The same, with other options.
    pub(super) fn subscribe_with(&mut self, key: SessionKey, filters: &[&str], subscription: Subscription) {
        self.with(key, |session| {
            for filter in filters {
                session.subscriptions.insert((*filter).into(), subscription);
                if shared_part(filter).is_some() {
                    session.burden.get_or_insert_default();
                }
            }
        });
        self.states[usize::from(key.worker)].subscribe_all(key);
    }

    /// A client publishes these, all in one batch; those of QoS 1 have the packet identifiers 1, 2 and so on.
    pub(super) fn publish(&mut self, publisher: SessionKey, publications: &[Publication<'_>]) {
        let (now, worker) = (self.now, &mut self.states[usize::from(publisher.worker)]);
        let mut batch = worker.batch();
        for (number, publication) in (1..).zip(publications) {
            let ack = Ack { packet_identifier: id(number), exactly_once: false, settled: None };
            batch.push(publication, (publication.qos == AtLeastOnce).then_some(ack));
        }
        (batch.publisher, batch.epoch, batch.admitted) = (Some(publisher), 7, true);
        worker.route(batch, None, now).expect("it cannot be held up");
    }

    /// What a client reads, in few words.
    pub(super) fn read(&mut self, key: SessionKey) -> Vec<String> {
        summary(&self.packets(key))
    }

    /// What a client reads.
    pub(super) fn packets(&mut self, key: SessionKey) -> Vec<Packet> {
        let WorkerState { sessions, pool, ledger, .. } = &mut self.states[usize::from(key.worker)];
        let session = sessions.get_mut(key).expect("the session is there");
        let online = session.online.as_mut().expect("only a session online is read");
        let (bytes, delivered) = drain(&mut online.outbox, pool);
        session.tally.delivered += u64::from(delivered.all);
        ledger.deliver_n(delivered.all.into(), delivered.own.into());
        ledger.kept.end_n(delivered.all.into(), delivered.own.into());
        packets(&bytes, online.version)
    }

    /// The name of a group at home at this worker, for the topic name `t`.
    pub(super) fn group_at(&self, home: u16) -> String {
        let mut names = (0..).map(|number| format!("$share/g{number}/t"));
        let homes = &self.states[0].node.homes;
        names.find(|name| homes.of_group(name) == home).expect("every worker is home to some")
    }

    /// Members of a group at its home: how many, how many of them online, and durable.
    pub(super) fn members(&mut self, full_filter: &str) -> (usize, usize, usize) {
        let home = usize::from(self.states[0].node.homes.of_group(full_filter));
        let group = self.states[home].groups.find_mut(full_filter);
        let members: Vec<_> = group.iter().flat_map(|group| group.members()).collect();
        let count = |wanted: fn(&crate::groups::Member) -> bool| {
            members.iter().filter(|member| wanted(member)).count()
        };
        (members.len(), count(|member| member.online), count(|member| member.durable))
    }
}

pub(super) fn will(delay_seconds: u32) -> Option<Box<Will>> {
    Some(Box::new(Will {
        client_identifier: "client".into(),
        user_name: None,
        grant: None,
        revision: 0,
        allowed_until: None,
        topic: "will".into(),
        payload: "gone".into(),
        properties: Box::default(),
        qos: AtMostOnce,
        retain: false,
        delay_seconds,
        expiry_seconds: None,
        share: None,
    }))
}
