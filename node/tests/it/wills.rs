//! Will messages: when they are published, when they are not, and as what.

use std::time::{Duration, Instant};

use mqtt_codec::{
    Connect, Disconnect, DisconnectProperties, Packet, PayloadFormat, ProtocolVersion, QoS, ReasonCode,
    SubscriptionOptions, Will,
};

use crate::harness::{
    Client, TestNode, connect, durable, on_nodes, options, settings, user_properties, will,
};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn mortal(version: ProtocolVersion) -> Connect {
    Connect { will: Some(will("will", QoS::AtLeastOnce, "last words")), ..connect(version, "mortal") }
}

/// A durable 5.0 session with a delayed will.
fn delayed(seconds: u32, session_expiry_interval: u32) -> Connect {
    let mut connect = durable(V5, "mortal");
    connect.properties.session_expiry_interval = Some(session_expiry_interval);
    connect.will = Some(Will { delay_interval: seconds, ..will("will", QoS::AtLeastOnce, "last words") });
    connect
}

fn with_will() -> Disconnect {
    Disconnect::new(ReasonCode::DisconnectWithWillMessage)
}

async fn heir(node: &TestNode) -> Client {
    let mut heir = node.connect(V5, "heir").await;
    heir.subscribe("will", QoS::ExactlyOnce).await;
    heir
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14] The will is published when the network connection ends without a
/// DISCONNECT, with the QoS it was left with.
#[test]
fn published_when_the_network_connection_is_lost() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        for version in VERSIONS {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let mut connect = mortal(version);
                connect.will = Some(will("will", qos, "last words"));
                let (mut client, _) = node.connect_with(connect).await;
                client.publish("will", QoS::AtMostOnce, "still alive").await;
                client.ping().await;
                client.vanish().await;
                heir.take_payload("still alive").await;
                let got = heir.take_payload("last words").await;
                assert_eq!((got.qos, got.retain, got.topic.as_str()), (qos, false, "will"));
                heir.expect_nothing().await;
            }
        }
        node.until_counters([("wills_published", 9)]).await;
    });
}

/// [MQTT-3.1.2-8] [MQTT-3.1.2-22] ... and when the node ends it: for a protocol error, or because nothing was heard.
#[test]
fn published_when_the_node_closes() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        let (mut client, _) = node.connect_with(mortal(V5)).await;
        client.send(Packet::Connect(Box::new(mortal(V5)))).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        heir.take_payload("last words").await;

        let (mut client, _) = node.connect_with(Connect { keep_alive: 1, ..mortal(V5) }).await;
        client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        heir.take_payload("last words").await;
        heir.expect_nothing().await;
    });
}

/// [MQTT-3.1.2-10] [MQTT-3.14.4-3] DISCONNECT removes it, unless its reason code says otherwise (0x04).
#[test]
fn removed_by_disconnect() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        for version in VERSIONS {
            let (client, _) = node.connect_with(mortal(version)).await;
            client.disconnect().await;
            heir.expect_nothing().await;
        }
        let (client, _) = node.connect_with(mortal(V5)).await;
        client.disconnect_with(with_will()).await;
        heir.take_payload("last words").await;
        let (client, _) = node.connect_with(mortal(V5)).await;
        client.disconnect_with(Disconnect::new(ReasonCode::UnspecifiedError)).await;
        heir.take_payload("last words").await;
        heir.expect_nothing().await;
    });
}

/// [MQTT-3.1.2-8] [MQTT-3.1.2-10] It is published once: not again when the session that it came with is resumed and left.
#[test]
fn published_once() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        for version in VERSIONS {
            let dying = Connect { will: mortal(version).will, ..durable(version, "mortal") };
            let (client, _) = node.connect_with(dying).await;
            client.vanish().await;
            heir.take_payload("last words").await;
            node.resume(durable(version, "mortal")).await.vanish().await;
            heir.expect_nothing().await;
            node.connect(version, "mortal").await.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-15] [MQTT-3.1.3-10] Every property of a will, and its RETAIN flag.
#[test]
fn carries_its_properties() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        let mut old = node.connect(V311, "old").await;
        old.subscribe("will", QoS::AtMostOnce).await;
        let mut dying = mortal(V5);
        let last = dying.will.as_mut().expect("it has one");
        last.retain = true;
        last.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
        last.properties.message_expiry_interval = Some(1000);
        last.properties.content_type = Some("text/plain".to_owned());
        last.properties.response_topic = Some("condolences".to_owned());
        last.properties.correlation_data = Some(b"\x00\xff".to_vec().into());
        last.properties.user_properties = user_properties(&[("b", "1"), ("a", "2"), ("b", "3")]);
        let properties = last.properties.clone();
        let (client, _) = node.connect_with(dying).await;
        client.vanish().await;
        let got = heir.take_payload("last words").await;
        assert_eq!(got.properties, properties);
        assert!(!got.retain);
        old.take_payload("last words").await;

        // It is retained.
        let mut late = node.connect(V5, "late").await;
        late.subscribe("will", QoS::AtMostOnce).await;
        let got = late.expect_payload("last words").await;
        assert!(got.retain);
        assert_eq!(got.properties.content_type.as_deref(), Some("text/plain"));
    });
}

