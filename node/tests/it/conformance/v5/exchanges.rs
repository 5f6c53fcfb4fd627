//! QoS 1 and 2 (chapters 2.2.1, 4.3, 4.4): packet identifiers, what is sent when, and what is sent again.

use std::time::Duration;

use actix_rt::time::sleep;
use mqtt_codec::{Publish, QoS, ReasonCode};

use super::bytes::{V5, connected, packet, string};
use crate::harness::{Client, TestNode, durable, on_nodes, publish, settings};

/// A packet of a fixed header and a packet identifier.
fn ack(first: u8, id: u16) -> Vec<u8> {
    [&[first, 2][..], &id.to_be_bytes()].concat()
}

/// A client with a session that stays, subscribed to `t` with QoS 2.
async fn subscribed(node: &TestNode) -> Client {
    let (mut client, _) = node.connect_with(durable(V5, "subscriber")).await;
    client.subscribe("t", QoS::ExactlyOnce).await;
    client
}

fn id(publish: &Publish) -> u16 {
    publish.packet_identifier.expect("QoS 1 or 2").get()
}

/// [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] Messages in flight have packet identifiers of their own, whatever their
/// QoS; none of them is used anew before its exchange is over.
#[test]
fn packet_identifiers_are_unused() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let mut in_flight = Vec::new();
        for number in 0..200u8 {
            let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            publisher.publish("t", qos, "m").await;
            let message = client.expect_payload("m").await;
            assert!(!in_flight.contains(&id(&message)), "{} is in use", id(&message));
            in_flight.push(id(&message));
            if number % 5 == 0 {
                // PUBREC alone does not free it.
                client
                    .send_bytes(&ack(if qos == QoS::AtLeastOnce { 0x40 } else { 0x50 }, id(&message)))
                    .await;
                if qos == QoS::AtLeastOnce {
                    in_flight.pop();
                } else {
                    client.expect_bytes(&ack(0x62, id(&message))).await;
                }
            }
        }
        client.expect_nothing().await;
    });
}

/// [MQTT-2.2.1-5] [MQTT-4.3.3-4] [MQTT-4.3.3-6] PUBREC is answered by PUBREL with its packet identifier, as often as it
/// comes; from then on the session resends the PUBREL and not the PUBLISH.
#[test]
fn pubrel_takes_the_place_of_publish() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", QoS::ExactlyOnce, "m").await;
        let id = id(&client.expect_payload("m").await);
        for _ in 0..2 {
            client.send_bytes(&ack(0x50, id)).await;
            client.expect_bytes(&ack(0x62, id)).await;
        }
        client.expect_nothing().await;
        for _ in 0..3 {
            client.vanish().await;
            client = node.resume(durable(V5, "subscriber")).await;
            client.expect_bytes(&ack(0x62, id)).await;
            client.expect_nothing().await;
        }
        client.send_bytes(&ack(0x70, id)).await;
        client.ping().await;
        client.vanish().await;
        node.resume(durable(V5, "subscriber")).await.expect_nothing().await;
    });
}

/// [MQTT-2.2.1-5] The packet identifiers of both ends have nothing to do with each other: exchanges of the same number
/// run side by side.
#[test]
fn both_ends_use_the_same_packet_identifier() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", QoS::ExactlyOnce, "m").await;
        let id = id(&client.expect_payload("m").await);
        let [high, low] = id.to_be_bytes();
        client.send_bytes(&packet(0x34, &[&b"\x00\x01u"[..], &[high, low], b"\x00x"].concat())).await;
        client.expect_bytes(&[0x50, 3, high, low, 0x10]).await;
        // What it received is released by its own PUBREC alone, what it sent by its own PUBREL.
        client.send_bytes(&ack(0x50, id)).await;
        client.expect_bytes(&ack(0x62, id)).await;
        client.send_bytes(&ack(0x62, id)).await;
        client.expect_bytes(&ack(0x70, id)).await;
        node.until("the PUBCOMP is missing", |seen| seen.ledger.queued == 1).await;
        client.send_bytes(&ack(0x70, id)).await;
        client.ping().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
        // SUBSCRIBE and UNSUBSCRIBE share the client's numbers with PUBLISH, and nothing else.
        client.send_bytes(&packet(0x34, &[&b"\x00\x01u"[..], &[high, low], b"\x00x"].concat())).await;
        client.expect_bytes(&[0x50, 3, high, low, 0x10]).await;
        client.send_bytes(&packet(0x82, &[&[high, low, 0][..], b"\x00\x01v\x00"].concat())).await;
        client.expect_bytes(&[0x90, 4, high, low, 0, 0]).await;
        client.send_bytes(&ack(0x62, id)).await;
        client.expect_bytes(&ack(0x70, id)).await;
    });
}

