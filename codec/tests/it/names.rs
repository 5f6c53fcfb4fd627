//! How packets, versions and what is wrong with them are called, in errors and logs.

use mqtt_codec::{
    DecodeError, EncodeError, Limits, PACKET_BYTES_MAX, PacketIdentifier, PacketType, PropertyIdentifier,
    ProtocolVersion, QoS, REMAINING_LENGTH_MAX, Sender, TopicError, read_header,
};

/// MQTT's own names.
#[test]
fn packet_types() {
    let names = [
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH",
    ];
    for (value, name) in (1..).zip(names) {
        let packet_type = PacketType::try_from(value).unwrap();
        assert_eq!((packet_type.to_string().as_str(), packet_type as u8), (name, value));
    }
}

#[test]
fn the_rest() {
    assert_eq!([Sender::Client, Sender::Server].map(|sender| sender.to_string()), ["client", "server"]);
    let versions = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
    assert_eq!(versions.map(|version| version.to_string()), ["3.1", "3.1.1", "5.0"]);
    assert_eq!(versions.map(ProtocolVersion::level), [3, 4, 5]);
    assert_eq!(versions.map(ProtocolVersion::name), ["MQIsdp", "MQTT", "MQTT"]);
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    assert_eq!(levels.map(|qos| qos.to_string()), ["0", "1", "2"]);
    assert_eq!(levels.map(u8::from), [0, 1, 2]);
    assert_eq!(PacketIdentifier::new(65_535).unwrap().to_string(), "65535");
    assert_eq!(PropertyIdentifier::MaximumQoS.to_string(), "maximum QoS");
}

/// Texts name what was wrong, with its value and its clause.
#[test]
fn errors() {
    let (packet_type, sender) = (PacketType::SubAck, Sender::Client);
    for (error, text) in [
        (
            DecodeError::WrongDirection { packet_type, sender },
            "SUBACK is not sent by a client (section 2.1.2)",
        ),
        (
            DecodeError::FixedHeaderFlags { packet_type, flags: 5 },
            "fixed header flags 0b0101 are reserved for SUBACK [MQTT-2.1.3-1]",
        ),
        (
            DecodeError::DisallowedCharacter { code: 0x7F },
            "string holds the disallowed character U+007F (section 1.5.4)",
        ),
        (
            DecodeError::PropertyNotAllowed { property: PropertyIdentifier::TopicAlias, packet_type },
            "topic alias does not belong into SUBACK (section 2.2.2.2)",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
    let error = EncodeError::NotInVersion { packet_type: PacketType::Auth, version: ProtocolVersion::V311 };
    assert_eq!(error.to_string(), "AUTH does not exist in MQTT 3.1.1");
    let error = DecodeError::TopicName(TopicError::Empty);
    assert_eq!(error.to_string(), format!("topic name: {}", TopicError::Empty));
}

/// The largest packet there is: four bytes of remaining length, all full.
#[test]
fn the_largest_packet() {
    let limits = Limits { maximum_packet_size: PACKET_BYTES_MAX, ..Limits::default() };
    let header = read_header(b"\x30\xff\xff\xff\x7f", &limits).unwrap().expect("it is whole");
    assert_eq!(header.remaining_length, REMAINING_LENGTH_MAX);
    assert_eq!(header.frame_bytes(), PACKET_BYTES_MAX as usize);
}
