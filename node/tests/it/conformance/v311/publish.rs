//! PUBLISH: its flags, its topic name, its answer, and to whom it goes with which QoS.

use super::{
    ACCEPTED, RESUMED, ack, expect_closed_by, join, join_durable, packet, publish, subscribe, subscribed,
};
use crate::harness::{on_nodes, settings};

/// [MQTT311-3.3.1-4] QoS 3 ends the network connection, with any other flags.
#[test]
fn qos_3() {
    on_nodes(settings(), async |node| {
        for flags in [0x6, 0x7, 0xe, 0xf] {
            expect_closed_by(join(node, "client").await, &publish(0x30 | flags, "t", Some(1), "x")).await;
        }
    });
}

/// [MQTT311-3.3.1-2] QoS 0 with DUP is against the rules, and ends the network connection.
#[test]
fn dup_with_qos_0() {
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "#", 0).await;
        for first_byte in [0x38, 0x39] {
            expect_closed_by(join(node, "client").await, &publish(first_byte, "t", None, "x")).await;
        }
        watcher.expect_nothing().await;
    });
}

/// [MQTT311-3.3.1-3] [MQTT311-4.3.1-1] DUP of the publisher ends with the publisher: whoever subscribed sees the message
/// for the first time, and QoS 0 has no DUP at all.
#[test]
fn dup_is_not_passed_on() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        for (granted, sent) in [(0, 0x30), (1, 0x32), (2, 0x34)] {
            let mut subscriber = join(node, "subscriber").await;
            subscribed(&mut subscriber, "t", granted).await;
            publisher.send_bytes(&publish(0x3c, "t", Some(3), "again")).await;
            publisher.expect_bytes(&ack(0x50, 3)).await;
            let identifier = (granted > 0).then_some(1);
            subscriber.expect_bytes(&publish(sent, "t", identifier, "again")).await;
            publisher.send_bytes(&ack(0x62, 3)).await;
            publisher.expect_bytes(&ack(0x70, 3)).await;
        }
    });
}

/// [MQTT311-3.3.4-1] Nothing answers QoS 0, PUBACK answers QoS 1, PUBREC answers QoS 2.
#[test]
fn answers() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        for retain in [0, 1] {
            client.send_bytes(&publish(0x30 | retain, "t", None, "x")).await;
            client.expect_nothing().await;
            client.send_bytes(&publish(0x32 | retain, "t", Some(1), "x")).await;
            client.expect_bytes(b"\x40\x02\x00\x01").await;
            client.send_bytes(&publish(0x34 | retain, "t", Some(2), "x")).await;
            client.expect_bytes(b"\x50\x02\x00\x02").await;
            client.expect_nothing().await;
            client.send_bytes(b"\x62\x02\x00\x02").await;
            client.expect_bytes(b"\x70\x02\x00\x02").await;
        }
    });
}

/// [MQTT311-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1] A topic name with a wildcard, or without a character, ends the
/// network connection; wildcards that stand in the payload do not.
#[test]
fn topic_names() {
    on_nodes(settings(), async |node| {
        for topic in ["#", "+", "a/#", "a/+/b", "+a", "a#", "a/b+", "$x/#", ""] {
            for first_byte in [0x30, 0x31, 0x32, 0x34] {
                let bytes = publish(first_byte, topic, (first_byte >= 0x32).then_some(1), "x");
                expect_closed_by(join(node, "client").await, &bytes).await;
            }
        }
        let mut client = join(node, "client").await;
        client.send_bytes(&publish(0x32, "a", Some(1), "+/#")).await;
        client.expect_bytes(b"\x40\x02\x00\x01").await;
    });
}

/// [MQTT311-3.3.2-1] The topic name is the first field: what looks like one behind it is payload.
#[test]
fn the_topic_name_comes_first() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        subscribed(&mut client, "+", 1).await;
        client.send_bytes(&packet(0x32, b"\x00\x01a\x00\x05\x00\x01b")).await;
        client.expect_bytes_in_any_order(&[b"\x40\x02\x00\x05", b"\x32\x08\x00\x01a\x00\x01\x00\x01b"]).await;
        // A topic name that is longer than the packet.
        expect_closed_by(client, &packet(0x30, b"\x00\x05a/b")).await;
    });
}

