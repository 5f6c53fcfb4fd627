//! The delivery protocols of QoS 0, 1 and 2, from both sides, and the order of what they deliver.

use super::{
    ACCEPTED, PUBACK, PUBCOMP, PUBREC, PUBREL, RESUMED, ack, join, join_durable, publish, subscribed,
};
use crate::harness::{on_nodes, settings};

/// [MQTT311-4.3.2-2] The node acknowledges QoS 1 with the packet identifier that came; the same one after that is a new
/// message, with DUP or without.
#[test]
fn receiver_of_qos_1() {
    on_nodes(settings(), async |node| {
        let mut subscriber = join(node, "subscriber").await;
        subscribed(&mut subscriber, "t", 0).await;
        let mut publisher = join(node, "publisher").await;
        for first_byte in [0x32, 0x32, 0x3a, 0x3a] {
            publisher.send_bytes(&publish(first_byte, "t", Some(77), "m")).await;
            publisher.expect_bytes(&ack(PUBACK, 77)).await;
            subscriber.expect_bytes(&publish(0x30, "t", None, "m")).await;
        }
        subscriber.expect_nothing().await;
    });
}

/// [MQTT311-4.3.3-2] Until PUBREL the node acknowledges a packet identifier again and passes nothing on; PUBREL is
/// answered by PUBCOMP, also a second time; then the packet identifier stands for a new message.
#[test]
fn receiver_of_qos_2() {
    on_nodes(settings(), async |node| {
        let mut subscriber = join(node, "subscriber").await;
        subscribed(&mut subscriber, "t", 0).await;
        let mut publisher = join_durable(node, "publisher", ACCEPTED).await;
        for round in ["first", "second"] {
            for first_byte in [0x34, 0x3c, 0x34] {
                publisher.send_bytes(&publish(first_byte, "t", Some(77), round)).await;
                publisher.expect_bytes(&ack(PUBREC, 77)).await;
            }
            // Across network connections as well.
            drop(publisher);
            publisher = join_durable(node, "publisher", RESUMED).await;
            publisher.send_bytes(&publish(0x3c, "t", Some(77), round)).await;
            publisher.expect_bytes(&ack(PUBREC, 77)).await;
            for _ in 0..2 {
                publisher.send_bytes(&ack(PUBREL, 77)).await;
                publisher.expect_bytes(&ack(PUBCOMP, 77)).await;
            }
            subscriber.expect_bytes(&publish(0x30, "t", None, round)).await;
            subscriber.expect_nothing().await;
        }
    });
}

/// [MQTT311-4.3.2-1] Sent by the node with QoS 1: DUP 0 at first, unacknowledged until the PUBACK, not sent again without
/// a new network connection, and never after the PUBACK.
#[test]
fn sender_of_qos_1() {
    on_nodes(settings(), async |node| {
        let mut subscriber = join_durable(node, "subscriber", ACCEPTED).await;
        subscribed(&mut subscriber, "t", 1).await;
        let mut publisher = join(node, "publisher").await;
        for payload in ["1", "2"] {
            publisher.send_bytes(&publish(0x32, "t", Some(9), payload)).await;
            publisher.expect_bytes(&ack(PUBACK, 9)).await;
        }
        subscriber.expect_bytes(&publish(0x32, "t", Some(1), "1")).await;
        subscriber.expect_bytes(&publish(0x32, "t", Some(2), "2")).await;
        subscriber.expect_nothing().await;
        // Acknowledgements of another kind, or of another message, do not count.
        subscriber.send_bytes(&[ack(PUBCOMP, 1), ack(PUBACK, 3)].concat()).await;
        subscriber.send_bytes(&ack(PUBACK, 2)).await;
        subscriber.ping().await;
        drop(subscriber);
        let mut subscriber = join_durable(node, "subscriber", RESUMED).await;
        subscriber.expect_bytes(&publish(0x3a, "t", Some(1), "1")).await;
        subscriber.send_bytes(&ack(PUBACK, 1)).await;
        subscriber.expect_nothing().await;
        drop(subscriber);
        join_durable(node, "subscriber", RESUMED).await.expect_nothing().await;
    });
}

/// [MQTT311-4.3.3-1] Sent by the node with QoS 2: DUP 0 at first, unacknowledged until PUBREC; then a PUBREL with the
/// same packet identifier, unacknowledged until PUBCOMP, and not the PUBLISH any more.
#[test]
fn sender_of_qos_2() {
    on_nodes(settings(), async |node| {
        let mut subscriber = join_durable(node, "subscriber", ACCEPTED).await;
        subscribed(&mut subscriber, "t", 2).await;
        let mut publisher = join(node, "publisher").await;
        publisher.send_bytes(&publish(0x34, "t", Some(9), "m")).await;
        publisher.expect_bytes(&ack(PUBREC, 9)).await;
        subscriber.expect_bytes(&publish(0x34, "t", Some(1), "m")).await;
        subscriber.expect_nothing().await;
        drop(subscriber);
        let mut subscriber = join_durable(node, "subscriber", RESUMED).await;
        subscriber.expect_bytes(&publish(0x3c, "t", Some(1), "m")).await;
        for _ in 0..2 {
            subscriber.send_bytes(&ack(PUBREC, 1)).await;
            subscriber.expect_bytes(&ack(PUBREL, 1)).await;
        }
        subscriber.expect_nothing().await;
        for _ in 0..2 {
            drop(subscriber);
            subscriber = join_durable(node, "subscriber", RESUMED).await;
            subscriber.expect_bytes(&ack(PUBREL, 1)).await;
            subscriber.expect_nothing().await;
        }
        subscriber.send_bytes(&ack(PUBCOMP, 1)).await;
        subscriber.ping().await;
        drop(subscriber);
        join_durable(node, "subscriber", RESUMED).await.expect_nothing().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
    });
}

