//! CONNECTs of every kind that is refused.

use mqtt_codec::{Connect, Packet, PayloadFormat, ProtocolVersion, PublishProperties, QoS, TopicName, Will};

use crate::harness::{Figures, Program, Scale, Sent, Turn, Wire, bytes_of, connect, ordeal};

const REFUSED: usize = 10_000;

/// A CONNECT that is refused.
struct Kind {
    name: &'static str,
    bytes: Vec<u8>,
    /// The reason or return code of its CONNACK; none if it is just closed.
    answered: Option<u8>,
    /// What counts the refusal, beside `connects_refused_total` if it is answered.
    counters: &'static [&'static str],
}

fn kind(
    name: &'static str,
    connect: &Connect,
    answered: Option<u8>,
    counters: &'static [&'static str],
) -> Kind {
    let bytes = bytes_of(&Packet::Connect(Box::new(connect.clone())), connect.version);
    Kind { name, bytes, answered, counters }
}

fn with_will(topic: &str, change: impl FnOnce(&mut Will)) -> Connect {
    let mut will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TopicName::new(topic).expect("a topic name"),
        payload: b"will".to_vec().into(),
        delay_interval: 0,
        properties: PublishProperties::default(),
    };
    change(&mut will);
    Connect { will: Some(will), ..connect(ProtocolVersion::V5, "refused") }
}

/// The settings under which all of them are refused.
const SETTINGS: &[&str] = &[
    "mqtt.maximum_qos=1",
    "mqtt.retain_available=false",
    "mqtt.check_payload_format=true",
    "mqtt.maximum_packet_size_bytes=65536",
    "mqtt.publish_properties_bytes_max=1000",
];

fn kinds() -> Vec<Kind> {
    use ProtocolVersion::{V5, V31, V311};
    let plain = |version| bytes_of(&Packet::Connect(Box::new(connect(version, "refused"))), version);
    let changed = |version, at: usize, byte| {
        let mut bytes = plain(version);
        bytes[at] = byte;
        bytes
    };
    let malformed =
        |name, bytes, answered| Kind { name, bytes, answered, counters: &["protocol_errors_total"] };
    let mut kinds = vec![
        malformed("protocol level 6", changed(V5, 8, 6), Some(0x84)),
        malformed("protocol level 2", changed(V311, 8, 2), Some(1)),
        malformed("another protocol's name", changed(V311, 4, b'm'), None),
        malformed("reserved connect flag, 5.0", changed(V5, 9, 0x03), Some(0x81)),
        malformed("reserved connect flag, 3.1.1", changed(V311, 9, 0x03), None),
        malformed("a PINGREQ in place of it", vec![0xc0, 0], None),
        malformed("HTTP in place of it", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), None),
        malformed("fixed header flags", changed(V5, 0, 0x11), None),
    ];
    let nameless = |version| Connect { clean_start: false, ..connect(version, "") };
    let not_valid: &[&str] = &["connections_ended_total{reason_code=\"0x85\"}"];
    kinds.push(kind("no client identifier, 3.1.1", &nameless(V311), Some(2), not_valid));
    kinds.push(kind("no client identifier, 3.1", &nameless(V31), Some(2), not_valid));
    let too_good = with_will("will", |will| will.qos = QoS::ExactlyOnce);
    kinds.push(kind(
        "will above the maximum QoS",
        &too_good,
        Some(0x9b),
        &["connections_ended_total{reason_code=\"0x9b\"}"],
    ));
    let retained = with_will("will", |will| will.retain = true);
    kinds.push(kind(
        "retained will",
        &retained,
        Some(0x9a),
        &["connections_ended_total{reason_code=\"0x9a\"}"],
    ));
    let deep = with_will(&"a/".repeat(200), |_| {});
    kinds.push(kind("will of 201 levels", &deep, Some(0x90), &["topic_levels_exceeded_total"]));
    let sys = with_will("$SYS/broker/uptime", |_| {});
    kinds.push(kind("will to $SYS", &sys, Some(0x87), &["connections_ended_total{reason_code=\"0x87\"}"]));
    let long = with_will("will", |will| will.properties.content_type = Some("x".repeat(1000)));
    kinds.push(kind("will with long properties", &long, Some(0x97), &["publish_properties_too_large_total"]));
    let binary = with_will("will", |will| {
        will.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
        will.payload = vec![0xff, 0xfe].into();
    });
    kinds.push(kind("will that is no text", &binary, Some(0x99), &["payload_format_invalid_total"]));
    let mut large = connect(V5, "refused");
    large.properties.user_properties = vec![("x".to_owned(), "y".repeat(65_000)); 2];
    kinds.push(kind("too large", &large, Some(0x95), &["packets_too_large_total"]));
    let mut small = connect(V5, "refused");
    small.properties.maximum_packet_size = 4.try_into().ok();
    kinds.push(kind("takes no CONNACK", &small, None, &["connects_refused_total"]));
    let mut method = connect(V5, "refused");
    method.properties.authentication_method = Some("NONE-1".to_owned());
    kinds.push(kind(
        "unknown authentication method",
        &method,
        Some(0x8c),
        &["connections_ended_total{reason_code=\"0x8c\"}"],
    ));
    kinds
}

/// Sends one, and checks how it is refused.
fn refuse(program: &Program, kind: &Kind) {
    let mut wire = Wire::open(program.tcp, ProtocolVersion::V311);
    // It may be refused before its end is sent.
    wire.send_bytes(&kind.bytes);
    let answer = wire.read_to_end();
    match kind.answered {
        Some(code) => assert!(
            answer.len() >= 4 && answer[0] == 0x20 && answer[2] == 0 && answer[3] == code,
            "{}: {answer:02x?}",
            kind.name
        ),
        None => assert!(answer.is_empty(), "{}: {answer:02x?}", kind.name),
    }
}

/// [MQTT-3.2.2-6] [MQTT311-3.2.2-4] Session present is 0 in every refusal, the connection is closed, nothing is left.
#[test]
fn connects_of_every_kind_of_refusal() {
    let _turn = Turn::take();
    let program = Program::start(SETTINGS);
    let kinds = kinds();
    ordeal(&program, |scale| {
        let each = scale.of(REFUSED).div_ceil(kinds.len());
        for kind in &kinds {
            let before = program.figures();
            for _ in 0..each {
                refuse(&program, kind);
            }
            until_refused(&before, &program, kind, each as u64);
        }
        Sent::default()
    });
    program.until_figure("sessions", 0);
    program.stop();
}

fn until_refused(before: &Figures, program: &Program, kind: &Kind, count: u64) {
    for counter in kind.counters {
        program.until_grown(before, counter, count);
    }
    if kind.answered.is_some() {
        program.until_grown(before, "connects_refused_total", count);
    }
}

/// At the limit of sessions, of which the honest clients have all.
#[test]
fn connects_beyond_the_limit_of_sessions() {
    let _turn = Turn::take();
    let program = Program::start(&["session.sessions_max=4"]);
    let kind =
        kind("one more", &connect(ProtocolVersion::V5, "one more"), Some(0x97), &["sessions_full_total"]);
    ordeal(&program, |scale: Scale| {
        let count = scale.of(2_000);
        let before = program.figures();
        for _ in 0..count {
            refuse(&program, &kind);
        }
        until_refused(&before, &program, &kind, count as u64);
        Sent::default()
    });
    program.stop();
}
