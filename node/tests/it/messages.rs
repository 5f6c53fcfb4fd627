//! PUBLISH both ways: quality of service, order, windows and acknowledgements.

use std::num::NonZeroU16;

use mqtt_codec::{Ack, Connect, Disconnect, Packet, ProtocolVersion, Publish, QoS, ReasonCode};

use crate::harness::{connect, durable, identifier, on_nodes, publish, settings, will};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn numbered(topic: &str, qos: QoS, payload: &str, number: u16) -> Publish {
    Publish { packet_identifier: Some(identifier(number)), ..publish(topic, qos, payload) }
}

fn ack(number: u16) -> Ack {
    Ack::new(identifier(number), ReasonCode::Success)
}

/// [MQTT-3.8.4-8] A message is sent with the lower of the QoS it was published with and the subscription's, from any
/// version to any other; DUP of the publisher is its own affair [MQTT-3.3.1-3].
#[test]
fn every_qos_to_every_qos() {
    on_nodes(settings(), async |node| {
        for from in VERSIONS {
            for to in VERSIONS {
                let mut publisher = node.connect(from, "publisher").await;
                let mut subscriber = node.connect(to, "subscriber").await;
                for maximum in LEVELS {
                    subscriber.subscribe("q", maximum).await;
                    for qos in LEVELS {
                        let mut message = publish("q", qos, "payload");
                        message.dup = qos > QoS::AtMostOnce;
                        assert_eq!(publisher.publish_packet(message).await, ReasonCode::Success);
                        let got = subscriber.take_payload("payload").await;
                        assert_eq!(got.qos, qos.min(maximum), "{from:?} {qos:?} to {to:?} {maximum:?}");
                        assert_eq!(got.topic, "q");
                        assert!(!got.dup && !got.retain);
                    }
                }
                subscriber.expect_nothing().await;
                subscriber.disconnect().await;
                publisher.disconnect().await;
            }
        }
    });
}

/// PUBACK and PUBREC say 0x10 when nothing matched; the exchange goes on as ever.
#[test]
fn no_matching_subscribers() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("other/+", QoS::AtMostOnce).await;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            assert_eq!(publisher.publish("nobody", qos, "x").await, ReasonCode::NoMatchingSubscribers);
            assert_eq!(publisher.publish("other/1", qos, "x").await, ReasonCode::Success);
            subscriber.expect_payload("x").await;
        }
        subscriber.unsubscribe(&["other/+"]).await;
        assert_eq!(
            publisher.publish("other/1", QoS::AtLeastOnce, "x").await,
            ReasonCode::NoMatchingSubscribers
        );
        let mut publisher = node.connect(V311, "publisher").await;
        assert_eq!(publisher.publish("nobody", QoS::AtLeastOnce, "x").await, ReasonCode::Success);
        assert_eq!(node.balanced_ledger().await.unmatched, 4);
    });
}

/// [MQTT-4.3.3-10] A QoS 2 message that is sent again before its PUBREL is acknowledged again and not routed again, and
/// takes one place in the receive maximum.
#[test]
fn duplicates_of_qos_2() {
    let mut settings = settings();
    settings.mqtt.receive_maximum = 3;
    settings.session.incoming_qos2_max = 3;
    on_nodes(settings, async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("once", QoS::AtMostOnce).await;
        for version in VERSIONS {
            let mut publisher = node.connect(version, "publisher").await;
            let mut message = numbered("once", QoS::ExactlyOnce, "a", 9);
            for dup in [false, true, true] {
                message.dup = dup;
                publisher.send(Packet::Publish(message.clone())).await;
                publisher.expect(Packet::PubRec(ack(9))).await;
            }
            publisher.send(Packet::PubRel(ack(9))).await;
            publisher.expect(Packet::PubComp(ack(9))).await;
            for number in 1..=3 {
                publisher.send(Packet::Publish(numbered("once", QoS::ExactlyOnce, "b", number))).await;
                publisher.expect(Packet::PubRec(ack(number))).await;
            }
            // At both limits too: what is open already opens nothing.
            for number in [2, 1, 3, 2] {
                let again = Publish { dup: true, ..numbered("once", QoS::ExactlyOnce, "b", number) };
                publisher.send(Packet::Publish(again)).await;
                publisher.expect(Packet::PubRec(ack(number))).await;
            }
            for payload in ["a", "b", "b", "b"] {
                subscriber.expect_payload(payload).await;
            }
            subscriber.expect_nothing().await;
            for number in 1..=3 {
                publisher.send(Packet::PubRel(ack(number))).await;
                publisher.expect(Packet::PubComp(ack(number))).await;
            }
            publisher.send(Packet::Publish(numbered("once", QoS::ExactlyOnce, "c", 4))).await;
            publisher.expect(Packet::PubRec(ack(4))).await;
            subscriber.expect_payload("c").await;
            publisher.disconnect().await;
        }
    });
}

