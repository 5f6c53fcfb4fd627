//! What an encoder leaves out, and what it refuses.

use ProtocolVersion::{V5, V31, V311};
use mqtt_codec::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect, Disconnect,
    DisconnectProperties, EncodeError, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish,
    PublishProperties, QoS, ReasonCode, Sender, SubAck, Subscribe, TopicError, UnsubAck, Unsubscribe, encode,
    encode_ack, encoded_bytes,
};

use crate::feed::{VERSIONS, feed};

const ID: PacketIdentifier = PacketIdentifier::MIN;

fn encoded(packet: &Packet, version: ProtocolVersion, limit: u32) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let outcome = encode(packet, version, limit, &mut out);
    let appended = out.split_off(6);
    assert_eq!(out, b"before");
    match outcome {
        Ok(()) => Ok(appended),
        Err(error) => {
            assert!(appended.is_empty(), "nothing is written on error");
            Err(error)
        }
    }
}

fn publish(topic: &str) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: None,
        properties: PublishProperties::default(),
        payload: "payload".into(),
    }
}

/// Every packet with a reason string of 10 bytes and a user property of 10 bytes in it.
fn with_problem_information() -> Vec<Packet> {
    let reason_string = Some("1234567".to_owned());
    let user_properties = vec![("abc".to_owned(), "de".to_owned())];
    let ack =
        AckProperties { reason_string: reason_string.clone(), user_properties: user_properties.clone() };
    let properties = Some(Box::new(ack));
    let ack =
        || Ack { packet_identifier: ID, reason_code: ReasonCode::Success, properties: properties.clone() };
    let reason_codes = vec![ReasonCode::Success];
    vec![
        Packet::ConnAck(Box::new(ConnAck {
            session_present: true,
            reason_code: ReasonCode::Success,
            properties: ConnAckProperties {
                reason_string: reason_string.clone(),
                user_properties: user_properties.clone(),
                receive_maximum: Some(std::num::NonZeroU16::MIN),
                ..ConnAckProperties::default()
            },
        })),
        Packet::PubAck(ack()),
        Packet::PubRec(ack()),
        Packet::PubRel(ack()),
        Packet::PubComp(ack()),
        Packet::SubAck(SubAck {
            packet_identifier: ID,
            properties: properties.clone(),
            reason_codes: reason_codes.clone(),
        }),
        Packet::UnsubAck(UnsubAck { packet_identifier: ID, properties: properties.clone(), reason_codes }),
        Packet::Disconnect(Disconnect {
            reason_code: ReasonCode::ServerMoved,
            properties: DisconnectProperties {
                reason_string: reason_string.clone(),
                user_properties: user_properties.clone(),
                server_reference: Some("s".to_owned()),
                session_expiry_interval: None,
            },
        }),
        Packet::Auth(Auth {
            reason_code: ReasonCode::ContinueAuthentication,
            properties: AuthProperties {
                authentication_method: Some("m".to_owned()),
                authentication_data: None,
                reason_string,
                user_properties,
            },
        }),
    ]
}

/// [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20] and their like: user properties go first, then the reason string.
#[test]
fn problem_information_is_left_out_to_fit() {
    let has = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    for packet in with_problem_information() {
        let packet_type = packet.packet_type();
        let full = encoded_bytes(&packet, V5) as u32;
        let check = |limit, reason_string, user_properties| {
            let bytes = encoded(&packet, V5, limit).unwrap();
            assert!(bytes.len() <= limit as usize);
            assert_eq!(has(&bytes, b"1234567"), reason_string, "{packet_type} within {limit}");
            assert_eq!(has(&bytes, b"abc"), user_properties, "{packet_type} within {limit}");
            assert!(feed(&bytes, V5, Sender::Server).is_ok());
            bytes.len() as u32
        };
        assert_eq!(check(full, true, true), full);
        assert_eq!(check(full - 1, true, false), full - 10);
        assert_eq!(check(full - 10, true, false), full - 10);
        let bare = check(full - 11, false, false);
        let error = EncodeError::PacketTooLarge { bytes: bare as usize, limit: bare - 1 };
        assert_eq!(encoded(&packet, V5, bare - 1), Err(error));
    }
}

#[test]
fn too_large() {
    let packet = Packet::Publish(publish("topic"));
    let bytes = encoded_bytes(&packet, V311);
    assert!(encoded(&packet, V311, bytes as u32).is_ok());
    let limit = bytes as u32 - 1;
    assert_eq!(encoded(&packet, V311, limit), Err(EncodeError::PacketTooLarge { bytes, limit }));
}

