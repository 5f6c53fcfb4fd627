//! PUBLISH (chapter 3.3): flags, topic names, what answers it, and what reaches subscribers.

use mqtt_codec::{Packet, QoS, ReasonCode};

use super::bytes::{
    Kind, MALFORMED, PROTOCOL_ERROR, V5, accepts, connect_packet, connected, packet, refuses,
    refuses_connect, string,
};
use crate::harness::{durable, identifier, on_nodes, publish, settings};

const TOPIC_NAME_INVALID: u8 = 0x90;

/// What names no topic because it has a wildcard.
const WITH_WILDCARD: [&str; 12] =
    ["#", "+", "a/#", "a/+", "+/a", "#/a", "a/+/b", "a#", "a+", "+a", "$share/g/+", "a/b#c/d"];

/// [MQTT-2.2.1-2] [MQTT-3.3.1-2] [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] What subscribers get, byte
/// by byte: the QoS asked for, DUP 0 whatever the publisher said, and a packet identifier with QoS 1 and 2 alone.
#[test]
fn as_forwarded() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for granted in 0..=2 {
            let mut client = connected(node).await;
            client.send_bytes(&packet(0x82, &[&b"\x00\x01\x00\x00\x01t"[..], &[granted]].concat())).await;
            client.expect_bytes(&[0x90, 4, 0, 1, 0, granted]).await;
            for (sent, dup) in [(0, false), (1, false), (1, true), (2, false), (2, true)] {
                let mut message = publish("t", QoS::try_from(sent).expect("a QoS"), "x");
                message.dup = dup;
                assert_eq!(publisher.publish_packet(message).await, ReasonCode::Success);
                let frame = client.next_frame_or_end().await.expect("a PUBLISH");
                let qos = sent.min(granted);
                assert_eq!(frame[0], 0x30 | qos << 1, "QoS {sent} with DUP {dup} to QoS {granted}");
                if qos == 0 {
                    assert_eq!(frame[1..], b"\x05\x00\x01t\x00x"[..]);
                } else {
                    assert_eq!(frame[1..5], b"\x07\x00\x01t"[..]);
                    assert_ne!(frame[5..7], [0, 0], "a packet identifier of 0");
                    assert_eq!(frame[7..], b"\x00x"[..]);
                }
            }
            client.disconnect().await;
        }
    });
}

/// [MQTT-2.2.1-2] The two bytes behind the topic name of a PUBLISH with QoS 0 are no packet identifier.
#[test]
fn no_packet_identifier_with_qos_0() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        client.subscribe("t", QoS::AtMostOnce).await;
        // Taken for properties, of length 0, and a payload.
        client.send_bytes(b"\x30\x06\x00\x01t\x00\x09x").await;
        client.expect_bytes(b"\x30\x06\x00\x01t\x00\x09x").await;
        // Taken for a property length beyond the packet.
        refuses(node, b"\x30\x07\x00\x01t\x09\x09\x00x", MALFORMED).await;
    });
}

/// [MQTT-3.3.2-2] [MQTT-3.3.2-14] [MQTT-4.7.0-1] Wildcards in a topic name, a response topic, and those of a will.
#[test]
fn no_wildcards() {
    on_nodes(settings(), async |node| {
        for topic in WITH_WILDCARD {
            for (first, id) in [(0x30, &b""[..]), (0x31, b""), (0x32, b"\x00\x01"), (0x34, b"\x00\x01")] {
                let body = [&string(topic)[..], id, b"\x00x"].concat();
                refuses(node, &packet(first, &body), TOPIC_NAME_INVALID).await;
            }
            let response_topic = [&b"\x08"[..], &string(topic)].concat();
            refuses(node, &Kind::Publish.with(&response_topic), TOPIC_NAME_INVALID).await;
            refuses_connect(node, &Kind::Will.with(&response_topic), TOPIC_NAME_INVALID).await;
            let payload = [&string("raw")[..], b"\x00", &string(topic), &string("gone")].concat();
            refuses_connect(node, &connect_packet(0x06, b"", &payload), TOPIC_NAME_INVALID).await;
        }
    });
}

/// [MQTT-4.7.3-1] A topic name has a character at least, a response topic and that of a will too. An empty one stands
/// for a topic alias, if there is one.
#[test]
fn no_empty_topic_name() {
    on_nodes(settings(), async |node| {
        refuses(node, b"\x30\x04\x00\x00\x00x", PROTOCOL_ERROR).await;
        refuses(node, b"\x32\x06\x00\x00\x00\x01\x00x", PROTOCOL_ERROR).await;
        refuses(node, b"\x30\x07\x00\x00\x03\x23\x00\x01x", PROTOCOL_ERROR).await;
        accepts(node, b"\x30\x08\x00\x01t\x03\x23\x00\x01x\x30\x07\x00\x00\x03\x23\x00\x01y").await;
        refuses(node, &Kind::Publish.with(b"\x08\x00\x00"), TOPIC_NAME_INVALID).await;
        refuses_connect(node, &Kind::Will.with(b"\x08\x00\x00"), TOPIC_NAME_INVALID).await;
        let payload = [&string("raw")[..], b"\x00", b"\x00\x00", &string("gone")].concat();
        refuses_connect(node, &connect_packet(0x06, b"", &payload), TOPIC_NAME_INVALID).await;
        // One character is enough, a level of none is one.
        for topic in ["/", " ", "//", "$"] {
            accepts(node, &packet(0x30, &[&string(topic)[..], b"\x00x"].concat())).await;
        }
    });
}