/// [MQTT311-3.3.2-3] Through whichever filter a message comes, its topic name is the one it was published to.
#[test]
fn subscribers_are_told_the_topic_name() {
    on_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for filter in ["a/b", "a/+", "+/b", "#", "a/#", "a/b/#"] {
            let mut client = join(node, filter).await;
            subscribed(&mut client, filter, 0).await;
            clients.push(client);
        }
        let mut publisher = join(node, "publisher").await;
        for topic in ["a/b", "A/b", "a/c/d", "c"] {
            publisher.send_bytes(&publish(0x30, topic, None, topic)).await;
        }
        let expected: [&[&str]; 6] =
            [&["a/b"], &["a/b"], &["a/b", "A/b"], &["a/b", "A/b", "a/c/d", "c"], &["a/b", "a/c/d"], &["a/b"]];
        for (client, topics) in clients.iter_mut().zip(expected) {
            for topic in topics {
                client.expect_bytes(&publish(0x30, topic, None, topic)).await;
            }
            client.expect_nothing().await;
        }
    });
}

/// [MQTT311-3.3.5-1] Where subscriptions of a client overlap, the message comes with the highest QoS of them, whatever
/// else comes.
#[test]
fn overlapping_subscriptions() {
    for merged in [false, true] {
        let mut settings = settings();
        settings.mqtt.merge_overlapping_subscriptions = merged;
        on_nodes(settings, async |node| {
            let mut client = join(node, "client").await;
            client.send_bytes(&subscribe(1, &[("t/#", 0), ("t/+", 2), ("t/1", 1)])).await;
            client.expect_bytes(b"\x90\x05\x00\x01\x00\x02\x01").await;
            let mut publisher = join(node, "publisher").await;
            for published in [0x30_u8, 0x32, 0x34] {
                let identifier = (published > 0x30).then_some(9);
                publisher.send_bytes(&publish(published, "t/1", identifier, "m")).await;
                let mut qos = Vec::new();
                for _ in 0..if merged { 1 } else { 3 } {
                    qos.push(client.take_payload("m").await.qos as u8);
                }
                client.expect_nothing().await;
                assert_eq!(qos.into_iter().max(), Some((published & 0x06) >> 1));
            }
        });
    }
}

/// [MQTT311-3.3.5-2] A publish that is not allowed, here to `$SYS`, is acknowledged like any other, and reaches nobody.
#[test]
fn publishes_that_are_not_authorized() {
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "$SYS/#", 0).await;
        let mut client = join(node, "client").await;
        client.send_bytes(&publish(0x33, "$SYS/x", Some(1), "forged")).await;
        client.expect_bytes(b"\x40\x02\x00\x01").await;
        client.send_bytes(&publish(0x35, "$SYS/x", Some(2), "forged")).await;
        client.expect_bytes(b"\x50\x02\x00\x02").await;
        client.send_bytes(b"\x62\x02\x00\x02").await;
        client.expect_bytes(b"\x70\x02\x00\x02").await;
        client.send_bytes(&publish(0x30, "$SYS/x", None, "forged")).await;
        client.expect_nothing().await;
        watcher.expect_nothing().await;
        node.until("0 retained messages", |seen| seen.retained.messages == 0).await;
    });
}

/// [MQTT311-4.5.0-1] An accepted message is part of the session of every client whose subscription matches, online or
/// not.
#[test]
fn every_matching_session_gets_it() {
    on_nodes(settings(), async |node| {
        let names: Vec<String> = (0..8).map(|number| format!("session-{number}")).collect();
        for name in &names {
            let mut client = join_durable(node, name, ACCEPTED).await;
            subscribed(&mut client, "t/+", 1).await;
            client.disconnect().await;
        }
        let mut online = join(node, "online").await;
        subscribed(&mut online, "t/+", 1).await;
        let mut publisher = join(node, "publisher").await;
        publisher.send_bytes(&publish(0x32, "t/1", Some(1), "for all")).await;
        publisher.expect_bytes(b"\x40\x02\x00\x01").await;
        online.expect_bytes(&publish(0x32, "t/1", Some(1), "for all")).await;
        for name in &names {
            let mut client = join_durable(node, name, RESUMED).await;
            client.expect_bytes(&publish(0x32, "t/1", Some(1), "for all")).await;
        }
    });
}
