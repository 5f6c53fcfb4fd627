//! Messages that go through shared groups whose members outlive the process: whoever is killed when, each comes to one of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mqtt_codec::QoS;
use mqtt_codec::QoS::{AtLeastOnce, ExactlyOnce};

use super::kept::Kept;
use crate::ids::SessionKey;
use crate::session::Acknowledged;
use crate::testing::{id, publication};

/// A group at home at this worker, with a member at each, who are there, and a publisher whose session outlives the process.
fn with_members(home: u16, qos: QoS) -> (Kept, SessionKey, [String; 2]) {
    let mut kept = Kept::new();
    let group = kept.workers.group_at(home);
    let names = [kept.client_at("member", 0), kept.client_at("member", 1)];
    for (at, name) in names.iter().enumerate() {
        let key = kept.workers.connect_at(at, name, 60);
        kept.subscribe(key, &group, qos);
    }
    let publisher = kept.client_at("publisher", 0);
    let publisher = kept.workers.connect(&publisher, 60);
    keep_all(&mut kept);
    (kept, publisher, names)
}

fn keep_all(kept: &mut Kept) {
    // What one worker tells another is recorded there.
    for at in [0, 1, 0, 1] {
        kept.keep(at);
    }
}

fn key_of(kept: &Kept, name: &str) -> SessionKey {
    kept.workers.states.iter().find_map(|state| state.sessions.find(name)).unwrap()
}

/// Nobody of the group is there: it waits, and its publisher until that is kept, and behind a kill whoever comes has it.
#[test]
fn what_waits_in_a_group_outlives_a_kill() {
    for home in [0, 1] {
        let (mut kept, publisher, names) = with_members(home, AtLeastOnce);
        for name in &names {
            let key = key_of(&kept, name);
            kept.workers.lose(key, false);
            kept.workers.settle();
        }
        kept.publish(publisher, &[publication("t", "x", AtLeastOnce), publication("t", "y", AtLeastOnce)]);
        assert!(kept.read(publisher).is_empty(), "home {home}");
        kept.keep(home.into());
        assert_eq!(kept.read(publisher), ["PUBACK 1 0x00", "PUBACK 2 0x00"], "home {home}");
        let mut next = kept.killed();
        let restored = next.workers.states.iter().map(|state| state.ledger.restored.get()).sum::<u64>();
        assert_eq!(restored, 2);
        let member = next.resume(&names[1]);
        assert_eq!(next.workers.read(member), ["t=x@1", "t=y@2"], "home {home}");
        for identifier in [1, 2] {
            assert_eq!(next.acknowledge(member, identifier, AtLeastOnce), Acknowledged::Settled);
        }
        keep_all(&mut next);
        let mut last = next.killed();
        let member = last.resume(&names[0]);
        assert!(last.workers.read(member).is_empty(), "home {home}");
    }
}

/// What its member had not acknowledged before a kill comes to another one behind it.
#[test]
fn another_member_has_what_was_not_acknowledged() {
    for home in [0, 1] {
        let (mut kept, publisher, names) = with_members(home, AtLeastOnce);
        kept.publish(publisher, &[publication("t", "x", AtLeastOnce), publication("t", "y", AtLeastOnce)]);
        kept.keep(home.into());
        assert_eq!(kept.read(publisher).len(), 2, "the members' workers need not record who has it");
        let far = key_of(&kept, &names[1]);
        let [had] = kept.workers.read(far).try_into().unwrap();
        assert_eq!(kept.acknowledge(far, 1, AtLeastOnce), Acknowledged::Settled);
        keep_all(&mut kept);
        let mut next = kept.killed();
        let far = next.resume(&names[1]);
        let [other] = next.workers.read(far).try_into().unwrap();
        assert_ne!(had, other);
    }
}

/// QoS 2 is its member's for good before it is sent [MQTT-4.8.2-4].
#[test]
fn exactly_once_stays_with_the_member_that_is_sent_it() {
    for home in [0, 1] {
        let (mut kept, publisher, names) = with_members(home, ExactlyOnce);
        kept.publish(publisher, &[publication("t", "x", ExactlyOnce), publication("t", "y", ExactlyOnce)]);
        let keys = names.each_ref().map(|name| key_of(&kept, name));
        assert!(keys.iter().all(|key| kept.workers.read(*key).is_empty()));
        keep_all(&mut kept);
        let had = keys.map(|key| kept.workers.read(key));
        let mut next = kept.killed();
        for (name, had) in names.iter().zip(had) {
            let key = next.resume(name);
            keep_all(&mut next);
            assert_eq!(next.workers.read(key), [format!("dup {}", had[0])], "home {home}");
        }
    }
}

/// Random moments of everything.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One that has its session, be the process another one.
struct Member {
    name: String,
    key: Option<SessionKey>,
    /// QoS 2 that came and is not released, by packet identifier.
    held: BTreeSet<u16>,
    /// What it has not acknowledged yet.
    owed: Vec<(QoS, u16)>,
}

/// Messages through a group, and what its members have seen of them.
struct Play {
    kept: Option<Kept>,
    publisher: String,
    members: Vec<Member>,
    /// By packet identifier, of those that are not answered.
    unanswered: BTreeMap<u16, QoS>,
    published: u16,
    /// How often the members have seen each.
    seen: HashMap<u16, usize>,
    answered: BTreeSet<u16>,
    seed: u64,
}

