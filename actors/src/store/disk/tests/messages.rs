//! Messages, groups and what is retained: a folder that is opened again and again has what one has that holds everything.

use std::collections::BTreeMap;

use micro_mq_core::kept_shard::KeptParts;
use micro_mq_core::ledger::DropReason;
use micro_mq_core::records::{
    Body, Copied, CopyId, Fate, Origin, Parted, Publish, Publisher, Retained, Settled, Through, WallClock,
};
use mqtt_codec::PacketIdentifier;

use super::*;
use crate::store::MemoryBackend;

/// Numbers that look drawn by lot.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

const CLIENTS: [&str; 5] = ["a", "ab", "b", "client", "client-2"];
const GROUPS: [&str; 2] = ["$share/one/t", "$share/two/t"];
const TOPICS: [&str; 3] = ["t", "t/1", "t/2"];
const PAYLOAD: [u8; 2000] = [7; 2000];

/// What a worker writes, and here and there what none would.
struct History {
    drawn: Drawn,
    at: Position,
    epochs: BTreeMap<&'static str, u32>,
    /// Where messages stand, and how many copies each has.
    messages: Vec<(Position, u32)>,
}

impl History {
    fn copy(&mut self) -> CopyId {
        let recent = self.messages.len().saturating_sub(12);
        let (message, copies) = match self.messages.len() {
            0 => (Position(0), 1),
            count => self.messages[recent + self.drawn.below((count - recent) as u64) as usize],
        };
        CopyId { message, copy: self.drawn.below(copies.max(1).into()) as u32 }
    }

    fn body(&mut self) -> Body<'static> {
        let payload = &PAYLOAD[..self.drawn.of(&[0, 3, 2000])];
        Body { topic: self.drawn.of(&TOPICS), properties: &[], payload, qos: QoS::ExactlyOnce }
    }

    fn publish(&mut self, publisher: Publisher) -> Record<'static> {
        let count = self.drawn.below(5);
        let copies = (0..count).map(|_| Copied {
            client: self.drawn.of(&CLIENTS).into(),
            qos: self.drawn.of(&[QoS::AtLeastOnce, QoS::ExactlyOnce]),
            retain: self.drawn.below(2) == 0,
            identifiers: vec![1; self.drawn.below(3) as usize].into(),
            through: self.drawn.of(&[
                Through::Subscription,
                Through::Group(GROUPS[0]),
                Through::Retained(self.at),
            ]),
        });
        let copies = copies.collect();
        self.messages.push((self.at, count as u32));
        Record::Publish(Publish {
            body: self.body(),
            retain: false,
            expires_at: None,
            publisher_hash: publisher.0,
            origin: (self.drawn.below(3) == 0).then_some(Origin { publisher, count: self.at }),
            copies,
            waits: vec![self.drawn.of(&GROUPS); self.drawn.below(2) as usize],
        })
    }

    fn next(&mut self) -> Record<'static> {
        let client = self.drawn.of(&CLIENTS);
        let of = Of { client, epoch: self.epochs.get(client).copied().unwrap_or_default() };
        let identifier = PacketIdentifier::new(1 + self.drawn.below(3) as u16).unwrap();
        let publisher = Publisher(self.drawn.below(2));
        let at = self.at;
        let record = match self.drawn.below(20) {
            0 | 1 => {
                self.epochs.insert(client, at.epoch());
                let begins = self.drawn.below(3) == 0;
                let (user_name, version, will) = (None, ProtocolVersion::V5, None);
                Record::Connected(Connected { client, user_name, version, expiry_interval: 9, begins, will })
            }
            2 => subscribed(of, &[(self.drawn.of(&TOPICS), 7)]),
            3 => Record::Unsubscribed(of, vec![self.drawn.of(&TOPICS)]),
            4 if self.drawn.below(3) == 0 => Record::Ended(client),
            5 => Record::Parted(Parted { of, at: WallClock(at.0), expiry_interval: 9, leaves_will: false }),
            6 => Record::Received(of, identifier),
            7 => Record::Forgotten(of, identifier),
            8 => Record::Sent(of, identifier, self.copy()),
            9 => Record::Released(of, identifier, self.copy()),
            10..=12 => {
                let mut copies: Vec<_> = (0..self.drawn.below(4)).map(|_| self.copy()).collect();
                copies.sort_unstable();
                copies.dedup();
                let fate = self.drawn.of(&[Fate::Delivered, Fate::Dropped(DropReason::Expired)]);
                Record::Settled(Settled { client, fate, copies })
            }
            13 => Record::Taken(self.drawn.of(&GROUPS), Fate::Returned, vec![self.copy().message]),
            14 => {
                let message = (self.drawn.below(3) > 0).then(|| (self.body(), None, 1));
                Record::Retained(Retained { topic: self.drawn.of(&TOPICS), stamp: at.0, message })
            }
            15 => Record::PublisherGone(publisher),
            _ => self.publish(publisher),
        };
        self.at = at.next();
        record
    }
}

