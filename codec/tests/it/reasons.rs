//! Reason codes by packet and sender, return codes before 5.0.

use ProtocolVersion::V5;
use Sender::{Client, Server};
use mqtt_codec::{
    Connect, ConnectReturnCode, DecodeError, PacketType, PropertyIdentifier, ProtocolVersion, ReasonCode,
    Sender,
};

use crate::feed::{feed, framed, prefixed, properties};

/// The codes of table 2-6 whose row names the packet, and the sender tables of 3.14.2.1 and 3.15.2.1.
#[test]
fn legal_codes() {
    let check = |packet_type: PacketType, sender, legal: &[u8]| {
        for value in 0..=u8::MAX {
            let body = match packet_type {
                PacketType::ConnAck => vec![0, value, 0],
                PacketType::SubAck | PacketType::UnsubAck => vec![0, 1, 0, value],
                PacketType::Disconnect => vec![value],
                PacketType::Auth => [&[value, 4][..], b"\x15\0\x01m"].concat(),
                _ => vec![0, 1, value],
            };
            let bytes = framed((packet_type as u8) << 4 | packet_type.reserved_flags(), &body);
            let found = feed(&bytes, V5, sender);
            if legal.contains(&value) {
                assert!(found.is_ok(), "{packet_type} {value:#04x}: {found:?}");
            } else {
                let error = DecodeError::ReasonCodeNotAllowed { packet_type, value, sender };
                assert_eq!(found, Err(error));
                assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
            }
        }
    };
    let connack = [
        0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
        0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    check(PacketType::ConnAck, Server, &connack);
    for packet_type in [PacketType::PubAck, PacketType::PubRec] {
        check(packet_type, Server, &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
        check(packet_type, Client, &[0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
    }
    for packet_type in [PacketType::PubRel, PacketType::PubComp] {
        check(packet_type, Server, &[0, 0x92]);
        check(packet_type, Client, &[0, 0x92]);
    }
    let suback = [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    check(PacketType::SubAck, Server, &suback);
    check(PacketType::UnsubAck, Server, &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]);
    let of_client = [0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    check(PacketType::Disconnect, Client, &of_client);
    let of_server = [
        0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
        0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    check(PacketType::Disconnect, Server, &of_server);
    check(PacketType::Auth, Server, &[0, 0x18]);
    check(PacketType::Auth, Client, &[0x18, 0x19]);
}

/// [MQTT-3.14.2-2]; a server reference only a server sends.
#[test]
fn disconnect_properties_by_sender() {
    let packet_type = PacketType::Disconnect;
    let with = |list: &[u8]| framed(0xE0, &[b"\0", &properties(list)[..]].concat());
    let expiry = with(b"\x11\0\0\0\x01");
    let reference = with(b"\x1c\0\x01s");
    assert!(feed(&expiry, V5, Client).is_ok());
    assert!(feed(&reference, V5, Server).is_ok());
    for (bytes, sender, property) in [
        (&expiry, Server, PropertyIdentifier::SessionExpiryInterval),
        (&reference, Client, PropertyIdentifier::ServerReference),
    ] {
        let error = DecodeError::PropertyFromWrongSender { property, packet_type, sender };
        assert_eq!(feed(bytes, V5, sender), Err(error));
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
}

/// Section 3.15.2.2.2
#[test]
fn auth_has_a_method() {
    for bytes in [&b"\xf0\x01\x18"[..], b"\xf0\x02\x18\x00", b"\xf0\x05\x18\x03\x16\x00\x00"] {
        assert_eq!(feed(bytes, V5, Client), Err(DecodeError::AuthenticationMethodMissing));
    }
    // Without anything it means Success, which a client does not say.
    assert!(matches!(feed(b"\xf0\x00", V5, Client), Err(DecodeError::ReasonCodeNotAllowed { .. })));
    let twice = prefixed("m");
    let list = [b"\x15", &twice[..], b"\x15", &twice].concat();
    let bytes = framed(0xF0, &[b"\x18", &properties(&list)[..]].concat());
    let property = PropertyIdentifier::AuthenticationMethod;
    assert_eq!(feed(&bytes, V5, Client), Err(DecodeError::DuplicateProperty { property }));
}

#[test]
fn properties_of_acknowledgements() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        let with = |list: &[u8]| framed(first, &[b"\0\x01\0", &properties(list)[..]].concat());
        assert!(feed(&with(b"\x1f\0\x01r\x26\0\0\0\0\x26\0\0\0\0"), V5, Client).is_ok());
        let property = PropertyIdentifier::ReasonString;
        let duplicate = DecodeError::DuplicateProperty { property };
        assert_eq!(feed(&with(b"\x1f\0\0\x1f\0\0"), V5, Client), Err(duplicate));
        let packet_type = PacketType::try_from(first >> 4).unwrap();
        let property = PropertyIdentifier::ContentType;
        let foreign = DecodeError::PropertyNotAllowed { property, packet_type };
        assert_eq!(feed(&with(b"\x03\0\0"), V5, Client), Err(foreign));
    }
}

#[test]
fn return_codes() {
    use ConnectReturnCode as Return;
    use ReasonCode::*;
    for (reason, expected) in [
        (Success, Return::Accepted),
        (UnsupportedProtocolVersion, Return::UnacceptableProtocolVersion),
        (ClientIdentifierNotValid, Return::IdentifierRejected),
        (BadUserNameOrPassword, Return::BadUserNameOrPassword),
        (NotAuthorized, Return::NotAuthorized),
        (Banned, Return::NotAuthorized),
        (ServerUnavailable, Return::ServerUnavailable),
        (ServerBusy, Return::ServerUnavailable),
        (QuotaExceeded, Return::ServerUnavailable),
        (UseAnotherServer, Return::ServerUnavailable),
    ] {
        assert_eq!(Return::from_reason(reason), Some(expected), "{reason:?}");
    }
    for reason in [UnspecifiedError, MalformedPacket, ProtocolError, TopicNameInvalid, QoSNotSupported] {
        assert_eq!(Return::from_reason(reason), None, "{reason:?}");
    }
    for value in 0..=5 {
        let code = Return::from_byte(value).unwrap();
        assert_eq!(Return::from_reason(code.into()), Some(code));
        assert_eq!(code as u8, value);
    }
    assert_eq!(Return::from_byte(6), None);
    let connect = Connect::new(V5, "a");
    assert!(connect.clean_start && connect.will.is_none());
}

#[test]
fn codes_and_numbers() {
    let known = (0..=u8::MAX).filter_map(|value| ReasonCode::try_from(value).ok()).collect::<Vec<_>>();
    assert_eq!(known.len(), 43);
    for code in known {
        assert_eq!(ReasonCode::try_from(code as u8), Ok(code));
        assert_eq!(code.is_error(), code as u8 >= 0x80);
    }
}
