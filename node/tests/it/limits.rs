//! Each limit of the settings: what happens at it, and the counter that tells.

use std::num::NonZeroU16;

use micro_mq_actors::ledger::DropReason;
use micro_mq_actors::metrics::LedgerTotals;
use micro_mq_actors::settings::QueueOverflow;
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Connect, Packet, Publish, PublishProperties, QoS, ReasonCode, Unsubscribe};

use crate::harness::{
    TestNode, connect, durable, filter, identifier, on_node, on_nodes, options, publish, settings,
    subscribe_packet, user_properties, will,
};

fn dropped(ledger: &LedgerTotals, reason: DropReason) -> u64 {
    ledger.dropped.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
}

/// A PUBLISH of QoS 1 or 2 with its own packet identifier.
fn numbered(number: u16, topic: &str, qos: QoS) -> Packet {
    let message = publish(topic, qos, &number.to_string());
    Packet::Publish(Publish { packet_identifier: Some(identifier(number)), ..message })
}

/// A session that is offline and subscribed to `t`.
async fn offline_subscriber(node: &TestNode, qos: QoS) {
    let (mut subscriber, _) = node.connect_with(durable(V5, "subscriber")).await;
    subscriber.subscribe("t", qos).await;
    subscriber.vanish().await;
}

async fn refused(node: &TestNode, connect: Connect, reason: ReasonCode) {
    let mut client = node.open(connect.version).await;
    assert_eq!(client.handshake(connect).await.reason_code, reason);
    client.expect_closed().await;
}

// === [session] ===

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
        assert_eq!(node.counter("sessions_full"), 2);
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
        assert_eq!(node.counter("subscriptions_full"), 1);
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
        assert_eq!(node.counter("subscriptions_full"), 2);
        client.unsubscribe(&[&long]).await;
        client.subscribe(&other, AtMostOnce).await;
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
        assert_eq!(node.counter("incoming_qos2_full"), 2);
        let mut client = node.resume(durable(V5, "client")).await;
        client.send(Packet::PubRel(Ack::new(identifier(1), ReasonCode::Success))).await;
        client.expect(Packet::PubComp(Ack::new(identifier(1), ReasonCode::Success))).await;
        client.send(numbered(4, "t", ExactlyOnce)).await;
        client.expect(Packet::PubRec(Ack::new(identifier(4), ReasonCode::NoMatchingSubscribers))).await;
    });
}