#[test]
fn what_a_version_cannot_say() {
    let auth = Packet::Auth(Auth {
        reason_code: ReasonCode::ReAuthenticate,
        properties: AuthProperties { authentication_method: Some("m".to_owned()), ..Default::default() },
    });
    for version in [V31, V311] {
        let packet_type = PacketType::Auth;
        assert_eq!(encoded(&auth, version, 100), Err(EncodeError::NotInVersion { packet_type, version }));
        let mut connect = Connect::new(version, "a");
        connect.password = Some("p".into());
        let packet = Packet::Connect(Box::new(connect));
        assert_eq!(encoded(&packet, version, 100), Err(EncodeError::PasswordWithoutUserName));
        // A reason code has no place there; an empty topic name is no topic name.
        let ack = Packet::PubAck(Ack::new(ID, ReasonCode::QuotaExceeded));
        assert_eq!(encoded(&ack, version, 100).unwrap(), b"\x40\x02\0\x01");
        let mut by_alias = publish("");
        by_alias.properties.topic_alias = Some(std::num::NonZeroU16::MIN);
        let error = EncodeError::TopicName(TopicError::Empty);
        assert_eq!(encoded(&Packet::Publish(by_alias), version, 100), Err(error));
    }
    let suback = Packet::SubAck(SubAck {
        packet_identifier: ID,
        properties: None,
        reason_codes: vec![ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized],
    });
    for version in [V31, V311] {
        assert_eq!(encoded(&suback, version, 100).unwrap(), b"\x90\x04\0\x01\x02\x80");
    }
    let refusal =
        Packet::ConnAck(Box::new(ConnAck { session_present: true, ..ConnAck::new(ReasonCode::ServerBusy) }));
    assert_eq!(encoded(&refusal, V311, 100).unwrap(), b"\x20\x02\0\x03");
    assert_eq!(encoded(&refusal, V5, 100).unwrap(), b"\x20\x03\0\x89\0");
    let reason_code = ReasonCode::RetainNotSupported;
    let refusal = Packet::ConnAck(Box::new(ConnAck::new(reason_code)));
    assert_eq!(encoded(&refusal, V311, 100), Err(EncodeError::NoReturnCode { reason_code }));
    assert_eq!(encoded(&refusal, V5, 100).unwrap(), b"\x20\x03\0\x9a\0");
    let resumed =
        Packet::ConnAck(Box::new(ConnAck { session_present: true, ..ConnAck::new(ReasonCode::Success) }));
    assert_eq!(encoded(&resumed, V311, 100).unwrap(), b"\x20\x02\x01\0");
    assert_eq!(encoded(&resumed, V31, 100).unwrap(), b"\x20\x02\0\0");
}

#[test]
fn what_is_no_packet() {
    let check = |packet: Packet, error| assert_eq!(encoded(&packet, V5, u32::MAX), Err(error));
    let with = |change: fn(&mut Publish)| {
        let mut publish = publish("topic");
        change(&mut publish);
        Packet::Publish(publish)
    };
    let wildcard = EncodeError::TopicName(TopicError::WildcardInName);
    check(with(|publish| publish.topic = "a/#".to_owned()), wildcard);
    check(with(|publish| publish.topic.clear()), EncodeError::TopicName(TopicError::Empty));
    check(with(|publish| publish.topic = "a\0".to_owned()), EncodeError::NulCharacter);
    check(with(|publish| publish.topic = "a".repeat(65536)), EncodeError::FieldTooLong { bytes: 65536 });
    check(with(|publish| publish.qos = QoS::ExactlyOnce), EncodeError::PacketIdentifierMissing { qos: 2 });
    check(with(|publish| publish.properties.response_topic = Some("+".to_owned())), wildcard);
    let long = vec![0; 65536];
    let mut publish = publish("topic");
    publish.properties.correlation_data = Some(long.into());
    check(Packet::Publish(publish), EncodeError::FieldTooLong { bytes: 65536 });
    for value in [0, 268_435_456] {
        let mut publish = crate::encoding::publish("topic");
        publish.properties.subscription_identifiers.push(value);
        check(Packet::Publish(publish), EncodeError::SubscriptionIdentifier { value });
    }
    let packet_type = PacketType::Subscribe;
    check(
        Packet::Subscribe(Subscribe {
            packet_identifier: ID,
            subscription_identifier: None,
            user_properties: vec![],
            filters: vec![],
        }),
        EncodeError::Empty { packet_type },
    );
    let packet_type = PacketType::Unsubscribe;
    check(
        Packet::Unsubscribe(Unsubscribe { packet_identifier: ID, user_properties: vec![], filters: vec![] }),
        EncodeError::Empty { packet_type },
    );
}

#[test]
fn short_acknowledgements() {
    let check = |packet_type, reason_code, expected: [&[u8]; 3]| {
        for (version, expected) in VERSIONS.into_iter().zip(expected) {
            let mut out = Vec::new();
            encode_ack(packet_type, version, PacketIdentifier::MAX, reason_code, &mut out);
            assert_eq!(out, expected, "{packet_type} {version}");
            let ack = Ack::new(PacketIdentifier::MAX, reason_code);
            let packet = match packet_type {
                PacketType::PubAck => Packet::PubAck(ack),
                PacketType::PubRec => Packet::PubRec(ack),
                PacketType::PubRel => Packet::PubRel(ack),
                _ => Packet::PubComp(ack),
            };
            assert_eq!(encoded(&packet, version, 5).unwrap(), expected);
        }
    };
    check(PacketType::PubAck, ReasonCode::Success, [b"\x40\x02\xff\xff"; 3]);
    check(PacketType::PubRec, ReasonCode::Success, [b"\x50\x02\xff\xff"; 3]);
    check(PacketType::PubRel, ReasonCode::Success, [b"\x62\x02\xff\xff"; 3]);
    check(PacketType::PubComp, ReasonCode::Success, [b"\x70\x02\xff\xff"; 3]);
    let short = b"\x40\x02\xff\xff";
    let with_reason = b"\x40\x03\xff\xff\x10";
    check(PacketType::PubAck, ReasonCode::NoMatchingSubscribers, [short, short, with_reason]);
    let short = b"\x70\x02\xff\xff";
    let with_reason = b"\x70\x03\xff\xff\x92";
    check(PacketType::PubComp, ReasonCode::PacketIdentifierNotFound, [short, short, with_reason]);
}
