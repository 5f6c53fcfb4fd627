//! A publish beyond a limit, of clients that cannot be told: 3.x knows no answer for it. It is not acknowledged, and its
//! client is not read; it goes through when there is room, or the network connection ends.

use std::time::{Duration, Instant};

use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, ProtocolVersion, Publish, QoS, ReasonCode};

use crate::harness::{Client, TestNode, connect, durable, identifier, numbered, on_node, on_nodes, publish};

/// As long as no test waits.
const LONG_MS: u64 = 600_000;

fn settings(timeout_ms: u64) -> micro_mq_core::settings::Settings {
    let mut settings = crate::harness::settings();
    settings.mqtt.refused_publish_timeout_ms = timeout_ms;
    settings
}

fn retained(number: u16, topic: &str, qos: QoS, payload: &str) -> Packet {
    let packet_identifier = (qos != AtMostOnce).then(|| identifier(number));
    Packet::Publish(Publish { retain: true, packet_identifier, ..publish(topic, qos, payload) })
}

fn acknowledgement(number: u16, qos: QoS) -> Packet {
    let ack = Ack::new(identifier(number), ReasonCode::Success);
    if qos == ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) }
}

/// What another client publishes with RETAIN; 5.0 is told what becomes of it.
async fn set(node: &TestNode, topic: &str, payload: &str, expected: ReasonCode) {
    let mut other = node.connect(V5, "sets").await;
    let message = Publish { retain: true, ..publish(topic, AtLeastOnce, payload) };
    assert_eq!(other.publish_packet(message).await, expected, "{topic} {payload}");
    other.disconnect().await;
}

async fn until_held(node: &TestNode, times: u64) {
    node.until("it is held", |seen| seen.counter("publishers_held") == times).await;
}

/// What stands before it is answered, nothing of it and behind it is; room lets it through, in its turn.
#[test]
fn room_lets_it_through() {
    let mut limited = settings(LONG_MS);
    limited.session.retained_messages_max = 1;
    on_nodes(limited, async |node| {
        let mut times = 0;
        for version in [V31, V311] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                set(node, "full", "x", ReasonCode::NoMatchingSubscribers).await;
                let mut subscriber = node.connect(V5, "subscriber").await;
                subscriber.subscribe("t/#", AtMostOnce).await;
                let mut client = node.connect(version, "client").await;
                client
                    .send_all(&[
                        numbered(1, "t/1", AtLeastOnce),
                        retained(2, "t/2", qos, "held"),
                        numbered(3, "t/3", AtLeastOnce),
                        Packet::PingReq,
                    ])
                    .await;
                client.expect(acknowledgement(1, AtLeastOnce)).await;
                times += 1;
                until_held(node, times).await;
                client.expect_silence().await;
                assert_eq!(subscriber.expect_publish().await.topic, "t/1");
                subscriber.expect_nothing().await;
                set(node, "full", "", ReasonCode::NoMatchingSubscribers).await;
                // A PINGRESP does not wait for the trie.
                let answers = [acknowledgement(2, qos), acknowledgement(3, AtLeastOnce), Packet::PingResp];
                let answers = answers.map(|packet| client.encoded(&packet));
                client.expect_bytes_in_any_order(&answers.each_ref().map(|bytes| &**bytes)).await;
                for topic in ["t/2", "t/3"] {
                    assert_eq!(subscriber.expect_publish().await.topic, topic);
                }
                set(node, "t/2", "", ReasonCode::Success).await;
                assert!(subscriber.expect_payload("").await.payload.is_empty());
                subscriber.disconnect().await;
                client.disconnect().await;
            }
        }
        node.until_counters([("publishers_held", 4), ("retained_refused", 4), ("publishers_held_closed", 0)])
            .await;
    });
}

