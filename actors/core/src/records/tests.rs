use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::homes::Homes;
use crate::ledger::DropReason;

/// Names that records borrow.
const NAMES: [&str; 8] = ["", "c", "client-17", "client-18", "$share/g/a/+/b", "a/b/c", "ü/π", "ü/ρ"];
/// Where all records of these tests stand.
const AT: Position = Position(1 << 40);

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(NAMES.to_vec())
}

fn blob() -> impl Strategy<Value = &'static [u8]> {
    proptest::sample::select(vec![&[][..], b"x", &[0, 255, 128], &[7; 300]])
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![0..=AT.0, AT.0 - 100..=AT.0].prop_map(Position)
}

fn of() -> impl Strategy<Value = Of<'static>> {
    (name(), any::<u32>()).prop_map(|(client, epoch)| Of { client, epoch })
}

fn identifier() -> impl Strategy<Value = PacketIdentifier> {
    (1..=u16::MAX).prop_map(|number| PacketIdentifier::new(number).unwrap())
}

fn quality() -> impl Strategy<Value = QoS> {
    (0..=2_u8).prop_map(|number| QoS::try_from(number).unwrap())
}

fn subscription_options() -> impl Strategy<Value = SubscriptionOptions> {
    any::<u8>().prop_filter_map("not options", |bits| SubscriptionOptions::from_bits(bits).ok())
}

fn reason() -> impl Strategy<Value = DropReason> {
    proptest::sample::select(DropReason::ALL.to_vec())
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Delivered), Just(Fate::Returned), reason().prop_map(Fate::Dropped)]
}

fn copy() -> impl Strategy<Value = CopyId> {
    (position(), any::<u32>()).prop_map(|(message, copy)| CopyId { message, copy })
}

fn body() -> impl Strategy<Value = Body<'static>> {
    (name(), blob(), blob(), quality()).prop_map(|(topic, properties, payload, qos)| Body {
        topic,
        properties,
        payload,
        qos,
    })
}

fn clock() -> impl Strategy<Value = WallClock> {
    any::<u64>().prop_map(WallClock)
}

fn publisher() -> impl Strategy<Value = Publisher> {
    any::<u64>().prop_map(Publisher)
}

fn will() -> impl Strategy<Value = Will<'static>> {
    (body(), any::<bool>(), any::<u32>(), option::of(any::<u32>())).prop_map(
        |(body, retain, delay_seconds, expiry_seconds)| Will { body, retain, delay_seconds, expiry_seconds },
    )
}

fn connected() -> impl Strategy<Value = Record<'static>> {
    let version =
        proptest::sample::select(vec![ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5]);
    (name(), option::of(name()), version, any::<u32>(), any::<bool>(), option::of(will())).prop_map(
        |(client, user_name, version, expiry_interval, begins, will)| {
            Record::Connected(Connected { client, user_name, version, expiry_interval, begins, will })
        },
    )
}

fn any_copied() -> impl Strategy<Value = Copied<'static>> {
    let through = prop_oneof![
        2 => Just(Through::Subscription),
        1 => name().prop_map(Through::Group),
        1 => position().prop_map(Through::Retained)
    ];
    let qos = proptest::sample::select(vec![QoS::AtLeastOnce, QoS::ExactlyOnce]);
    (name(), qos, any::<bool>(), vec(any::<u32>(), 0..3), through).prop_map(
        |(client, qos, retain, identifiers, through)| {
            let (client, identifiers) = (client.into(), identifiers.into());
            Copied { client, qos, retain, identifiers, through }
        },
    )
}

fn publish() -> impl Strategy<Value = Record<'static>> {
    let origin =
        option::of((publisher(), position()).prop_map(|(publisher, count)| Origin { publisher, count }));
    let message = (body(), any::<bool>(), option::of(clock()), any::<u64>(), origin);
    (message, vec(any_copied(), 0..6), vec(name(), 0..3)).prop_map(
        |((body, retain, expires_at, publisher_hash, origin), copies, waits)| {
            Record::Publish(Publish { body, retain, expires_at, publisher_hash, origin, copies, waits })
        },
    )
}

fn settled() -> impl Strategy<Value = Record<'static>> {
    (name(), fate(), proptest::collection::btree_set(copy(), 0..5)).prop_map(|(client, fate, copies)| {
        Record::Settled(Settled { client, fate, copies: copies.into_iter().collect() })
    })
}

fn of_session() -> impl Strategy<Value = Record<'static>> {
    let subscribed = (name(), subscription_options(), any::<u32>(), any::<bool>()).prop_map(
        |(filter, options, identifier, replays)| Subscribed { filter, options, identifier, replays },
    );
    prop_oneof![
        name().prop_map(Record::Ended),
        (of(), clock(), any::<u32>(), any::<bool>()).prop_map(|(of, at, expiry_interval, leaves_will)| {
            Record::Parted(Parted { of, at, expiry_interval, leaves_will })
        }),
        (of(), vec(subscribed, 0..4)).prop_map(|(of, all)| Record::Subscribed(of, all)),
        (of(), vec(name(), 0..4)).prop_map(|(of, filters)| Record::Unsubscribed(of, filters)),
        (of(), identifier()).prop_map(|(of, identifier)| Record::Received(of, identifier)),
        (of(), identifier()).prop_map(|(of, identifier)| Record::Forgotten(of, identifier)),
        (of(), identifier(), copy()).prop_map(|(of, identifier, copy)| Record::Sent(of, identifier, copy)),
        (of(), identifier(), copy()).prop_map(|(of, it, copy)| Record::Released(of, it, copy)),
        of().prop_map(Record::WillOver),
        (name(), name(), option::of(name()))
            .prop_map(|(client, filter, after)| { Record::Passed(client, filter, after) }),
    ]
}