impl Play {
    fn new(seed: u64) -> Self {
        let (kept, publisher, names) = with_members((seed % 2) as u16, ExactlyOnce);
        let publisher =
            kept.workers.states[0].sessions.get(publisher).unwrap().client_identifier().to_owned();
        let members = names.map(|name| {
            let key = Some(key_of(&kept, &name));
            Member { name, key, held: BTreeSet::new(), owed: Vec::new() }
        });
        Self {
            kept: Some(kept),
            publisher,
            members: members.into(),
            unanswered: BTreeMap::new(),
            published: 0,
            seen: HashMap::new(),
            answered: BTreeSet::new(),
            seed,
        }
    }

    fn kept(&mut self) -> &mut Kept {
        self.kept.as_mut().unwrap()
    }

    fn publish(&mut self, identifier: u16, qos: QoS) {
        let kept = self.kept.as_mut().unwrap();
        let publisher = key_of(kept, &self.publisher);
        if qos == ExactlyOnce {
            let epoch = kept.workers.with(publisher, |session| session.epoch);
            kept.workers.with(publisher, |session| _ = session.incoming.insert(id(identifier), epoch));
        }
        kept.publish_as(publisher, identifier, &publication("t", &identifier.to_string(), qos));
    }

    fn listen(&mut self) {
        let kept = self.kept.as_mut().unwrap();
        let publisher = key_of(kept, &self.publisher);
        for packet in kept.read(publisher) {
            let identifier = packet.split(' ').nth(1).unwrap().parse().unwrap();
            self.unanswered.remove(&identifier);
            self.answered.insert(identifier);
        }
        for member in &mut self.members {
            let Some(key) = member.key else { continue };
            for packet in kept.workers.read(key) {
                let words = packet.trim_start_matches("dup ");
                if let Some(released) = words.strip_prefix("PUBREL ") {
                    let identifier = released.split(' ').next().unwrap().parse().unwrap();
                    member.held.remove(&identifier);
                    member.owed.push((QoS::AtMostOnce, identifier));
                    continue;
                }
                let (number, identifier) = words.strip_prefix("t=").unwrap().split_once('@').unwrap();
                let (number, identifier): (u16, u16) = (number.parse().unwrap(), identifier.parse().unwrap());
                let qos = qos_of(number);
                if qos == AtLeastOnce || member.held.insert(identifier) {
                    *self.seen.entry(number).or_default() += 1;
                }
                member.owed.push((qos, identifier));
            }
        }
    }

    /// A member acknowledges the first that it owes.
    fn acknowledge(&mut self, at: usize) {
        let member = &mut self.members[at];
        let Some(key) = member.key.filter(|_| !member.owed.is_empty()) else { return };
        let (qos, identifier) = member.owed.remove(0);
        self.kept.as_mut().unwrap().settle_with(key, identifier, qos);
    }

    fn leave(&mut self, at: usize) {
        let member = &mut self.members[at];
        let Some(key) = member.key.take() else { return };
        member.owed.clear();
        let kept = self.kept();
        kept.workers.lose(key, false);
        kept.workers.settle();
    }

    fn come_back(&mut self, at: usize) {
        if self.members[at].key.is_none() {
            let name = self.members[at].name.clone();
            let key = self.kept().resume(&name);
            // Its CONNACK, and all behind that, waits until that is kept.
            self.kept().keep(key.worker.into());
            self.members[at].key = Some(key);
        }
    }

    fn kill(&mut self) {
        self.listen();
        self.kept = self.kept.take().map(Kept::killed);
        for member in &mut self.members {
            member.key = None;
            member.owed.clear();
        }
        let publisher = self.publisher.clone();
        self.kept().resume(&publisher);
        for (identifier, qos) in self.unanswered.clone() {
            self.publish(identifier, qos);
        }
    }

    fn end(mut self) {
        for at in [0, 1] {
            self.come_back(at);
        }
        for _ in 0..200 {
            keep_all(self.kept());
            self.listen();
            (0..2).for_each(|at| self.acknowledge(at));
        }
        let seed = self.seed;
        assert!(self.unanswered.is_empty(), "seed {seed}: {:?}", self.unanswered);
        for number in self.answered {
            let seen = self.seen.get(&number).copied().unwrap_or_default();
            match qos_of(number) {
                ExactlyOnce => assert_eq!(seen, 1, "seed {seed}: {number}"),
                _ => assert!(seen >= 1, "seed {seed}: {number} is lost"),
            }
        }
    }
}

/// Of the message of this number.
fn qos_of(number: u16) -> QoS {
    if number.is_multiple_of(2) { ExactlyOnce } else { AtLeastOnce }
}

/// Killed at any moment, with members that come and go: what was acknowledged comes, and QoS 2 to one member, once.
#[test]
fn a_group_keeps_its_promises_though_it_is_killed() {
    for seed in 0..400 {
        let (mut play, mut draw) = (Play::new(seed), Draw(seed + 1));
        for _ in 0..40 + draw.below(60) {
            match draw.below(16) {
                0..4 => {
                    play.published += 1;
                    let (number, qos) = (play.published, qos_of(play.published));
                    play.unanswered.insert(number, qos);
                    play.publish(number, qos);
                }
                4 | 5 => play.kept().keep(0),
                6 | 7 => play.kept().keep(1),
                8 | 9 => play.listen(),
                10 | 11 => play.acknowledge(draw.below(2) as usize),
                12 => play.leave(draw.below(2) as usize),
                13 | 14 => play.come_back(draw.below(2) as usize),
                _ => play.kill(),
            }
        }
        play.end();
    }
}
