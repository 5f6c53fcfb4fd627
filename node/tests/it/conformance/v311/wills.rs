//! Wills.

use super::{
    ACCEPTED, CLEAN, DISCONNECT, RESUMED, WILL, WILL_QOS_1, WILL_QOS_2, WILL_RETAIN, connect,
    expect_closed_by, join, join_with, open, publish, subscribed,
};
use crate::harness::{Client, TestNode, on_nodes, settings};

async fn heir(node: &TestNode) -> Client {
    let mut heir = join(node, "heir").await;
    subscribed(&mut heir, "will", 2).await;
    heir
}

fn mortal(flags: u8) -> Vec<u8> {
    connect(WILL | flags, &[b"mortal", b"will", b"gone"])
}

/// [MQTT311-3.1.2-8] [MQTT311-3.1.2-9] A will is published with its QoS when its network connection ends without
/// DISCONNECT: lost, broken by the client's fault, or taken over; and not before.
#[test]
fn is_published_without_a_disconnect() {
    on_nodes(settings(), async |node| {
        for (flags, qos) in [(0, 0), (WILL_QOS_1, 1), (WILL_QOS_2, 2)] {
            let mut heir = heir(node).await;
            let mut client = join_with(node, &mortal(CLEAN | flags), ACCEPTED).await;
            client.ping().await;
            heir.expect_nothing().await;
            client.vanish().await;
            assert_eq!(heir.take_payload("gone").await.qos as u8, qos);

            expect_closed_by(join_with(node, &mortal(CLEAN | flags), ACCEPTED).await, b"\x00\x00").await;
            assert_eq!(heir.take_payload("gone").await.qos as u8, qos);

            let mut first = join_with(node, &mortal(CLEAN | flags), ACCEPTED).await;
            let second = join(node, "mortal").await;
            first.expect_closed().await;
            assert_eq!(heir.take_payload("gone").await.qos as u8, qos);
            second.disconnect().await;
            heir.expect_nothing().await;
        }
    });
}

/// A packet that was begun and not ended is no DISCONNECT: the will is published [MQTT311-3.1.2-8].
#[test]
fn is_published_after_half_a_disconnect() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        let mut client = join_with(node, &mortal(CLEAN), ACCEPTED).await;
        client.send_bytes(&DISCONNECT[..1]).await;
        client.vanish().await;
        heir.take_payload("gone").await;
    });
}

/// [MQTT311-3.14.4-3] [MQTT311-3.1.2-10] DISCONNECT discards the will, with clean session and without, also when
/// something malformed stands behind it, and for good.
#[test]
fn is_discarded_by_disconnect() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        for flags in [CLEAN, 0] {
            expect_closed_by(join_with(node, &mortal(flags), ACCEPTED).await, DISCONNECT).await;
            heir.expect_nothing().await;
            join_with(node, &connect(flags, &[b"mortal"]), if flags == 0 { RESUMED } else { ACCEPTED })
                .await
                .vanish()
                .await;
            node.until_online(1).await;
            heir.expect_nothing().await;
        }
        join(node, "mortal").await.disconnect().await;
        let client = join_with(node, &mortal(CLEAN), ACCEPTED).await;
        expect_closed_by(client, &[DISCONNECT, b"\x00\x00"].concat()).await;
        heir.expect_nothing().await;
    });
}

/// [MQTT311-3.1.2-10] A will is published once: the session that is resumed has none, unless its CONNECT brought
/// another.
#[test]
fn is_published_once() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        join_with(node, &mortal(0), ACCEPTED).await.vanish().await;
        heir.take_payload("gone").await;
        join_with(node, &connect(0, &[b"mortal"]), RESUMED).await.vanish().await;
        node.until_online(1).await;
        heir.expect_nothing().await;
        let other = connect(WILL, &[b"mortal", b"will", b"other"]);
        join_with(node, &other, RESUMED).await.vanish().await;
        heir.take_payload("other").await;
        heir.expect_nothing().await;
    });
}

/// [MQTT311-3.1.2-12] Without the will flag nothing is published, however the network connection ends.
#[test]
fn none_without_the_flag() {
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "#", 0).await;
        join(node, "client").await.vanish().await;
        expect_closed_by(join(node, "client").await, b"\x00\x00").await;
        join(node, "client").await.disconnect().await;
        watcher.expect_nothing().await;
    });
}

/// A CONNECT that is refused leaves no will behind [MQTT311-3.1.2-8].
#[test]
fn none_of_a_refused_connect() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        let bytes = connect(WILL, &[b"", b"will", b"never"]);
        let mut client = open(node).await;
        client.send_bytes(&bytes).await;
        client.expect_bytes(b"\x20\x02\x00\x02").await;
        client.expect_closed().await;
        expect_closed_by(open(node).await, &connect(WILL | 1, &[b"x", b"will", b"never"])).await;
        heir.expect_nothing().await;
    });
}

/// [MQTT311-3.1.2-16] [MQTT311-3.1.2-17] Will retain says whether the will is retained; who is there gets it without
/// RETAIN.
#[test]
fn is_retained_if_asked_for() {
    on_nodes(settings(), async |node| {
        let mut heir = join(node, "heir").await;
        subscribed(&mut heir, "will", 0).await;
        for (flags, retained) in [(0, false), (WILL_RETAIN, true)] {
            join_with(node, &mortal(CLEAN | flags | WILL_QOS_1), ACCEPTED).await.vanish().await;
            heir.expect_bytes(&publish(0x30, "will", None, "gone")).await;
            let mut late = join(node, "late").await;
            subscribed(&mut late, "will", 2).await;
            if retained {
                late.expect_bytes(&publish(0x33, "will", Some(1), "gone")).await;
            }
            late.expect_nothing().await;
        }
        // With RETAIN and without a message it removes what was kept.
        let empty = connect(CLEAN | WILL | WILL_RETAIN, &[b"mortal", b"will", b""]);
        join_with(node, &empty, ACCEPTED).await.vanish().await;
        heir.expect_bytes(&publish(0x30, "will", None, "")).await;
        node.until("0 retained messages", |seen| seen.retained.messages == 0).await;
    });
}