/// `queue_messages_max` with `drop_newest`: the first ones are kept.
#[test]
fn queue_keeps_the_oldest() {
    let mut limited = settings();
    limited.session.queue_messages_max = 3;
    on_nodes(limited, async |node| {
        offline_subscriber(node, AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..10 {
            assert_eq!(publisher.publish("t", AtLeastOnce, &number.to_string()).await, ReasonCode::Success);
        }
        assert_eq!(dropped(&node.balanced_ledger().await, DropReason::QueueFull), 7);
        let mut subscriber = node.resume(durable(V5, "subscriber")).await;
        for payload in ["0", "1", "2"] {
            subscriber.take_payload(payload).await;
        }
        subscriber.expect_nothing().await;
    });
}

/// `queue_messages_max` with `drop_oldest`: the last ones are kept.
#[test]
fn queue_keeps_the_newest() {
    let mut limited = settings();
    limited.session.queue_messages_max = 3;
    limited.session.queue_overflow = QueueOverflow::DropOldest;
    on_nodes(limited, async |node| {
        offline_subscriber(node, ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..10 {
            publisher.publish("t", ExactlyOnce, &number.to_string()).await;
        }
        assert_eq!(dropped(&node.balanced_ledger().await, DropReason::QueueFull), 7);
        let mut subscriber = node.resume(durable(V5, "subscriber")).await;
        for payload in ["7", "8", "9"] {
            subscriber.take_payload(payload).await;
        }
        subscriber.expect_nothing().await;
    });
}

/// `queue_bytes_max`: bytes count as messages do, and those of one client are its own.
#[test]
fn queue_bytes() {
    for overflow in [QueueOverflow::DropNewest, QueueOverflow::DropOldest] {
        let mut limited = settings();
        limited.session.queue_bytes_max = 10_000;
        limited.session.queue_overflow = overflow;
        on_nodes(limited, async |node| {
            offline_subscriber(node, AtLeastOnce).await;
            let mut publisher = node.connect(V5, "publisher").await;
            for number in 0..10 {
                publisher.publish("t", AtLeastOnce, &format!("{number}{}", "x".repeat(2999))).await;
            }
            let ledger = node.balanced_ledger().await;
            assert_eq!((ledger.queued, dropped(&ledger, DropReason::QueueFull)), (3, 7));
            let mut subscriber = node.resume(durable(V5, "subscriber")).await;
            let first = if overflow == QueueOverflow::DropNewest { 0 } else { 7 };
            for number in first..first + 3 {
                let publish = subscriber.expect_publish().await;
                subscriber.acknowledge(&publish).await;
                assert_eq!(publish.payload[0], b'0' + number);
            }
            subscriber.expect_nothing().await;
        });
    }
}

/// `clean_queue_bytes_max`: the same for a session that ends with its connection, beside what is in flight.
#[test]
fn queue_bytes_of_a_clean_session() {
    let mut limited = settings();
    limited.session.clean_queue_bytes_max = 10_000;
    on_nodes(limited, async |node| {
        let mut slow = connect(V5, "slow");
        slow.properties.receive_maximum = NonZeroU16::new(1);
        let (mut subscriber, _) = node.connect_with(slow).await;
        subscriber.subscribe("t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..10 {
            publisher.publish("t", AtLeastOnce, &format!("{number}{}", "x".repeat(2999))).await;
        }
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.queued, dropped(&ledger, DropReason::QueueFull)), (4, 6));
        for number in 0..4 {
            let publish = subscriber.expect_publish().await;
            subscriber.acknowledge(&publish).await;
            assert_eq!(publish.payload[0], b'0' + number);
        }
        subscriber.expect_nothing().await;
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
        assert_eq!(node.counter("publish_properties_too_large"), 1);
    });
}

/// Messages that expired in the queue make room before one that lives is dropped.
#[test]
fn expired_messages_make_room_in_the_queue() {
    let mut limited = settings();
    limited.session.queue_messages_max = 2;
    on_node(1, limited, async |node| {
        offline_subscriber(node, AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for _ in 0..2 {
            let mut message = publish("t", AtLeastOnce, "short-lived");
            message.properties.message_expiry_interval = Some(1);
            publisher.publish_packet(message).await;
        }
        // What is to be seen is that time passes.
        actix_rt::time::sleep(std::time::Duration::from_millis(1100)).await;
        publisher.publish("t", AtLeastOnce, "lasting").await;
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.queued, dropped(&ledger, DropReason::Expired)), (1, 2));
        node.resume(durable(V5, "subscriber")).await.take_payload("lasting").await;
    });
}

/// `queue_qos0_offline`: QoS 0 waits as well, and what comes later stays behind it.
#[test]
fn qos_0_in_the_queue_keeps_its_order() {
    let mut queueing = settings();
    queueing.session.queue_qos0_offline = true;
    queueing.session.inflight_max = 1;
    on_nodes(queueing, async |node| {
        offline_subscriber(node, AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", AtLeastOnce, "0").await;
        publisher.publish("t", AtLeastOnce, "1").await;
        publisher.publish("t", AtMostOnce, "2").await;
        publisher.ping().await;
        node.settle().await;
        let mut subscriber = node.resume(durable(V5, "subscriber")).await;
        let first = subscriber.expect_payload("0").await;
        // "1" waits for the acknowledgement of "0", and "2" behind it.
        publisher.publish("t", AtMostOnce, "3").await;
        publisher.ping().await;
        subscriber.expect_nothing().await;
        subscriber.acknowledge(&first).await;
        for payload in ["1", "2", "3"] {
            subscriber.take_payload(payload).await;
        }
        subscriber.expect_nothing().await;
    });
}

/// `retained_messages_max`: a further one is delivered and not kept; replacing and removing stays possible.
#[test]
fn retained_messages() {
    let mut limited = settings();
    limited.session.retained_messages_max = 2;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("#", AtMostOnce).await;
        for (topic, payload) in [("a", "1"), ("b", "1"), ("c", "1"), ("a", "2")] {
            client.publish_packet(Publish { retain: true, ..publish(topic, AtMostOnce, payload) }).await;
            client.expect_payload(payload).await;
        }
        let kept = node.until("they are kept", |seen| seen.retained.refused == 1).await.retained;
        assert_eq!(kept.messages, 2);
        let mut other = node.connect(V5, "other").await;
        other.subscribe("#", AtMostOnce).await;
        assert_eq!(other.expect_payload("2").await.topic, "a");
        assert_eq!(other.expect_payload("1").await.topic, "b");
        other.expect_nothing().await;
        assert!(
            node.running().admin_source().prometheus().await.unwrap().contains("retained_refused_total 1")
        );
    });
}

