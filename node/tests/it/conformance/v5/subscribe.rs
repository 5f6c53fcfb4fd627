//! SUBSCRIBE and SUBACK (chapters 3.8, 3.9).

use mqtt_codec::{Packet, QoS, ReasonCode};

use super::bytes::{
    Kind, MALFORMED, PROTOCOL_ERROR, V5, accepts, connected, packet, properties, refuses, string,
    user_property,
};
use crate::harness::{connect, identifier, on_nodes, publish, settings, will};

const TOPIC_FILTER_INVALID: u8 = 0x8f;

/// A SUBSCRIBE of filters and options.
fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters: Vec<u8> =
        filters.iter().flat_map(|(filter, options)| [&string(filter)[..], &[*options]].concat()).collect();
    packet(0x82, &[&id.to_be_bytes()[..], b"\x00", &filters].concat())
}

/// [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] SUBSCRIBE is answered by
/// SUBACK with its packet identifier and a reason code for each topic filter, in their order.
#[test]
fn is_answered() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        for id in [1u16, 2, 255, 256, 65_535] {
            let [high, low] = id.to_be_bytes();
            client.send_bytes(&subscribe(id, &[("a", 0)])).await;
            client.expect_bytes(&[0x90, 4, high, low, 0, 0]).await;
            client.send_bytes(&subscribe(id, &[("a", 2), ("b/#", 0), ("$share/g/c", 1), ("a", 1)])).await;
            client.expect_bytes(&[0x90, 7, high, low, 0, 2, 0, 1, 1]).await;
        }
        // Many at once: an answer for each, in their order.
        let all: Vec<u8> = (1..=100).flat_map(|id| subscribe(id, &[("a", (id % 3) as u8)])).collect();
        client.send_bytes(&all).await;
        for id in 1..=100 {
            client.expect_bytes(&[0x90, 4, 0, id, 0, id % 3]).await;
        }
    });
}

/// [MQTT-3.8.3-2] A SUBSCRIBE without a topic filter, with and without properties.
#[test]
fn needs_a_topic_filter() {
    on_nodes(settings(), async |node| {
        for list in [&b""[..], b"\x0b\x05", &user_property("n", "v")] {
            let bytes = packet(0x82, &[&b"\x00\x01"[..], &properties(list)].concat());
            refuses(node, &bytes, PROTOCOL_ERROR).await;
        }
    });
}

/// [MQTT-3.8.3-5] [MQTT-3.8.4-7] Every byte in place of subscription options, of the first and of the second topic
/// filter: reserved bits are malformed, QoS 3 and retain handling 3 are errors, the others are granted.
#[test]
fn every_subscription_option() {
    on_nodes(settings(), async |node| {
        for options in 0..=255u8 {
            let (qos, retain_handling) = (options & 3, options >> 4 & 3);
            for filters in [&[("a", options)][..], &[("b", 0), ("a", options)]] {
                let bytes = subscribe(9, filters);
                if options & 0xc0 != 0 {
                    refuses(node, &bytes, MALFORMED).await;
                } else if qos == 3 || retain_handling == 3 {
                    refuses(node, &bytes, PROTOCOL_ERROR).await;
                } else {
                    let answers = accepts(node, &bytes).await;
                    assert_eq!(answers[0].last(), Some(&qos), "{answers:02x?}");
                }
            }
        }
    });
}

/// [MQTT-3.8.3-4] No local on a shared subscription, with any other options, and behind others that are fine.
#[test]
fn no_local_on_a_shared_subscription() {
    on_nodes(settings(), async |node| {
        for options in [0x04, 0x05, 0x06, 0x0c, 0x14, 0x2e] {
            refuses(node, &subscribe(9, &[("$share/g/a", options)]), PROTOCOL_ERROR).await;
            refuses(node, &subscribe(9, &[("a", 0x04), ("$share/g/#", options)]), PROTOCOL_ERROR).await;
            accepts(node, &subscribe(9, &[("a", options), ("$share/g/a", options & !0x04)])).await;
        }
    });
}

