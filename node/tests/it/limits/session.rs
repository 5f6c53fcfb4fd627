//! `[session]`: sessions, their subscriptions, and what is in flight.

use std::num::NonZeroU16;

use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, ReasonCode};

use super::refused;
use crate::harness::{
    connect, durable, identifier, numbered, on_node, on_nodes, options, publish, settings, subscribe_packet,
};

/// `sessions_max`: 0x97, return code 3 before 5.0; a session that exists may be resumed, and one that ends makes room.
#[test]
fn sessions() {
    let mut limited = settings();
    limited.session.sessions_max = 2;
    on_nodes(limited, async |node| {
        let (lasting, _) = node.connect_with(durable(V5, "lasting")).await;
        let brief = node.connect(V311, "brief").await;
        refused(node, connect(V5, "third"), ReasonCode::QuotaExceeded).await;
        refused(node, connect(V311, "third"), ReasonCode::ServerUnavailable).await;
        node.until_counters([("sessions_full", 2)]).await;
        lasting.disconnect().await;
        refused(node, connect(V5, "third"), ReasonCode::QuotaExceeded).await;
        let lasting = node.resume(durable(V5, "lasting")).await;
        brief.disconnect().await;
        node.until("a session ended", |seen| seen.sessions.sessions == 1).await;
        node.connect(V5, "third").await.disconnect().await;
        lasting.disconnect().await;
    });
}

/// `subscriptions_per_client_max`: 0x97 for what is beyond; replacing one of them is possible.
#[test]
fn subscriptions_per_client() {
    let mut limited = settings();
    limited.session.subscriptions_per_client_max = 2;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        let filters = ["a", "$share/g/b", "c", "a"].map(|name| (name, options(AtMostOnce)));
        let answer = client.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
        let expected =
            [ReasonCode::Success, ReasonCode::Success, ReasonCode::QuotaExceeded, ReasonCode::Success];
        assert_eq!(answer.reason_codes, expected);
        node.until_counters([("subscriptions_full", 1)]).await;
        client.unsubscribe(&["a"]).await;
        client.subscribe("c", AtMostOnce).await;
        node.connect(V5, "other").await.subscribe("d", AtMostOnce).await;
    });
}

/// `subscription_bytes_per_client_max`: 0x97 for what is beyond; each costs its bytes, 128, and 64 for each level.
#[test]
fn subscription_bytes_per_client() {
    let mut limited = settings();
    limited.session.subscription_bytes_per_client_max = 2000;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        // 1,192 bytes; 1,192 more are too much; 655 (8 levels) are not, and then 193 are.
        let (long, other, deep) = ("x".repeat(1000), "y".repeat(1000), ["a"; 8].join("/"));
        let small = "z".to_owned();
        let filters = [&long, &other, &deep, &small, &long].map(|name| (name.as_str(), options(AtMostOnce)));
        let answer = client.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
        let (fits, full) = (ReasonCode::Success, ReasonCode::QuotaExceeded);
        assert_eq!(answer.reason_codes, [fits, full, fits, full, fits]);
        node.until_counters([("subscriptions_full", 2)]).await;
        client.unsubscribe(&[&long]).await;
        client.subscribe(&other, AtMostOnce).await;
    });
}

/// `names_bytes_max`: CONNACK 0x97 for a session whose names find no room; one that is there may always come back.
#[test]
fn names() {
    let mut limited = settings();
    limited.session.names_bytes_max = 1000;
    on_nodes(limited, async |node| {
        let long = "x".repeat(900);
        let (first, _) = node.connect_with(durable(V5, &long)).await;
        refused(node, connect(V5, &"y".repeat(200)), ReasonCode::QuotaExceeded).await;
        node.until_counters([("session_names_full", 1)]).await;
        first.disconnect().await;
        let resumed = node.resume(durable(V5, &long)).await;
        node.connect(V5, "short").await.disconnect().await;
        resumed.disconnect().await;
    });
}

/// `subscription_bytes_max`: 0x97 for what is beyond of all clients together; whoever leaves makes room.
#[test]
fn subscription_bytes_of_all() {
    let mut limited = settings();
    limited.session.subscription_bytes_max = 4000;
    on_nodes(limited, async |node| {
        // 1,192 bytes each.
        let names = ["a", "b", "c", "d"].map(|name| name.repeat(1000));
        let mut clients = Vec::new();
        for name in &names[..3] {
            let mut client = node.connect(V5, &name[..1]).await;
            client.subscribe(name, AtMostOnce).await;
            clients.push(client);
        }
        let mut other = node.connect(V5, "other").await;
        let filters = [&names[3], &names[0]].map(|name| (name.as_str(), options(AtMostOnce)));
        let answer = other.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
        assert_eq!(answer.reason_codes, [ReasonCode::QuotaExceeded; 2]);
        node.until_counters([("subscription_bytes_full", 2)]).await;
        // What one has already may be asked for again.
        clients[0].subscribe(&names[0], AtMostOnce).await;
        clients[1].unsubscribe(&[&names[1]]).await;
        other.subscribe(&names[3], AtMostOnce).await;
    });
}