/// [MQTT-4.6.0-5] The messages of one publisher to one topic arrive in the order sent, whatever their QoS, and their
/// acknowledgements leave in order.
#[test]
fn order_of_one_publisher_and_topic() {
    on_nodes(settings(), async |node| {
        const COUNT: u16 = 600;
        let mut subscribers = Vec::new();
        for number in 0..4 {
            let mut subscriber = node.connect(V5, &format!("subscriber-{number}")).await;
            subscriber.subscribe("ordered", QoS::ExactlyOnce).await;
            subscribers.push(subscriber);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        let packets: Vec<_> = (1..=COUNT)
            .map(|number| {
                let mut message = publish("ordered", LEVELS[usize::from(number % 3)], &number.to_string());
                message.packet_identifier = (message.qos > QoS::AtMostOnce).then_some(identifier(number));
                Packet::Publish(message)
            })
            .collect();
        publisher.send_all(&packets).await;
        for packet in packets {
            match packet {
                Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_identifier: Some(id), .. }) => {
                    publisher.expect(Packet::PubAck(ack(id.get()))).await;
                }
                Packet::Publish(Publish { qos: QoS::ExactlyOnce, packet_identifier: Some(id), .. }) => {
                    publisher.expect(Packet::PubRec(ack(id.get()))).await;
                }
                _ => {}
            }
        }
        for subscriber in &mut subscribers {
            for number in 1..=COUNT {
                let got = subscriber.expect_payload(&number.to_string()).await;
                assert_eq!(got.qos, LEVELS[usize::from(number % 3)]);
            }
            subscriber.expect_nothing().await;
        }
    });
}

