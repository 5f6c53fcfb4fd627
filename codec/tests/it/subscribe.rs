//! What is judged in SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.

use ProtocolVersion::{V5, V31, V311};
use Sender::{Client, Server};
use mqtt_codec::{
    DecodeError, FilterPieces, Limits, Packet, PacketType, PropertyIdentifier, ProtocolVersion, QoS,
    ReasonCode, RetainHandling, Sender, SubscriptionOptions, TopicError, read_header,
};

use crate::feed::{VERSIONS, feed, feed_with, framed, prefixed, properties};

/// A SUBSCRIBE with packet identifier 1 and one topic filter.
fn subscribe(version: ProtocolVersion, filter: &str, options: u8) -> Vec<u8> {
    let none = if version == V5 { &b"\0"[..] } else { b"" };
    framed(0x82, &[b"\0\x01", none, &prefixed(filter), &[options]].concat())
}

fn unsubscribe(version: ProtocolVersion, filter: &str) -> Vec<u8> {
    let none = if version == V5 { &b"\0"[..] } else { b"" };
    framed(0xA2, &[b"\0\x01", none, &prefixed(filter)].concat())
}

#[track_caller]
fn refuses(bytes: &[u8], version: ProtocolVersion, error: DecodeError, reason_code: ReasonCode) {
    assert_eq!(feed(bytes, version, Client), Err(error));
    assert_eq!(error.reason_code(), reason_code);
}

