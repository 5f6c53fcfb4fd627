//! Topic names and filters made to be expensive: very deep, very long, alike up to their ends, and exploding.

use mqtt_codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode, Unsubscribe};

use crate::harness::{
    Program, Scale, Sent, Turn, Wire, bytes_of, connect, filter, ordeal, publish, subscribe,
};

const DEEP: usize = 30_000;

fn client(program: &Program, name: &str) -> Wire {
    Wire::client(program.tcp, connect(ProtocolVersion::V5, name))
}

fn granted(client: &mut Wire, filters: &[String]) {
    client.send(&subscribe(filters, QoS::AtMostOnce));
    let Packet::SubAck(answer) = client.until(|packet| matches!(packet, Packet::SubAck(_))) else { return };
    assert!(answer.reason_codes.iter().all(|code| !code.is_error()), "{:?}", answer.reason_codes);
}

/// A filter and a topic name of 30,000 levels are refused, each by its own reason, and so is a will.
#[test]
fn filters_and_topics_of_30_000_levels() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(200));
        let deep = vec!["a"; DEEP].join("/");
        let (mut newer, mut older) = (client(&program, "deep"), {
            Wire::client(program.tcp, connect(ProtocolVersion::V311, "deep-3.1.1"))
        });
        for _ in 0..count {
            for (filter, code) in
                [(format!("{deep}/#"), 0x8f), (deep.clone(), 0x8f), (format!("$share/group/{deep}/+"), 0x8f)]
            {
                newer.send(&subscribe(&[filter], QoS::AtLeastOnce));
                let Some(Packet::SubAck(answer)) = newer.next() else { panic!("no SUBACK") };
                assert_eq!(answer.reason_codes[0] as u8, code);
            }
            older.send(&subscribe(&[format!("+/{deep}")], QoS::AtLeastOnce));
            let Some(Packet::SubAck(answer)) = older.next() else { panic!("no SUBACK") };
            assert!(answer.reason_codes[0].is_error());
            newer.send(&publish(&deep, QoS::AtMostOnce, 0, b"x"));
            newer.send(&publish(&deep, QoS::AtLeastOnce, 7, b"x"));
            let Some(Packet::PubAck(answer)) = newer.next() else { panic!("no PUBACK") };
            assert_eq!(answer.reason_code, ReasonCode::TopicNameInvalid);
        }
        program.until_grown(&before, "topic_levels_exceeded_total", 6 * count as u64);
        // Those of the honest clients.
        program.until_figure("subscriptions", 4);
        Sent::default()
    });
    program.stop();
}

/// Filters and topic names that are alike up to their ends: in 199 levels, and in 60,000 bytes.
#[test]
fn deep_common_prefixes() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let deep = vec!["level"; 197].join("/");
    let long = "x".repeat(60_000);
    ordeal(&program, |scale: Scale| {
        let mut subscriber = client(&program, "alike");
        let mut count = 0;
        for number in 0..scale.of(1000) {
            granted(
                &mut subscriber,
                &[format!("{deep}/{number}/+"), format!("{deep}/+/{number}"), format!("{deep}/{number}/x")],
            );
            count += 3;
        }
        for number in 0..scale.of(100) {
            granted(&mut subscriber, &[format!("{long}{number}"), format!("{long}/+/{number}")]);
            count += 2;
        }
        program.until_figure("subscriptions", 4 + count);
        let mut publisher = client(&program, "alike-publisher");
        for number in 0..scale.of(2000) {
            publisher.send(&publish(&format!("{deep}/{number}/x"), QoS::AtMostOnce, 0, b"x"));
            if number % 50 == 0 {
                publisher.send(&publish(&format!("{long}{number}"), QoS::AtMostOnce, 0, b"x"));
                publisher.send(&publish(&format!("{long}/{number}/none"), QoS::AtMostOnce, 0, b"x"));
            }
        }
        publisher.ping();
        subscriber.ping();
        Sent::default()
    });
    program.stop();
}

