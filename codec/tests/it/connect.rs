//! What is judged in CONNECT and CONNACK.

use ProtocolVersion::{V5, V31, V311};
use Sender::{Client, Server};
use mqtt_codec::{
    Connect, DecodeError, Limits, Packet, PacketType, PropertyIdentifier, ProtocolVersion, QoS, ReasonCode,
    Sender, TopicError,
};

use crate::feed::{feed, feed_with, framed, prefixed, properties};

/// A CONNECT: protocol name, level, flags, keep alive 0, and the rest as it is.
fn connect_bytes(name: &str, level: u8, flags: u8, rest: &[&[u8]]) -> Vec<u8> {
    framed(0x10, &[&prefixed(name)[..], &[level, flags, 0, 0], &rest.concat()].concat())
}

fn decode(bytes: &[u8]) -> Result<Connect, DecodeError> {
    feed(bytes, V5, Client).map(|packet| match packet {
        Packet::Connect(connect) => *connect,
        other => panic!("{other:?}"),
    })
}

#[track_caller]
fn refuses(bytes: &[u8], error: DecodeError, reason_code: ReasonCode) {
    assert_eq!(decode(bytes), Err(error));
    assert_eq!(error.reason_code(), reason_code);
}

/// [MQTT-3.1.2-1] [MQTT-3.1.2-2]
#[test]
fn protocol_name_and_level() {
    let check = |name, level, expected: Result<(ProtocolVersion, bool), DecodeError>| {
        let rest: &[&[u8]] = if level == 5 { &[b"\0", b"\0\0"] } else { &[b"\0\0"] };
        let found = decode(&connect_bytes(name, level, 2, rest));
        assert_eq!(found.map(|connect| (connect.version, connect.bridge)), expected, "{name} {level:#04x}");
    };
    let unsupported = |level| Err(DecodeError::UnsupportedProtocolLevel { level });
    check("MQIsdp", 3, Ok((V31, false)));
    check("MQIsdp", 0x83, Ok((V31, true)));
    check("MQTT", 4, Ok((V311, false)));
    check("MQTT", 0x84, Ok((V311, true)));
    check("MQTT", 5, Ok((V5, false)));
    for (name, level) in
        [("MQIsdp", 4), ("MQIsdp", 5), ("MQTT", 0), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x83), ("MQTT", 0x85)]
    {
        check(name, level, unsupported(level));
    }
    for name in ["", "mqtt", "MQTT ", "MQIsdp\0", "HTTP", "\u{FEFF}MQTT"] {
        check(name, 4, Err(DecodeError::ProtocolName));
    }
    let error = DecodeError::UnsupportedProtocolLevel { level: 6 };
    assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
    // The level decides before the rest is looked at: what follows is another protocol's.
    assert_eq!(
        decode(&connect_bytes("MQTT", 9, 0xFF, &[b"?"])),
        Err(DecodeError::UnsupportedProtocolLevel { level: 9 })
    );
}

/// [MQTT-3.1.2-3]; 3.1 leaves the bit open.
#[test]
fn reserved_flag() {
    let malformed = ReasonCode::MalformedPacket;
    refuses(&connect_bytes("MQTT", 4, 3, &[b"\0\0"]), DecodeError::ReservedConnectFlag, malformed);
    refuses(&connect_bytes("MQTT", 5, 3, &[b"\0\0\0"]), DecodeError::ReservedConnectFlag, malformed);
    assert!(decode(&connect_bytes("MQIsdp", 3, 3, &[b"\0\0"])).is_ok());
}

/// [MQTT-3.1.2-11] to [MQTT-3.1.2-15]
#[test]
fn will_flags() {
    let malformed = ReasonCode::MalformedPacket;
    for flags in [0x08, 0x10, 0x18, 0x20, 0x1C] {
        let will = prefixed("w");
        let rest: &[&[u8]] = &[b"\0\0", &will, &will];
        let error = DecodeError::WillFlags { flags };
        refuses(&connect_bytes("MQTT", 4, flags, rest), error, malformed);
        let rest: &[&[u8]] = &[b"\0\0\0", b"\0", &will, &will];
        refuses(&connect_bytes("MQTT", 5, flags, rest), error, malformed);
    }
    // 3.1 says nothing of the bits beside an absent will.
    assert_eq!(decode(&connect_bytes("MQIsdp", 3, 0x28, &[b"\0\0"])).unwrap().will, None);
    let connect = connect_bytes("MQTT", 4, 0x34, &[b"\0\0", b"\0\x01t", b"\0\x01m"]);
    let will = decode(&connect).unwrap().will.unwrap();
    assert_eq!((will.qos, will.retain, will.topic.as_str()), (QoS::ExactlyOnce, true, "t"));
    assert_eq!(&will.payload[..], b"m");
}

