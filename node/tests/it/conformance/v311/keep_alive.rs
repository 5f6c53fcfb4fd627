//! Keep alive.

use std::time::{Duration, Instant};

use actix_rt::time::sleep;

use super::{ACCEPTED, PINGREQ, PINGRESP, WILL, connect, join, join_with, packet, publish, subscribed};
use crate::harness::{TestNode, on_nodes, settings};

/// CONNECT with a keep alive in seconds.
fn keeping(client_identifier: &str, seconds: u8) -> Vec<u8> {
    let mut bytes = connect(super::CLEAN, &[client_identifier.as_bytes()]);
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

async fn closed_after(node: &TestNode, seconds: u8, heard_at: &[u64]) -> Duration {
    let mut client = join_with(node, &keeping("silent", seconds), ACCEPTED).await;
    let mut heard = Instant::now();
    for milliseconds in heard_at {
        sleep(Duration::from_millis(*milliseconds)).await;
        client.send_bytes(PINGREQ).await;
        client.expect_bytes(PINGRESP).await;
        heard = Instant::now();
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
        for heard_at in [&[][..], &[1200]] {
            let silent = closed_after(node, 1, heard_at).await;
            assert!((1400..2500).contains(&silent.as_millis()), "closed after {silent:?} of silence");
        }
        let mut mortal = connect(super::CLEAN | WILL, &[b"mortal", b"will", b"gone"]);
        mortal[11] = 1;
        join_with(node, &mortal, ACCEPTED).await.expect_closed().await;
        heir.expect_bytes(&publish(0x30, "will", None, "gone")).await;
    });
}

/// [MQTT311-3.1.2-24] Any packet counts, the beginning of one does not; with a keep alive of 0 no silence is too long.
#[test]
fn what_counts_as_a_sign_of_life() {
    on_nodes(settings(), async |node| {
        let mut publishing = join_with(node, &keeping("publishing", 1), ACCEPTED).await;
        let mut dripping = join_with(node, &keeping("dripping", 1), ACCEPTED).await;
        let mut unbound = join_with(node, &keeping("unbound", 0), ACCEPTED).await;
        let began = Instant::now();
        let long = packet(0x30, b"\x00\x01tpayload");
        for byte in &long[..4] {
            sleep(Duration::from_millis(300)).await;
            publishing.send_bytes(&publish(0x30, "t", None, "x")).await;
            dripping.send_bytes(&[*byte]).await;
        }
        dripping.expect_closed().await;
        assert!(began.elapsed() < Duration::from_millis(2700), "{:?}", began.elapsed());
        publishing.send_bytes(PINGREQ).await;
        publishing.expect_bytes(PINGRESP).await;
        unbound.ping().await;
    });
}
