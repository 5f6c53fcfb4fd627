use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::{Connect, PublishProperties, QoS, ReasonCode, TopicName, Will};

use super::*;

fn will(topic: &str) -> Will {
    Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        payload: "gone".into(),
        delay_interval: 0,
        properties: PublishProperties::default(),
    }
}

fn judge_with(mqtt: &MqttSettings, will: Will) -> Result<(), ReasonCode> {
    let connect = Connect { will: Some(will), ..Connect::new(V5, "c") };
    judge_connect(&connect, mqtt, &Counters::default())
}

/// [MQTT-3.1.3-8] of 3.1.1, [MQTT-3.1.3-6]: who may leave its client identifier to the node.
#[test]
fn without_a_client_identifier() {
    let refused = Err(ReasonCode::ClientIdentifierNotValid);
    for (version, clean_start, expected) in [
        (V5, true, Ok(())),
        (V5, false, Ok(())),
        (V311, true, Ok(())),
        (V311, false, refused),
        (V31, true, refused),
        (V31, false, refused),
    ] {
        let connect = Connect { clean_start, ..Connect::new(version, "") };
        let judged = judge_connect(&connect, &MqttSettings::default(), &Counters::default());
        assert_eq!(judged, expected, "{version:?} {clean_start}");
    }
}

/// [MQTT-3.2.2-12] [MQTT-3.2.2-13] What a will may not be, as a publish may not.
#[test]
fn wills() {
    let mqtt =
        MqttSettings { topic_levels_max: 2, publish_properties_bytes_max: 10, ..MqttSettings::default() };
    let (mut no_utf8, mut large) = (will("t"), will("t"));
    no_utf8.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
    no_utf8.payload = b"\xff"[..].into();
    large.properties.content_type = Some("0123456789".to_owned());
    let (checks, unchecked) = (
        MqttSettings { check_payload_format: true, ..mqtt.clone() },
        MqttSettings { check_payload_format: false, ..mqtt.clone() },
    );
    for (name, mqtt, will, expected) in [
        ("of few levels", &mqtt, will("a/b"), Ok(())),
        ("of many levels", &mqtt, will("a/b/c"), Err(ReasonCode::TopicNameInvalid)),
        ("the node's own topic name", &mqtt, will("$SYS"), Err(ReasonCode::NotAuthorized)),
        ("one of the node's own topic names", &mqtt, will("$SYS/x"), Err(ReasonCode::NotAuthorized)),
        ("one that begins like those", &mqtt, will("$SYSTEM/x"), Ok(())),
        ("large properties", &mqtt, large, Err(ReasonCode::QuotaExceeded)),
        ("no UTF-8", &checks, no_utf8.clone(), Err(ReasonCode::PayloadFormatInvalid)),
        ("no UTF-8, unchecked", &unchecked, no_utf8, Ok(())),
        (
            "QoS 2",
            &MqttSettings { maximum_qos: 1, ..mqtt.clone() },
            Will { qos: QoS::ExactlyOnce, ..will("t") },
            Err(ReasonCode::QoSNotSupported),
        ),
        (
            "retained",
            &MqttSettings { retain_available: false, ..mqtt.clone() },
            Will { retain: true, ..will("t") },
            Err(ReasonCode::RetainNotSupported),
        ),
    ] {
        assert_eq!(judge_with(mqtt, will), expected, "{name}");
    }
}

/// [MQTT-3.1.2-2] Who is told that its CONNECT cannot be read, and in which version.
#[test]
fn unreadable() {
    use ReasonCode::{MalformedPacket, UnsupportedProtocolVersion as Unsupported};
    for (name, packet, reason, expected) in [
        ("a version before 3.1", &b"\x10\x0c\x00\x06MQIsdp\x02"[..], Unsupported, Some(V311)),
        ("a version to come", b"\x10\x0a\x00\x04MQTT\x06", Unsupported, Some(V5)),
        ("malformed 5.0", b"\x10\x0a\x00\x04MQTT\x05", MalformedPacket, Some(V5)),
        ("malformed 3.1.1", b"\x10\x0a\x00\x04MQTT\x04", MalformedPacket, None),
        ("flags in the fixed header", b"\x11\x0a\x00\x04MQTT\x05", MalformedPacket, None),
        ("another protocol", b"\x10\x0a\x00\x04HTTP\x05", Unsupported, None),
        ("nothing to tell by", b"\x10", MalformedPacket, None),
    ] {
        assert_eq!(answer_unreadable(packet, reason).map(|(version, _)| version), expected, "{name}");
    }
}

/// The answer keeps to the maximum packet size of a CONNECT that breaks nothing but this node's limits.
#[test]
fn unreadable_within_the_clients_limit() {
    let packet = b"\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x27\x00\x00\x00\x14\x00\x01c";
    assert_eq!(answer_unreadable(packet, ReasonCode::PacketTooLarge), Some((V5, 20)));
    assert_eq!(answer_unreadable(&packet[..10], ReasonCode::PacketTooLarge), Some((V5, u32::MAX)));
}
