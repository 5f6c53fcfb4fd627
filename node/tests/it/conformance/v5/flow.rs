//! Limits that a client names (chapters 3.1.2.11, 3.3.4, 4.9): receive maximum, maximum packet size and topic alias
//! maximum, at first, on resumption and at takeover.

use std::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{Connect, Packet, QoS, ReasonCode};

use super::bytes::{V5, connected, packet, string};
use crate::harness::{
    Client, TestNode, durable, identifier, on_nodes, options, publish, settings, subscribe_packet,
};

/// A CONNECT with a session that stays and these limits.
fn limited(receive_maximum: u16, maximum_packet_size: u32, topic_alias_maximum: u16) -> Connect {
    let mut connect = durable(V5, "limited");
    connect.properties.receive_maximum = NonZeroU16::new(receive_maximum);
    connect.properties.maximum_packet_size = NonZeroU32::new(maximum_packet_size);
    connect.properties.topic_alias_maximum = (topic_alias_maximum > 0).then_some(topic_alias_maximum);
    connect
}

async fn publish_all(node: &TestNode, messages: &[(&str, QoS, &str)]) {
    let mut publisher = node.connect(V5, "publisher").await;
    for (topic, qos, payload) in messages {
        publisher.publish(topic, *qos, payload).await;
    }
    publisher.disconnect().await;
}

/// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] As many messages of QoS 1 and 2 as the receive maximum says come at
/// once, and one more for each that is over.
#[test]
fn receive_maximum() {
    on_nodes(settings(), async |node| {
        for maximum in [1, 2, 7] {
            let (mut client, _) = node.connect_with(limited(maximum, 0, 0)).await;
            client.subscribe("t", QoS::ExactlyOnce).await;
            let messages: Vec<_> = (0..20)
                .map(|number| ("t", if number % 3 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce }, "m"))
                .collect();
            publish_all(node, &messages).await;
            let mut held = std::collections::VecDeque::new();
            for _ in 0..maximum {
                held.push_back(client.expect_payload("m").await);
            }
            client.expect_nothing().await;
            for left in (0..messages.len() - usize::from(maximum)).rev() {
                let oldest = held.pop_front().expect("one is held");
                client.acknowledge(&oldest).await;
                held.push_back(client.expect_payload("m").await);
                if left % 5 == 0 {
                    client.expect_nothing().await;
                }
            }
            for message in held {
                client.acknowledge(&message).await;
            }
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.3.4-10] [MQTT-4.9.0-3] While the client has as many as it takes, everything else is answered: PINGREQ,
/// SUBSCRIBE, UNSUBSCRIBE, PUBLISH, PUBREL; and QoS 0 is sent.
#[test]
fn everything_else_goes_on() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(limited(1, 0, 0)).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        publish_all(node, &[("t", QoS::AtLeastOnce, "1"), ("t", QoS::ExactlyOnce, "2")]).await;
        let first = client.expect_payload("1").await;
        client.ping().await;
        client.send_bytes(b"\x82\x07\x00\x01\x00\x00\x01u\x02").await;
        client.expect_bytes(b"\x90\x04\x00\x01\x00\x02").await;
        client.send_bytes(b"\xa2\x06\x00\x02\x00\x00\x01u").await;
        client.expect_bytes(b"\xb0\x04\x00\x02\x00\x00").await;
        client.send_bytes(&packet(0x32, b"\x00\x01v\x00\x03\x00x")).await;
        client.expect_bytes(b"\x40\x03\x00\x03\x10").await;
        client.send_bytes(&packet(0x34, b"\x00\x01v\x00\x03\x00x")).await;
        client.expect_bytes(b"\x50\x03\x00\x03\x10").await;
        client.send_bytes(b"\x62\x02\x00\x03").await;
        client.expect_bytes(b"\x70\x02\x00\x03").await;
        publish_all(node, &[("t", QoS::AtMostOnce, "0")]).await;
        client.expect_payload("0").await;
        client.expect_nothing().await;
        client.acknowledge(&first).await;
        client.take_payload("2").await;
    });
}