/// `retained_bytes_max`: the same by bytes.
#[test]
fn retained_bytes() {
    let mut limited = settings();
    limited.session.retained_bytes_max = 3000;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        for topic in ["a", "b", "c"] {
            let message = publish(topic, AtLeastOnce, &"x".repeat(1200));
            client.publish_packet(Publish { retain: true, ..message }).await;
        }
        let kept = node.until("they are kept", |seen| seen.retained.refused == 1).await.retained;
        assert_eq!(kept.messages, 2);
        assert!((2400..=3000).contains(&kept.bytes), "{kept:?}");
        client.publish_packet(Publish { retain: true, ..publish("a", AtLeastOnce, "") }).await;
        client.publish_packet(Publish { retain: true, ..publish("c", AtLeastOnce, "small") }).await;
        node.until("the last is kept", |seen| seen.retained.messages == 2 && seen.retained.refused == 1)
            .await;
    });
}

// === [mqtt] ===

/// `maximum_packet_size_bytes`, announced: 0x95 for what is above, told by its header alone.
#[test]
fn packet_size() {
    let mut limited = settings();
    limited.mqtt.maximum_packet_size_bytes = 1000;
    on_nodes(limited, async |node| {
        let (mut client, answer) = node.connect_with(connect(V5, "client")).await;
        assert_eq!(answer.properties.maximum_packet_size.map(u32::from), Some(1000));
        let mut message = publish("t", AtLeastOnce, "");
        let empty = client.encoded(&Packet::Publish(message.clone())).len();
        message.payload = vec![b'x'; 1000 - empty - 1].into();
        assert_eq!(client.encoded(&Packet::Publish(message.clone())).len(), 1000);
        assert_eq!(client.publish_packet(message).await, ReasonCode::NoMatchingSubscribers);
        // 1001 bytes: the fixed header is all that has to come.
        client.send_bytes(b"\x32\xe6\x07").await;
        client.expect_disconnect(ReasonCode::PacketTooLarge).await;

        let mut old = node.connect(V311, "old").await;
        old.send_bytes(b"\x32\xe6\x07").await;
        old.expect_closed().await;

        let long = "x".repeat(1000);
        let mut client = node.open(V5).await;
        assert_eq!(client.handshake(connect(V5, &long)).await.reason_code, ReasonCode::PacketTooLarge);
        client.expect_closed().await;
        assert_eq!(node.counter("packets_too_large"), 3);
    });
}

/// `receive_maximum`, announced: 0x93 for one more than that. QoS 2 holds its place until PUBCOMP.
#[test]
fn receive_maximum() {
    let mut limited = settings();
    limited.mqtt.receive_maximum = 4;
    on_nodes(limited, async |node| {
        let (mut client, answer) = node.connect_with(connect(V5, "client")).await;
        assert_eq!(answer.properties.receive_maximum, NonZeroU16::new(4));
        for number in 1..=4 {
            client.send(numbered(number, "t", ExactlyOnce)).await;
            assert!(matches!(client.next().await, Packet::PubRec(_)));
        }
        client.send(Packet::PubRel(Ack::new(identifier(2), ReasonCode::Success))).await;
        assert!(matches!(client.next().await, Packet::PubComp(_)));
        client.send(numbered(2, "t", AtLeastOnce)).await;
        assert!(matches!(client.next().await, Packet::PubAck(_)));
        client.send_all(&[numbered(5, "t", ExactlyOnce), numbered(6, "t", AtLeastOnce)]).await;
        loop {
            match client.next().await {
                Packet::PubRec(_) => {}
                Packet::Disconnect(told) => {
                    assert_eq!(told.reason_code, ReasonCode::ReceiveMaximumExceeded);
                    break;
                }
                other => panic!("{other:?} in place of a DISCONNECT"),
            }
        }
        client.expect_closed().await;
        assert_eq!(node.counter("receive_maximum_exceeded"), 1);
    });
}