/// What is no topic filter.
const NO_FILTERS: [&str; 31] = [
    "",
    // # not alone in its level, or not in the last.
    "a#",
    "#a",
    "a/#/b",
    "#/a",
    "##",
    "a/##",
    "a/b#",
    "+#",
    "a/#/",
    "#/",
    // + not alone in its level.
    "a+",
    "+a",
    "a/b+",
    "a/+b/c",
    "++",
    "a/++",
    "+/a+/b",
    // No share name, a wrong one, or no topic filter behind it.
    "$share/",
    "$share//",
    "$share//a",
    "$share/g",
    "$share/g/",
    "$share/+/a",
    "$share/#/a",
    "$share/g+/a",
    "$share/g#/a",
    "$share/+",
    "$share/g/a#",
    "$share/g/#/a",
    "$share/g/a+/b",
];

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2] What is no topic filter, in SUBSCRIBE and
/// UNSUBSCRIBE, alone and behind one that is.
#[test]
fn no_topic_filters() {
    on_nodes(settings(), async |node| {
        for filter in NO_FILTERS {
            for filters in [&[filter][..], &["a", filter]] {
                let with_options: Vec<_> = filters.iter().map(|filter| (*filter, 0)).collect();
                refuses(node, &subscribe(9, &with_options), TOPIC_FILTER_INVALID).await;
                let names: Vec<u8> = filters.iter().flat_map(string).collect();
                let bytes = packet(0xa2, &[&b"\x00\x09\x00"[..], &names].concat());
                refuses(node, &bytes, TOPIC_FILTER_INVALID).await;
            }
        }
    });
}

/// [MQTT-4.7.0-1] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2] What is one, unlikely as
/// it looks.
#[test]
fn topic_filters() {
    on_nodes(settings(), async |node| {
        for filter in [
            "#",
            "+",
            "/",
            "//",
            " ",
            "/#",
            "+/+",
            "+/#",
            "/+",
            "+/",
            "+//+",
            "a/+/b/+/#",
            "a b/ c",
            "$",
            "$a/#",
            "$SYS/#",
            "$share",
            "$SHARE/a",
            "$shared/g/a",
            "$share/g/a",
            "$share/g//",
            "$share/g/#",
            "$share/g/+",
            "$share/g/+/#",
            "$share/ /a",
            "$share/$share/$share/g/a",
        ] {
            let answers = accepts(node, &subscribe(9, &[(filter, 1)])).await;
            assert_eq!(answers[0], b"\x90\x04\x00\x09\x00\x01", "{filter}");
            let bytes = packet(0xa2, &[&b"\x00\x09\x00"[..], &string(filter)].concat());
            let answers = accepts(node, &bytes).await;
            assert_eq!(answers[0], b"\xb0\x04\x00\x09\x00\x11", "{filter}");
        }
    });
}

/// [MQTT-3.8.4-3] [MQTT-3.8.4-5] Topic filters of one SUBSCRIBE count one after the other: of equal ones the last is in
/// force.
#[test]
fn several_are_as_one_after_the_other() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for (first, second) in [(0, 2), (2, 0), (1, 2)] {
            client.send_bytes(&subscribe(1, &[("t", first), ("u", 1), ("t", second)])).await;
            client.expect_bytes(&[0x90, 6, 0, 1, 0, first, 1, second]).await;
            publisher.publish("t", QoS::ExactlyOnce, "m").await;
            assert_eq!(client.take_payload("m").await.qos as u8, second);
            publisher.publish("u", QoS::AtLeastOnce, "m").await;
            client.take_payload("m").await;
            client.expect_nothing().await;
        }
        node.until("2 subscriptions", |seen| seen.sessions.subscriptions == 2).await;
    });
}