/// [MQTT-3.3.4-8] A client that has sent as many as the node takes is answered whatever else it sends.
#[test]
fn everything_else_of_the_client_goes_on() {
    let mut narrow = settings();
    narrow.mqtt.receive_maximum = 2;
    on_nodes(narrow, async |node| {
        let mut client = connected(node).await;
        for id in [1, 2] {
            client.send_bytes(&packet(0x34, &[&b"\x00\x01v\x00"[..], &[id], b"\x00x"].concat())).await;
            client.expect_bytes(&[0x50, 3, 0, id, 0x10]).await;
        }
        client.ping().await;
        client.send_bytes(b"\x82\x07\x00\x03\x00\x00\x01u\x02").await;
        client.expect_bytes(b"\x90\x04\x00\x03\x00\x02").await;
        client.send_bytes(b"\x30\x05\x00\x01u\x00x").await;
        client.expect_bytes(b"\x30\x05\x00\x01u\x00x").await;
        publish_all(node, &[("u", QoS::ExactlyOnce, "y")]).await;
        client.take_payload("y").await;
        client.send_bytes(b"\x62\x02\x00\x01").await;
        client.expect_bytes(b"\x70\x02\x00\x01").await;
        client.send_bytes(&packet(0x32, b"\x00\x01v\x00\x01\x00x")).await;
        client.expect_bytes(b"\x40\x03\x00\x01\x10").await;
    });
}

/// [MQTT-3.3.4-7] A place in the node's receive maximum is free again with PUBACK, PUBCOMP, or a PUBREC of 0x80 or
/// above; and not with a PUBREC below that, however often the PUBLISH is refused or acknowledged in between.
#[test]
fn places_of_the_client_are_given_back() {
    let mut narrow = settings();
    narrow.mqtt.receive_maximum = 2;
    on_nodes(narrow, async |node| {
        let mut client = connected(node).await;
        let send = |first, topic: &str, id| packet(first, &[&string(topic)[..], &[0, id], b"\x00x"].concat());
        client.send_bytes(&send(0x34, "v", 200)).await;
        client.expect_bytes(&[0x50, 3, 0, 200, 0x10]).await;
        for id in 1..=20 {
            client.send_bytes(&send(0x32, "v", id)).await;
            client.expect_bytes(&[0x40, 3, 0, id, 0x10]).await;
            client.send_bytes(&send(0x34, "$SYS/v", id)).await;
            client.expect_bytes(&[0x50, 3, 0, id, 0x87]).await;
            client.send_bytes(&send(0x34, "v", id + 20)).await;
            client.expect_bytes(&[0x50, 3, 0, id + 20, 0x10]).await;
            client.send_bytes(&[0x62, 2, 0, id + 20]).await;
            client.expect_bytes(&[0x70, 2, 0, id + 20]).await;
            // Sent again before its PUBREL it takes no second place; a PUBREL for nothing gives none back.
            client.send_bytes(&send(0x3c, "v", 200)).await;
            client.expect_bytes(&[0x50, 2, 0, 200]).await;
            client.send_bytes(&[0x62, 2, 0, 250]).await;
            client.expect_bytes(&[0x70, 3, 0, 250, 0x92]).await;
        }
        client.send_bytes(&send(0x34, "v", 100)).await;
        client.expect_bytes(&[0x50, 3, 0, 100, 0x10]).await;
        client.send_bytes(&send(0x32, "v", 101)).await;
        client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
    });
}

/// How the second network connection of a session comes about.
#[derive(Debug, Clone, Copy)]
enum Comes {
    AfterTheFirst,
    AtTakeover,
}

async fn again(node: &TestNode, mut first: Client, comes: Comes, connect: Connect) -> Client {
    match comes {
        Comes::AfterTheFirst => {
            first.vanish().await;
            node.resume(connect).await
        }
        Comes::AtTakeover => {
            let second = node.resume(connect).await;
            first.expect_disconnect(ReasonCode::SessionTakenOver).await;
            second
        }
    }
}