/// [MQTT-3.3.4-9] The node has no more QoS 1 and 2 messages unacknowledged than the client's receive maximum; QoS 0 is
/// not held back by it.
#[test]
fn receive_maximum_of_the_client() {
    on_nodes(settings(), async |node| {
        let mut connect = connect(V5, "narrow");
        connect.properties.receive_maximum = NonZeroU16::new(2);
        let (mut client, _) = node.connect_with(connect).await;
        client.subscribe("n/#", QoS::ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 1..=4 {
            let qos = if number == 2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            assert_eq!(publisher.publish("n/1", qos, &number.to_string()).await, ReasonCode::Success);
        }
        publisher.publish("n/0", QoS::AtMostOnce, "not held back").await;
        let first = client.expect_payload("1").await;
        let second = client.expect_payload("2").await;
        client.expect_payload("not held back").await;
        client.expect_nothing().await;
        client.acknowledge(&first).await;
        let third = client.expect_payload("3").await;
        client.expect_nothing().await;

        // A place is held from PUBLISH to PUBCOMP.
        let id = second.packet_identifier.expect("QoS 2").get();
        client.send(Packet::PubRec(ack(id))).await;
        client.expect(Packet::PubRel(ack(id))).await;
        client.expect_nothing().await;
        client.send(Packet::PubComp(ack(id))).await;
        let fourth = client.expect_payload("4").await;
        client.acknowledge(&third).await;
        client.acknowledge(&fourth).await;

        // Or to a PUBREC that refuses the message.
        for number in 5..=8 {
            publisher.publish("n/2", QoS::ExactlyOnce, &number.to_string()).await;
        }
        let fifth = client.expect_payload("5").await;
        client.expect_payload("6").await;
        client.expect_nothing().await;
        let id = fifth.packet_identifier.expect("QoS 2");
        client.send(Packet::PubRec(Ack::new(id, ReasonCode::QuotaExceeded))).await;
        client.expect_payload("7").await;
        client.expect_nothing().await;
    });
}

/// [MQTT-3.3.4-7] [MQTT-3.3.4-8] A client that exceeds the node's receive maximum is disconnected (0x93); QoS 0 does not
/// count.
#[test]
fn receive_maximum_of_the_node() {
    let mut settings = settings();
    settings.mqtt.receive_maximum = 4;
    on_nodes(settings, async |node| {
        let mut client = node.connect(V5, "wide").await;
        for number in 1..=4 {
            client.send(Packet::Publish(numbered("w", QoS::ExactlyOnce, "x", number))).await;
            client
                .expect(Packet::PubRec(Ack::new(identifier(number), ReasonCode::NoMatchingSubscribers)))
                .await;
        }
        client.publish("w", QoS::AtMostOnce, "x").await;
        client.ping().await;
        client.send(Packet::PubRel(ack(2))).await;
        client.expect(Packet::PubComp(ack(2))).await;
        client.send(Packet::Publish(numbered("w", QoS::ExactlyOnce, "x", 5))).await;
        client.expect(Packet::PubRec(Ack::new(identifier(5), ReasonCode::NoMatchingSubscribers))).await;
        client.send(Packet::Publish(numbered("w", QoS::AtLeastOnce, "x", 6))).await;
        client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
        node.until_counters([("receive_maximum_exceeded", 1)]).await;

        // 3.1.1 knows no receive maximum: it is read as its publishes are answered.
        let mut client = node.connect(V311, "wide").await;
        let packets: Vec<_> =
            (1..=50).map(|number| Packet::Publish(numbered("w", QoS::ExactlyOnce, "x", number))).collect();
        client.send_all(&packets).await;
        for number in 1..=50 {
            client.expect(Packet::PubRec(ack(number))).await;
        }
        for number in 1..=50 {
            client.send(Packet::PubRel(ack(number))).await;
            client.expect(Packet::PubComp(ack(number))).await;
        }
    });
}

/// A place in the receive maximum that an earlier network connection took is not given back by this one.
#[test]
fn receive_maximum_begins_anew_with_the_network_connection() {
    let mut settings = settings();
    settings.mqtt.receive_maximum = 2;
    on_nodes(settings, async |node| {
        let refused = ReasonCode::NoMatchingSubscribers;
        let (mut client, _) = node.connect_with(durable(V5, "again")).await;
        for number in 1..=2 {
            client.send(Packet::Publish(numbered("w", QoS::ExactlyOnce, "x", number))).await;
            client.expect(Packet::PubRec(Ack::new(identifier(number), refused))).await;
        }
        client.vanish().await;
        let mut client = node.resume(durable(V5, "again")).await;
        for number in 3..=4 {
            client.send(Packet::Publish(numbered("w", QoS::ExactlyOnce, "x", number))).await;
            client.expect(Packet::PubRec(Ack::new(identifier(number), refused))).await;
        }
        client.send(Packet::PubRel(ack(1))).await;
        client.expect(Packet::PubComp(ack(1))).await;
        client.send(Packet::Publish(numbered("w", QoS::AtLeastOnce, "x", 5))).await;
        client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
    });
}

/// Payloads from nothing to several MB, and topic names of 60,000 bytes.
#[test]
fn sizes() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("size/#", QoS::AtLeastOnce).await;
        let mut publisher = node.connect(V311, "publisher").await;
        for size in [0, 1, 1023, 1024, 1025, 65_535, 65_536, 1 << 20, 5 << 20] {
            let payload = "z".repeat(size);
            publisher.publish("size/x", QoS::AtLeastOnce, &payload).await;
            let got = subscriber.expect_publish().await;
            assert_eq!(got.payload.len(), size);
            assert!(got.payload.iter().all(|byte| *byte == b'z'));
            subscriber.acknowledge(&got).await;
        }
        let topic = format!("size/{}", "t".repeat(60_000));
        publisher.publish(&topic, QoS::AtLeastOnce, "long name").await;
        assert_eq!(subscriber.take_payload("long name").await.topic, topic);
    });
}

/// Acknowledgements of what the node does not know never end the network connection: 5.0 says 0x92 where there is an
/// answer, 3.x completes the exchange.
#[test]
fn acknowledgements_of_unknown_packet_identifiers() {
    on_nodes(settings(), async |node| {
        for version in VERSIONS {
            let mut client = node.connect(version, "confused").await;
            let not_found = match version {
                V5 => ReasonCode::PacketIdentifierNotFound,
                _ => ReasonCode::Success,
            };
            client.send(Packet::PubAck(ack(77))).await;
            client.send(Packet::PubComp(ack(78))).await;
            client.send(Packet::PubRec(ack(79))).await;
            client.expect(Packet::PubRel(Ack::new(identifier(79), not_found))).await;
            client.send(Packet::PubRel(ack(80))).await;
            client.expect(Packet::PubComp(Ack::new(identifier(80), not_found))).await;
            client.ping().await;

            // Of the wrong kind.
            client.subscribe("k", QoS::ExactlyOnce).await;
            client.publish("k", QoS::ExactlyOnce, "x").await;
            let got = client.expect_payload("x").await;
            let id = got.packet_identifier.expect("QoS 2").get();
            client.send(Packet::PubAck(ack(id))).await;
            client.send(Packet::PubComp(ack(id))).await;
            client.ping().await;
            client.acknowledge(&got).await;
            client.expect_nothing().await;
            node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
            client.disconnect().await;
        }
    });
}