/// Before 5.0 there is no receive maximum: a client that sends more is read as its publishes are answered, and all of
/// them are.
#[test]
fn receive_maximum_of_an_old_client() {
    let mut limited = settings();
    limited.mqtt.receive_maximum = 4;
    on_nodes(limited, async |node| {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut subscriber = node.connect(V5, "subscriber").await;
            subscriber.subscribe("t", AtMostOnce).await;
            let mut client = node.connect(V311, "client").await;
            let packets: Vec<Packet> = (1..=100).map(|number| numbered(number, "t", qos)).collect();
            client.send_all(&packets).await;
            for number in 1..=100 {
                let ack = Ack::new(identifier(number), ReasonCode::Success);
                client
                    .expect(if qos == AtLeastOnce { Packet::PubAck(ack) } else { Packet::PubRec(ack) })
                    .await;
            }
            for number in 1..=100 {
                subscriber.expect_payload(&number.to_string()).await;
                if qos == ExactlyOnce {
                    let ack = Ack::new(identifier(number), ReasonCode::Success);
                    client.send(Packet::PubRel(ack.clone())).await;
                    client.expect(Packet::PubComp(ack)).await;
                }
            }
            client.disconnect().await;
            subscriber.disconnect().await;
        }
    });
}

/// `topic_alias_maximum`, announced: 0x94 above it. 0: none is taken.
#[test]
fn topic_aliases() {
    for maximum in [0, 3] {
        let mut limited = settings();
        limited.mqtt.topic_alias_maximum = maximum;
        on_node(1, limited, async |node| {
            let (mut client, answer) = node.connect_with(connect(V5, "client")).await;
            assert_eq!(answer.properties.topic_alias_maximum.unwrap_or(0), maximum);
            let with_alias = |alias: u16| {
                let properties =
                    PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() };
                Packet::Publish(Publish { properties, ..publish("t", AtMostOnce, "m") })
            };
            for alias in 1..=maximum {
                client.send(with_alias(alias)).await;
            }
            client.ping().await;
            client.send(with_alias(maximum + 1)).await;
            client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
            assert_eq!(node.counter("topic_alias_exceeded"), 1);
        });
    }
}

/// `topic_alias_maximum_outgoing`: no alias above it, though the client takes more.
#[test]
fn outgoing_topic_aliases() {
    let mut limited = settings();
    limited.mqtt.topic_alias_maximum_outgoing = 2;
    on_node(1, limited, async |node| {
        let mut asked = connect(V5, "client");
        asked.properties.topic_alias_maximum = Some(100);
        let (mut client, _) = node.connect_with(asked).await;
        client.subscribe("#", AtMostOnce).await;
        let mut aliases = std::collections::HashMap::new();
        for round in 0..2 {
            for index in 0..4 {
                let topic = format!("t/{index}");
                client.publish(&topic, AtMostOnce, "m").await;
                let got = client.expect_payload("m").await;
                match got.properties.topic_alias.map(u16::from) {
                    Some(alias) if got.topic.is_empty() => assert_eq!(aliases.get(&alias), Some(&topic)),
                    Some(alias) => {
                        assert!(round == 0 && alias <= 2, "{got:?}");
                        aliases.insert(alias, topic);
                    }
                    None => assert_eq!(got.topic, topic),
                }
            }
        }
        assert_eq!(aliases.len(), 2);
    });
}