/// [MQTT-3.3.4-9] [MQTT-4.9.0-1] A session with much in flight and waiting is sent no more than the receive maximum of
/// its next network connection, which may be smaller; PUBREL counts as what it stands for.
#[test]
fn smaller_receive_maximum() {
    on_nodes(settings(), async |node| {
        for comes in [Comes::AfterTheFirst, Comes::AtTakeover] {
            for maximum in [1, 2, 3] {
                let (mut client, _) = node.connect_with(limited(6, 0, 0)).await;
                client.subscribe("t", QoS::ExactlyOnce).await;
                let messages: Vec<_> = (0..10)
                    .map(|number| {
                        ("t", if number % 2 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce }, "m")
                    })
                    .collect();
                publish_all(node, &messages).await;
                let mut ids = Vec::new();
                for _ in 0..6 {
                    ids.push(client.expect_payload("m").await.packet_identifier.expect("QoS 1 or 2").get());
                }
                // The first is half done: a PUBREL is owed.
                let id = ids[0].to_be_bytes();
                client.send_bytes(&[0x50, 2, id[0], id[1]]).await;
                client.expect_bytes(&[0x62, 2, id[0], id[1]]).await;
                client.expect_nothing().await;
                let mut client = again(node, client, comes, limited(maximum, 0, 0)).await;
                // The PUBREL, and as many as there is room for.
                let mut held = std::collections::VecDeque::new();
                for _ in 0..maximum {
                    held.push_back(client.next().await);
                }
                assert!(matches!(held[0], Packet::PubRel(_)), "{held:?}");
                client.expect_nothing().await;
                let mut done = 0;
                while let Some(oldest) = held.pop_front() {
                    match oldest {
                        Packet::PubRel(release) => client.send(Packet::PubComp(release)).await,
                        Packet::Publish(message) => client.acknowledge(&message).await,
                        other => panic!("{other:?}"),
                    }
                    done += 1;
                    if done + held.len() < 10 {
                        held.push_back(client.next().await);
                    }
                    client.expect_nothing().await;
                }
                client.disconnect().await;
                node.connect(V5, "limited").await.disconnect().await;
            }
        }
    });
}

