//! What decoding and encoding allocate.

use ProtocolVersion::{V5, V311};
use allocation_counter::{AllocationInfo, measure};
use mqtt_codec::{
    DecodeError, Limits, PACKET_BYTES_MAX, PacketIdentifier, PacketRef, PacketType, ProtocolVersion,
    PublishFrame, QoS, ReasonCode, Sender, decode, encode, encode_ack,
};
use proptest::{collection::vec, prelude::*};

use crate::{arbitrary::packet, feed::framed};

fn decode_measured(
    bytes: &[u8],
    version: ProtocolVersion,
    sender: Sender,
) -> (AllocationInfo, Result<Option<usize>, DecodeError>) {
    let limits = Limits::default();
    let mut outcome = Ok(None);
    let info = measure(|| {
        outcome = decode(bytes, version, sender, &limits).map(|found| found.map(|(_, used)| used));
    });
    (info, outcome)
}

#[test]
fn publish_and_acknowledgements_are_decoded_without() {
    let list = b"\x26\0\x01a\0\x01b\x03\0\x04text\x01\x01\x09\0\x02\0\xff\x08\0\x01r\x02\0\0\0\x07\x23\0\x01";
    let publish =
        framed(0x32, &[b"\0\x09topic/\xc3\xa9a\0\x01", &[list.len() as u8][..], list, &[0; 500]].concat());
    for bytes in [&publish[..], b"\x40\x02\0\x01", b"\x40\x03\0\x01\x10", b"\x62\x04\0\x01\x92\0", b"\xc0\0"]
    {
        let sender = if bytes[0] == 0x40 { Sender::Server } else { Sender::Client };
        let (info, outcome) = decode_measured(bytes, V5, sender);
        assert_eq!(outcome, Ok(Some(bytes.len())));
        assert_eq!(info.count_total, 0, "{bytes:02x?}");
    }
    let limits = Limits::default();
    let mut forwarded = Vec::with_capacity(list.len());
    let info = measure(|| {
        let Ok(Some((PacketRef::Publish(publish), _))) = decode(&publish, V5, Sender::Client, &limits) else {
            panic!("no PUBLISH");
        };
        publish.properties.write_forwarded(&mut forwarded);
        assert_eq!(publish.properties.content_type(), Some("text"));
        assert_eq!(publish.properties.user_properties().count(), 1);
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn frames_are_encoded_with_one_reservation() {
    let frame = PublishFrame {
        version: V5,
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "kitchen/temperature",
        packet_identifier: PacketIdentifier::new(1),
        topic_alias: None,
        message_expiry_interval: Some(1),
        subscription_identifiers: &[1, 200, 70_000],
        forwarded_properties: b"\x01\x01",
        payload_bytes: 100,
    };
    let mut out = Vec::new();
    assert_eq!(measure(|| frame.encode_head(&mut out)).count_total, 1);
    let mut out = Vec::with_capacity(5);
    let ack =
        || encode_ack(PacketType::PubAck, V5, PacketIdentifier::MIN, ReasonCode::QuotaExceeded, &mut out);
    assert_eq!(measure(ack).count_total, 0);
}

/// The most that may be held for so many bytes received. The factor is what the densest packets need: a user property
/// of five bytes becomes two strings and a growing vector's room for them, a topic filter of four bytes an entry with
/// an allocation of its own.
fn bound(received: usize) -> u64 {
    1024 + 32 * received as u64
}

/// A length field promises much and little comes.
#[test]
fn claims_are_not_believed() {
    let cases: [&[u8]; 7] = [
        b"\x30\xff\xff\xff\x07",
        b"\x30\x06\xff\xfftopi",
        b"\x10\x0f\0\x04MQTT\x05\x02\0\0\xff\xff\xff\x7f\0",
        b"\x10\x0d\0\x04MQTT\x04\x02\0\0\xff\xffa",
        b"\x82\x08\0\x01\0\xff\xffabc",
        b"\x82\x07\0\x01\xff\xff\xff\x7f\0",
        b"\x30\x0a\0\x01t\x05\x26\xff\xffab\0",
    ];
    for bytes in cases {
        for version in [V311, V5] {
            let (info, _) = decode_measured(bytes, version, Sender::Client);
            assert!(info.bytes_max <= 1024, "{bytes:02x?}: {info:?}");
        }
    }
}

#[test]
fn densest_packets() {
    let user_properties = b"\x26\0\0\0\0".repeat(1000);
    let filters = b"\0\x01a\0".repeat(8000);
    // One more than a power of two: a list that doubles would just have done so.
    let filters_just_grown = b"\0\x01a\0".repeat(4097);
    let filters_without_options = b"\0\x01a".repeat(4097);
    let shared = b"\0\x0a$share/g/a\0".repeat(2000);
    let subscribe = |filters: &[u8]| framed(0x82, &[b"\0\x01\0", filters].concat());
    let connect = [b"\0\x04MQTT\x05\x02\0\0\x88\x27", &user_properties[..], b"\0\0"].concat();
    let unsubscribe = framed(0xA2, &[b"\0\x01\0", &filters_without_options[..]].concat());
    for bytes in [
        framed(0x10, &connect),
        subscribe(&filters),
        subscribe(&filters_just_grown),
        subscribe(&shared),
        unsubscribe,
    ] {
        let (info, outcome) = decode_measured(&bytes, V5, Sender::Client);
        assert_eq!(outcome, Ok(Some(bytes.len())));
        assert!(info.bytes_max <= bound(bytes.len()), "{} bytes: {info:?}", bytes.len());
    }
}

proptest! {
    #[test]
    fn in_proportion_to_what_came(
        (packet, version, sender) in packet(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = Vec::new();
        encode(&packet, version, PACKET_BYTES_MAX, &mut bytes).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (info, _) = decode_measured(&bytes, version, sender);
        prop_assert!(info.bytes_max <= bound(bytes.len()), "{:?} for {} bytes", info, bytes.len());
    }
}