/// All that is kept, by shard.
fn load_all(backend: &mut impl SessionBackend, key: &[u8; 16]) -> BTreeMap<u16, KeptParts> {
    let mut all = BTreeMap::<u16, KeptParts>::new();
    for worker in 0..2 {
        let home = Home { worker, homes: Homes::new(key, 2) };
        let mut after = None;
        loop {
            let Piece { shard, kept, rest, .. } = backend.load(&home, after.as_ref()).unwrap();
            assert!(kept.is_empty() || home.is_of(shard));
            let of_shard = all.entry(shard.0).or_default();
            of_shard.applied = of_shard.applied.max(kept.applied);
            of_shard.messages.extend(kept.messages);
            of_shard.places.extend(kept.places);
            of_shard.sessions.extend(kept.sessions);
            of_shard.waiting.extend(kept.waiting);
            of_shard.retained.extend(kept.retained);
            of_shard.seen.extend(kept.seen);
            after = rest;
            if after.is_none() {
                break;
            }
        }
    }
    all.retain(|_, parts| !parts.is_empty());
    for parts in all.values_mut() {
        // In what order names come is the backend's own.
        parts.sessions.sort_by(|(one, _), (other, _)| one.cmp(other));
        parts.waiting.sort();
        parts.retained.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    all
}

#[test]
fn a_folder_has_what_its_records_make() {
    for seed in 1..6 {
        let place = Place::new(&format!("messages-{seed}"));
        let mut history = History {
            drawn: Drawn(0x9e37_79b9_7f4a_7c15 + seed),
            at: Position(1),
            epochs: BTreeMap::new(),
            messages: Vec::new(),
        };
        let mut expected: Option<MemoryBackend> = None;
        for _ in 0..4 {
            let mut backend = place.open();
            let (key, homes) = (backend.hash_key(), Homes::new(&backend.hash_key(), 1));
            let expected = expected.get_or_insert_with(|| MemoryBackend::new(&key));
            assert_eq!(load_all(&mut backend, &key), load_all(expected, &key), "seed {seed}");
            for _ in 0..20 {
                let mut entry = Entry::at(history.at);
                (0..1 + history.drawn.below(40)).for_each(|_| _ = entry.push(&history.next(), &homes));
                expected.apply(&entry);
                append(&mut backend, entry);
            }
        }
        let mut backend = place.open();
        let key = backend.hash_key();
        let found = load_all(&mut backend, &key);
        assert_eq!(found, load_all(expected.as_mut().unwrap(), &key), "seed {seed}");
        assert!(found.values().any(|parts| !parts.messages.is_empty()), "something waits");
    }
}

/// Messages come before the sessions that wait for them, each once, so that a long queue is not one piece.
#[test]
fn a_long_queue_comes_in_pieces() {
    const MESSAGES: u64 = 2_000;
    let place = Place::new("queue");
    let mut backend = place.open();
    let (key, homes) = (backend.hash_key(), Homes::new(&backend.hash_key(), 1));
    let copied = |client: &'static str| Copied {
        client: client.into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Vec::new().into(),
        through: Through::Subscription,
    };
    let mut entry = Entry::at(Position(1));
    for client in CLIENTS {
        begin(&mut entry, &homes, client, 60, &[]);
    }
    for _ in 0..MESSAGES {
        let body = Body { topic: "t", properties: &[], payload: &PAYLOAD[..1000], qos: QoS::AtLeastOnce };
        let (publisher_hash, copies) = (1, CLIENTS.map(copied).into());
        let (retain, expires_at, origin, waits) = (false, None, None, Vec::new());
        let publish = Publish { body, retain, expires_at, publisher_hash, origin, copies, waits };
        entry.push(&Record::Publish(publish), &homes);
    }
    keep(&mut backend, entry);
    drop(backend);
    let (mut backend, home) = (place.open(), Home { worker: 0, homes });
    let (mut after, mut sessions) = (None, 0);
    let mut there: (Shard, Vec<Position>) = Default::default();
    loop {
        let Piece { shard, kept, rest, .. } = backend.load(&home, after.as_ref()).unwrap();
        if there.0 != shard {
            there = (shard, Vec::new());
        }
        assert!(kept.messages.len() * 1000 < 2 * PIECE_BYTES, "{} messages", kept.messages.len());
        there.1.extend(kept.messages.iter().map(|(position, _)| *position));
        for (_, session) in &kept.sessions {
            assert!(session.copies.keys().map(|id| &id.message).eq(&there.1), "all are there, each once");
            assert_eq!(there.1.len() as u64, MESSAGES);
            sessions += 1;
        }
        after = rest;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(sessions, CLIENTS.len());
    assert!(load_all(&mut backend, &key).values().all(|parts| parts.messages.len() as u64 == MESSAGES));
}