/// [MQTT-3.3.4-10] [MQTT-4.9.0-3] PUBRELs that are owed do not wait for room in the receive maximum, however many they
/// are and wherever they stand among the publishes.
#[test]
fn pubrel_needs_no_room() {
    on_nodes(settings(), async |node| {
        for comes in [Comes::AfterTheFirst, Comes::AtTakeover] {
            let (mut client, _) = node.connect_with(limited(0, 0, 0)).await;
            client.subscribe("t", QoS::ExactlyOnce).await;
            publish_all(
                node,
                &["0", "1", "2", "3", "4", "5"].map(|payload| ("t", QoS::ExactlyOnce, payload)),
            )
            .await;
            let mut ids = Vec::new();
            for payload in ["0", "1", "2", "3", "4", "5"] {
                let message = client.expect_payload(payload).await;
                ids.push(message.packet_identifier.expect("QoS 2").get().to_be_bytes());
            }
            for owed in [1, 2, 4] {
                client.send_bytes(&[0x50, 2, ids[owed][0], ids[owed][1]]).await;
                client.expect_bytes(&[0x62, 2, ids[owed][0], ids[owed][1]]).await;
            }
            let mut client = again(node, client, comes, limited(1, 0, 0)).await;
            let first = client.expect_payload("0").await;
            for owed in [1, 2, 4] {
                client.expect_bytes(&[0x62, 2, ids[owed][0], ids[owed][1]]).await;
            }
            client.expect_nothing().await;
            client.acknowledge(&first).await;
            for owed in [1, 2, 4] {
                client.expect_nothing().await;
                client.send_bytes(&[0x70, 2, ids[owed][0], ids[owed][1]]).await;
            }
            for payload in ["3", "5"] {
                assert!(client.take_payload(payload).await.dup);
            }
            client.expect_nothing().await;
            node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
            client.disconnect().await;
            node.connect(V5, "limited").await.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25] The same of the maximum packet size: what was in flight or waits and does not fit
/// any more is not sent, and does not hold up what does.
#[test]
fn smaller_maximum_packet_size() {
    on_nodes(settings(), async |node| {
        for comes in [Comes::AfterTheFirst, Comes::AtTakeover] {
            let (mut client, _) = node.connect_with(limited(4, 0, 0)).await;
            client.subscribe("t", QoS::ExactlyOnce).await;
            let large = "x".repeat(50);
            let (one, two) = (QoS::AtLeastOnce, QoS::ExactlyOnce);
            let messages = [
                ("t", one, large.as_str()),
                ("t", two, &large),
                ("t", one, "1"),
                ("t", two, "2"),
                ("t", one, &large),
                ("t", two, &large),
                ("t", one, "3"),
                ("t", two, "4"),
            ];
            publish_all(node, &messages).await;
            for (_, _, payload) in &messages[..4] {
                client.expect_payload(payload).await;
            }
            let mut client = again(node, client, comes, limited(4, 50, 0)).await;
            for payload in ["1", "2", "3", "4"] {
                let message = client.take_payload(payload).await;
                assert_eq!(message.dup, ["1", "2"].contains(&payload), "{payload}");
            }
            client.expect_nothing().await;
            assert_eq!(node.balanced_ledger().await.queued, 0);
            client.disconnect().await;
            node.connect(V5, "limited").await.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-24] Every size around that of a message, with a topic name, with a topic alias that is set and with one
/// that is used: not a byte more is sent than the client takes, and what fits without an alias is sent.
#[test]
fn every_maximum_packet_size() {
    on_nodes(settings(), async |node| {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            for size in 20..60 {
                for aliases in [0, 5] {
                    let (mut client, _) = node.connect_with(limited(0, size, aliases)).await;
                    client.subscribe("topic", QoS::ExactlyOnce).await;
                    let payload = "x".repeat(28);
                    publish_all(
                        node,
                        &[("topic", qos, &payload), ("topic", qos, &payload), ("topic", qos, "end")],
                    )
                    .await;
                    // In full: fixed header 2, topic name 7, packet identifier, property length 1, payload 28.
                    let fits = size as usize >= 38 + 2 * qos as usize;
                    let mut large = 0;
                    loop {
                        let frame = client.next_frame_or_end().await.expect("more");
                        assert!(
                            frame.len() <= size as usize,
                            "{} bytes to {size}: {frame:02x?}",
                            frame.len()
                        );
                        if frame.ends_with(b"end") {
                            break;
                        }
                        large += 1;
                    }
                    assert_eq!(large, if fits { 2 } else { 0 }, "{qos:?} to {size}, {aliases} aliases");
                    client.expect_nothing().await;
                    client.disconnect().await;
                    node.connect(V5, "limited").await.disconnect().await;
                }
            }
        }
    });
}

/// [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-7] [MQTT-3.3.2-11] The same of the topic alias maximum, down to none:
/// aliases of the first network connection mean nothing to the second, and what is sent again says its topic name in
/// full, or an alias within the new maximum.
#[test]
fn smaller_topic_alias_maximum() {
    on_nodes(settings(), async |node| {
        for comes in [Comes::AfterTheFirst, Comes::AtTakeover] {
            for maximum in [0, 1] {
                let (mut client, _) = node.connect_with(limited(0, 0, 3)).await;
                client.subscribe("#", QoS::AtLeastOnce).await;
                let topics = ["a", "b", "c", "d", "a", "b", "c"];
                let messages = topics.map(|topic| (topic, QoS::AtLeastOnce, "m"));
                publish_all(node, &messages).await;
                for alias in [Some(1), Some(2), Some(3), None, Some(1), Some(2), Some(3)] {
                    let message = client.expect_payload("m").await;
                    assert_eq!(message.properties.topic_alias.map(NonZeroU16::get), alias);
                }
                let mut client = again(node, client, comes, limited(0, 0, maximum)).await;
                publish_all(node, &[("c", QoS::AtLeastOnce, "m"), ("a", QoS::AtLeastOnce, "m")]).await;
                let mut known = None;
                for topic in topics.into_iter().chain(["c", "a"]) {
                    let message = client.take_payload("m").await;
                    let alias = message.properties.topic_alias.map_or(0, NonZeroU16::get);
                    assert!(alias <= maximum, "alias {alias} above {maximum}");
                    if message.topic.is_empty() {
                        assert_eq!(known, Some(topic), "an alias that was not set");
                    } else {
                        assert_eq!(message.topic, topic);
                        known = (alias == 1).then_some(topic).or(known);
                    }
                }
                client.expect_nothing().await;
                client.disconnect().await;
                node.connect(V5, "limited").await.disconnect().await;
            }
        }
    });
}

/// [MQTT-3.3.2-12] Every alias from 1 to the node's maximum is taken, in any order.
#[test]
fn every_topic_alias_of_the_client() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        client.subscribe("#", QoS::AtMostOnce).await;
        for alias in (1..=64u8).rev() {
            let topic = format!("t{alias}");
            let body = [&string(&topic)[..], &[3, 0x23, 0, alias], b"x"].concat();
            client.send_bytes(&packet(0x30, &body)).await;
            assert_eq!(client.expect_payload("x").await.topic, topic);
        }
        for alias in 1..=64u8 {
            client.send_bytes(&packet(0x30, &[&[0, 0, 3, 0x23, 0, alias][..], b"y"].concat())).await;
            assert_eq!(client.expect_payload("y").await.topic, format!("t{alias}"));
        }
    });
}

/// [MQTT-3.1.2-24] A message that fits is not kept back by what does not: the answer to SUBSCRIBE and retained
/// messages.
#[test]
fn retained_messages_that_do_not_fit() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for (topic, size) in [("r/1", 5), ("r/2", 500), ("r/3", 6)] {
            let mut message = publish(topic, QoS::AtLeastOnce, &"x".repeat(size));
            message.retain = true;
            publisher.publish_packet(message).await;
        }
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let (mut client, _) = node.connect_with(limited(0, 100, 0)).await;
            let subscribe = subscribe_packet(identifier(1), &[("r/#", options(qos))]);
            client.subscribe_packet(subscribe).await;
            let mut sizes = Vec::new();
            for _ in 0..2 {
                let message = client.expect_publish().await;
                client.acknowledge(&message).await;
                sizes.push(message.payload.len());
            }
            sizes.sort();
            assert_eq!(sizes, [5, 6]);
            client.expect_nothing().await;
            client.disconnect().await;
            node.connect(V5, "limited").await.disconnect().await;
        }
    });
}

