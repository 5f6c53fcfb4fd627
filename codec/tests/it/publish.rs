//! What is judged in PUBLISH.

use ProtocolVersion::{V5, V31, V311};
use Sender::{Client, Server};
use mqtt_codec::{
    DecodeError, Limits, Packet, PacketRef, PacketType, PropertyIdentifier, ProtocolVersion, Publish,
    ReasonCode, Sender, TopicError, decode,
};

use crate::feed::{VERSIONS, feed, framed, prefixed, properties};

fn decode_publish(bytes: &[u8], version: ProtocolVersion, sender: Sender) -> Result<Publish, DecodeError> {
    feed(bytes, version, sender).map(|packet| match packet {
        Packet::Publish(publish) => publish,
        other => panic!("{other:?}"),
    })
}

#[track_caller]
fn refuses(bytes: &[u8], version: ProtocolVersion, error: DecodeError, reason_code: ReasonCode) {
    assert_eq!(decode_publish(bytes, version, Client), Err(error));
    assert_eq!(error.reason_code(), reason_code);
}

/// A PUBLISH of QoS 0 to `t` in 5.0.
fn with_properties(list: &[u8]) -> Vec<u8> {
    framed(0x30, &[b"\0\x01t", &properties(list)[..], b"payload"].concat())
}