/// Without room the network connection ends after `refused_publish_timeout_ms`, and not for the client's silence
/// meanwhile; nothing was acknowledged or routed, and a persistent session may try again.
#[test]
fn without_room_the_connection_ends() {
    const TIMEOUT_MS: u64 = 2000;
    let mut limited = settings(TIMEOUT_MS);
    limited.session.retained_messages_per_client_max = 0;
    on_nodes(limited, async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", AtMostOnce).await;
        let mut asked = durable(V311, "client");
        asked.keep_alive = 1;
        let (mut client, _) = node.connect_with(asked).await;
        let began = Instant::now();
        client.send_all(&[retained(1, "t", AtLeastOnce, "x"), numbered(2, "t", AtLeastOnce)]).await;
        client.expect_closed().await;
        assert!(began.elapsed() >= Duration::from_millis(TIMEOUT_MS), "{:?}", began.elapsed());
        assert_eq!(node.counter("keep_alive_timeouts"), 0);
        subscriber.expect_nothing().await;
        let mut client = node.resume(durable(V311, "client")).await;
        client.send_all(&[numbered(2, "t", AtLeastOnce), retained(1, "t", ExactlyOnce, "x")]).await;
        client.expect(acknowledgement(2, AtLeastOnce)).await;
        client.expect_closed().await;
        subscriber.expect_publish().await;
        subscriber.expect_nothing().await;
        node.until_counters([
            ("publishers_held", 2),
            ("retained_per_client_refused", 2),
            ("publishers_held_closed", 2),
        ])
        .await;
        assert_eq!(node.shared().waitlist.waiting(), 0);
    });
}

/// A topic name with too many levels can never go through: the same. QoS 0 is dropped and counted, and its client read on.
#[test]
fn topic_levels() {
    let mut limited = settings(300);
    limited.mqtt.topic_levels_max = 2;
    on_nodes(limited, async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", AtMostOnce).await;
        for version in [V31, V311] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                let mut client = node.connect(version, "client").await;
                client.send(Packet::Publish(publish("a/b/c", AtMostOnce, "dropped"))).await;
                client.publish("a/b", AtLeastOnce, "routed").await;
                client.send(numbered(7, "a/b/c", qos)).await;
                client.expect_closed().await;
                subscriber.expect_payload("routed").await;
            }
        }
        subscriber.expect_nothing().await;
        node.until_counters([
            ("topic_levels_exceeded", 8),
            ("qos0_refused", 4),
            ("publishers_held", 4),
            ("publishers_held_closed", 4),
        ])
        .await;
    });
}

/// A retained message that expires makes room, with nobody doing anything.
#[test]
fn expiry_makes_room() {
    let mut limited = settings(LONG_MS);
    limited.session.retained_messages_max = 1;
    on_nodes(limited, async |node| {
        let mut first = node.connect(V5, "first").await;
        let mut message = Publish { retain: true, ..publish("brief", AtLeastOnce, "x") };
        message.properties.message_expiry_interval = Some(1);
        first.publish_packet(message).await;
        let mut client = node.connect(V311, "client").await;
        client.send(retained(1, "t", AtLeastOnce, "x")).await;
        client.expect(acknowledgement(1, AtLeastOnce)).await;
        node.until("one takes the place of the other", |seen| {
            seen.counter("publishers_held") == 1 && seen.retained.messages == 1
        })
        .await;
    });
}

/// `queued_bytes_max`: while as much waits on the node, whoever's it is, QoS 1 and 2 are refused as they are published; QoS 0
/// is not. When the queue is read, there is room.
#[test]
fn queued_bytes() {
    let mut limited = settings(LONG_MS);
    limited.node.queued_bytes_max = 500_000;
    on_nodes(limited, async |node| {
        let (mut sleeper, _) = node.connect_with(durable(V5, "sleeper")).await;
        sleeper.subscribe("sleeps", AtLeastOnce).await;
        sleeper.vanish().await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let payload = "x".repeat(50_000);
        let mut queued = 0;
        while publisher.publish("sleeps", AtLeastOnce, &payload).await == ReasonCode::Success {
            queued += 1;
            assert!(queued <= 12, "{queued} were accepted");
        }
        assert!(queued >= 9, "{queued} were accepted");
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert_eq!(publisher.publish("t", qos, "refused").await, ReasonCode::QuotaExceeded);
        }
        publisher.publish("t", AtMostOnce, "QoS 0").await;
        subscriber.expect_payload("QoS 0").await;
        let mut old = node.connect(V311, "old").await;
        old.send(numbered(1, "t", AtLeastOnce)).await;
        until_held(node, 1).await;
        old.expect_silence().await;
        let mut sleeper = node.resume(durable(V5, "sleeper")).await;
        for _ in 0..queued {
            sleeper.take_payload(&payload).await;
        }
        old.expect(acknowledgement(1, AtLeastOnce)).await;
        assert_eq!(subscriber.expect_publish().await.topic, "t");
        assert_eq!(publisher.publish("t", AtLeastOnce, "again").await, ReasonCode::Success);
        node.until_counters([("queued_bytes_refused", 4)]).await;
    });
}

