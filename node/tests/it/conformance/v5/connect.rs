//! CONNECT (chapter 3.1): protocol name and version, flags, and the fields that they announce.

use mqtt_codec::QoS;

use super::bytes::{MALFORMED, V5, accepts_connect, connect_packet, packet, refuses_connect, string};
use crate::harness::{connect, durable, on_nodes, settings};

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// A CONNECT with another protocol name, protocol version or flags than it should have.
fn unusual(name: &[u8], version: u8, flags: u8) -> Vec<u8> {
    packet(0x10, &[&string(name)[..], &[version, flags, 0, 0, 0], &string("raw")].concat())
}

/// [MQTT-3.1.2-1] Names that are not quite MQTT are not answered.
#[test]
fn protocol_name() {
    on_nodes(settings(), async |node| {
        for name in [
            &b""[..],
            b"M",
            b"MQT",
            b"MQTTT",
            b"mqtt",
            b"MqTT",
            b"MQTT\x00",
            b"\xef\xbb\xbfMQTT",
            b"HTTP",
            b"\xff\xff",
        ] {
            refuses_connect(node, &unusual(name, 5, CLEAN_START), None).await;
        }
        accepts_connect(node, &unusual(b"MQTT", 5, CLEAN_START)).await;
    });
}

/// [MQTT-3.1.2-2] Versions that there are not: 0x84 to those above 5.0, the return code of 3.x to those below.
#[test]
fn protocol_version() {
    on_nodes(settings(), async |node| {
        const BRIDGES: [u8; 2] = [0x83, 0x84];
        for version in (6..=255).filter(|version| !BRIDGES.contains(version)) {
            refuses_connect(node, &unusual(b"MQTT", version, CLEAN_START), 0x84).await;
        }
        for (name, version) in [(&b"MQTT"[..], 0), (b"MQTT", 1), (b"MQTT", 2), (b"MQTT", 3), (b"MQIsdp", 5)] {
            let mut client = node.open(V5).await;
            client.send_bytes(&unusual(name, version, CLEAN_START)).await;
            client.expect_bytes(b"\x20\x02\x00\x01").await;
            client.expect_closed().await;
        }
    });
}

/// [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] All 256 connect flags, with the fields that they
/// announce: refused are the reserved flag, QoS 3 and the details of a will that is not there.
#[test]
fn flags() {
    on_nodes(settings(), async |node| {
        for flags in 0..=255 {
            let mut payload = string("raw");
            if flags & WILL != 0 {
                payload.extend([&b"\x00"[..], &string("will"), &string("gone")].concat());
            }
            if flags & USER_NAME != 0 {
                payload.extend(string("user"));
            }
            if flags & PASSWORD != 0 {
                payload.extend(string("secret"));
            }
            let qos = flags >> 3 & 3;
            let is_reserved = flags & 1 != 0;
            let lacks_will = flags & WILL == 0 && (qos != 0 || flags & WILL_RETAIN != 0);
            let bytes = connect_packet(flags, b"", &payload);
            if is_reserved || lacks_will || qos == 3 {
                refuses_connect(node, &bytes, MALFORMED).await;
            } else {
                accepts_connect(node, &bytes).await;
            }
        }
    });
}

/// [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-3] Fields that are
/// announced and not there, and fields that are there and not announced.
#[test]
fn fields_and_flags() {
    on_nodes(settings(), async |node| {
        let (id, text) = (string("raw"), string("text"));
        let no_properties = b"\x00";
        for (flags, payload) in [
            // No client identifier.
            (CLEAN_START, vec![]),
            (CLEAN_START, vec![&b"\x00"[..]]),
            // A will without all of it, the properties first.
            (CLEAN_START | WILL, vec![&id[..]]),
            (CLEAN_START | WILL, vec![&id, no_properties]),
            (CLEAN_START | WILL, vec![&id, no_properties, &text]),
            (CLEAN_START | WILL, vec![&id, no_properties, &text, b"\x00\x05gone"]),
            // User name and password that are announced.
            (CLEAN_START | USER_NAME, vec![&id]),
            (CLEAN_START | PASSWORD, vec![&id]),
            (CLEAN_START | USER_NAME | PASSWORD, vec![&id]),
            (CLEAN_START | USER_NAME | PASSWORD, vec![&id, &text]),
            (CLEAN_START | WILL | USER_NAME, vec![&id, no_properties, &text, &text]),
            (CLEAN_START | WILL | PASSWORD, vec![&id, no_properties, &text, &text]),
            // Fields that are not announced.
            (CLEAN_START, vec![&id, &text]),
            (CLEAN_START, vec![&id, &text, &text]),
            (CLEAN_START | USER_NAME, vec![&id, &text, &text]),
            (CLEAN_START | PASSWORD, vec![&id, &text, &text]),
            (CLEAN_START, vec![&id, no_properties, &text, &text]),
            (CLEAN_START | WILL, vec![&id, no_properties, &text, &text, &text]),
        ] {
            refuses_connect(node, &connect_packet(flags, b"", &payload.concat()), MALFORMED).await;
        }
    });
}

/// [MQTT-3.1.3-2] [MQTT-3.1.3-3] The client identifier is what comes first, and what a session is known by.
#[test]
fn client_identifier_comes_first() {
    on_nodes(settings(), async |node| {
        let will = [&b"\x00"[..], &string("second"), &string("third")].concat();
        let payload = [&string("first")[..], &will, &string("fourth"), &string("fifth")].concat();
        let kept = b"\x11\x00\x00\x0e\x10";
        let mut client = node.open(V5).await;
        client.send_bytes(&connect_packet(WILL | USER_NAME | PASSWORD, kept, &payload)).await;
        client.expect_connack().await;
        client.disconnect().await;
        for (name, present) in
            [("first", true), ("second", false), ("third", false), ("fourth", false), ("fifth", false)]
        {
            let (client, answer) = node.connect_with(durable(V5, name)).await;
            assert_eq!(answer.session_present, present, "{name}");
            client.disconnect().await;
        }
        for other in ["First", "first ", " first", "firs", "first/", "\u{feff}first"] {
            assert!(!node.connect_with(durable(V5, other)).await.1.session_present, "{other:?}");
        }
    });
}