/// [MQTT-3.1.3-9] A delayed will waits for its delay.
#[test]
fn waits_for_its_delay() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        for by_disconnect in [false, true] {
            let (client, _) = node.connect_with(delayed(1, 3600)).await;
            let began = Instant::now();
            match by_disconnect {
                true => client.disconnect_with(with_will()).await,
                false => client.vanish().await,
            }
            heir.expect_nothing().await;
            heir.take_payload("last words").await;
            let waited = began.elapsed();
            assert!(waited >= Duration::from_millis(950), "published after {waited:?}");
            // The session is still there.
            node.resume(durable(V5, "mortal")).await.disconnect().await;
        }
        heir.expect_nothing().await;
    });
}

/// [MQTT-3.1.2-8] The end of the session does not wait: nor does its will.
#[test]
fn published_at_the_end_of_the_session() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        // Ends with its network connection.
        let (client, _) = node.connect_with(delayed(1000, 0)).await;
        client.vanish().await;
        heir.take_payload("last words").await;
        // Ends by the interval that DISCONNECT set.
        let (client, _) = node.connect_with(delayed(1000, 3600)).await;
        let properties =
            DisconnectProperties { session_expiry_interval: Some(0), ..DisconnectProperties::default() };
        client.disconnect_with(Disconnect { properties, ..with_will() }).await;
        heir.take_payload("last words").await;
        // Expires before the delay is over.
        let (client, _) = node.connect_with(delayed(1000, 1)).await;
        let began = Instant::now();
        client.vanish().await;
        heir.expect_nothing().await;
        heir.take_payload("last words").await;
        assert!(began.elapsed() >= Duration::from_millis(950));
        node.until("1 session", |seen| seen.sessions.sessions == 1).await;
        heir.expect_nothing().await;
    });
}

/// [MQTT-3.1.3-9] Resumption cancels a delayed will, from offline and by takeover; a clean start ends the session, and
/// its will is published.
#[test]
fn only_resumption_cancels() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        // Resumed from offline; the next network connection's will is its own.
        let (client, _) = node.connect_with(delayed(1, 3600)).await;
        client.vanish().await;
        let client = node.resume(durable(V5, "mortal")).await;
        client.vanish().await;
        // Resumed by takeover.
        let (mut first, _) = node.connect_with(delayed(1, 3600)).await;
        let second = node.resume(durable(V5, "mortal")).await;
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        // What is tested is that the delay passes.
        actix_rt::time::sleep(Duration::from_millis(1300)).await;
        heir.expect_nothing().await;
        second.disconnect().await;

        // Clean start from offline.
        let (client, _) = node.connect_with(delayed(1000, 3600)).await;
        client.vanish().await;
        heir.expect_nothing().await;
        let client = node.connect(V5, "mortal").await;
        heir.take_payload("last words").await;
        client.disconnect().await;
        // Clean start by takeover, the new one with a will of its own.
        let (mut first, _) = node.connect_with(delayed(1000, 3600)).await;
        let mut renewed = delayed(0, 3600);
        renewed.clean_start = true;
        renewed.will = Some(will("will", QoS::AtMostOnce, "other words"));
        let (second, answer) = node.connect_with(renewed).await;
        assert!(!answer.session_present);
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        heir.take_payload("last words").await;
        heir.expect_nothing().await;
        second.vanish().await;
        heir.take_payload("other words").await;
    });
}

/// [MQTT-3.1.4-3] A will without delay is published when its network connection is taken over.
#[test]
fn published_at_takeover() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        for version in VERSIONS {
            let (mut first, _) = node.connect_with(mortal(version)).await;
            let second = node.connect(version, "mortal").await;
            first.expect_disconnect(ReasonCode::SessionTakenOver).await;
            heir.take_payload("last words").await;
            second.disconnect().await;
            heir.expect_nothing().await;
        }
    });
}

/// [MQTT-3.8.3-3] A will is its client's own publish: a no local subscription of that client does not get it, another
/// does.
#[test]
fn no_local_of_its_own_client() {
    on_nodes(settings(), async |node| {
        for no_local in [true, false] {
            let dying = Connect { will: mortal(V5).will, ..durable(V5, "mortal") };
            let (mut client, _) = node.connect_with(dying).await;
            let own = SubscriptionOptions { no_local, ..options(QoS::AtLeastOnce) };
            client.subscribe_with("will", own).await;
            client.vanish().await;
            let mut client = node.resume(durable(V5, "mortal")).await;
            if !no_local {
                client.take_payload("last words").await;
            }
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.3.2-5] The expiry of a will counts from when it is published.
#[test]
fn expiry_counts_from_its_publication() {
    on_nodes(settings(), async |node| {
        let mut heir = heir(node).await;
        let mut dying = delayed(1, 3600);
        dying.will.as_mut().expect("it has one").properties.message_expiry_interval = Some(100);
        let (client, _) = node.connect_with(dying).await;
        client.vanish().await;
        let got = heir.take_payload("last words").await;
        assert_eq!(got.properties.message_expiry_interval, Some(100));
    });
}