/// A client that is held is taken over, shut down, and forgotten when it goes.
#[test]
fn a_held_client_may_go() {
    let mut limited = settings(LONG_MS);
    limited.session.retained_messages_max = 0;
    on_nodes(limited, async |node| {
        for (times, name) in [(1, "goes"), (2, "is taken over")] {
            let mut client = node.connect(V311, name).await;
            client.send(retained(1, "t", AtLeastOnce, "x")).await;
            until_held(node, times).await;
            assert_eq!(node.shared().waitlist.waiting(), 1);
            match name {
                "goes" => {
                    drop(client);
                    node.connect(V311, name).await.disconnect().await;
                }
                _ => {
                    let again = node.connect(V311, name).await;
                    client.expect_closed().await;
                    again.disconnect().await;
                }
            }
            node.until("it is forgotten", |seen| seen.connections == 0).await;
            assert_eq!(node.shared().waitlist.waiting(), 0);
        }
    });
}

/// Clients of several workers at once for the last places: as many are acknowledged as there are places, and all of those
/// are kept.
#[test]
fn the_last_places() {
    const CLIENTS: usize = 12;
    const EACH: u16 = 20;
    const PLACES: usize = 100;
    for version in [V5, V311] {
        let mut limited = settings(300);
        limited.session.retained_messages_max = PLACES;
        on_node(4, limited, async |node| {
            let mut clients = Vec::new();
            for number in 0..CLIENTS {
                clients.push(node.connect(version, &format!("client-{number}")).await);
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let packets: Vec<Packet> = (1..=EACH)
                    .map(|topic| retained(topic, &format!("{number}/{topic}"), AtLeastOnce, "x"))
                    .collect();
                client.send_all(&packets).await;
            }
            let mut accepted = Vec::new();
            for (number, mut client) in clients.into_iter().enumerate() {
                accepted.extend(
                    accepted_of(&mut client, version, EACH).await.map(|topic| format!("{number}/{topic}")),
                );
            }
            assert_eq!(accepted.len(), PLACES);
            let mut subscriber = node.connect(V5, "subscriber").await;
            subscriber.subscribe("#", AtMostOnce).await;
            let mut kept = Vec::new();
            for _ in 0..PLACES {
                kept.push(subscriber.expect_publish().await.topic);
            }
            subscriber.expect_nothing().await;
            kept.sort();
            accepted.sort();
            assert_eq!(kept, accepted);
        });
    }
}

/// The packet identifiers of what was acknowledged with success, until all are answered or the client is closed.
async fn accepted_of(client: &mut Client, version: ProtocolVersion, each: u16) -> impl Iterator<Item = u16> {
    let mut accepted = Vec::new();
    for _ in 0..each {
        match client.next_or_end().await {
            Some(Packet::PubAck(ack)) => {
                if !ack.reason_code.is_error() {
                    accepted.push(ack.packet_identifier.get());
                }
            }
            None if version == V311 => break,
            other => panic!("{other:?} in place of a PUBACK"),
        }
    }
    accepted.into_iter()
}

/// [MQTT311-3.3.5-2] `denied_publish`: what no rule allows is acknowledged to 3.x clients, or ends their network connection.
#[test]
fn denied() {
    for closes in [false, true] {
        let mut limited = settings(LONG_MS);
        if closes {
            limited.mqtt.denied_publish = micro_mq_core::settings::DeniedPublish::Close;
        }
        on_node(1, limited, async |node| {
            for version in [V31, V311, V5] {
                for qos in [AtLeastOnce, ExactlyOnce] {
                    let (mut client, _) = node.connect_with(connect(version, "client")).await;
                    client.send(numbered(1, "$SYS/x", qos)).await;
                    match (version, closes) {
                        (V5, _) => match client.next().await {
                            Packet::PubAck(ack) | Packet::PubRec(ack) => {
                                assert_eq!(ack.reason_code, ReasonCode::NotAuthorized);
                            }
                            other => panic!("{other:?}"),
                        },
                        (_, false) => client.expect(acknowledgement(1, qos)).await,
                        (_, true) => client.expect_closed().await,
                    }
                }
            }
            node.until_counters([("publishes_not_authorized", 6)]).await;
            assert_eq!(node.counter("publishers_held"), 0);
        });
    }
}