/// [MQTT-3.3.4-9] [MQTT-4.9.0-2] Retained messages keep to the receive maximum, and messages that expire while they
/// wait for room are not sent any more. [MQTT-3.3.2-5]
#[test]
fn room_for_retained_and_expiring_messages() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for topic in ["r/1", "r/2", "r/3", "r/4"] {
            let mut message = publish(topic, QoS::AtLeastOnce, topic);
            message.retain = true;
            publisher.publish_packet(message).await;
        }
        let (mut client, _) = node.connect_with(limited(1, 0, 0)).await;
        client.subscribe("r/#", QoS::ExactlyOnce).await;
        for topic in ["r/1", "r/2", "r/3", "r/4"] {
            let message = client.expect_payload(topic).await;
            client.expect_nothing().await;
            client.acknowledge(&message).await;
        }
        let mut brief = publish("r/5", QoS::AtLeastOnce, "brief");
        brief.properties.message_expiry_interval = Some(1);
        publisher.publish("r/5", QoS::AtLeastOnce, "first").await;
        publisher.publish_packet(brief).await;
        publisher.publish("r/5", QoS::AtLeastOnce, "last").await;
        let first = client.expect_payload("first").await;
        // What is tested is that time passes.
        actix_rt::time::sleep(std::time::Duration::from_millis(1100)).await;
        client.acknowledge(&first).await;
        client.take_payload("last").await;
        client.expect_nothing().await;
    });
}
