//! What single records mean.

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS};

use super::history::{HOMES, SHARD};
use super::store::{self, Store};
use crate::kept_shard::{Applied, KeptParts, KeptShard, LoadError};
use crate::ledger::DropReason;
use crate::records::{
    Body, Connected, Copied, CopyId, DecodeError, Fate, Of, Origin, Parted, Position, Publish, Publisher,
    Record, Retained, Settled, Subscribed, Through, WallClock,
};

fn name(what: &str) -> &'static str {
    let mut names = (0..).map(|number| format!("{what}{number}"));
    names.find(|name| HOMES.shard_of(name) == SHARD).expect("one of very many").leak()
}

/// A shard whose records stand behind one another.
struct Written {
    shard: KeptShard,
    at: u64,
}

impl Written {
    fn new() -> Self {
        Self { shard: KeptShard::new(SHARD, HOMES.clone()), at: 0 }
    }

    fn write(&mut self, record: &Record<'_>) -> (Position, Applied) {
        self.at += 1;
        let at = Position(self.at);
        (at, self.shard.apply(at, record))
    }

    fn connect<'a>(&mut self, client: &'a str, begins: bool) -> Of<'a> {
        let (user_name, version, will) = (None, ProtocolVersion::V5, None);
        let record = Connected { client, user_name, version, expiry_interval: 60, begins, will };
        Of { client, epoch: self.write(&Record::Connected(record)).0.epoch() }
    }

    fn subscribe(&mut self, of: Of<'_>, filter: &str) {
        let options = QoS::AtLeastOnce.into();
        let subscribed = Subscribed { filter, options, identifier: 0, replays: false };
        self.write(&Record::Subscribed(of, vec![subscribed]));
    }

    fn copies(&self, client: &str) -> Vec<u64> {
        let session = self.shard.session(client).expect("there is such a session");
        session.in_order().iter().map(|(id, _)| id.message.0).collect()
    }
}