fn record() -> impl Strategy<Value = Record<'static>> {
    let retained = (name(), any::<u64>(), option::of((body(), option::of(clock()), any::<u64>())));
    let taken = (name(), fate(), vec(position(), 0..4));
    prop_oneof![
        5 => of_session(),
        2 => publish(),
        1 => connected(),
        1 => settled(),
        1 => taken.prop_map(|(group, fate, messages)| Record::Taken(group, fate, messages)),
        1 => retained.prop_map(|(topic, stamp, message)| Record::Retained(Retained { topic, stamp, message })),
        1 => publisher().prop_map(Record::PublisherGone),
    ]
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(AT, &mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_encoded_is_decoded(record in record()) {
        let bytes = encoded(&record);
        prop_assert_eq!(Record::decode(&bytes, AT), Ok(record));
    }

    /// No part of a record is taken for a record.
    #[test]
    fn what_is_cut_is_refused(record in record()) {
        let bytes = encoded(&record);
        for length in 0..bytes.len() {
            prop_assert!(Record::decode(&bytes[..length], AT).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(Record::decode(&longer, AT), Err(DecodeError::Rest(1)));
    }

    /// Whatever the bytes are: what can be decoded is encoded as it was.
    #[test]
    fn there_is_one_way_to_write_a_record(record in record(), place in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = encoded(&record);
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Ok(other) = Record::decode(&bytes, AT) {
            prop_assert_eq!(encoded(&other), bytes);
        }
    }

    #[test]
    fn an_entry_has_its_records_in_order(records in vec(record(), 0..6)) {
        let homes = Homes::new(&[9; 16], 2);
        let mut entry = Entry::at(AT);
        let expected: Vec<_> = records.iter().map(|record| (entry.push(record, &homes), record.clone())).collect();
        let read: Result<Vec<_>, _> = records_of(entry.bytes()).collect();
        prop_assert_eq!(entry.is_empty(), records.is_empty());
        if records.is_empty() {
            prop_assert!(entry.bytes().is_empty() && read.is_err());
        } else {
            prop_assert_eq!(read.unwrap(), expected);
            let cut = &entry.bytes()[..entry.bytes().len() - 1];
            prop_assert!(records_of(cut).any(|read| read.is_err()));
        }
    }
}

#[test]
fn a_later_version_is_refused_with_words() {
    let mut bytes = encoded(&Record::Ended("client"));
    bytes[0] = RECORD_VERSION + 1;
    let error = Record::decode(&bytes, AT).unwrap_err();
    assert_eq!(error.to_string(), "record of version 2; this node reads versions up to 1");
}

/// What most copies are.
fn copied(client: &str) -> Copied<'_> {
    Copied {
        client: client.into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: [].as_slice().into(),
        through: Through::Subscription,
    }
}

/// Words for what nobody writes: copies out of order, flags that mean nothing, bytes behind the end, an entry of no record.
#[test]
fn what_nobody_writes_is_refused_with_words() {
    let refused = |bytes: &[u8]| Record::decode(bytes, AT).unwrap_err().to_string();
    let copy = |message, copy| CopyId { message: Position(message), copy };
    let copies = vec![copy(7, 1), copy(7, 2)];
    let mut settled = encoded(&Record::Settled(Settled { client: "c", fate: Fate::Delivered, copies }));
    *settled.last_mut().unwrap() = 1;
    assert_eq!(refused(&settled), "record has 1 as its number of a copy");
    let of = Of { client: "c", epoch: AT.epoch() };
    let parted = Parted { of, at: WallClock(1), expiry_interval: 1, leaves_will: true };
    let mut bytes = encoded(&Record::Parted(parted));
    *bytes.last_mut().unwrap() = 3;
    assert_eq!(refused(&bytes), "record has 3 as its flags of an end");
    *bytes.last_mut().unwrap() = 1;
    bytes.push(0);
    assert_eq!(refused(&bytes), "record has 1 bytes too many");
    assert_eq!(records_of(&[7]).collect::<Vec<_>>(), [Err(DecodeError::Truncated)]);
}

/// What the records of a typical message take beside its topic name and payload.
#[test]
fn records_are_small() {
    let of = Of { client: "device-0123456789", epoch: Position(AT.0 - 5000).epoch() };
    let identifier = PacketIdentifier::new(777).unwrap();
    let copy = CopyId { message: Position(AT.0 - 3), copy: 1 };
    let publish = Publish {
        body: Body {
            topic: "building/7/floor/3/temperature",
            properties: &[],
            payload: &[1; 64],
            qos: QoS::AtLeastOnce,
        },
        retain: false,
        expires_at: None,
        publisher_hash: 1 << 60,
        origin: None,
        copies: vec![copied(of.client)],
        waits: Vec::new(),
    };
    let many = (0..1000).map(|number| format!("device-0123456{number:03}")).collect::<Vec<_>>();
    let many = Publish { copies: many.iter().map(|client| copied(client)).collect(), ..publish.clone() };
    let own = publish.body.topic.len() + publish.body.payload.len();
    let name = of.client.len();
    let hundred = (0..100).map(|number| CopyId { message: Position(AT.0 - 900 + 5 * number), copy: 1 });
    let settled = Settled { client: of.client, fate: Fate::Delivered, copies: hundred.collect() };
    for (record, beside, expected) in [
        (Record::Publish(many), own, 4140),
        (Record::Publish(publish), own + name, 18),
        (Record::Settled(settled), name, 206),
        (Record::Received(of, identifier), name, 7),
        (Record::Forgotten(of, identifier), name, 7),
        (Record::Sent(of, identifier, copy), name, 9),
        (Record::Released(of, identifier, copy), name, 9),
    ] {
        assert_eq!(encoded(&record).len() - beside, expected, "{record:?}");
    }
}
