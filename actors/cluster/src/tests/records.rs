use micro_mq_core::message::{Payload, Publication};
use micro_mq_core::records::{DecodeError, WallClock};
use mqtt_codec::QoS;
use proptest::prelude::*;

use crate::routes_log::{Incarnation, Record, RouteName, VERSION};
use crate::slot_log::{Forwarded, Header, decode, encode};

fn round_trip(record: Record<'_>) {
    let written = record.encode();
    let read = Record::decode(&written.key, written.value.as_deref());
    assert_eq!(read, Ok(Some(record)));
}

proptest! {
    #[test]
    fn records_of_routes_come_back(
        (node, address) in ("\\PC{0,20}", "\\PC{0,20}"),
        (share, filter) in ("[a-z]{0,5}", "\\PC{1,30}"),
        (slot, nonce, number, applied, at) in (0_u8..64, any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
        online in proptest::option::of(any::<u32>()),
    ) {
        let incarnation = Incarnation(applied);
        let (node, address) = (&*node, &*address);
        round_trip(Record::Hello { node, slot, nonce, version: 3, address });
        round_trip(Record::Tick { node, incarnation, slot, number, applied, at });
        round_trip(Record::Route { slot, incarnation, name: RouteName { share: &share, filter: &filter }, online });
        round_trip(Record::Void { node, incarnation, slot });
    }

    #[test]
    fn publishes_come_back(
        (topic, properties, payload) in
            ("\\PC{1,30}", prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..3000)),
        (qos, retain, is_plain, hash) in (0_u8..3, any::<bool>(), any::<bool>(), any::<u64>()),
        (target, sender, number) in (any::<u64>(), any::<u64>(), any::<u64>()),
        expires_at in proptest::option::of(any::<u64>().prop_map(WallClock)),
        groups in prop::collection::vec("[a-z]{1,4}/[a-z]{1,4}", 0..4),
    ) {
        let qos = QoS::try_from(qos).unwrap();
        let publication = Publication {
            topic: &topic,
            properties: &properties,
            payload: Payload::Short(&payload),
            qos,
            retain,
            expires_at: None,
            publisher: None,
            publisher_hash: hash,
            stamp: 0,
        };
        let header = Header { target: Incarnation(target), sender: Incarnation(sender), number };
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let mut record = Vec::new();
        encode(&header, &publication, expires_at, is_plain, &groups, &mut record);
        prop_assert_eq!(decode(&record), Ok(Forwarded {
            header, publisher_hash: hash, qos, retain, expires_at, is_plain, groups,
            topic: &topic, properties: &properties, payload: &payload,
        }));
    }

    /// Whatever stands in a topic that somebody else can write to, a node says what is wrong with it and goes on.
    #[test]
    fn any_bytes_are_refused_or_read(
        key in prop::collection::vec(any::<u8>(), 0..60),
        value in prop::collection::vec(any::<u8>(), 0..60),
        kind in prop::sample::select(vec![b'h', b't', b'r', b'v']),
    ) {
        let _ = decode(&value);
        let mut versioned = vec![VERSION, 1];
        versioned.extend(&value);
        let _ = decode(&versioned);
        let mut of_kind = vec![kind];
        of_kind.extend(&key);
        for key in [&key, &of_kind] {
            let _ = Record::decode(key, None);
            let _ = Record::decode(key, Some(&value));
            let _ = Record::decode(key, Some(&versioned[..1]));
            let _ = Record::decode(key, Some(&[&[VERSION], &value[..]].concat()));
        }
    }
}

#[test]
fn a_later_version_is_known_as_one() {
    let hello = Record::Hello { node: "n", slot: 0, nonce: 0, version: 1, address: "" }.encode();
    let mut value = hello.value.unwrap();
    value[0] = VERSION + 1;
    assert_eq!(Record::decode(&hello.key, Some(&value)), Err(DecodeError::Version(VERSION + 1)));
    assert_eq!(decode(&[VERSION + 1, 0]), Err(DecodeError::Version(VERSION + 1)));
}

#[test]
fn what_is_gone_says_nothing_but_a_route() {
    let hello = Record::Hello { node: "n", slot: 0, nonce: 0, version: 1, address: "" }.encode();
    assert_eq!(Record::decode(&hello.key, None), Ok(None));
}