fn message(topic: &'static str, qos: QoS) -> Publish<'static> {
    Publish {
        body: Body { topic, properties: &[], payload: b"payload", qos },
        retain: false,
        expires_at: None,
        publisher_hash: 0,
        origin: None,
        copies: Vec::new(),
        waits: Vec::new(),
    }
}

fn copied(client: &'static str) -> Copied<'static> {
    let (client, identifiers) = (client.into(), [].as_slice().into());
    Copied { client, qos: QoS::ExactlyOnce, retain: false, identifiers, through: Through::Subscription }
}

/// A message of which these clients have a copy.
fn to(clients: &[&'static str]) -> Publish<'static> {
    let copies = clients.iter().map(|client| copied(client)).collect();
    Publish { copies, ..message("a", QoS::ExactlyOnce) }
}

/// Its record says who has a copy, whatever is subscribed; it is kept once.
#[test]
fn a_message_is_for_those_whom_its_record_names() {
    let mut written = Written::new();
    let (one, other, gone) = (name("one"), name("other"), name("gone"));
    let of = written.connect(one, true);
    written.subscribe(of, "not/this");
    written.connect(other, true);
    written.connect(gone, true);
    written.write(&Record::Ended(gone));
    let overlapping = Copied { qos: QoS::AtLeastOnce, identifiers: [7, 9].as_slice().into(), ..copied(one) };
    let mut publish = to(&["of another shard", other, one, gone]);
    publish.copies.push(overlapping);
    let (at, applied) = written.write(&Record::Publish(publish));
    assert_eq!(applied, Applied { matched: 3, ..Applied::default() });
    let copies = |client| {
        let session = written.shard.session(client).unwrap();
        let copies = session.copies.iter();
        copies
            .map(|(id, copy)| (id.message, id.copy, copy.qos, copy.identifiers.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(copies(other), [(at, 1, QoS::ExactlyOnce, vec![])]);
    assert_eq!(copies(one), [(at, 2, QoS::ExactlyOnce, vec![]), (at, 4, QoS::AtLeastOnce, vec![7, 9])]);
    assert_eq!((written.shard.messages.len(), written.shard.places[&at]), (1, 3), "kept once");
}

/// What an earlier network connection still writes is too late.
#[test]
fn records_of_an_earlier_connection_are_ignored() {
    let mut written = Written::new();
    let client = name("client");
    let first = written.connect(client, true);
    let second = written.connect(client, false);
    written.subscribe(first, "a");
    let parted = Parted { of: first, at: WallClock(5), expiry_interval: 1, leaves_will: false };
    written.write(&Record::Parted(parted));
    let session = written.shard.session(client).unwrap();
    assert!(session.subscriptions.is_empty() && session.parted.is_none() && session.expiry_interval == 60);
    written.write(&Record::Parted(Parted { of: second, ..parted }));
    assert_eq!(written.shard.session(client).unwrap().parted, Some(WallClock(5)));
}

/// The last QoS 2 message of a publisher is remembered, so that one that comes again behind a restart is known.
#[test]
fn what_was_seen_of_a_publisher_is_known_until_it_is_gone() {
    let mut written = Written::new();
    let client = name("client");
    written.connect(client, true);
    let publisher = Publisher(1234);
    for (count, seen) in [(4, 4), (6, 6), (5, 6), (6, 6)] {
        let origin = Some(Origin { publisher, count: Position(count) });
        // It may come in several records, and all of them are taken.
        assert_eq!(written.write(&Record::Publish(Publish { origin, ..to(&[client]) })).1.matched, 1);
        assert_eq!(written.shard.beside_sessions().seen, [(publisher, Position(seen))]);
    }
    // What is read late is not about what came since.
    written.shard.apply(Position(5), &Record::PublisherGone(publisher));
    assert_eq!(written.shard.seen.len(), 1);
    written.shard.apply(Position(7), &Record::PublisherGone(publisher));
    assert!(written.shard.seen.is_empty());
}

/// In flight first, as it was sent; what was retained as a subscription began ahead of what was published since.
#[test]
fn what_waits_goes_to_its_client_in_order() {
    let mut written = Written::new();
    let client = name("client");
    let of = written.connect(client, true);
    let publish = |written: &mut Written| written.write(&Record::Publish(to(&[client]))).0;
    let mut positions = vec![publish(&mut written), publish(&mut written)];
    written.subscribe(of, "b");
    let began = Position(written.at);
    positions.extend([publish(&mut written), publish(&mut written)]);
    let copies = vec![Copied { retain: true, through: Through::Retained(began), ..copied(client) }];
    let (retained, _) = written.write(&Record::Publish(Publish { copies, ..message("b", QoS::ExactlyOnce) }));
    let id = |message| CopyId { message, copy: 0 };
    let identifiers = [7, 3].map(|number| PacketIdentifier::new(number).unwrap());
    written.write(&Record::Sent(of, identifiers[0], id(positions[3])));
    written.write(&Record::Sent(of, identifiers[1], id(positions[2])));
    let last = publish(&mut written);
    let expected = [positions[3], positions[2], positions[0], positions[1], retained, last];
    assert_eq!(written.copies(client), expected.map(|position| position.0));
    // A message whose PUBREC came is not kept any more, its packet identifier is.
    written.write(&Record::Released(of, identifiers[1], id(positions[3])));
    assert!(written.shard.message(positions[3]).is_some(), "it was sent with another one");
    written.write(&Record::Released(of, identifiers[0], id(positions[3])));
    assert!(written.shard.message(positions[3]).is_none());
    assert_eq!(written.copies(client).len(), 6);
    positions.extend([retained, last]);
    let copies = positions.into_iter().map(id).collect();
    let settled = Settled { client, fate: Fate::Delivered, copies };
    assert_eq!(written.write(&Record::Settled(settled)).1.delivered, 6);
    assert_eq!((written.shard.waiting(), written.shard.messages.len()), (0, 0));
}

/// A message that waits in a group goes to a member of another shard: its worker writes both in one entry.
#[test]
fn a_member_takes_what_waits_in_its_group() {
    let mut written = Written::new();
    let group = name("$share/group/a/");
    let publish = Publish { waits: vec![group], ..message("a", QoS::AtLeastOnce) };
    let (waiting, applied) = written.write(&Record::Publish(publish));
    assert_eq!((applied.matched, written.shard.waiting()), (1, 1));
    let before = written.shard.applied();
    // The position is one of another worker.
    let taken = Record::Taken(group, Fate::Returned, vec![waiting]);
    assert_eq!(written.shard.apply(Position(1), &taken).returned, 1);
    assert_eq!(written.shard.apply(Position(1), &taken), Applied::default());
    assert_eq!((written.shard.applied(), written.shard.waiting()), (before, 0));
}

#[test]
fn what_ends_is_dropped_with_a_reason() {
    let mut written = Written::new();
    let client = name("client");
    written.connect(client, true);
    let (at, _) = written.write(&Record::Publish(to(&[client])));
    written.write(&Record::Publish(to(&[client])));
    let fate = Fate::Dropped(DropReason::Expired);
    let settled = Settled { client, fate, copies: vec![CopyId { message: at, copy: 0 }] };
    assert_eq!(written.write(&Record::Settled(settled)).1.dropped, 1);
    assert_eq!(written.write(&Record::Ended(client)).1.dropped, 1);
    assert!(written.shard.session(client).is_none());
    assert_eq!(written.write(&Record::Publish(to(&[client]))).1, Applied::default());
    assert_eq!(written.shard.messages.len(), 0);
}

/// Of two retained for a topic name the later one wins, also when the earlier one is read behind its removal.
#[test]
fn the_later_stamp_is_retained() {
    let mut written = Written::new();
    let topic = name("topic");
    let retained = |stamp, payload: Option<&'static [u8]>| {
        let body = |payload| Body { topic, properties: &[], payload, qos: QoS::AtMostOnce };
        Record::Retained(Retained { topic, stamp, message: payload.map(|payload| (body(payload), None, 1)) })
    };
    written.write(&retained(4, Some(b"kept")));
    written.write(&retained(2, Some(b"late")));
    let kept = |shard: &KeptShard| shard.retained().map(|(_, it)| it.stamp).collect::<Vec<_>>();
    assert_eq!(kept(&written.shard), [4]);
    written.write(&retained(6, None));
    written.write(&retained(5, Some(b"late")));
    assert!(kept(&written.shard).is_empty());
    written.shard.forget_removed(6);
    written.write(&retained(5, Some(b"late")));
    assert!(kept(&written.shard).is_empty(), "not forgotten yet");
    written.shard.forget_removed(7);
    assert!(written.shard.retained.is_empty());
}

/// What came and went between two checkpoints never reaches one.
#[test]
fn what_was_settled_before_a_checkpoint_is_not_in_it() {
    let mut written = Written::new();
    let client = name("client");
    let of = written.connect(client, true);
    written.subscribe(of, "a");
    let parts = written.shard.take_changes().len();
    assert_eq!(parts, 3, "the position applied, a session and a subscription");
    let (at, applied) = written.write(&Record::Publish(to(&[client])));
    assert_eq!(applied.matched, 1);
    let settled = Settled { client, fate: Fate::Delivered, copies: vec![CopyId { message: at, copy: 0 }] };
    written.write(&Record::Settled(settled));
    let changes = written.shard.take_changes();
    assert_eq!(changes.len(), 1, "the position applied");
    assert!(written.shard.take_changes().is_empty());
}

#[test]
fn a_checkpoint_that_cannot_be_read_says_so() {
    let mut written = Written::new();
    let of = written.connect(name("client"), true);
    written.subscribe(of, "a");
    let parts: Vec<_> =
        written.shard.take_changes().into_iter().map(|(key, part)| (key, part.unwrap())).collect();
    let load = |parts: &[(Vec<u8>, Vec<u8>)]| {
        let parts = parts.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
        let shard = KeptShard::of_parts(SHARD, HOMES.clone(), KeptParts::read(parts)?);
        shard.map(|shard| shard.sessions().count())
    };
    assert_eq!(load(&parts), Ok(1));
    assert_eq!(load(&parts[..2]), Ok(1));
    assert_eq!(load(&parts[2..]), Err(LoadError::Orphan));
    let mut newer = parts.clone();
    newer[1].1[0] = 2;
    assert_eq!(load(&newer), Err(LoadError::Part(DecodeError::Version(2))));
    let mut cut = parts;
    cut[1].1.pop();
    assert_eq!(load(&cut), Err(LoadError::Part(DecodeError::Truncated)));
}

/// A checkpoint is brought forward at the cost of what changes, whatever else waits there.
#[test]
fn a_long_queue_costs_a_checkpoint_nothing() {
    let client = name("client");
    let (of, identifier) = (Of { client, epoch: 1 }, PacketIdentifier::new(7).unwrap());
    let reads = [3, 3000].map(|queued| {
        let (mut store, mut at) = (Store::new(), Position::default());
        let mut take_in = |records: &[Record<'_>]| {
            let encoded = records.iter().map(|record| {
                at = at.next();
                let mut bytes = Vec::new();
                record.encode(at, &mut bytes);
                (at, bytes)
            });
            let encoded: Vec<_> = encoded.collect();
            let reads = store::take_in(&mut store, &encoded);
            (reads, store.len())
        };
        let connected = |begins| {
            let (user_name, version, will) = (None, ProtocolVersion::V5, None);
            let record = Connected { client, user_name, version, expiry_interval: 60, begins, will };
            Record::Connected(record)
        };
        take_in(&[connected(true)]);
        let publish = || Record::Publish(to(&[client]));
        let filled: Vec<_> = (0..queued).map(|_| publish()).collect();
        let (_, parts) = take_in(&filled);
        let copies = |first: u64, count: u64| {
            let copies = (first..first + count).map(|message| CopyId { message: Position(message), copy: 0 });
            Record::Settled(Settled { client, fate: Fate::Delivered, copies: copies.collect() })
        };
        // All that is read: the position applied and, once, the session.
        let here = queued + 2;
        assert_eq!(
            take_in(&[publish(), publish(), copies(here, 2)]),
            (2, parts),
            "nothing reaches the checkpoint"
        );
        let sent = CopyId { message: Position(2), copy: 0 };
        let flight =
            [Record::Sent(of, identifier, sent), Record::Released(of, identifier, sent), copies(2, 2)];
        let costs = [
            take_in(&flight).0,
            take_in(&[connected(false)]).0,
            take_in(&[Record::Passed(client, "a", None)]).0,
        ];
        let (reads, parts) = take_in(&[connected(true)]);
        assert!(reads as u64 > queued - 2 && parts == 2, "what is gone is read and removed");
        costs
    });
    assert_eq!(reads[0], reads[1]);
    assert_eq!(reads[0][0], 6, "the position applied, the session, two copies, in how many places they wait");
}