/// `inflight_max`: so many are unacknowledged at a time, whatever the client's receive maximum; each acknowledgement
/// makes room for the next.
#[test]
fn inflight() {
    let mut limited = settings();
    limited.session.inflight_max = 3;
    on_nodes(limited, async |node| {
        for (version, qos) in [(V5, AtLeastOnce), (V311, AtLeastOnce), (V5, ExactlyOnce)] {
            let mut asked = connect(version, "subscriber");
            asked.properties.receive_maximum = NonZeroU16::new(100);
            let (mut subscriber, _) = node.connect_with(asked).await;
            subscriber.subscribe("t", qos).await;
            let mut publisher = node.connect(V5, "publisher").await;
            for number in 0..10 {
                publisher.publish("t", qos, &number.to_string()).await;
            }
            let mut sent = Vec::new();
            for number in 0..3 {
                sent.push(subscriber.expect_payload(&number.to_string()).await);
            }
            subscriber.expect_nothing().await;
            for number in 3..10 {
                let first = sent.remove(0);
                subscriber.acknowledge(&first).await;
                sent.push(subscriber.expect_payload(&number.to_string()).await);
                subscriber.expect_nothing().await;
            }
            subscriber.disconnect().await;
            publisher.disconnect().await;
        }
    });
}

/// `incoming_qos2_max` of 3.x, which cannot be told: it is not read, so that nothing is acknowledged, and then closed.
#[test]
fn incoming_qos_2_of_3_x() {
    let mut limited = settings();
    limited.session.incoming_qos2_max = 1;
    limited.mqtt.refused_publish_timeout_ms = 1000;
    on_nodes(limited, async |node| {
        for version in [V31, V311] {
            let (mut client, _) = node.connect_with(durable(version, "client")).await;
            let began = std::time::Instant::now();
            client.send_all(&[numbered(1, "t", ExactlyOnce), numbered(2, "t", ExactlyOnce)]).await;
            client.expect(Packet::PubRec(Ack::new(identifier(1), ReasonCode::Success))).await;
            client.expect_closed().await;
            assert!(began.elapsed() >= std::time::Duration::from_millis(1000));
            let mut client = node.resume(durable(version, "client")).await;
            client.send(Packet::PubRel(Ack::new(identifier(1), ReasonCode::Success))).await;
            client.expect(Packet::PubComp(Ack::new(identifier(1), ReasonCode::Success))).await;
            client.send(numbered(2, "t", ExactlyOnce)).await;
            client.expect(Packet::PubRec(Ack::new(identifier(2), ReasonCode::Success))).await;
            client.send(Packet::PubRel(Ack::new(identifier(2), ReasonCode::Success))).await;
            client.expect(Packet::PubComp(Ack::new(identifier(2), ReasonCode::Success))).await;
            client.disconnect().await;
            let (client, _) = node.connect_with(connect(version, "client")).await;
            client.disconnect().await;
        }
        node.until_counters([
            ("incoming_qos2_full", 2),
            ("publishers_held", 2),
            ("publishers_held_closed", 2),
        ])
        .await;
    });
}

/// `incoming_qos2_max`: one more identifier between PUBLISH and PUBREL ends the network connection (0x93); they are part
/// of the session, so coming back does not help, and completing them does.
#[test]
fn incoming_qos_2() {
    let mut limited = settings();
    limited.session.incoming_qos2_max = 3;
    on_nodes(limited, async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "client")).await;
        for number in 1..=3 {
            client.send(numbered(number, "t", ExactlyOnce)).await;
            client
                .expect(Packet::PubRec(Ack::new(identifier(number), ReasonCode::NoMatchingSubscribers)))
                .await;
        }
        client.send(numbered(4, "t", ExactlyOnce)).await;
        client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
        let mut client = node.resume(durable(V5, "client")).await;
        client.send(numbered(4, "t", ExactlyOnce)).await;
        client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
        node.until_counters([("incoming_qos2_full", 2)]).await;
        let mut client = node.resume(durable(V5, "client")).await;
        client.send(Packet::PubRel(Ack::new(identifier(1), ReasonCode::Success))).await;
        client.expect(Packet::PubComp(Ack::new(identifier(1), ReasonCode::Success))).await;
        client.send(numbered(4, "t", ExactlyOnce)).await;
        client.expect(Packet::PubRec(Ack::new(identifier(4), ReasonCode::NoMatchingSubscribers))).await;
    });
}

/// `publish_properties_bytes_max`: 0x97 for what every subscriber would get a copy of.
#[test]
fn bytes_of_the_properties_of_a_publish() {
    let mut limited = settings();
    limited.mqtt.publish_properties_bytes_max = 100;
    on_node(1, limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("t", AtMostOnce).await;
        let mut message = publish("t", AtMostOnce, "x");
        message.properties.user_properties = vec![("k".to_owned(), "v".repeat(90))];
        client.send(Packet::Publish(message.clone())).await;
        assert_eq!(
            client.expect_publish().await.properties.user_properties,
            message.properties.user_properties
        );
        message.properties.user_properties = vec![("k".to_owned(), "v".repeat(100))];
        client.send(Packet::Publish(message)).await;
        client.expect_disconnect(ReasonCode::QuotaExceeded).await;
        node.until_counters([("publish_properties_too_large", 1)]).await;
    });
}
