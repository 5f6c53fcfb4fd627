//! UNSUBSCRIBE and UNSUBACK.

use super::{
    ACCEPTED, PUBACK, PUBCOMP, PUBREC, PUBREL, RESUMED, ack, expect_closed_by, join, join_durable, publish,
    subscribe, subscribed, unsubscribe,
};
use crate::harness::{on_nodes, settings};

/// [MQTT311-3.10.3-2] An UNSUBSCRIBE without topic filters ends the network connection.
#[test]
fn without_topic_filters() {
    on_nodes(settings(), async |node| {
        expect_closed_by(join(node, "client").await, b"\xa2\x02\x00\x01").await;
    });
}

/// [MQTT311-3.10.4-4] [MQTT311-3.10.4-5] UNSUBACK has the packet identifier of its UNSUBSCRIBE and nothing else, whether
/// there was anything to remove or not.
#[test]
fn is_answered() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        subscribed(&mut client, "t", 1).await;
        for (identifier, filter) in [(1, "never"), (65_535, "t"), (0x1234, "t"), (1, "#")] {
            client.send_bytes(&unsubscribe(identifier, &[filter])).await;
            client.expect_bytes(&[&b"\xb0\x02"[..], &identifier.to_be_bytes()].concat()).await;
        }
        client.expect_nothing().await;
    });
}

/// [MQTT311-3.10.4-1] [MQTT311-3.10.4-2] The subscription with exactly these bytes ends, and no other that matches the
/// same; from the UNSUBACK on nothing is added.
#[test]
fn removes_what_is_equal_byte_for_byte() {
    on_nodes(settings(), async |node| {
        let filters = ["a/b", "a/+", "+/b", "a/#", "#", "A/b", "a/b/"];
        let mut client = join(node, "client").await;
        let subscribed: Vec<_> = filters.iter().map(|filter| (*filter, 0)).collect();
        client.send_bytes(&subscribe(1, &subscribed)).await;
        client.expect_bytes(b"\x90\x09\x00\x01\x00\x00\x00\x00\x00\x00\x00").await;
        let mut publisher = join(node, "publisher").await;
        // None of these is one of them, though most match the same topic names.
        client.send_bytes(&unsubscribe(2, &["+/+", "a/B", "/a/b", "a/b ", "+", "a", "a/b/#"])).await;
        client.expect_bytes(b"\xb0\x02\x00\x02").await;
        let mut left = 5;
        for filter in ["a/b", "a/+", "+/b", "a/#", "#"] {
            publisher.send_bytes(&publish(0x30, "a/b", None, filter)).await;
            for _ in 0..left {
                client.expect_bytes(&publish(0x30, "a/b", None, filter)).await;
            }
            client.expect_nothing().await;
            client.send_bytes(&unsubscribe(3, &[filter])).await;
            client.expect_bytes(b"\xb0\x02\x00\x03").await;
            left -= 1;
        }
        publisher.send_bytes(&publish(0x30, "a/b", None, "none")).await;
        client.expect_nothing().await;
        publisher.send_bytes(&publish(0x30, "A/b", None, "still")).await;
        client.expect_bytes(&publish(0x30, "A/b", None, "still")).await;
    });
}

/// [MQTT311-3.10.4-3] QoS 1 and 2 that was begun is completed after the UNSUBACK, on the same network connection and on
/// the next.
#[test]
fn completes_what_was_begun() {
    on_nodes(settings(), async |node| {
        let mut client = join_durable(node, "client", ACCEPTED).await;
        subscribed(&mut client, "t", 2).await;
        let mut publisher = join(node, "publisher").await;
        for (first_byte, payload) in [(0x32, "1"), (0x34, "2"), (0x32, "3"), (0x34, "4")] {
            publisher.send_bytes(&publish(first_byte, "t", Some(1), payload)).await;
            publisher.next().await;
            client.expect_payload(payload).await;
            publisher.disconnect().await;
            publisher = join(node, "publisher").await;
        }
        client.send_bytes(&unsubscribe(9, &["t"])).await;
        client.expect_bytes(b"\xb0\x02\x00\x09").await;
        publisher.send_bytes(&publish(0x32, "t", Some(1), "no more")).await;
        publisher.expect_bytes(&ack(PUBACK, 1)).await;
        client.send_bytes(&[ack(PUBACK, 1), ack(PUBREC, 2)].concat()).await;
        client.expect_bytes(&ack(PUBREL, 2)).await;
        client.expect_nothing().await;
        drop(client);
        let mut client = join_durable(node, "client", RESUMED).await;
        client.expect_bytes(&ack(PUBREL, 2)).await;
        client.expect_bytes(&publish(0x3a, "t", Some(3), "3")).await;
        client.expect_bytes(&publish(0x3c, "t", Some(4), "4")).await;
        client.send_bytes(&[ack(PUBCOMP, 2), ack(PUBACK, 3), ack(PUBREC, 4)].concat()).await;
        client.expect_bytes(&ack(PUBREL, 4)).await;
        client.send_bytes(&ack(PUBCOMP, 4)).await;
        client.expect_nothing().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
    });
}

/// [MQTT311-3.10.4-6] Several topic filters in one packet, some of them not there, some there twice: one UNSUBACK, and
/// those that were there are gone.
#[test]
fn several_topic_filters() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        client.send_bytes(&subscribe(1, &[("a", 0), ("b", 0), ("c", 0), ("d/+", 0)])).await;
        client.expect_bytes(b"\x90\x06\x00\x01\x00\x00\x00\x00").await;
        client.send_bytes(&unsubscribe(2, &["x", "a", "d/+", "a", "d/1", "c"])).await;
        client.expect_bytes(b"\xb0\x02\x00\x02").await;
        let mut publisher = join(node, "publisher").await;
        for topic in ["a", "b", "c", "d/1"] {
            publisher.send_bytes(&publish(0x30, topic, None, topic)).await;
        }
        client.expect_bytes(&publish(0x30, "b", None, "b")).await;
        client.expect_nothing().await;
        node.until("1 subscription", |seen| seen.sessions.subscriptions == 1).await;
    });
}

/// [MQTT311-3.10.4-2] No message comes behind the UNSUBACK, not even one whose fan-out to very many had begun before.
#[test]
fn ends_amid_a_fan_out() {
    const LEVELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut small = settings();
    small.node.deliveries_per_turn = 2;
    on_nodes(small, async |node| {
        // 64 filters that all match, for each of a few clients.
        let filters: Vec<String> = (0..64)
            .map(|mask| {
                let level = |at: usize| if mask >> at & 1 == 1 { "+" } else { LEVELS[at] };
                (0..LEVELS.len()).map(level).collect::<Vec<_>>().join("/")
            })
            .collect();
        let names: Vec<&str> = filters.iter().map(String::as_str).collect();
        let wanted: Vec<(&str, u8)> = names.iter().map(|name| (*name, 0)).collect();
        let mut clients = Vec::new();
        for number in 0..8 {
            let mut client = join(node, &format!("client-{number}")).await;
            client.send_bytes(&subscribe(1, &wanted)).await;
            client.next().await;
            clients.push(client);
        }
        let mut publisher = join(node, "publisher").await;
        for client in &mut clients {
            publisher.send_bytes(&publish(0x30, "a/b/c/d/e/f", None, "x")).await;
            client.expect_payload("x").await;
            client.send_bytes(&unsubscribe(2, &names)).await;
            while !matches!(client.next().await, mqtt_codec::Packet::UnsubAck(_)) {}
            client.expect_nothing().await;
        }
    });
}