/// [MQTT-3.8.3-2] [MQTT-3.10.3-2]
#[test]
fn at_least_one_filter() {
    for version in [V31, V311] {
        refuses(b"\x82\x02\0\x01", version, DecodeError::EmptySubscribe, ReasonCode::ProtocolError);
        refuses(b"\xa2\x02\0\x01", version, DecodeError::EmptyUnsubscribe, ReasonCode::ProtocolError);
    }
    refuses(b"\x82\x03\0\x01\0", V5, DecodeError::EmptySubscribe, ReasonCode::ProtocolError);
    refuses(b"\xa2\x03\0\x01\0", V5, DecodeError::EmptyUnsubscribe, ReasonCode::ProtocolError);
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_identifier_is_not_zero() {
    for version in VERSIONS {
        let mut bytes = subscribe(version, "a", 0);
        bytes[3] = 0;
        refuses(&bytes, version, DecodeError::ZeroPacketIdentifier, ReasonCode::MalformedPacket);
        let mut bytes = unsubscribe(version, "a");
        bytes[3] = 0;
        refuses(&bytes, version, DecodeError::ZeroPacketIdentifier, ReasonCode::MalformedPacket);
    }
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn filters_are_valid() {
    for (filter, error) in [
        ("", TopicError::Empty),
        ("a#", TopicError::MisplacedMultiLevelWildcard),
        ("a+", TopicError::MisplacedSingleLevelWildcard),
        ("$share//a", TopicError::EmptyShareName),
        ("$share/g", TopicError::ShareNameWithoutFilter),
    ] {
        for version in VERSIONS {
            let invalid = ReasonCode::TopicFilterInvalid;
            refuses(&subscribe(version, filter, 0), version, DecodeError::TopicFilter(error), invalid);
            refuses(&unsubscribe(version, filter), version, DecodeError::TopicFilter(error), invalid);
        }
    }
}

/// [MQTT-3.8.3-5] and section 3.8.3.1; before 5.0 there is only the QoS.
#[test]
fn options() {
    for bits in 0..=u8::MAX {
        let expected = if bits & 0xC0 != 0 {
            Err(DecodeError::ReservedSubscriptionOptions { bits })
        } else if bits & 3 == 3 || bits & 0x30 == 0x30 {
            Err(DecodeError::SubscriptionOptionsValue { bits })
        } else {
            Ok(SubscriptionOptions {
                qos: QoS::try_from(bits & 3).unwrap(),
                no_local: bits & 4 != 0,
                retain_as_published: bits & 8 != 0,
                retain_handling: match bits >> 4 {
                    0 => RetainHandling::SendAtSubscribe,
                    1 => RetainHandling::SendIfNew,
                    _ => RetainHandling::DoNotSend,
                },
            })
        };
        assert_eq!(SubscriptionOptions::from_bits(bits), expected);
        assert_eq!(expected.map_or(bits, SubscriptionOptions::to_bits), bits);
        let of = |version| {
            feed(&subscribe(version, "a", bits), version, Client).map(|packet| match packet {
                Packet::Subscribe(subscribe) => subscribe.filters[0].1,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(of(V5), expected);
        let before_5 = match bits {
            0..=2 => Ok(QoS::try_from(bits).unwrap().into()),
            3 => Err(DecodeError::SubscriptionOptionsValue { bits }),
            _ => Err(DecodeError::ReservedSubscriptionOptions { bits }),
        };
        assert_eq!(of(V311), before_5);
        assert_eq!(of(V31), before_5);
    }
    let reserved = DecodeError::ReservedSubscriptionOptions { bits: 0x40 };
    assert_eq!(reserved.reason_code(), ReasonCode::MalformedPacket);
    let value = DecodeError::SubscriptionOptionsValue { bits: 0x30 };
    assert_eq!(value.reason_code(), ReasonCode::ProtocolError);
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription() {
    let error = DecodeError::NoLocalOnSharedSubscription;
    refuses(&subscribe(V5, "$share/g/a", 4), V5, error, ReasonCode::ProtocolError);
    assert!(feed(&subscribe(V5, "$share/g/a", 0), V5, Client).is_ok());
    assert!(feed(&subscribe(V5, "$shared/g/a", 4), V5, Client).is_ok());
}

#[test]
fn subscribe_properties() {
    let with = |list: &[u8]| framed(0x82, &[b"\0\x01", &properties(list)[..], b"\0\x01a\0"].concat());
    let property = PropertyIdentifier::SubscriptionIdentifier;
    let protocol_error = ReasonCode::ProtocolError;
    refuses(&with(b"\x0b\0"), V5, DecodeError::PropertyValue { property, value: 0 }, protocol_error);
    refuses(&with(b"\x0b\x01\x0b\x02"), V5, DecodeError::DuplicateProperty { property }, protocol_error);
    let malformed = ReasonCode::MalformedPacket;
    refuses(&with(b"\x0b\x81\0"), V5, DecodeError::VariableByteIntegerNotMinimal, malformed);
    refuses(&with(b"\x0b\xff\xff\xff\xff\x01"), V5, DecodeError::VariableByteIntegerTooLong, malformed);
    let foreign = DecodeError::PropertyNotAllowed {
        property: PropertyIdentifier::ReasonString,
        packet_type: PacketType::Subscribe,
    };
    refuses(&with(b"\x1f\0\0"), V5, foreign, malformed);
    let unsubscribe = framed(0xA2, &[b"\0\x01", &properties(b"\x0b\x01")[..], b"\0\x01a"].concat());
    let foreign = DecodeError::PropertyNotAllowed { property, packet_type: PacketType::Unsubscribe };
    refuses(&unsubscribe, V5, foreign, malformed);
}

#[test]
fn filters_are_counted() {
    let limits = Limits { filters_max: 2, ..Limits::default() };
    let error = DecodeError::TooManyFilters { limit: 2 };
    assert_eq!(error.reason_code(), ReasonCode::QuotaExceeded);
    let subscribe = |count| framed(0x82, &[b"\0\x01", &b"\0\x01a\0".repeat(count)[..]].concat());
    assert!(feed_with(&subscribe(2), V311, Client, &limits).is_ok());
    assert_eq!(feed_with(&subscribe(3), V311, Client, &limits), Err(error));
    let unsubscribe = |count| framed(0xA2, &[b"\0\x01", &b"\0\x01a".repeat(count)[..]].concat());
    assert!(feed_with(&unsubscribe(2), V311, Client, &limits).is_ok());
    assert_eq!(feed_with(&unsubscribe(3), V311, Client, &limits), Err(error));
}

#[test]
fn acknowledgements() {
    let packet_type = PacketType::SubAck;
    let illegal = |value| Err(DecodeError::ReasonCodeNotAllowed { packet_type, value, sender: Server });
    let codes = |bytes: &[u8], version| {
        feed(bytes, version, Server).map(|packet| match packet {
            Packet::SubAck(suback) => suback.reason_codes,
            Packet::UnsubAck(unsuback) => unsuback.reason_codes,
            other => panic!("{other:?}"),
        })
    };
    use ReasonCode::*;
    for version in [V31, V311] {
        let all = vec![Success, GrantedQoS1, GrantedQoS2, UnspecifiedError];
        assert_eq!(codes(b"\x90\x06\0\x01\0\x01\x02\x80", version), Ok(all));
        assert_eq!(codes(b"\x90\x03\0\x01\x03", version), illegal(3));
        assert_eq!(codes(b"\x90\x03\0\x01\x87", version), illegal(0x87));
        let empty = Err(DecodeError::EmptyAcknowledgement { packet_type });
        assert_eq!(codes(b"\x90\x02\0\x01", version), empty);
        assert_eq!(codes(b"\xb0\x02\0\x01", version), Ok(vec![]));
    }
    assert_eq!(codes(b"\x90\x04\0\x01\0\x87", V5), Ok(vec![NotAuthorized]));
    assert_eq!(codes(b"\x90\x04\0\x01\0\x11", V5), illegal(0x11));
    assert_eq!(codes(b"\xb0\x04\0\x01\0\x11", V5), Ok(vec![NoSubscriptionExisted]));
    let empty = DecodeError::EmptyAcknowledgement { packet_type: PacketType::UnsubAck };
    assert_eq!(codes(b"\xb0\x03\0\x01\0", V5), Err(empty));
}

/// The pieces of a packet, each with at most so many filters and, but for the first of a piece, bytes.
fn pieces(
    bytes: &[u8],
    version: ProtocolVersion,
    filters: usize,
    most: usize,
) -> Result<Vec<Packet>, DecodeError> {
    let limits = Limits::default();
    let header = read_header(bytes, &limits)?.expect("a header");
    let body = &bytes[header.header_bytes.into()..];
    let mut at = FilterPieces::begin(header, body, version, &limits)?;
    let mut judge = || {
        let mut pieces = Vec::new();
        while !at.is_through(body) {
            pieces.push(at.next_piece(body, filters, most)?);
        }
        at.rewind();
        Ok::<_, DecodeError>(pieces)
    };
    let judged = judge()?;
    assert_eq!(judge()?, judged);
    Ok(judged)
}

#[test]
fn filters_come_in_pieces() {
    let body: Vec<u8> =
        (0..300).flat_map(|number| [&prefixed(format!("a/{number}"))[..], &[1]].concat()).collect();
    for version in VERSIONS {
        let none = if version == V5 { &b"\0"[..] } else { b"" };
        let whole = framed(0x82, &[b"\0\x07", none, &body].concat());
        let Ok(Packet::Subscribe(expected)) = feed(&whole, version, Client) else { panic!("it is whole") };
        for (filters, most, number) in [(128, 1 << 20, 3), (1000, 1000, 3), (1, 1, 300), (1000, 1 << 20, 1)] {
            let pieces = pieces(&whole, version, filters, most).unwrap();
            assert_eq!(pieces.len(), number);
            let all = pieces.into_iter().flat_map(|piece| match piece {
                Packet::Subscribe(piece) => {
                    assert_eq!(piece.packet_identifier, expected.packet_identifier);
                    assert!(piece.filters.len() <= filters);
                    piece.filters
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(all.collect::<Vec<_>>(), expected.filters);
        }
        let malformed = [&whole[..whole.len() - 1], &[3]].concat();
        assert_eq!(pieces(&malformed, version, 100, 1 << 20).err(), feed(&malformed, version, Client).err());
        let unsubscribe = framed(0xA2, &[b"\0\x07", none, &prefixed("a"), &prefixed("$share/g/b")].concat());
        let pieces = pieces(&unsubscribe, version, 1, 1).unwrap();
        assert_eq!(pieces.len(), 2);
        assert!(
            pieces
                .iter()
                .all(|piece| matches!(piece, Packet::Unsubscribe(piece) if piece.filters.len() == 1))
        );
    }
    let other = FilterPieces::begin(
        read_header(b"\xc0\0", &Limits::default()).unwrap().unwrap(),
        b"",
        V5,
        &Limits::default(),
    );
    assert!(other.is_err());
}
