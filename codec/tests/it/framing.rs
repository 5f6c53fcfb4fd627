//! The fixed header, direction and exact length.

use ProtocolVersion::{V5, V31, V311};
use Sender::{Client, Server};
use mqtt_codec::{
    DecodeError, FrameHeader, Limits, Packet, PacketType, ProtocolVersion, ReasonCode, Sender, read_header,
};

use crate::feed::{VERSIONS, feed, feed_all, feed_with, framed};

#[track_caller]
fn refuses(bytes: &[u8], version: ProtocolVersion, sender: Sender, error: DecodeError) {
    assert_eq!(feed(bytes, version, sender), Err(error));
}

#[test]
fn header_is_read_from_the_fewest_bytes() {
    let limits = Limits { maximum_packet_size: u32::MAX, ..Limits::default() };
    let check = |bytes: &[u8], expected: Option<(u8, u32)>| {
        let header = read_header(bytes, &limits).unwrap();
        assert_eq!(header.map(|header| (header.header_bytes, header.remaining_length)), expected);
    };
    check(b"", None);
    check(b"\x30", None);
    check(b"\x30\x00", Some((2, 0)));
    check(b"\x30\x7f", Some((2, 127)));
    check(b"\x30\x80", None);
    check(b"\x30\x80\x01", Some((3, 128)));
    check(b"\x30\xff\x7f", Some((3, 16_383)));
    check(b"\x30\x80\x80\x01", Some((4, 16_384)));
    check(b"\x30\xff\xff\x7f", Some((4, 2_097_151)));
    check(b"\x30\xff\xff\xff", None);
    check(b"\x30\x80\x80\x80\x01", Some((5, 2_097_152)));
    check(b"\x30\xff\xff\xff\x7f", Some((5, 268_435_455)));
    let header =
        FrameHeader { packet_type: PacketType::Publish, flags: 0, header_bytes: 3, remaining_length: 200 };
    assert_eq!(header.frame_bytes(), 203);
}

#[test]
fn header_errors_come_as_early_as_possible() {
    let check = |bytes: &[u8], error| assert_eq!(read_header(bytes, &Limits::default()), Err(error));
    check(b"\x00", DecodeError::ReservedPacketType { value: 0 });
    check(b"\x36", DecodeError::InvalidQoS { value: 3 });
    check(b"\x81", DecodeError::FixedHeaderFlags { packet_type: PacketType::Subscribe, flags: 1 });
    check(b"\xf1", DecodeError::FixedHeaderFlags { packet_type: PacketType::Auth, flags: 1 });
    check(b"\x30\xff\xff\xff\xff", DecodeError::VariableByteIntegerTooLong);
    let limit = 16 * 1024 * 1024;
    check(b"\x30\xff\xff\xff\x7f", DecodeError::PacketTooLarge { bytes: 268_435_460, limit });
}

#[test]
fn maximum_packet_size_counts_the_fixed_header() {
    let limits = Limits { maximum_packet_size: 10, ..Limits::default() };
    let publish = framed(0x30, b"\x00\x01t12345");
    assert!(feed_with(&publish, V311, Client, &limits).is_ok());
    let publish = framed(0x30, b"\x00\x01t123456");
    let error = DecodeError::PacketTooLarge { bytes: 11, limit: 10 };
    assert_eq!(feed_with(&publish, V311, Client, &limits), Err(error));
    assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
}

/// [MQTT-1.5.5-1]; before 5.0 no clause forbids it.
#[test]
fn remaining_length_is_minimal_in_5() {
    for version in [V31, V311] {
        assert_eq!(feed(b"\xc0\x80\x00", version, Client), Ok(Packet::PingReq));
        assert_eq!(feed(b"\xc0\x80\x80\x80\x00", version, Client), Ok(Packet::PingReq));
    }
    refuses(b"\xc0\x80\x00", V5, Client, DecodeError::VariableByteIntegerNotMinimal);
    // The version of a CONNECT counts, not that given.
    let connect = |level| [b"\x10\x8e\x00\x00\x04MQTT", &[level][..], b"\x02\0\0\0\0\x01a"].concat();
    let not_minimal = DecodeError::VariableByteIntegerNotMinimal;
    refuses(&connect(5), V311, Client, not_minimal);
    let connect_311 = b"\x10\x8d\x00\x00\x04MQTT\x04\x02\0\0\0\x01a";
    assert!(feed(connect_311, V5, Client).is_ok());
}

/// [MQTT-2.1.3-1] 3.1 calls the flags of all packets but PUBLISH unused, apart from the QoS of those that ask for an
/// acknowledgement, and DUP of the same.
#[test]
fn fixed_header_flags() {
    for version in VERSIONS {
        for sender in [Client, Server] {
            for value in 1..=15u8 {
                let packet_type = PacketType::try_from(value).unwrap();
                let comes_alone = matches!(packet_type, PacketType::Publish | PacketType::Connect);
                if comes_alone || !packet_type.is_sent_by(sender, version) {
                    continue;
                }
                for flags in 0..16 {
                    let legal = match packet_type {
                        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => {
                            flags == 2 || (version == V31 && [3, 10, 11].contains(&flags))
                        }
                        _ => flags == 0 || version == V31,
                    };
                    let found = feed_all(&[value << 4 | flags, 0], version, sender, &Limits::default());
                    let refused = found.1 == Some(DecodeError::FixedHeaderFlags { packet_type, flags });
                    assert_eq!(refused, !legal, "{packet_type} {flags:#06b} {version}");
                }
            }
        }
    }
}