/// [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5] What answers a PUBLISH: nothing, PUBACK,
/// or PUBREC and PUBCOMP, with its packet identifier, the lowest and the highest included.
#[test]
fn is_answered_as_its_qos_asks() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("t", QoS::AtMostOnce).await;
        client.send_bytes(b"\x30\x05\x00\x01t\x00x").await;
        client.expect_nothing().await;
        for id in [1u16, 2, 255, 256, 257, 0x7fff, 0x8000, 65_534, 65_535].map(u16::to_be_bytes) {
            let body = [&b"\x00\x01t"[..], &id, b"\x00x"].concat();
            client.send_bytes(&packet(0x32, &body)).await;
            client.expect_bytes(&[0x40, 2, id[0], id[1]]).await;
            client.send_bytes(&packet(0x34, &body)).await;
            client.expect_bytes(&[0x50, 2, id[0], id[1]]).await;
            client.send_bytes(&[0x62, 2, id[0], id[1]]).await;
            client.expect_bytes(&[0x70, 2, id[0], id[1]]).await;
            client.expect_nothing().await;
        }
        refuses(node, b"\x32\x07\x00\x01t\x00\x00\x00x", MALFORMED).await;
        refuses(node, b"\x34\x07\x00\x01t\x00\x00\x00x", MALFORMED).await;
    });
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] The reason codes with which a PUBLISH is not routed, in PUBACK and PUBREC; in PUBREC
/// those of 0x80 and above end the exchange, 0x10 does not.
#[test]
fn reason_codes_of_puback_and_pubrec() {
    let mut strict = settings();
    strict.mqtt.topic_levels_max = 3;
    strict.mqtt.check_payload_format = true;
    on_nodes(strict, async |node| {
        let mut client = connected(node).await;
        for (rest, reason) in [(&b"\x00x"[..], 0x10), (b"\x02\x01\x01\xff", 0x99)] {
            for (first, answer) in [(0x32, 0x40), (0x34, 0x50)] {
                client.send_bytes(&packet(first, &[&b"\x00\x01t\x00\x07"[..], rest].concat())).await;
                client.expect_bytes(&[answer, 3, 0, 7, reason]).await;
            }
            client.send_bytes(b"\x62\x02\x00\x07").await;
            match reason {
                0x10 => client.expect_bytes(b"\x70\x02\x00\x07").await,
                _ => client.expect_bytes(b"\x70\x03\x00\x07\x92").await,
            }
        }
        for (topic, reason) in [("a/b/c/d", 0x90), ("$SYS/x", 0x87), ("$SYS", 0x87)] {
            for (first, answer) in [(0x32, 0x40), (0x34, 0x50)] {
                client.send_bytes(&packet(first, &[&string(topic)[..], b"\x00\x08\x00x"].concat())).await;
                client.expect_bytes(&[answer, 3, 0, 8, reason]).await;
            }
        }
        client.expect_nothing().await;
    });
}

/// [MQTT-4.5.0-1] A message goes to every session that wants it, online and offline, and to no other.
#[test]
fn reaches_every_session_that_wants_it() {
    on_nodes(settings(), async |node| {
        for name in ["a", "b", "c"] {
            let (mut client, _) = node.connect_with(durable(V5, name)).await;
            client.subscribe("t/+", QoS::AtLeastOnce).await;
            client.disconnect().await;
        }
        let mut other = node.connect_with(durable(V5, "other")).await.0;
        other.subscribe("u/+", QoS::AtLeastOnce).await;
        let mut online = node.resume(durable(V5, "b")).await;
        let mut publisher = node.connect(V5, "publisher").await;
        assert_eq!(publisher.publish("t/1", QoS::AtLeastOnce, "m").await, ReasonCode::Success);
        publisher.disconnect().await;
        online.take_payload("m").await;
        online.expect_nothing().await;
        other.expect_nothing().await;
        for name in ["a", "c"] {
            let mut client = node.resume(durable(V5, name)).await;
            client.take_payload("m").await;
            client.expect_nothing().await;
        }
    });
}

/// [MQTT-4.6.0-5] [MQTT-4.6.0-6] Every topic is ordered: several at once, of several publishers, each in the order that
/// its publisher sent.
#[test]
fn every_topic_is_ordered() {
    const TOPICS: [&str; 4] = ["a", "a/b", "$a", "ä"];
    const COUNT: u16 = 100;
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        for filter in ["#", "$a"] {
            subscriber.subscribe(filter, QoS::ExactlyOnce).await;
        }
        let mut publishers = Vec::new();
        for name in ["1", "2", "3"] {
            let mut publisher = node.connect(V5, name).await;
            let packets: Vec<_> = (0..COUNT * TOPICS.len() as u16)
                .map(|number| {
                    let topic = TOPICS[usize::from(number) % TOPICS.len()];
                    let mut message = publish(topic, QoS::AtLeastOnce, &format!("{name} {}", number / 4));
                    message.packet_identifier = Some(identifier(number + 1));
                    Packet::Publish(message)
                })
                .collect();
            publisher.send_all(&packets).await;
            publishers.push(publisher);
        }
        let mut next = std::collections::BTreeMap::new();
        for _ in 0..publishers.len() * TOPICS.len() * usize::from(COUNT) {
            let got = subscriber.expect_publish().await;
            subscriber.acknowledge(&got).await;
            let payload = String::from_utf8(got.payload.to_vec()).expect("text");
            let (name, number) = payload.split_once(' ').expect("publisher and number");
            let expected: &mut u16 = next.entry((name.to_owned(), got.topic)).or_default();
            assert_eq!(number, expected.to_string(), "of {name}");
            *expected += 1;
        }
        subscriber.expect_nothing().await;
    });
}