/// [MQTT-3.8.4-3] [MQTT-3.8.4-4] A subscription that is replaced again and again under load: no message is lost or
/// comes twice, and what is retained comes again each time.
#[test]
fn nothing_is_lost_by_replacing() {
    const ROUNDS: u16 = 30;
    const EACH: u16 = 10;
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let mut retained = publish("t/kept", QoS::AtLeastOnce, "kept");
        retained.retain = true;
        publisher.publish_packet(retained).await;
        client.subscribe("t/#", QoS::AtLeastOnce).await;
        assert!(client.take_payload("kept").await.retain);
        let (mut next, mut kept, mut answers) = (0, 0, 0);
        for round in 0..ROUNDS {
            let packets: Vec<_> = (0..EACH)
                .map(|number| {
                    let number = round * EACH + number;
                    let mut message = publish("t/live", QoS::AtLeastOnce, &number.to_string());
                    message.packet_identifier = Some(identifier(number + 1));
                    Packet::Publish(message)
                })
                .collect();
            publisher.send_all(&packets[..5]).await;
            client.send_bytes(&subscribe(round + 1, &[("t/#", 1 + (round % 2) as u8)])).await;
            publisher.send_all(&packets[5..]).await;
            while next < (round + 1) * EACH || kept <= round || answers <= round {
                match client.next().await {
                    Packet::Publish(message) if message.retain => {
                        client.acknowledge(&message).await;
                        kept += 1;
                    }
                    Packet::Publish(message) => {
                        assert_eq!(message.payload[..], *next.to_string().as_bytes());
                        client.acknowledge(&message).await;
                        next += 1;
                    }
                    Packet::SubAck(_) => answers += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        client.expect_nothing().await;
        assert_eq!((next, kept, answers), (ROUNDS * EACH, ROUNDS, ROUNDS));
    });
}

/// [MQTT-3.9.3-2] Failures are told with reason codes of SUBACK, and the other topic filters of the packet are granted.
#[test]
fn failures() {
    let mut strict = settings();
    strict.mqtt.shared_subscription_available = false;
    strict.mqtt.wildcard_subscription_available = false;
    strict.mqtt.topic_levels_max = 2;
    strict.session.subscriptions_per_client_max = 2;
    on_nodes(strict, async |node| {
        let mut client = connected(node).await;
        let filters =
            [("a", 1), ("$share/g/a", 0), ("b/#", 0), ("+", 2), ("a/b/c", 0), ("c", 2), ("d", 0), ("a", 0)];
        client.send_bytes(&subscribe(7, &filters)).await;
        let answer = client.next_frame_or_end().await.expect("a SUBACK");
        let codes = &answer[answer.len() - filters.len()..];
        assert_eq!(codes, [1, 0x9e, 0xa2, 0xa2, 0x8f, 2, 0x97, 0]);
        assert_eq!(client.publish("c", QoS::AtLeastOnce, "m").await, ReasonCode::Success);
        client.take_payload("m").await;
    });
}

/// [MQTT-3.8.4-8] [MQTT-3.3.4-3] [MQTT-3.3.4-5] A subscription identifier from 1 to the largest comes with each
/// message, in as many bytes as it needs, until the subscription is replaced by one without.
#[test]
fn subscription_identifiers() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        for number in [&b"\x01"[..], b"\x7f", b"\x80\x01", b"\xff\x7f", b"\x80\x80\x01", b"\xff\xff\xff\x7f"]
        {
            let list = properties(&[&b"\x0b"[..], number].concat());
            client.send_bytes(&packet(0x82, &[&b"\x00\x01"[..], &list, b"\x00\x01t\x00"].concat())).await;
            client.expect_bytes(b"\x90\x04\x00\x01\x00\x00").await;
            client.send_bytes(b"\x30\x05\x00\x01t\x00x").await;
            client.expect_bytes(&packet(0x30, &[&b"\x00\x01t"[..], &list, b"x"].concat())).await;
        }
        client.send_bytes(&subscribe(2, &[("t", 0)])).await;
        client.expect_bytes(b"\x90\x04\x00\x02\x00\x00").await;
        client.send_bytes(b"\x30\x05\x00\x01t\x00x").await;
        client.expect_bytes(b"\x30\x05\x00\x01t\x00x").await;
        refuses(node, &Kind::Subscribe.with(b"\x0b\x80\x80\x80\x80\x01"), MALFORMED).await;
    });
}

/// [MQTT-3.8.3-3] No local keeps from a client what it published itself, on another network connection of the session
/// too.
#[test]
fn no_local() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(crate::harness::durable(V5, "same")).await;
        client.send_bytes(&subscribe(1, &[("t", 0x05)])).await;
        client.expect_bytes(b"\x90\x04\x00\x01\x00\x01").await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            client.publish("t", qos, "own").await;
        }
        client.expect_nothing().await;
        client.vanish().await;
        let mut client = node.resume(crate::harness::durable(V5, "same")).await;
        client.publish("t", QoS::AtLeastOnce, "own").await;
        client.expect_nothing().await;
        node.connect(V5, "other").await.publish("t", QoS::AtLeastOnce, "foreign").await;
        client.take_payload("foreign").await;
    });
}

