//! What waits for a session that is offline.

use std::num::NonZeroU16;

use mqtt_codec::{Ack, Packet, QoS, ReasonCode};

use super::{V5, V311};
use crate::harness::{Client, TestNode, durable, identifier, on_nodes, publish, settings};

async fn offline_with_qos_0(node: &TestNode) -> Client {
    let (mut client, _) = node.connect_with(durable(V311, "away")).await;
    client.subscribe("a", QoS::ExactlyOnce).await;
    client.subscribe("b", QoS::AtMostOnce).await;
    client.disconnect().await;
    let mut publisher = node.connect(V5, "publisher").await;
    publisher.publish("a", QoS::AtLeastOnce, "1").await;
    publisher.publish("a", QoS::AtMostOnce, "2").await;
    publisher.publish("b", QoS::ExactlyOnce, "3").await;
    publisher.publish("a", QoS::ExactlyOnce, "4").await;
    node.resume(durable(V311, "away")).await
}

/// QoS 0 for a session that is offline is dropped, and counted so.
#[test]
fn qos_0_is_not_kept_for_offline_sessions() {
    on_nodes(settings(), async |node| {
        let mut client = offline_with_qos_0(node).await;
        client.take_payload("1").await;
        client.take_payload("4").await;
        client.expect_nothing().await;
        let ledger = node.balanced_ledger().await;
        let offline =
            ledger.dropped.iter().find(|(reason, _)| reason.label() == "offline").expect("a reason");
        assert_eq!(offline.1, 2);
    });
}

/// With `queue_qos0_offline` it waits with the others, in order.
#[test]
fn qos_0_is_kept_if_asked_for() {
    let mut settings = settings();
    settings.session.queue_qos0_offline = true;
    on_nodes(settings, async |node| {
        let mut client = offline_with_qos_0(node).await;
        client.take_payload("1").await;
        assert_eq!(client.take_payload("2").await.qos, QoS::AtMostOnce);
        assert_eq!(client.take_payload("3").await.qos, QoS::AtMostOnce);
        client.take_payload("4").await;
        client.expect_nothing().await;
        assert_eq!(node.balanced_ledger().await.dropped_total(), 0);
    });
}

/// Thousands of messages wait for a session, and come in the order of their publisher.
#[test]
fn a_long_queue_comes_in_order() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "patient")).await;
        client.subscribe("long/#", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut publisher = node.connect(V5, "publisher").await;
        const COUNT: u16 = 3000;
        for chunk in (1..=COUNT).collect::<Vec<_>>().chunks(500) {
            let packets: Vec<_> = chunk
                .iter()
                .map(|number| {
                    let mut message = publish("long/x", QoS::AtLeastOnce, &number.to_string());
                    message.packet_identifier = Some(identifier(*number));
                    Packet::Publish(message)
                })
                .collect();
            publisher.send_all(&packets).await;
            for number in chunk {
                publisher.expect(Packet::PubAck(Ack::new(identifier(*number), ReasonCode::Success))).await;
            }
        }
        let mut resuming = durable(V5, "patient");
        resuming.properties.receive_maximum = NonZeroU16::new(10);
        let mut client = node.resume(resuming).await;
        for number in 1..=COUNT {
            client.take_payload(&number.to_string()).await;
        }
        client.expect_nothing().await;
    });
}
