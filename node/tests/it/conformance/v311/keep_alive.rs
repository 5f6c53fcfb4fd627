//! Keep alive.

use std::time::{Duration, Instant};

use actix_rt::time::sleep;

use super::{
    ACCEPTED, CLEAN, DISCONNECT, PINGREQ, PINGRESP, WILL, connect, join, join_with, packet, publish,
    subscribed,
};
use crate::harness::{DEADLINE, TestNode, on_nodes, settings};

/// CONNECT with a keep alive in seconds.
fn keeping(client_identifier: &str, seconds: u8) -> Vec<u8> {
    let mut bytes = connect(CLEAN, &[client_identifier.as_bytes()]);
    bytes[11] = seconds;
    bytes
}

/// [MQTT311-3.12.4-1] PINGREQ is answered by PINGRESP, each by one.
#[test]
fn pings_are_answered() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        client.send_bytes(PINGREQ).await;
        client.expect_bytes(PINGRESP).await;
        client.send_bytes(&PINGREQ.repeat(1000)).await;
        client.expect_bytes(&PINGRESP.repeat(1000)).await;
        client.expect_nothing().await;
    });
}

/// How long after the last packet of a client it is closed, at most; it pings after these milliseconds.
async fn closed_after(node: &TestNode, seconds: u8, heard_at: &[u64]) -> Duration {
    let mut heard = Instant::now();
    let mut client = join_with(node, &keeping("silent", seconds), ACCEPTED).await;
    for milliseconds in heard_at {
        // The client's silence.
        sleep(Duration::from_millis(*milliseconds)).await;
        heard = Instant::now();
        client.send_bytes(PINGREQ).await;
        client.expect_bytes(PINGRESP).await;
    }
    client.expect_closed().await;
    heard.elapsed()
}

/// [MQTT311-3.1.2-24] One and a half times the keep alive after the last packet the network connection ends, and not
/// before; as one that failed, with its will.
#[test]
fn silence_ends_the_network_connection() {
    on_nodes(settings(), async |node| {
        let mut heir = join(node, "heir").await;
        subscribed(&mut heir, "will", 0).await;
        for heard_at in [&[][..], &[700]] {
            let silent = closed_after(node, 1, heard_at).await;
            assert!((1500..6000).contains(&silent.as_millis()), "closed after {silent:?} of silence");
        }
        let mut mortal = connect(CLEAN | WILL, &[b"mortal", b"will", b"gone"]);
        mortal[11] = 1;
        join_with(node, &mortal, ACCEPTED).await.expect_closed().await;
        heir.expect_bytes(&publish(0x30, "will", None, "gone")).await;
    });
}

/// [MQTT311-3.1.2-24] Any packet counts, the beginning of one does not, however long it goes on; with a keep alive of 0 no
/// silence is too long.
#[test]
fn what_counts_as_a_sign_of_life() {
    on_nodes(settings(), async |node| {
        let mut publishing = join_with(node, &keeping("publishing", 1), ACCEPTED).await;
        let mut dripping = join_with(node, &keeping("dripping", 1), ACCEPTED).await;
        let mut unbound = join_with(node, &keeping("unbound", 0), ACCEPTED).await;
        let long = packet(0x30, &[&b"\x00\x01t"[..], &[b'x'; 100]].concat());
        let mut bytes = long.iter();
        while node.counter("keep_alive_timeouts") == 0 {
            dripping.send_bytes(&[*bytes.next().expect("closed before the packet ends")]).await;
            publishing.send_bytes(&publish(0x30, "t", None, "x")).await;
            // Their pace.
            sleep(Duration::from_millis(200)).await;
        }
        dripping.expect_closed().await;
        publishing.send_bytes(PINGREQ).await;
        publishing.expect_bytes(PINGRESP).await;
        unbound.ping().await;
    });
}

/// [MQTT311-3.1.2-24] A client that reads nothing is not read either, but that does not keep it: if it sends nothing its
/// network connection ends all the same, and if it pings it stays, and is answered when it reads at last. A DISCONNECT
/// that waited unread counts [MQTT311-3.14.4-3].
#[test]
fn silence_of_a_client_that_does_not_read() {
    let mut small = settings();
    small.node.outbox_bytes_max = 64 * 1024;
    on_nodes(small, async |node| {
        let mut heir = join(node, "heir").await;
        subscribed(&mut heir, "wills/+", 0).await;
        let mut clients = Vec::new();
        for name in ["silent", "leaving", "pinging"] {
            let topic = format!("wills/{name}");
            let mut bytes = connect(CLEAN | WILL, &[name.as_bytes(), topic.as_bytes(), b"gone"]);
            bytes[11] = 1;
            let mut client = join_with(node, &bytes, ACCEPTED).await;
            subscribed(&mut client, "flood", 1).await;
            clients.push(client);
        }
        // Until the kernel's buffers, the outboxes and the queues take no more.
        let mut publisher = join(node, "publisher").await;
        let message = publish(0x32, "flood", Some(1), &"x".repeat(70_000));
        let (mut pings, mut dropped) = (0, 0);
        loop {
            for client in &mut clients {
                client.send_bytes(PINGREQ).await;
            }
            pings += 1;
            publisher.send_bytes(&message).await;
            publisher.expect_bytes(b"\x40\x02\x00\x01").await;
            let before = std::mem::replace(&mut dropped, node.snapshot().await.ledger.dropped_total());
            if dropped - before == 3 {
                break;
            }
        }
        clients[1].send_bytes(DISCONNECT).await;
        let pinging = &mut clients[2];
        let began = Instant::now();
        while node.snapshot().await.sessions.online > 3 || began.elapsed() < Duration::from_secs(4) {
            assert!(began.elapsed() < DEADLINE, "they are not closed");
            pinging.send_bytes(PINGREQ).await;
            pings += 1;
            // Its pace.
            sleep(Duration::from_millis(200)).await;
        }
        heir.expect_bytes(&publish(0x30, "wills/silent", None, "gone")).await;
        heir.expect_nothing().await;
        node.until_counters([("keep_alive_timeouts", 1)]).await;
        while pings > 0 {
            match pinging.next().await {
                mqtt_codec::Packet::PingResp => pings -= 1,
                mqtt_codec::Packet::Publish(message) => pinging.acknowledge(&message).await,
                other => panic!("{other:?} in place of a PINGRESP"),
            }
        }
    });
}