/// [MQTT-3.8.3-3] Nor does it send a client what it left here itself, in this session or in an earlier one, by a
/// PUBLISH or as its will: retained messages of others alone.
#[test]
fn no_local_of_retained_messages() {
    on_nodes(settings(), async |node| {
        let retained = |topic: &str, payload: &str| {
            let mut message = publish(topic, QoS::AtLeastOnce, payload);
            message.retain = true;
            message
        };
        let mut mortal = connect(V5, "same");
        mortal.will = Some(mqtt_codec::Will { retain: true, ..will("r/will", QoS::AtLeastOnce, "own") });
        let (mut client, _) = node.connect_with(mortal).await;
        client.publish_packet(retained("r/1", "own")).await;
        client.vanish().await;
        let mut other = node.connect(V5, "other").await;
        for topic in ["r/2", "r/3"] {
            other.publish_packet(retained(topic, "foreign")).await;
        }
        let mut client = node.connect(V5, "same").await;
        client.publish_packet(retained("r/3", "own by now")).await;
        client.send_bytes(&subscribe(1, &[("r/#", 0x05)])).await;
        client.expect_bytes(b"\x90\x04\x00\x01\x00\x01").await;
        assert_eq!(client.take_payload("foreign").await.topic, "r/2");
        client.expect_nothing().await;
        // Without no local, and for others with it, nothing is kept back.
        client.send_bytes(&subscribe(2, &[("r/#", 0x01)])).await;
        client.expect_bytes(b"\x90\x04\x00\x02\x00\x01").await;
        other.send_bytes(&subscribe(2, &[("r/#", 0x05)])).await;
        other.expect_bytes(b"\x90\x04\x00\x02\x00\x01").await;
        for payload in ["own", "foreign", "own by now", "own"] {
            client.take_payload(payload).await;
        }
        for payload in ["own", "own by now", "own"] {
            other.take_payload(payload).await;
        }
        client.expect_nothing().await;
        other.expect_nothing().await;
    });
}

/// [MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] The same topic filter several times, in
/// one SUBSCRIBE and in several right behind each other: what is retained comes once for each that asks for it, with
/// retain handling 1 for the first alone.
#[test]
fn retain_handling_of_each() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for topic in ["t/1", "t/2", "t/3"] {
            let mut message = publish(topic, QoS::AtLeastOnce, topic);
            message.retain = true;
            publisher.publish_packet(message).await;
        }
        for (options, times) in [
            ([0x00, 0x00, 0x00], 3),
            ([0x01, 0x11, 0x01], 2),
            ([0x10, 0x10, 0x10], 1),
            ([0x11, 0x00, 0x10], 2),
            ([0x20, 0x10, 0x10], 0),
            ([0x20, 0x20, 0x00], 1),
        ] {
            for together in [true, false] {
                let mut client = connected(node).await;
                if together {
                    client.send_bytes(&subscribe(1, &options.map(|options| ("t/#", options)))).await;
                } else {
                    let all = [1, 2, 3].map(|id| subscribe(id, &[("t/#", options[usize::from(id) - 1])]));
                    client.send_bytes(&all.concat()).await;
                }
                let (mut answers, mut kept) = (if together { 2 } else { 0 }, 0);
                while answers < 3 || kept < times * 3 {
                    match client.next().await {
                        Packet::SubAck(_) => answers += 1,
                        Packet::Publish(message) => {
                            assert!(message.retain);
                            client.acknowledge(&message).await;
                            kept += 1;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                client.expect_nothing().await;
                client.disconnect().await;
            }
        }
    });
}

/// [MQTT-3.8.4-3] [MQTT-3.10.4-1] SUBSCRIBE, UNSUBSCRIBE and PUBLISH of one topic in one write: each finds what was
/// before it, and is answered.
#[test]
fn requests_right_behind_each_other() {
    on_nodes(settings(), async |node| {
        for filter in ["t", "+", "$share/a/t", "$share/b/t", "$share/c/t"] {
            let mut client = connected(node).await;
            let unsubscribe = |id: u8| packet(0xa2, &[&[0, id, 0][..], &string(filter)].concat());
            let live = |payload: &str| packet(0x30, &[&b"\x00\x01t\x00"[..], payload.as_bytes()].concat());
            let all = [
                live("before"),
                subscribe(1, &[(filter, 0)]),
                live("one"),
                unsubscribe(2),
                live("after"),
                subscribe(3, &[(filter, 0)]),
                unsubscribe(4),
                unsubscribe(5),
                subscribe(6, &[(filter, 1)]),
                subscribe(7, &[(filter, 0)]),
                live("two"),
            ];
            client.send_bytes(&all.concat()).await;
            let (mut payloads, mut answers) = (Vec::new(), Vec::new());
            while payloads.len() + answers.len() < 9 {
                match client.next().await {
                    Packet::Publish(message) => payloads.push(message.payload.to_vec()),
                    Packet::SubAck(answer) => {
                        answers.push((answer.packet_identifier.get(), answer.reason_codes))
                    }
                    Packet::UnsubAck(answer) => {
                        answers.push((answer.packet_identifier.get(), answer.reason_codes))
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(payloads, [b"one", b"two"], "{filter}");
            answers.sort_by_key(|(id, _)| *id);
            let codes: Vec<u8> = answers.iter().map(|(_, codes)| codes[0] as u8).collect();
            assert_eq!(codes, [0, 0, 0, 0, 0x11, 1, 0], "{filter}");
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}