/// The topic name of a will is judged like that of a PUBLISH.
#[test]
fn will_topic() {
    let invalid = ReasonCode::TopicNameInvalid;
    for (topic, error) in
        [("", TopicError::Empty), ("a/+", TopicError::WildcardInName), ("#", TopicError::WildcardInName)]
    {
        let connect = connect_bytes("MQTT", 4, 0x04, &[b"\0\0", &prefixed(topic), b"\0\0"]);
        refuses(&connect, DecodeError::TopicName(error), invalid);
    }
}

/// 3.1.1 [MQTT-3.1.2-22]; 5.0 allows a password alone.
#[test]
fn password_without_user_name() {
    let error = DecodeError::PasswordWithoutUserName;
    for (name, level) in [("MQIsdp", 3), ("MQTT", 4)] {
        refuses(&connect_bytes(name, level, 0x40, &[b"\0\0\0\x01p"]), error, ReasonCode::MalformedPacket);
    }
    let connect = decode(&connect_bytes("MQTT", 5, 0x40, &[b"\0\0\0\0\x01p"])).unwrap();
    assert_eq!((connect.user_name, connect.password.as_deref()), (None, Some(&b"p"[..])));
}

/// [MQTT-3.1.2-17] [MQTT-3.1.2-19]; the payload of 3.1 may end before what the flags announce.
#[test]
fn announced_credentials_are_missing() {
    let connect = decode(&connect_bytes("MQIsdp", 3, 0xC0, &[b"\0\0"])).unwrap();
    assert_eq!((connect.user_name, connect.password), (None, None));
    let connect = decode(&connect_bytes("MQIsdp", 3, 0xC0, &[b"\0\0\0\x01u"])).unwrap();
    assert_eq!((connect.user_name.as_deref(), connect.password), (Some("u"), None));
    let truncated = DecodeError::Truncated { packet_type: PacketType::Connect };
    let malformed = ReasonCode::MalformedPacket;
    refuses(&connect_bytes("MQTT", 4, 0xC0, &[b"\0\0"]), truncated, malformed);
    refuses(&connect_bytes("MQTT", 5, 0xC0, &[b"\0\0\0\0\x01u"]), truncated, malformed);
    // [MQTT-3.1.2-16]: not announced, yet there.
    let trailing = DecodeError::TrailingBytes { packet_type: PacketType::Connect, bytes: 3 };
    refuses(&connect_bytes("MQTT", 4, 0x02, &[b"\0\0\0\x01u"]), trailing, malformed);
}

#[test]
fn connect_properties_are_in_range() {
    use PropertyIdentifier as P;
    let connect = |list: &[u8]| connect_bytes("MQTT", 5, 2, &[&properties(list), b"\0\0"]);
    let value = |property, value| DecodeError::PropertyValue { property, value };
    let check = |list: &[u8], error: DecodeError| {
        refuses(&connect(list), error, ReasonCode::ProtocolError);
    };
    check(b"\x21\0\0", value(P::ReceiveMaximum, 0));
    check(b"\x27\0\0\0\0", value(P::MaximumPacketSize, 0));
    check(b"\x19\x02", value(P::RequestResponseInformation, 2));
    check(b"\x17\x02", value(P::RequestProblemInformation, 2));
    check(b"\x16\0\0", DecodeError::AuthenticationDataWithoutMethod);
    let duplicates: [(&[u8], _); 7] = [
        (b"\x11\0\0\0\0", P::SessionExpiryInterval),
        (b"\x21\0\x01", P::ReceiveMaximum),
        (b"\x27\0\0\0\x01", P::MaximumPacketSize),
        (b"\x22\0\0", P::TopicAliasMaximum),
        (b"\x19\0", P::RequestResponseInformation),
        (b"\x15\0\0", P::AuthenticationMethod),
        (b"\x16\0\0", P::AuthenticationData),
    ];
    for (list, property) in duplicates {
        check(&[list, list].concat(), DecodeError::DuplicateProperty { property });
    }
    let malformed = ReasonCode::MalformedPacket;
    let foreign =
        DecodeError::PropertyNotAllowed { property: P::TopicAlias, packet_type: PacketType::Connect };
    refuses(&connect(b"\x23\0\x01"), foreign, malformed);
    refuses(&connect(b"\x7f"), DecodeError::UnknownProperty { value: 0x7F }, malformed);
    refuses(&connect(b"\x80\x01"), DecodeError::UnknownProperty { value: 0x80 }, malformed);
    refuses(&connect(b"\x91\0\0\0\0\0"), DecodeError::VariableByteIntegerNotMinimal, malformed);
    let truncated = DecodeError::Truncated { packet_type: PacketType::Connect };
    refuses(&connect(b"\x11\0\0"), truncated, malformed);
}