/// [MQTT-4.3.2-5] After PUBACK the same packet identifier is a new message, with DUP and without.
#[test]
fn after_puback_a_new_message() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = connected(node).await;
        for first in [0x32, 0x32, 0x3a, 0x3a] {
            publisher.send_bytes(&[&[first, 7][..], b"\x00\x01t\x00\x05\x00x"].concat()).await;
            publisher.expect_bytes(&ack(0x40, 5)).await;
            client.take_payload("x").await;
        }
        client.expect_nothing().await;
    });
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-12] Until PUBREL the same packet identifier is the same message: acknowledged and not
/// routed, with DUP and without, whatever else it holds. After PUBCOMP it is a new one.
#[test]
fn after_pubcomp_a_new_message() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = connected(node).await;
        for round in 0..3 {
            for (first, rest) in [(0x34, "x"), (0x3c, "x"), (0x34, "x"), (0x3c, "another")] {
                let body = [&b"\x00\x01t\x00\x05\x00"[..], rest.as_bytes()].concat();
                publisher.send_bytes(&packet(first, &body)).await;
                publisher.expect_bytes(&ack(0x50, 5)).await;
            }
            client.take_payload("x").await;
            client.expect_nothing().await;
            publisher.send_bytes(&ack(0x62, 5)).await;
            publisher.expect_bytes(&ack(0x70, 5)).await;
            // A PUBREL that is sent again finds nothing more.
            if round == 1 {
                publisher.send_bytes(&ack(0x62, 5)).await;
                publisher.expect_bytes(b"\x70\x03\x00\x05\x92").await;
            }
        }
    });
}

/// [MQTT-4.3.3-9] After a PUBREC of 0x80 or above the same packet identifier is a new message, also when it stood for
/// one before that was accepted.
#[test]
fn after_a_failing_pubrec_a_new_message() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = connected(node).await;
        let refused = packet(0x34, &[&string("$SYS/x")[..], b"\x00\x05\x00x"].concat());
        let accepted = packet(0x34, b"\x00\x01t\x00\x05\x00x");
        for _ in 0..2 {
            for _ in 0..2 {
                publisher.send_bytes(&refused).await;
                publisher.expect_bytes(b"\x50\x03\x00\x05\x87").await;
                publisher.send_bytes(&accepted).await;
                publisher.expect_bytes(&ack(0x50, 5)).await;
                client.take_payload("x").await;
            }
            publisher.send_bytes(&ack(0x62, 5)).await;
            publisher.expect_bytes(&ack(0x70, 5)).await;
        }
        client.expect_nothing().await;
    });
}

/// [MQTT-4.4.0-2] What the client answered with 0x80 or above is over, and is not sent again.
#[test]
fn refused_messages_are_not_sent_again() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for reason in [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] {
            for (qos, first) in [(QoS::AtLeastOnce, 0x40), (QoS::ExactlyOnce, 0x50)] {
                publisher.publish("t", qos, "m").await;
                let id = id(&client.expect_payload("m").await).to_be_bytes();
                client.send_bytes(&[first, 3, id[0], id[1], reason]).await;
                client.expect_nothing().await;
            }
        }
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
        client.vanish().await;
        node.resume(durable(V5, "subscriber")).await.expect_nothing().await;
    });
}

/// [MQTT-4.3.3-7] [MQTT-4.3.3-3] What was sent does not expire: it is sent again though its interval has passed.
#[test]
fn what_was_sent_does_not_expire() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let mut ids = Vec::new();
        for qos in [QoS::ExactlyOnce, QoS::AtLeastOnce] {
            let mut message = publish("t", qos, "m");
            message.properties.message_expiry_interval = Some(1);
            publisher.publish_packet(message).await;
            ids.push(id(&client.expect_payload("m").await));
        }
        client.vanish().await;
        // What is tested is that time passes.
        sleep(Duration::from_millis(1300)).await;
        let mut client = node.resume(durable(V5, "subscriber")).await;
        for number in ids {
            let again = client.take_payload("m").await;
            assert_eq!((id(&again), again.dup), (number, true));
            assert_eq!(again.properties.message_expiry_interval, Some(0));
        }
        client.expect_nothing().await;
    });
}

/// [MQTT-4.3.3-13] A QoS 2 exchange goes on to its end though the message expired, in either direction.
#[test]
fn an_exchange_goes_on_past_expiry() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = connected(node).await;
        let body = [&b"\x00\x01t\x00\x05\x05\x02\x00\x00\x00\x01"[..], b"m"].concat();
        publisher.send_bytes(&packet(0x34, &body)).await;
        publisher.expect_bytes(&ack(0x50, 5)).await;
        let id = id(&client.expect_payload("m").await);
        // What is tested is that time passes.
        sleep(Duration::from_millis(1300)).await;
        publisher.send_bytes(&packet(0x3c, &body)).await;
        publisher.expect_bytes(&ack(0x50, 5)).await;
        publisher.send_bytes(&ack(0x62, 5)).await;
        publisher.expect_bytes(&ack(0x70, 5)).await;
        client.send_bytes(&ack(0x50, id)).await;
        client.expect_bytes(&ack(0x62, id)).await;
        client.send_bytes(&ack(0x70, id)).await;
        client.expect_nothing().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
    });
}

/// [MQTT-4.4.0-1] Nothing is sent again while the network connection lasts, however long the client is silent.
#[test]
fn nothing_is_sent_again_meanwhile() {
    on_nodes(settings(), async |node| {
        let mut client = subscribed(node).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", QoS::AtLeastOnce, "one").await;
        publisher.publish("t", QoS::ExactlyOnce, "two").await;
        client.expect_payload("one").await;
        let two = id(&client.expect_payload("two").await);
        client.send_bytes(&ack(0x50, two)).await;
        client.expect_bytes(&ack(0x62, two)).await;
        // What is tested is that time passes.
        sleep(Duration::from_secs(2)).await;
        client.expect_nothing().await;
        assert_eq!(publisher.publish("t", QoS::AtMostOnce, "zero").await, ReasonCode::Success);
        client.expect_payload("zero").await;
        client.expect_nothing().await;
    });
}