/// After DISCONNECT the node closes and processes nothing more.
#[test]
fn nothing_is_processed_after_disconnect() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("d", QoS::AtMostOnce).await;
        for version in VERSIONS {
            let mut client = node.connect(version, "leaving").await;
            client
                .send_all(&[
                    Packet::Publish(publish("d", QoS::AtMostOnce, "before")),
                    Packet::Disconnect(Disconnect::new(ReasonCode::Success)),
                    Packet::Publish(publish("d", QoS::AtMostOnce, "after")),
                    Packet::PingReq,
                ])
                .await;
            client.expect_closed().await;
            subscriber.expect_payload("before").await;
            subscriber.expect_nothing().await;
        }
    });
}

/// A packet that is malformed or may not come from a client ends the network connection with the reason for it.
#[test]
fn packets_that_are_refused() {
    on_nodes(settings(), async |node| {
        for (bytes, reason) in [
            // A topic name with a wildcard [MQTT-3.3.2-2].
            (&b"\x30\x05\x00\x03a/#"[..], ReasonCode::TopicNameInvalid),
            // QoS 3 [MQTT-3.3.1-4].
            (b"\x36\x06\x00\x01a\x00\x01\x00", ReasonCode::MalformedPacket),
            // Reserved flags of PINGREQ [MQTT-2.1.3-1].
            (b"\xc1\x00", ReasonCode::MalformedPacket),
            // A reserved packet type.
            (b"\x00\x00", ReasonCode::MalformedPacket),
            // A length of five bytes [MQTT-1.5.5-1].
            (b"\x30\xff\xff\xff\xff\x7f", ReasonCode::MalformedPacket),
            // CONNACK, which only a server sends.
            (b"\x20\x03\x00\x00\x00", ReasonCode::ProtocolError),
            // SUBSCRIBE without a topic filter [MQTT-3.8.3-2].
            (b"\x82\x03\x00\x01\x00", ReasonCode::ProtocolError),
            // A packet identifier of 0.
            (b"\x32\x06\x00\x01a\x00\x00\x00", ReasonCode::MalformedPacket),
            // A topic name that is not UTF-8 [MQTT-1.5.4-1].
            (b"\x30\x04\x00\x01\xff\x00", ReasonCode::MalformedPacket),
            // AUTH without an authentication method [MQTT-4.12.0-6].
            (b"\xf0\x00", ReasonCode::ProtocolError),
        ] {
            let mut client = node.connect(V5, "broken").await;
            client.send_bytes(bytes).await;
            match client.next().await {
                Packet::Disconnect(disconnect) => {
                    assert_eq!(disconnect.reason_code, reason, "{bytes:02x?}: {disconnect:?}");
                }
                other => panic!("{other:?} after {bytes:02x?}"),
            }
            client.expect_closed().await;
        }
        let mut fine = node.connect(V5, "fine").await;
        fine.ping().await;
    });
}

/// What a command line client does: CONNECT, PUBLISH and DISCONNECT in one write, and the socket closed behind them.
#[test]
fn connect_publish_disconnect_in_one_write() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("in-one", QoS::AtLeastOnce).await;
        for version in VERSIONS {
            for number in 0..4 {
                let hasty = Connect {
                    will: Some(will("in-one", QoS::AtMostOnce, "no")),
                    ..connect(version, &format!("hasty-{number}"))
                };
                let payload = format!("{version:?} {number}");
                let mut client = node.open(version).await;
                client
                    .send_all(&[
                        Packet::Connect(Box::new(hasty)),
                        Packet::Publish(publish("in-one", QoS::AtMostOnce, &payload)),
                        Packet::Disconnect(Disconnect::new(ReasonCode::Success)),
                    ])
                    .await;
                drop(client);
                subscriber.take_payload(&payload).await;
            }
        }
        node.until_online(1).await;
        subscriber.expect_nothing().await;
    });
}

/// A session that is resumed with a smaller maximum packet size is not sent again what does not fit any more.
#[test]
fn what_was_in_flight_is_judged_anew() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "shrinking")).await;
        client.subscribe("s", QoS::ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let large = "x".repeat(200);
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publisher.publish("s", qos, &large).await;
            publisher.publish("s", qos, "small").await;
            client.expect_payload(&large).await;
            client.expect_payload("small").await;
        }
        client.vanish().await;
        let mut smaller = durable(V5, "shrinking");
        smaller.properties.maximum_packet_size = std::num::NonZeroU32::new(100);
        let mut client = node.resume(smaller).await;
        for _ in 0..2 {
            assert!(client.take_payload("small").await.dup);
        }
        client.expect_nothing().await;
        assert_eq!(node.balanced_ledger().await.queued, 0);
    });
}
