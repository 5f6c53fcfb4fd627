//! SUBSCRIBE and SUBACK.

use super::{connect, expect_closed_by, field, join, join_with, packet, publish, subscribe, subscribed};
use crate::harness::{on_node, on_nodes, settings};

/// [MQTT311-3.8.4-1] [MQTT311-3.8.4-2] [MQTT311-3.8.4-5] SUBSCRIBE is answered by SUBACK with its packet identifier and
/// the QoS granted.
#[test]
fn is_answered() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        for (identifier, qos) in [(1, 0), (65_535, 1), (0x1234, 2), (1, 2)] {
            client.send_bytes(&subscribe(identifier, &[("t", qos)])).await;
            client.expect_bytes(&[&b"\x90\x03"[..], &identifier.to_be_bytes(), &[qos]].concat()).await;
        }
        client.expect_nothing().await;
    });
}

/// [MQTT311-3.8.3-3] A SUBSCRIBE without topic filters ends the network connection.
#[test]
fn without_topic_filters() {
    on_nodes(settings(), async |node| {
        expect_closed_by(join(node, "client").await, b"\x82\x02\x00\x01").await;
    });
}

/// [MQTT311-3.8.3-4] QoS 3 and every reserved bit beside a QoS end the network connection, at the last of several topic
/// filters too, and nothing of that packet holds.
#[test]
fn reserved_bits() {
    on_nodes(settings(), async |node| {
        for wrong in (3..=255).step_by(4).chain([4, 8, 16, 32, 64, 128, 0x80, 0xfd]) {
            expect_closed_by(join(node, "client").await, &subscribe(1, &[("t", wrong)])).await;
        }
        let client = join_with(node, &connect(0, &[b"kept"]), super::ACCEPTED).await;
        expect_closed_by(client, &subscribe(1, &[("a", 1), ("b", 1), ("c", 3)])).await;
        let mut client = join_with(node, &connect(0, &[b"kept"]), super::RESUMED).await;
        client.send_bytes(&publish(0x30, "a", None, "x")).await;
        client.expect_nothing().await;
    });
}

/// [MQTT311-3.8.4-4] [MQTT311-3.9.3-1] Several topic filters in one packet, equal ones among them, do what several
/// packets would; one SUBACK has the return codes in their order.
#[test]
fn several_topic_filters() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        let filters = [("a", 2), ("b", 0), ("c/+", 1), ("a", 1), ("d/#", 2), ("b", 2)];
        client.send_bytes(&subscribe(9, &filters)).await;
        client.expect_bytes(b"\x90\x08\x00\x09\x02\x00\x01\x01\x02\x02").await;
        let mut publisher = join(node, "publisher").await;
        for (topic, qos) in [("a", 1), ("b", 2), ("c/x", 1), ("d", 2)] {
            publisher.send_bytes(&publish(0x34, topic, Some(1), topic)).await;
            publisher.expect_bytes(b"\x50\x02\x00\x01").await;
            publisher.send_bytes(b"\x62\x02\x00\x01").await;
            publisher.expect_bytes(b"\x70\x02\x00\x01").await;
            assert_eq!(client.take_payload(topic).await.qos as u8, qos, "{topic}");
        }
        client.expect_nothing().await;
        node.until("4 subscriptions", |seen| seen.sessions.subscriptions == 4).await;
    });
}

/// [MQTT311-3.9.3-2] [MQTT311-3.8.4-5] [MQTT311-3.8.3-2] Whatever the reason of a refusal is, its return code is 0x80, in
/// its place among those that were granted: wildcards switched off, too many levels, too many subscriptions.
#[test]
fn return_codes() {
    let mut limited = settings();
    limited.mqtt.maximum_qos = 1;
    limited.mqtt.wildcard_subscription_available = false;
    limited.mqtt.shared_subscription_available = false;
    limited.mqtt.topic_levels_max = 3;
    limited.session.subscriptions_per_client_max = 3;
    on_node(1, limited, async |node| {
        let mut client = join(node, "client").await;
        let filters = [
            ("a", 0),
            ("a/+", 1),
            ("#", 1),
            ("a/b/c/d", 1),
            ("b", 1),
            ("$share/g/x", 0),
            ("c", 2),
            ("one too many", 1),
        ];
        client.send_bytes(&subscribe(9, &filters)).await;
        client.expect_bytes(b"\x90\x0a\x00\x09\x00\x80\x80\x80\x01\x80\x01\x80").await;
        // What was refused does not hold.
        client.send_bytes(&publish(0x30, "a/x", None, "m")).await;
        client.send_bytes(&publish(0x30, "one too many", None, "m")).await;
        client.expect_nothing().await;
    });
}

/// [MQTT311-3.8.4-6] The QoS of what is sent is the lower one of published and granted, each with each.
#[test]
fn qos_is_the_lower_one() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        for granted in 0..=2_u8 {
            let mut client = join(node, "client").await;
            subscribed(&mut client, "t", granted).await;
            for published in 0..=2_u8 {
                let identifier = (published > 0).then_some(u16::from(published));
                publisher.send_bytes(&publish(0x30 | published << 1, "t", identifier, "m")).await;
                let got = client.take_payload("m").await;
                assert_eq!(got.qos as u8, granted.min(published));
            }
            client.expect_nothing().await;
            publisher = join(node, "publisher").await;
        }
    });
}

/// [MQTT311-3.8.4-3] While an equal topic filter replaces a subscription again and again, nothing that is published is
/// lost and nothing comes twice.
#[test]
fn replacing_does_not_interrupt() {
    const COUNT: u16 = 300;
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        subscribed(&mut client, "t", 1).await;
        let mut publisher = join(node, "publisher").await;
        for number in 1..=COUNT {
            client.send_bytes(&subscribe(number, &[("t", 1 + (number % 2) as u8)])).await;
            publisher.send_bytes(&publish(0x32, "t", Some(number), &number.to_string())).await;
        }
        for number in 1..=COUNT {
            publisher.expect_bytes(&super::ack(super::PUBACK, number)).await;
        }
        let (mut next, mut answers) = (1, 1);
        while next <= COUNT || answers <= COUNT {
            match client.next().await {
                mqtt_codec::Packet::Publish(got) => {
                    assert_eq!(String::from_utf8_lossy(&got.payload), next.to_string());
                    next += 1;
                }
                mqtt_codec::Packet::SubAck(answer) => {
                    assert_eq!(answer.packet_identifier.get(), answers);
                    answers += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        client.expect_nothing().await;
    });
}

/// A topic filter ends where its length says, and a packet ends with its last QoS [MQTT311-4.8.0-1].
#[test]
fn of_the_wrong_length() {
    on_nodes(settings(), async |node| {
        let right = [&b"\x00\x01"[..], &field(b"a/b"), b"\x01"].concat();
        for length in 0..right.len() {
            expect_closed_by(join(node, "client").await, &packet(0x82, &right[..length])).await;
        }
        let longer = [&right[..], b"\x00"].concat();
        expect_closed_by(join(node, "client").await, &packet(0x82, &longer)).await;
        let mut client = join(node, "client").await;
        client.send_bytes(&packet(0x82, &right)).await;
        client.expect_bytes(b"\x90\x03\x00\x01\x01").await;
    });
}
