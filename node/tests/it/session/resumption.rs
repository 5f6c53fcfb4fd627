//! What is in flight: sent again when its session is resumed, under packet identifiers that nothing else has.

use std::num::NonZeroU16;

use mqtt_codec::{Ack, Packet, ProtocolVersion, Publish, QoS, ReasonCode};

use super::{V5, V31, V311};
use crate::harness::{TestNode, durable, identifier, on_nodes, publish, settings};

/// A session may be resumed with another version of the protocol, with its subscriptions and what waits for it.
#[test]
fn survives_a_change_of_version() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let (mut client, _) = node.connect_with(durable(V31, "changing")).await;
        client.subscribe("v/+", QoS::ExactlyOnce).await;
        client.disconnect().await;
        for (round, version) in [V5, V311, V5, V31, V311].into_iter().enumerate() {
            let payload = round.to_string();
            let mut message = publish("v/1", QoS::ExactlyOnce, &payload);
            message.properties.content_type = Some("text/plain".to_owned());
            publisher.publish_packet(message).await;
            let mut client = node.resume(durable(version, "changing")).await;
            let got = client.take_payload(&payload).await;
            assert_eq!(got.properties.content_type.is_some(), version == V5);
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}

/// A session with messages 0 to 5 sent and unacknowledged (QoS 1 and 2 in turn); answers their packet identifiers.
async fn with_six_in_flight(node: &TestNode, version: ProtocolVersion) -> Vec<u16> {
    let (mut client, _) = node.connect_with(durable(version, "resuming")).await;
    client.subscribe("r", QoS::ExactlyOnce).await;
    let mut publisher = node.connect(V5, "publisher").await;
    for number in 0..6 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        publisher.publish("r", qos, &number.to_string()).await;
    }
    let mut identifiers = Vec::new();
    for number in 0..6 {
        let publish = client.expect_payload(&number.to_string()).await;
        assert!(!publish.dup);
        identifiers.push(publish.packet_identifier.expect("QoS 1 or 2").get());
    }
    // 3 is half done: the PUBREL is owed.
    let ack = Ack::new(identifier(identifiers[3]), ReasonCode::Success);
    client.send(Packet::PubRec(ack.clone())).await;
    client.expect(Packet::PubRel(ack)).await;
    client.vanish().await;
    identifiers
}

/// [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] On resumption, and only
/// then, what is unacknowledged is sent again: with the same packet identifiers, in the order first sent, PUBLISH with
/// DUP, or the PUBREL. New messages come behind.
#[test]
fn resends_on_resumption() {
    on_nodes(settings(), async |node| {
        for version in [V31, V311, V5] {
            let identifiers = with_six_in_flight(node, version).await;
            let mut publisher = node.connect(V5, "publisher").await;
            publisher.publish("r", QoS::AtLeastOnce, "new").await;
            let mut client = node.resume(durable(version, "resuming")).await;
            for (number, packet_identifier) in identifiers.iter().enumerate() {
                let packet_identifier = identifier(*packet_identifier);
                if number == 3 {
                    client.expect(Packet::PubRel(Ack::new(packet_identifier, ReasonCode::Success))).await;
                    continue;
                }
                let publish = client.expect_payload(&number.to_string()).await;
                assert!(publish.dup, "{number}");
                assert_eq!(publish.packet_identifier, Some(packet_identifier));
            }
            let new = client.expect_payload("new").await;
            assert!(!new.dup);
            assert!(!identifiers.contains(&new.packet_identifier.expect("QoS 1").get()));
            client.expect_nothing().await;
            for number in [0, 2, 4] {
                let ack = Ack::new(identifier(identifiers[number]), ReasonCode::Success);
                client.send(Packet::PubAck(ack)).await;
            }
            client.acknowledge(&new).await;
            for number in [1, 5] {
                let ack = Ack::new(identifier(identifiers[number]), ReasonCode::Success);
                client.send(Packet::PubRec(ack.clone())).await;
                client.expect(Packet::PubRel(ack.clone())).await;
                client.send(Packet::PubComp(ack)).await;
            }
            let ack = Ack::new(identifier(identifiers[3]), ReasonCode::Success);
            client.send(Packet::PubComp(ack)).await;
            client.ping().await;
            node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
            client.disconnect().await;
            let mut client = node.resume(durable(version, "resuming")).await;
            client.expect_nothing().await;
            client.disconnect().await;
            node.connect(version, "resuming").await.disconnect().await;
        }
    });
}