/// All filters of 14 levels, each `a` or `+`, and then `x`: the topic name `a/a/.../y` passes through 32,767 places of
/// the tree and matches none of them.
#[test]
fn filters_that_explode() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    const LEVELS: u32 = 14;
    let filters: Vec<String> = (0..1u32 << LEVELS)
        .map(|bits| {
            let level = |at: u32| if bits & 1 << at == 0 { "a/" } else { "+/" };
            (0..LEVELS).map(level).collect::<String>() + "x"
        })
        .collect();
    let topic = "a/".repeat(LEVELS as usize) + "y";
    ordeal(&program, |scale: Scale| {
        let mut attackers: Vec<Wire> =
            (0..2).map(|number| client(&program, &format!("explode-{number}"))).collect();
        for attacker in &mut attackers {
            for some in filters.chunks(256) {
                granted(attacker, some);
            }
        }
        let one = bytes_of(&publish(&topic, QoS::AtMostOnce, 0, b"x"), ProtocolVersion::V5);
        for attacker in &mut attackers {
            assert!(attacker.send_bytes(&one.repeat(scale.of(100))));
        }
        for attacker in &mut attackers {
            // Answered when all of that is routed: an UNSUBSCRIBE is done behind it.
            for some in filters.chunks(256) {
                attacker.send(&Packet::Unsubscribe(Unsubscribe {
                    packet_identifier: mqtt_codec::PacketIdentifier::MIN,
                    user_properties: Vec::new(),
                    filters: some.iter().map(|text| filter(text)).collect(),
                }));
                attacker.until(|packet| matches!(packet, Packet::UnsubAck(_)));
            }
        }
        Sent::default()
    });
    program.stop();
}

/// Topic aliases make long topic names out of few bytes, and subscribers multiply them.
#[test]
fn aliases_and_fan_out_as_amplifiers() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    const SUBSCRIBERS: usize = 100;
    let topic = "x".repeat(60_000);
    ordeal(&program, |scale: Scale| {
        let mut subscribers: Vec<Wire> =
            (0..SUBSCRIBERS).map(|number| client(&program, &format!("amplified-{number}"))).collect();
        for subscriber in &mut subscribers {
            granted(subscriber, std::slice::from_ref(&topic));
        }
        let mut publisher = client(&program, "amplifier");
        let aliased = |topic: &str| {
            let Packet::Publish(mut message) = publish(topic, QoS::AtMostOnce, 0, b"x") else {
                unreachable!()
            };
            message.properties.topic_alias = 1.try_into().ok();
            bytes_of(&Packet::Publish(message), ProtocolVersion::V5)
        };
        publisher.send_bytes(&aliased(&topic));
        // Nine bytes each, and 60,000 to each subscriber, who does not read.
        publisher.send_bytes(&aliased("").repeat(scale.of(2000)));
        publisher.ping();
        let most = 64 * 1024 * 1024 + SUBSCRIBERS * 3 * 1024 * 1024;
        assert!(program.resident_bytes() < most, "{} bytes", program.resident_bytes());
        Sent::default()
    });
    program.stop();
}

/// A will whose topic name has 30,000 levels.
#[test]
fn wills_of_30_000_levels() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(500));
        for _ in 0..count {
            let will = mqtt_codec::Will {
                qos: QoS::AtMostOnce,
                retain: false,
                topic: mqtt_codec::TopicName::new(&vec!["a"; DEEP].join("/")).expect("a topic name"),
                payload: Vec::new().into(),
                delay_interval: 0,
                properties: mqtt_codec::PublishProperties::default(),
            };
            let mut wire = Wire::open(program.tcp, ProtocolVersion::V5);
            let connect = Connect { will: Some(will), ..connect(ProtocolVersion::V5, "deep will") };
            wire.send(&Packet::Connect(Box::new(connect)));
            let Some(Packet::ConnAck(answer)) = wire.next() else { panic!("no CONNACK") };
            assert_eq!(answer.reason_code, ReasonCode::TopicNameInvalid);
            wire.expect_end();
        }
        program.until_grown(&before, "topic_levels_exceeded_total", count as u64);
        Sent::default()
    });
    program.stop();
}