#[test]
fn will_properties_are_legal() {
    use PropertyIdentifier as P;
    let connect =
        |list: &[u8]| connect_bytes("MQTT", 5, 4, &[b"\0\0\0", &properties(list), b"\0\x01t", b"\0\0"]);
    let will = decode(&connect(b"\x18\0\0\0\x05\x02\0\0\0\x09\x01\x01")).unwrap().will.unwrap();
    assert_eq!((will.delay_interval, will.properties.message_expiry_interval), (5, Some(9)));
    let packet_type = PacketType::Connect;
    for (list, property) in [(&b"\x23\0\x01"[..], P::TopicAlias), (b"\x0b\x01", P::SubscriptionIdentifier)] {
        let foreign = DecodeError::PropertyNotAllowed { property, packet_type };
        refuses(&connect(list), foreign, ReasonCode::MalformedPacket);
    }
    let wildcard = DecodeError::ResponseTopic(TopicError::WildcardInName);
    refuses(&connect(b"\x08\0\x01#"), wildcard, ReasonCode::TopicNameInvalid);
}

/// The limit on user properties holds for CONNECT and will together.
#[test]
fn user_properties_are_counted() {
    let user = b"\x26\0\0\0\0";
    let connect = |list: &[u8], of_will: &[u8]| {
        connect_bytes("MQTT", 5, 4, &[&properties(list), b"\0\0", &properties(of_will), b"\0\x01t", b"\0\0"])
    };
    let limits = Limits { properties_max: 3, ..Limits::default() };
    assert!(feed_with(&connect(&user.repeat(2), user), V5, Client, &limits).is_ok());
    let error = DecodeError::TooManyProperties { limit: 3 };
    assert_eq!(feed_with(&connect(&user.repeat(2), &user.repeat(2)), V5, Client, &limits), Err(error));
    assert_eq!(error.reason_code(), ReasonCode::QuotaExceeded);
}

#[test]
fn secrets_are_not_shown() {
    let bytes =
        connect_bytes("MQTT", 5, 0xC0, &[b"\x0b\x15\0\x01m\x16\0\x04hush", b"\0\0\0\x01u\0\x06secret"]);
    let shown = format!("{:?}", decode(&bytes).unwrap());
    assert!(!shown.contains("hush") && !shown.contains("secret"), "{shown}");
    assert!(shown.contains("<6 bytes>"), "{shown}");
}

/// [MQTT-3.2.2-1] [MQTT-3.2.2-6]
#[test]
fn connack_flags_and_codes() {
    let check = |bytes: &[u8], version, expected: Result<(bool, ReasonCode), DecodeError>| {
        let found = feed(bytes, version, Server).map(|packet| match packet {
            Packet::ConnAck(connack) => (connack.session_present, connack.reason_code),
            other => panic!("{other:?}"),
        });
        assert_eq!(found, expected);
    };
    check(b"\x20\x02\x01\x00", V311, Ok((true, ReasonCode::Success)));
    check(b"\x20\x02\x02\x00", V311, Err(DecodeError::ConnAckFlags { flags: 2 }));
    check(b"\x20\x02\xff\x00", V31, Ok((false, ReasonCode::Success)));
    check(b"\x20\x02\x01\x05", V311, Err(DecodeError::SessionPresentWithError));
    check(b"\x20\x02\x00\x05", V311, Ok((false, ReasonCode::NotAuthorized)));
    let illegal =
        |value| DecodeError::ReasonCodeNotAllowed { packet_type: PacketType::ConnAck, value, sender: Server };
    check(b"\x20\x02\x00\x06", V311, Err(illegal(6)));
    check(b"\x20\x03\x01\x00\x00", V5, Ok((true, ReasonCode::Success)));
    check(b"\x20\x03\x01\x87\x00", V5, Err(DecodeError::SessionPresentWithError));
    check(b"\x20\x03\x00\x01\x00", V5, Err(illegal(1)));
    // Maximum QoS 2 is said by leaving it out.
    let maximum_qos = DecodeError::PropertyValue { property: PropertyIdentifier::MaximumQoS, value: 2 };
    check(b"\x20\x05\x00\x00\x02\x24\x02", V5, Err(maximum_qos));
}