/// [MQTT-3.3.4-9] [MQTT-3.3.4-10] The receive maximum of the new network connection holds for what is sent again, too.
#[test]
fn resumption_obeys_the_receive_maximum() {
    on_nodes(settings(), async |node| {
        let identifiers = with_six_in_flight(node, V5).await;
        let mut resuming = durable(V5, "resuming");
        resuming.properties.receive_maximum = NonZeroU16::new(2);
        let mut client = node.resume(resuming).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("r", QoS::AtLeastOnce, "new").await;
        let first = client.expect_payload("0").await;
        let second = client.expect_payload("1").await;
        // No PUBREL waits for room, but the message that it stands for takes some.
        let ack = Ack::new(identifier(identifiers[3]), ReasonCode::Success);
        client.expect(Packet::PubRel(ack.clone())).await;
        client.expect_nothing().await;
        client.acknowledge(&first).await;
        client.expect_nothing().await;
        client.acknowledge(&second).await;
        let third = client.expect_payload("2").await;
        client.expect_nothing().await;
        client.send(Packet::PubComp(ack)).await;
        client.acknowledge(&third).await;
        client.take_payload("4").await;
        client.take_payload("5").await;
        client.take_payload("new").await;
        client.expect_nothing().await;
    });
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-12] A client that comes back with DUP publishes of QoS 2 gets them routed once, whatever the node still knew.
#[test]
fn incoming_qos_2_survives_the_network_connection() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("once", QoS::ExactlyOnce).await;
        for version in [V31, V311, V5] {
            let (mut client, _) = node.connect_with(durable(version, "sender")).await;
            let mut message = publish("once", QoS::ExactlyOnce, "a");
            message.packet_identifier = Some(identifier(7));
            client.send(Packet::Publish(message.clone())).await;
            client.expect(Packet::PubRec(Ack::new(identifier(7), ReasonCode::Success))).await;
            subscriber.take_payload("a").await;
            client.vanish().await;
            let mut client = node.resume(durable(version, "sender")).await;
            message.dup = true;
            client.send(Packet::Publish(message.clone())).await;
            client.expect(Packet::PubRec(Ack::new(identifier(7), ReasonCode::Success))).await;
            subscriber.expect_nothing().await;
            client.send(Packet::PubRel(Ack::new(identifier(7), ReasonCode::Success))).await;
            client.expect(Packet::PubComp(Ack::new(identifier(7), ReasonCode::Success))).await;
            // Released: the packet identifier stands for a new message now.
            message.dup = false;
            client.send(Packet::Publish(message)).await;
            client.expect(Packet::PubRec(Ack::new(identifier(7), ReasonCode::Success))).await;
            subscriber.take_payload("a").await;
            client.disconnect().await;
            node.connect(version, "sender").await.disconnect().await;
        }
    });
}

/// [MQTT-2.2.1-4] More messages than there are packet identifiers, while the oldest stays unacknowledged: none is used
/// twice at a time.
#[test]
fn packet_identifiers_wrap_around() {
    on_nodes(settings(), async |node| {
        const COUNT: u32 = 66_000;
        let mut client = node.connect(V5, "wrapping").await;
        client.subscribe("w", QoS::AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("w", QoS::AtLeastOnce, "held").await;
        let held = client.expect_payload("held").await;
        const BATCH: u32 = 1000;
        for _ in 0..COUNT / BATCH {
            let packets: Vec<_> = (1..=BATCH as u16)
                .map(|number| {
                    let packet_identifier = Some(identifier(number));
                    Packet::Publish(Publish { packet_identifier, ..publish("w", QoS::AtLeastOnce, "x") })
                })
                .collect();
            publisher.send_all(&packets).await;
            let mut acks = Vec::new();
            for _ in 0..BATCH {
                let got = client.expect_publish().await;
                assert_ne!(got.packet_identifier, held.packet_identifier);
                let ack = Ack::new(got.packet_identifier.expect("QoS 1"), ReasonCode::Success);
                acks.push(Packet::PubAck(ack));
            }
            client.send_all(&acks).await;
            for number in 1..=BATCH as u16 {
                publisher.expect(Packet::PubAck(Ack::new(identifier(number), ReasonCode::Success))).await;
            }
        }
        client.acknowledge(&held).await;
        client.ping().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
    });
}