/// [MQTT-3.3.1-4] [MQTT-3.3.1-2]
#[test]
fn flags() {
    for version in VERSIONS {
        let malformed = ReasonCode::MalformedPacket;
        refuses(b"\x36\x05\0\x01t\0\x01", version, DecodeError::InvalidQoS { value: 3 }, malformed);
    }
    refuses(b"\x38\x03\0\x01t", V311, DecodeError::DupWithQoS0, ReasonCode::MalformedPacket);
    refuses(b"\x38\x04\0\x01t\0", V5, DecodeError::DupWithQoS0, ReasonCode::MalformedPacket);
    assert!(decode_publish(b"\x38\x03\0\x01t", V31, Client).unwrap().dup);
    assert!(decode_publish(b"\x3b\x05\0\x01t\0\x01", V311, Client).unwrap().dup);
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_identifier_is_not_zero() {
    for version in VERSIONS {
        refuses(
            b"\x32\x06\0\x01t\0\0\0",
            version,
            DecodeError::ZeroPacketIdentifier,
            ReasonCode::MalformedPacket,
        );
    }
}

/// [MQTT-3.3.2-2] [MQTT-4.7.3-1]
#[test]
fn topic_name() {
    for topic in ["+", "a/#", "a+b", "a#"] {
        for version in VERSIONS {
            let bytes = framed(0x30, &[&prefixed(topic)[..], b"\0"].concat());
            let error = DecodeError::TopicName(TopicError::WildcardInName);
            refuses(&bytes, version, error, ReasonCode::TopicNameInvalid);
        }
    }
    for version in [V31, V311] {
        let error = DecodeError::TopicName(TopicError::Empty);
        refuses(b"\x30\x02\0\0", version, error, ReasonCode::TopicNameInvalid);
    }
    refuses(b"\x30\x03\0\0\0", V5, DecodeError::NoTopic, ReasonCode::ProtocolError);
    let by_alias = decode_publish(b"\x30\x06\0\0\x03\x23\0\x09", V5, Client).unwrap();
    assert_eq!(by_alias.properties.topic_alias.map(u16::from), Some(9));
    for topic in ["/", " ", "$SYS/x", "a//b", "é"] {
        let bytes = framed(0x30, &prefixed(topic));
        assert_eq!(decode_publish(&bytes, V311, Client).unwrap().topic, topic);
    }
}

#[test]
fn properties_are_in_range() {
    use PropertyIdentifier as P;
    let check = |list: &[u8], error: DecodeError, reason_code| {
        refuses(&with_properties(list), V5, error, reason_code);
    };
    let value = |property, value| DecodeError::PropertyValue { property, value };
    let protocol_error = ReasonCode::ProtocolError;
    let malformed = ReasonCode::MalformedPacket;
    // [MQTT-3.3.2-8]
    check(b"\x23\0\0", value(P::TopicAlias, 0), ReasonCode::TopicAliasInvalid);
    check(b"\x01\x02", value(P::PayloadFormatIndicator, 2), protocol_error);
    // [MQTT-3.3.4-6]
    check(b"\x0b\x01", DecodeError::SubscriptionIdentifierFromClient, protocol_error);
    // [MQTT-3.3.2-14]
    let wildcard = DecodeError::ResponseTopic(TopicError::WildcardInName);
    check(b"\x08\0\x01+", wildcard, ReasonCode::TopicNameInvalid);
    check(b"\x08\0\0", DecodeError::ResponseTopic(TopicError::Empty), ReasonCode::TopicNameInvalid);
    let packet_type = PacketType::Publish;
    for (list, property) in [
        (&b"\x18\0\0\0\0"[..], P::WillDelayInterval),
        (b"\x1f\0\0", P::ReasonString),
        (b"\x11\0\0\0\0", P::SessionExpiryInterval),
    ] {
        check(list, DecodeError::PropertyNotAllowed { property, packet_type }, malformed);
    }
    for (list, property) in [
        (&b"\x01\0"[..], P::PayloadFormatIndicator),
        (b"\x02\0\0\0\x01", P::MessageExpiryInterval),
        (b"\x23\0\x01", P::TopicAlias),
        (b"\x08\0\x01a", P::ResponseTopic),
        (b"\x09\0\0", P::CorrelationData),
        (b"\x03\0\0", P::ContentType),
    ] {
        check(&list.repeat(2), DecodeError::DuplicateProperty { property }, protocol_error);
    }
    check(b"\x03\0\x05abc", DecodeError::Truncated { packet_type }, malformed);
    // The length of the properties goes beyond the packet.
    refuses(b"\x30\x05\0\x01t\x09\x01", V5, DecodeError::Truncated { packet_type }, malformed);
    refuses(b"\x30\x05\0\x01t\x80\x00", V5, DecodeError::VariableByteIntegerNotMinimal, malformed);
    let too_long = DecodeError::VariableByteIntegerTooLong;
    refuses(b"\x30\x08\0\x01t\xff\xff\xff\xff\x01", V5, too_long, malformed);
}

#[test]
fn subscription_identifiers_from_a_server() {
    let publish = decode_publish(&with_properties(b"\x0b\x01\x0b\xff\x7f\x0b\x01"), V5, Server).unwrap();
    assert_eq!(publish.properties.subscription_identifiers, [1, 16_383, 1]);
    let zero = DecodeError::PropertyValue { property: PropertyIdentifier::SubscriptionIdentifier, value: 0 };
    assert_eq!(decode_publish(&with_properties(b"\x0b\0"), V5, Server), Err(zero));
}

#[test]
fn borrowed_properties() {
    let list =
        b"\x26\0\x01a\0\x01b\x03\0\x04text\x01\x01\x26\0\x01a\0\x01c\x09\0\x02\0\xff\x08\0\x01r\x02\0\0\0\x07";
    let bytes = with_properties(list);
    let limits = Limits::default();
    let Ok(Some((PacketRef::Publish(publish), used))) = decode(&bytes, V5, Client, &limits) else {
        panic!("no PUBLISH");
    };
    assert_eq!(used, bytes.len());
    assert_eq!(publish.payload, b"payload");
    let properties = publish.properties;
    assert_eq!(properties.raw(), list);
    assert!(!properties.is_empty());
    assert_eq!(properties.content_type(), Some("text"));
    assert_eq!(properties.response_topic(), Some("r"));
    assert_eq!(properties.correlation_data(), Some(&b"\0\xff"[..]));
    assert_eq!(properties.message_expiry_interval, Some(7));
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("a", "b"), ("a", "c")]);
    assert_eq!(properties.subscription_identifiers().count(), 0);
    // The payload is part of the bytes, not a copy.
    assert!(bytes.as_ptr_range().contains(&publish.payload.as_ptr()));
}
