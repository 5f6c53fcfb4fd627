//! From a decoded PUBLISH to the bytes for a subscriber.

use ProtocolVersion::{V5, V311};
use mqtt_codec::{
    Limits, Packet, PacketIdentifier, PacketRef, ProtocolVersion, Publish, PublishFrame, PublishProperties,
    PublishPropertiesRef, QoS, Sender, decode, encode,
};
use proptest::prelude::*;

use crate::{
    arbitrary::{packet_of, version},
    feed::{feed, framed, properties},
};

/// [MQTT-3.3.2-18]: unaltered and in order; what belongs to one hop stays behind.
#[test]
fn forwarded_properties_keep_their_order() {
    let check = |list: &[u8], expected: &[u8]| {
        let bytes = framed(0x30, &[b"\0\x01t", &properties(list)[..]].concat());
        let decoded = decode(&bytes, V5, Sender::Server, &Limits::default());
        let Ok(Some((PacketRef::Publish(publish), _))) = decoded else { panic!("no PUBLISH: {decoded:?}") };
        let mut forwarded = Vec::new();
        publish.properties.write_forwarded(&mut forwarded);
        assert_eq!(forwarded, expected);
        let again = PublishPropertiesRef::from_forwarded(&forwarded).unwrap();
        assert!(again.user_properties().eq(publish.properties.user_properties()));
        assert_eq!(again.content_type(), publish.properties.content_type());
        assert_eq!(again.payload_format_indicator, publish.properties.payload_format_indicator);
    };
    check(b"", b"");
    check(b"\x26\0\x01a\0\x01b\x01\x01\x26\0\0\0\0", b"\x26\0\x01a\0\x01b\x01\x01\x26\0\0\0\0");
    check(b"\x23\0\x01\x02\0\0\0\x01\x0b\x80\x01\x0b\x05", b"");
    check(
        b"\x26\0\x01a\0\x01b\x23\0\x01\x03\0\x01c\x0b\x80\x01\x09\0\x02\x23\x23\x02\0\0\0\x01\x26\0\0\0\x01d",
        b"\x26\0\x01a\0\x01b\x03\0\x01c\x09\0\x02\x23\x23\x26\0\0\0\x01d",
    );
    assert!(PublishPropertiesRef::from_forwarded(b"\x23\0\x01").is_err());
    assert!(PublishPropertiesRef::from_forwarded(b"\x03\0\x05a").is_err());
}

/// What was judged once, by whatever limits, is read again as it is.
#[test]
fn forwarded_properties_are_not_judged_again() {
    let mut list = b"\x03\0\x01\x07".to_vec();
    list.extend(b"\x26\0\0\0\0".repeat(2000));
    let again = PublishPropertiesRef::from_forwarded(&list).unwrap();
    assert_eq!((again.content_type(), again.user_properties().count()), (Some("\x07"), 2000));
}

proptest! {
    /// The short way writes what the general one does.
    #[test]
    fn frame_equals_encode(
        packet in packet_of(mqtt_codec::PacketType::Publish, V5, Sender::Server),
        version in version(),
    ) {
        let Packet::Publish(mut publish) = packet else { panic!("no PUBLISH") };
        if version != V5 {
            publish.properties = PublishProperties::default();
            if publish.topic.is_empty() {
                publish.topic = "t".to_owned();
            }
        }
        let mut forwarded = Vec::new();
        publish.properties.write_forwarded(&mut forwarded);
        let frame = PublishFrame {
            version,
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: &publish.topic,
            packet_identifier: publish.packet_identifier,
            topic_alias: publish.properties.topic_alias,
            message_expiry_interval: publish.properties.message_expiry_interval,
            subscription_identifiers: &publish.properties.subscription_identifiers,
            forwarded_properties: &forwarded,
            payload_bytes: publish.payload.len(),
        };
        let mut bytes = Vec::new();
        frame.encode_head(&mut bytes);
        bytes.extend_from_slice(&publish.payload);
        prop_assert_eq!(bytes.len(), frame.frame_bytes());
        let mut expected = Vec::new();
        encode(&Packet::Publish(publish.clone()), version, u32::MAX, &mut expected).unwrap();
        prop_assert_eq!(&bytes, &expected);
        prop_assert_eq!(feed(&bytes, version, Sender::Server), Ok(Packet::Publish(publish)));
    }
}

#[test]
fn frame_before_5_has_no_properties() {
    let frame = PublishFrame {
        version: V311,
        dup: true,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "t",
        packet_identifier: PacketIdentifier::new(1),
        topic_alias: None,
        message_expiry_interval: Some(1),
        subscription_identifiers: &[1],
        forwarded_properties: b"\x01\x01",
        payload_bytes: 1,
    };
    let mut bytes = Vec::new();
    frame.encode_head(&mut bytes);
    bytes.push(b'p');
    // DUP is not written with QoS 0 [MQTT-3.3.1-2].
    assert_eq!(bytes, b"\x31\x04\0\x01tp");
    assert_eq!(frame.frame_bytes(), bytes.len());
}

#[test]
fn frame_leaves_room_for_a_packet_identifier() {
    let frame = PublishFrame {
        version: V5,
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "t",
        packet_identifier: None,
        topic_alias: None,
        message_expiry_interval: None,
        subscription_identifiers: &[],
        forwarded_properties: &[],
        payload_bytes: 200,
    };
    let mut bytes = Vec::new();
    frame.encode_head(&mut bytes);
    assert_eq!(bytes, b"\x32\xce\x01\0\x01t\0\0\0");
}

#[test]
fn will_properties_are_forwarded_alike() {
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t".to_owned(),
        packet_identifier: None,
        properties: PublishProperties {
            message_expiry_interval: Some(3),
            user_properties: vec![("a".to_owned(), "b".to_owned())],
            ..PublishProperties::default()
        },
        payload: "p".into(),
    };
    let mut forwarded = Vec::new();
    publish.properties.write_forwarded(&mut forwarded);
    assert_eq!(forwarded, b"\x26\0\x01a\0\x01b");
}