/// [MQTT-3.1.3-5] Letters and digits, 1 to 23 of them.
#[test]
fn client_identifiers_of_letters_and_digits() {
    const ALL: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    on_nodes(settings(), async |node| {
        for length in 1..=23 {
            accepts_connect(node, &connect_packet(CLEAN_START, b"", &string(&ALL[..length]))).await;
        }
        for start in 0..=ALL.len() - 23 {
            let name = &ALL[start..start + 23];
            accepts_connect(node, &connect_packet(CLEAN_START, b"", &string(name))).await;
        }
        for letter in ALL.chars() {
            accepts_connect(node, &connect_packet(CLEAN_START, b"", &string(letter.to_string()))).await;
        }
    });
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] An empty client identifier, with a clean start and without: each gets
/// another one, and has the session that goes with it.
#[test]
fn empty_client_identifier() {
    on_nodes(settings(), async |node| {
        let mut assigned = Vec::new();
        let mut clients = Vec::new();
        for clean_start in [true, false, true, false] {
            let mut empty = durable(V5, "");
            empty.clean_start = clean_start;
            let (client, answer) = node.connect_with(empty).await;
            assert!(!answer.session_present);
            assigned.push(answer.properties.assigned_client_identifier.expect("one is assigned"));
            clients.push(client);
        }
        for (index, name) in assigned.iter().enumerate() {
            assert!(!assigned[..index].contains(name), "{assigned:?}");
        }
        for (mut client, name) in clients.into_iter().zip(&assigned) {
            client.subscribe("mine", QoS::AtMostOnce).await;
            let second = node.resume(durable(V5, name)).await;
            client.expect_disconnect(mqtt_codec::ReasonCode::SessionTakenOver).await;
            second.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-4] [MQTT-3.1.2-6] [MQTT-3.1.4-4] [MQTT-3.1.4-3] Clean start at a takeover: without it the session goes
/// on with its subscriptions, with it a new one begins.
#[test]
fn clean_start_at_takeover() {
    on_nodes(settings(), async |node| {
        let (mut first, answer) = node.connect_with(durable(V5, "same")).await;
        assert!(!answer.session_present, "there was none");
        first.subscribe("t", QoS::AtLeastOnce).await;
        let mut second = node.resume(durable(V5, "same")).await;
        first.expect_disconnect(mqtt_codec::ReasonCode::SessionTakenOver).await;
        second.publish("t", QoS::AtLeastOnce, "still subscribed").await;
        second.take_payload("still subscribed").await;

        let mut clean = durable(V5, "same");
        clean.clean_start = true;
        let (mut third, answer) = node.connect_with(clean).await;
        assert!(!answer.session_present);
        second.expect_disconnect(mqtt_codec::ReasonCode::SessionTakenOver).await;
        third.publish("t", QoS::AtLeastOnce, "not subscribed").await;
        third.expect_nothing().await;
        third.disconnect().await;
        // What the third left is its own.
        node.resume(durable(V5, "same")).await.expect_nothing().await;
    });
}

/// [MQTT-3.1.0-1] Whatever comes first and is no CONNECT is not answered, correct or not.
#[test]
fn anything_but_connect_first() {
    use super::bytes::Kind;
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_first()) {
            refuses_connect(node, &kind.with(b""), None).await;
            let connect = Kind::Connect.with(b"");
            refuses_connect(node, &[kind.with(b""), connect].concat(), None).await;
        }
        for first in [0x00, 0x20, 0x90, 0xb0, 0xc0, 0xd0, 0xff] {
            refuses_connect(node, &packet(first, b"\x00\x00"), None).await;
        }
    });
}

/// [MQTT-3.1.0-2] A second CONNECT, correct and equal to the first or not, ends the network connection, and begins
/// nothing.
#[test]
fn second_connect() {
    on_nodes(settings(), async |node| {
        for second in [
            connect_packet(CLEAN_START, b"", &string("raw")),
            connect_packet(CLEAN_START, b"", &string("other")),
            connect_packet(0, b"\x11\x00\x00\x00\x64", &string("other")),
        ] {
            super::bytes::refuses(node, &second, super::bytes::PROTOCOL_ERROR).await;
        }
        node.settle().await;
        assert!(!node.connect_with(durable(V5, "other")).await.1.session_present);
        let mut client = node.open(V5).await;
        let connect = client.encoded(&mqtt_codec::Packet::Connect(Box::new(connect(V5, "raw"))));
        client.send_bytes(&[connect.clone(), connect].concat()).await;
        client.expect_connack().await;
        client.expect_disconnect(mqtt_codec::ReasonCode::ProtocolError).await;
    });
}

/// [MQTT-3.1.2-16] [MQTT-3.1.2-18] A password without a user name is allowed in 5.0, and so are empty ones.
#[test]
fn user_name_and_password_apart() {
    on_nodes(settings(), async |node| {
        let id = string("raw");
        for (flags, rest) in [
            (PASSWORD, string("secret")),
            (PASSWORD, string("")),
            (USER_NAME, string("")),
            (USER_NAME | PASSWORD, [string(""), string("")].concat()),
            (PASSWORD, string(b"\xff\x00\xfe")),
        ] {
            let payload = [&id[..], &rest].concat();
            accepts_connect(node, &connect_packet(CLEAN_START | flags, b"", &payload)).await;
        }
    });
}