/// [MQTT311-4.4.0-1] [MQTT311-4.6.0-1] [MQTT311-3.3.1-1] What was unacknowledged comes again on resumption, QoS 1 and 2
/// alike, in the order first sent, PUBLISH with DUP, with the old packet identifiers; new messages come behind.
#[test]
fn resumption_sends_again_in_order() {
    on_nodes(settings(), async |node| {
        let mut subscriber = join_durable(node, "subscriber", ACCEPTED).await;
        subscribed(&mut subscriber, "+", 2).await;
        let mut publisher = join(node, "publisher").await;
        let message = |number: u16| (["a", "b"][usize::from(number % 2)], number.to_string());
        for number in 1..=20 {
            let (topic, payload) = message(number);
            let first_byte = if number % 3 == 0 { 0x32 } else { 0x34 };
            publisher.send_bytes(&publish(first_byte, topic, Some(number), &payload)).await;
            publisher.next().await;
            subscriber.expect_bytes(&publish(first_byte, topic, Some(number), &payload)).await;
        }
        // 2 and 7 are released, in the other order; 3 and 8 are done with.
        subscriber
            .send_bytes(&[ack(PUBREC, 7), ack(PUBREC, 2), ack(PUBREC, 8), ack(PUBACK, 3)].concat())
            .await;
        subscriber.expect_bytes(&[ack(PUBREL, 7), ack(PUBREL, 2), ack(PUBREL, 8)].concat()).await;
        subscriber.send_bytes(&ack(PUBCOMP, 8)).await;
        subscriber.ping().await;
        drop(subscriber);
        publisher.send_bytes(&publish(0x32, "a", Some(1), "new")).await;
        publisher.expect_bytes(&ack(PUBACK, 1)).await;
        for _ in 0..2 {
            let mut subscriber = join_durable(node, "subscriber", RESUMED).await;
            for number in (1..=20).filter(|number| ![3, 8].contains(number)) {
                if [2, 7].contains(&number) {
                    subscriber.expect_bytes(&ack(PUBREL, number)).await;
                    continue;
                }
                let (topic, payload) = message(number);
                let first_byte = if number % 3 == 0 { 0x3a } else { 0x3c };
                subscriber.expect_bytes(&publish(first_byte, topic, Some(number), &payload)).await;
            }
            let new = subscriber.expect_payload("new").await;
            assert_eq!(new.packet_identifier.map(|it| it.get()), Some(21));
            subscriber.expect_nothing().await;
        }
    });
}

/// [MQTT311-4.6.0-5] [MQTT311-4.6.0-6] Unasked, every topic is ordered: each subscriber gets what a publisher sent to it
/// in the order sent, QoS by QoS, online or out of its queue, and PUBREL in the order of its PUBREC.
#[test]
fn order() {
    const COUNT: u16 = 500;
    on_nodes(settings(), async |node| {
        let mut online = join(node, "online").await;
        subscribed(&mut online, "ordered/+", 2).await;
        let mut away = join_durable(node, "away", ACCEPTED).await;
        subscribed(&mut away, "ordered/+", 2).await;
        away.disconnect().await;
        let mut publishers = Vec::new();
        for name in ["p0", "p1"] {
            let mut publisher = join(node, name).await;
            let bytes: Vec<u8> = (1..=COUNT)
                .flat_map(|number| {
                    let first_byte = if number % 2 == 0 { 0x32 } else { 0x34 };
                    publish(first_byte, &format!("ordered/{name}"), Some(number), &format!("{number:04}"))
                })
                .collect();
            publisher.send_bytes(&bytes).await;
            publishers.push(publisher);
        }
        for publisher in &mut publishers {
            for number in 1..=COUNT {
                let first_byte = if number % 2 == 0 { PUBACK } else { PUBREC };
                publisher.expect_bytes(&ack(first_byte, number)).await;
            }
        }
        let away = join_durable(node, "away", RESUMED).await;
        for mut subscriber in [online, away] {
            let mut last = std::collections::BTreeMap::new();
            let mut exactly_once = Vec::new();
            for _ in 0..2 * COUNT {
                let got = subscriber.expect_publish().await;
                let number: u16 = String::from_utf8_lossy(&got.payload).parse().unwrap();
                assert_eq!(last.insert(got.topic, number).unwrap_or(0) + 1, number);
                if number % 2 == 1 {
                    exactly_once.push(got.packet_identifier.expect("QoS 2").get());
                }
            }
            exactly_once.reverse();
            let received: Vec<u8> = exactly_once.iter().flat_map(|it| ack(PUBREC, *it)).collect();
            subscriber.send_bytes(&received).await;
            for identifier in exactly_once {
                subscriber.expect_bytes(&ack(PUBREL, identifier)).await;
            }
            subscriber.expect_nothing().await;
        }
    });
}