/// [MQTT-2.1.3-1] Of a CONNECT the version that it names counts, not that given.
#[test]
fn fixed_header_flags_of_connect() {
    for given in VERSIONS {
        for flags in 0..16 {
            let connect = |rest: &[u8]| {
                let found = feed(&framed(0x10 | flags, rest), given, Client);
                match found {
                    Ok(Packet::Connect(_)) => true,
                    Err(error) => {
                        let packet_type = PacketType::Connect;
                        assert_eq!(error, DecodeError::FixedHeaderFlags { packet_type, flags });
                        false
                    }
                    other => panic!("{other:?}"),
                }
            };
            assert!(connect(b"\x00\x06MQIsdp\x03\x02\0\0\0\x01a"), "{flags:#06b}");
            assert_eq!(connect(b"\x00\x04MQTT\x04\x02\0\0\0\x01a"), flags == 0);
            assert_eq!(connect(b"\x00\x04MQTT\x05\x02\0\0\0\0\x01a"), flags == 0);
        }
    }
}

#[test]
fn direction() {
    let check = |value: u8, sender, legal: [bool; 3]| {
        let packet_type = PacketType::try_from(value).unwrap();
        for (version, legal) in VERSIONS.into_iter().zip(legal) {
            let bytes = [value << 4 | packet_type.reserved_flags(), 0];
            let (_, error) = feed_all(&bytes, version, sender, &Limits::default());
            let refused = matches!(
                error,
                Some(DecodeError::WrongDirection { .. } | DecodeError::ReservedPacketType { .. })
            );
            assert_eq!(refused, !legal, "{packet_type} from {sender} in {version}");
        }
    };
    for value in [1, 8, 10, 12] {
        check(value, Client, [true; 3]);
        check(value, Server, [false; 3]);
    }
    for value in [2, 9, 11, 13] {
        check(value, Client, [false; 3]);
        check(value, Server, [true; 3]);
    }
    for value in 3..=7 {
        check(value, Client, [true; 3]);
        check(value, Server, [true; 3]);
    }
    check(14, Client, [true; 3]);
    check(14, Server, [false, false, true]);
    check(15, Client, [false, false, true]);
    check(15, Server, [false, false, true]);
    refuses(b"\xf0\x00", V311, Client, DecodeError::ReservedPacketType { value: 15 });
    let wrong = DecodeError::WrongDirection { packet_type: PacketType::PingResp, sender: Client };
    refuses(b"\xd0\x00", V5, Client, wrong);
    assert_eq!(wrong.reason_code(), ReasonCode::ProtocolError);
}

#[test]
fn exact_length() {
    let trailing = |packet_type| DecodeError::TrailingBytes { packet_type, bytes: 1 };
    let truncated = |packet_type| DecodeError::Truncated { packet_type };
    for version in VERSIONS {
        refuses(b"\xc0\x01\x00", version, Client, trailing(PacketType::PingReq));
        refuses(b"\xd0\x01\x00", version, Server, trailing(PacketType::PingResp));
        refuses(b"\x40\x01\x00", version, Client, truncated(PacketType::PubAck));
        refuses(b"\x30\x01\x00", version, Client, truncated(PacketType::Publish));
        refuses(b"\x30\x04\x00\x03ab", version, Client, truncated(PacketType::Publish));
    }
    for version in [V31, V311] {
        refuses(b"\x40\x03\x00\x01\x00", version, Client, trailing(PacketType::PubAck));
        refuses(b"\xe0\x01\x00", version, Client, trailing(PacketType::Disconnect));
        refuses(b"\xb0\x03\x00\x01\x00", version, Server, trailing(PacketType::UnsubAck));
        refuses(b"\x20\x03\x00\x00\x00", version, Server, trailing(PacketType::ConnAck));
    }
    refuses(b"\x40\x05\x00\x01\x00\x00\x00", V5, Client, trailing(PacketType::PubAck));
    refuses(b"\xe0\x03\x00\x00\x00", V5, Client, trailing(PacketType::Disconnect));
    refuses(b"\x40\x04\x00\x01\x00\x01", V5, Client, truncated(PacketType::PubAck));
    assert_eq!(truncated(PacketType::PubAck).reason_code(), ReasonCode::MalformedPacket);
}

/// 5.0 lets acknowledgements, DISCONNECT and AUTH leave out their end.
#[test]
fn short_forms_of_5() {
    for bytes in [&b"\x40\x02\x00\x07"[..], b"\x40\x03\x00\x07\x00", b"\x40\x04\x00\x07\x00\x00"] {
        let Ok(Packet::PubAck(ack)) = feed(bytes, V5, Client) else { panic!("no PUBACK in {bytes:02x?}") };
        assert_eq!((ack.packet_identifier.get(), ack.reason_code), (7, ReasonCode::Success));
        assert_eq!(ack.properties, None);
    }
    for bytes in [&b"\xe0\x00"[..], b"\xe0\x01\x00", b"\xe0\x02\x00\x00"] {
        let Ok(Packet::Disconnect(disconnect)) = feed(bytes, V5, Client) else { panic!("{bytes:02x?}") };
        assert_eq!(disconnect.reason_code, ReasonCode::Success);
    }
    for bytes in [&b"\xf0\x00"[..], b"\xf0\x01\x00", b"\xf0\x02\x00\x00"] {
        let Ok(Packet::Auth(auth)) = feed(bytes, V5, Server) else { panic!("{bytes:02x?}") };
        assert_eq!(auth.reason_code, ReasonCode::Success);
    }
}