/// `topic_levels_max`: 0x90 for a PUBLISH and a will; dropped without a word at QoS 0.
#[test]
fn topic_levels() {
    let mut limited = settings();
    limited.mqtt.topic_levels_max = 3;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("#", AtMostOnce).await;
        client.publish("a/b/c", AtLeastOnce, "m").await;
        client.publish("a/b/c/d", AtMostOnce, "m").await;
        assert_eq!(client.expect_payload("m").await.topic, "a/b/c");
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert_eq!(client.publish("a/b/c/d", qos, "m").await, ReasonCode::TopicNameInvalid);
        }
        client.expect_nothing().await;
        let with_will = Connect { will: Some(will("///", AtMostOnce, "m")), ..connect(V5, "will") };
        refused(node, with_will, ReasonCode::TopicNameInvalid).await;
        assert_eq!(node.counter("topic_levels_exceeded"), 4);
    });
}

/// `user_properties_max`: 0x97 for a packet with more.
#[test]
fn user_properties_of_a_packet() {
    let mut limited = settings();
    limited.mqtt.user_properties_max = 3;
    on_node(1, limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        let with = |count: usize| {
            let properties = PublishProperties {
                user_properties: user_properties(&vec![("name", "value"); count]),
                ..PublishProperties::default()
            };
            Publish { properties, ..publish("t", AtLeastOnce, "m") }
        };
        assert_eq!(client.publish_packet(with(3)).await, ReasonCode::NoMatchingSubscribers);
        client.send(Packet::Publish(with(4))).await;
        client.expect_disconnect(ReasonCode::QuotaExceeded).await;
        let mut many = connect(V5, "client");
        many.properties.user_properties = user_properties(&[("name", "value"); 4]);
        refused(node, many, ReasonCode::QuotaExceeded).await;
        assert_eq!(node.counter("protocol_errors"), 2);
    });
}

/// `filters_per_packet_max`: 0x97 for a SUBSCRIBE or UNSUBSCRIBE with more.
#[test]
fn filters_of_a_packet() {
    let mut limited = settings();
    limited.mqtt.filters_per_packet_max = 3;
    on_node(1, limited, async |node| {
        let filters = ["a", "b", "c", "d"].map(|name| (name, options(AtMostOnce)));
        for version in [V5, V311, V31] {
            let mut client = node.connect(version, "client").await;
            client.subscribe_packet(subscribe_packet(identifier(1), &filters[..3])).await;
            client.send(Packet::Subscribe(subscribe_packet(identifier(2), &filters))).await;
            client.expect_disconnect(ReasonCode::QuotaExceeded).await;
            let mut client = node.connect(version, "client").await;
            let filters = filters.iter().map(|(name, _)| filter(name)).collect();
            let unsubscribe =
                Unsubscribe { packet_identifier: identifier(3), user_properties: Vec::new(), filters };
            client.send(Packet::Unsubscribe(unsubscribe)).await;
            client.expect_disconnect(ReasonCode::QuotaExceeded).await;
        }
        assert_eq!(node.counter("protocol_errors"), 6);
    });
}

// === [node] ===

/// `connections_max`: one more is closed before its CONNECT; a place that becomes free can be taken.
#[test]
fn connections() {
    let mut limited = settings();
    limited.node.connections_max = 2;
    on_nodes(limited, async |node| {
        let first = node.connect(V5, "first").await;
        let _silent = node.open(V5).await;
        node.until("both are accepted", |seen| seen.connections == 2).await;
        node.open(V5).await.expect_closed().await;
        assert_eq!(node.counter("connections_full"), 1);
        first.disconnect().await;
        node.until("a place is free", |seen| seen.connections == 1).await;
        node.connect(V5, "second").await.disconnect().await;
    });
}

/// `connect_timeout_ms`: a network connection without a complete CONNECT is closed, however slowly it goes on sending.
#[test]
fn connect_timeout() {
    let mut limited = settings();
    limited.node.connect_timeout_ms = 200;
    on_node(1, limited, async |node| {
        let mut silent = node.open(V5).await;
        let mut begun = node.open(V5).await;
        begun.send_bytes(b"\x10\x10\x00\x04MQTT").await;
        let mut connected = node.connect(V5, "connected").await;
        silent.expect_closed().await;
        begun.expect_closed().await;
        connected.ping().await;
        assert_eq!(node.counter("connect_timeouts"), 2);
    });
}
