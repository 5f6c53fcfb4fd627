//! How long a session is kept, and who says so.

use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use mqtt_codec::{Connect, Disconnect, DisconnectProperties, Packet, QoS, ReasonCode};

use super::{V5, V31, V311};
use crate::harness::{TestNode, connect, durable, on_nodes, settings};

fn expiring(client_identifier: &str, seconds: u32) -> Connect {
    let mut connect = durable(V5, client_identifier);
    connect.properties.session_expiry_interval = Some(seconds);
    connect
}

async fn is_present(node: &TestNode, connect: Connect) -> bool {
    let (client, answer) = node.connect_with(connect).await;
    client.disconnect().await;
    answer.session_present
}

/// [MQTT-3.1.2-23] [MQTT-4.1.0-2] A session is kept for its session expiry interval, and not longer.
#[test]
fn expires_after_its_interval() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(expiring("short", 1)).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut other = node.connect(V5, "other").await;
        assert_eq!(other.publish("x", QoS::AtLeastOnce, "waits").await, ReasonCode::Success);
        let mut client = node.resume(expiring("short", 1)).await;
        client.take_payload("waits").await;
        client.disconnect().await;
        let parted = Instant::now();
        node.until("the session is gone", |seen| seen.sessions.sessions == 1).await;
        assert!(parted.elapsed() >= Duration::from_millis(900), "gone after {:?}", parted.elapsed());
        assert_eq!(other.publish("x", QoS::AtLeastOnce, "nobody").await, ReasonCode::NoMatchingSubscribers);
        assert!(!is_present(node, expiring("short", 1)).await);
        node.until("it is counted", |seen| seen.counter("sessions_expired") >= 1).await;
    });
}

/// [MQTT-4.1.0-2] A session expiry interval of 0, or none: the session ends with its network connection.
#[test]
fn interval_0_ends_with_the_network_connection() {
    on_nodes(settings(), async |node| {
        for absent in [true, false] {
            let mut connect = expiring("zero", 0);
            if absent {
                connect.properties.session_expiry_interval = None;
            }
            let (mut client, _) = node.connect_with(connect.clone()).await;
            client.subscribe("x", QoS::AtLeastOnce).await;
            client.vanish().await;
            node.until("0 sessions", |seen| seen.sessions.sessions == 0).await;
            assert!(!is_present(node, connect).await);
        }
    });
}

/// A longer interval than the node admits is shortened, and the client is told. It holds for 3.1 and 3.1.1 with clean
/// session 0 too.
#[test]
fn interval_is_capped_and_announced() {
    let mut settings = settings();
    settings.mqtt.session_expiry_interval_max_seconds = 4;
    on_nodes(settings, async |node| {
        let (client, answer) = node.connect_with(expiring("long", u32::MAX)).await;
        assert_eq!(answer.properties.session_expiry_interval, Some(4));
        client.disconnect().await;
        let (client, answer) = node.connect_with(expiring("exact", 4)).await;
        assert_eq!(answer.properties.session_expiry_interval, None);
        client.disconnect().await;
        let (client, _) = node.connect_with(durable(V311, "old")).await;
        client.disconnect().await;
        let (client, _) = node.connect_with(durable(V31, "oldest")).await;
        // Asks for more at the end: capped as well.
        client.disconnect().await;
        let (client, _) = node.connect_with(expiring("at-disconnect", 4)).await;
        client.disconnect_with(disconnect(Some(1_000_000))).await;
        node.until("5 sessions", |seen| seen.sessions.sessions == 5).await;
        node.until("all sessions are gone", |seen| seen.sessions.sessions == 0).await;
    });
}

fn disconnect(session_expiry_interval: Option<u32>) -> Disconnect {
    let properties = DisconnectProperties { session_expiry_interval, ..DisconnectProperties::default() };
    Disconnect { reason_code: ReasonCode::Success, properties }
}

/// DISCONNECT changes the session expiry interval, but not from 0.
#[test]
fn interval_changed_at_disconnect() {
    on_nodes(settings(), async |node| {
        let (client, _) = node.connect_with(expiring("changes", 3600)).await;
        client.disconnect_with(disconnect(Some(0))).await;
        node.settle().await;
        assert!(!is_present(node, expiring("changes", 1)).await);
        let (client, _) = node.connect_with(expiring("changes", 1)).await;
        client.disconnect_with(disconnect(Some(3600))).await;
        // What is tested is that time passes: more than the first interval.
        sleep(Duration::from_millis(1300)).await;
        assert!(is_present(node, expiring("changes", 3600)).await);

        let mut client = node.connect(V5, "from-0").await;
        client.send(Packet::Disconnect(disconnect(Some(10)))).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        node.settle().await;
        assert!(!is_present(node, connect(V5, "from-0")).await);
    });
}

/// 4294967295 means never, where the node admits it.
#[test]
fn never_expires() {
    let mut settings = settings();
    settings.mqtt.session_expiry_interval_max_seconds = u32::MAX;
    on_nodes(settings, async |node| {
        for connect in [expiring("for-ever", u32::MAX), durable(V311, "for-ever")] {
            let (client, answer) = node.connect_with(connect).await;
            assert_eq!(answer.properties.session_expiry_interval, None);
            client.vanish().await;
        }
        node.resume(expiring("for-ever", u32::MAX - 1)).await.vanish().await;
        assert!(is_present(node, expiring("for-ever", 1)).await);
    });
}
