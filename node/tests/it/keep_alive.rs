//! Keep alive: who stays silent for one and a half times as long is gone [MQTT-3.1.2-22].

use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use mqtt_codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{DEADLINE, connect, durable, on_nodes, publish, settings};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn keeping(version: ProtocolVersion, client_identifier: &str, seconds: u16) -> Connect {
    Connect { keep_alive: seconds, ..connect(version, client_identifier) }
}

/// [MQTT-3.1.2-22] [MQTT-3.2.2-22] 5.0 is told why (0x8D). What the node sends does not count: it is the client that must be heard.
#[test]
fn silent_clients_are_closed() {
    on_nodes(settings(), async |node| {
        let (mut new, _) = node.connect_with(keeping(V5, "new", 1)).await;
        let (mut old, _) = node.connect_with(keeping(V311, "old", 1)).await;
        new.subscribe("k", QoS::AtMostOnce).await;
        let began = Instant::now();
        let mut publisher = node.connect(V5, "publisher").await;
        let reason = loop {
            assert!(began.elapsed() < DEADLINE, "it is not closed");
            publisher.publish("k", QoS::AtMostOnce, "you there?").await;
            match new.next().await {
                Packet::Publish(_) => {}
                Packet::Disconnect(disconnect) => break disconnect.reason_code,
                other => panic!("{other:?} in place of a PUBLISH or DISCONNECT"),
            }
            // The pace of the publisher.
            sleep(Duration::from_millis(250)).await;
        };
        assert_eq!(reason, ReasonCode::KeepAliveTimeout);
        new.expect_closed().await;
        old.expect_closed().await;
        let silent = began.elapsed();
        assert!(silent >= Duration::from_millis(1400), "closed after {silent:?}");
        node.until_counters([("keep_alive_timeouts", 2)]).await;
    });
}

/// Any packet keeps a client alive; with a keep alive of 0 none is needed.
#[test]
fn clients_that_are_heard_stay() {
    on_nodes(settings(), async |node| {
        let (mut pinging, _) = node.connect_with(keeping(V5, "pinging", 1)).await;
        let (mut publishing, _) = node.connect_with(keeping(V311, "publishing", 1)).await;
        let (mut silent, _) = node.connect_with(keeping(V5, "silent", 0)).await;
        for _ in 0..4 {
            // Their pace.
            sleep(Duration::from_millis(600)).await;
            pinging.ping().await;
            publishing.publish("k", QoS::AtMostOnce, "here").await;
        }
        publishing.ping().await;
        silent.ping().await;
        assert_eq!(node.counter("keep_alive_timeouts"), 0);
    });
}

/// A large packet may take longer than the keep alive, as long as it comes on.
#[test]
fn a_large_packet_on_its_way_is_a_sign_of_life() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(keeping(V5, "slow", 1)).await;
        let large = Packet::Publish(publish("k", QoS::AtLeastOnce, &"x".repeat(20_000)));
        for piece in client.encoded(&large).chunks(3_000) {
            // Its pace.
            sleep(Duration::from_millis(300)).await;
            client.send_bytes(piece).await;
        }
        assert!(matches!(client.next().await, Packet::PubAck(_)));
        assert_eq!(node.counter("keep_alive_timeouts"), 0);
    });
}

/// [MQTT-3.1.2-21] With a bound, a 5.0 client that asks for more, or for none, is told the node's keep alive, and held
/// to it.
#[test]
fn server_keep_alive() {
    let mut settings = settings();
    settings.mqtt.server_keep_alive_seconds = 1;
    on_nodes(settings, async |node| {
        let mut clients = Vec::new();
        for (asked, told) in [(0, Some(1)), (1, None), (600, Some(1))] {
            let (client, answer) = node.connect_with(keeping(V5, &format!("asks-{asked}"), asked)).await;
            assert_eq!(answer.properties.server_keep_alive, told);
            clients.push(client);
        }
        let (mut old, _) = node.connect_with(keeping(V311, "old", 0)).await;
        for client in &mut clients {
            client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        }
        old.ping().await;
    });
}

/// The keep alive of a network connection that was taken over is not held against the one that followed it.
#[test]
fn keep_alive_ends_with_its_network_connection() {
    on_nodes(settings(), async |node| {
        let (mut first, _) = node.connect_with(Connect { keep_alive: 1, ..durable(V5, "same") }).await;
        let mut second = node.resume(durable(V5, "same")).await;
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        // What is tested is that time passes.
        sleep(Duration::from_millis(1800)).await;
        second.ping().await;
        assert_eq!(node.counter("keep_alive_timeouts"), 0);
    });
}
