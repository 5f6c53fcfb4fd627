//! Retained messages: the node's limits and those of one client.

use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Publish, ReasonCode};

use crate::harness::{Client, TestNode, on_nodes, publish, settings};

fn retained(topic: &str, qos: mqtt_codec::QoS, payload: &str) -> Publish {
    Publish { retain: true, ..publish(topic, qos, payload) }
}

/// What a new subscriber gets: just these.
async fn kept(node: &TestNode, expected: &[(&str, &str)]) {
    let mut other = node.connect(V5, "other").await;
    other.subscribe("#", AtMostOnce).await;
    for (topic, payload) in expected {
        let message = other.expect_payload(payload).await;
        assert_eq!((message.topic.as_str(), message.retain), (*topic, true));
    }
    other.expect_nothing().await;
    other.disconnect().await;
}

/// `retained_messages_max`: one more is refused before anything of it is routed: 0x97, and QoS 0 is dropped; replacing and
/// removing stays possible.
#[test]
fn retained_messages() {
    let mut limited = settings();
    limited.session.retained_messages_max = 2;
    on_nodes(limited, async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", AtMostOnce).await;
        let mut client = node.connect(V5, "client").await;
        for (topic, payload) in [("a", "1"), ("b", "1")] {
            client.publish_packet(retained(topic, AtLeastOnce, payload)).await;
            subscriber.expect_payload(payload).await;
        }
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert_eq!(client.publish_packet(retained("c", qos, "x")).await, ReasonCode::QuotaExceeded);
        }
        client.publish_packet(retained("c", AtMostOnce, "x")).await;
        assert_eq!(client.publish_packet(retained("a", ExactlyOnce, "2")).await, ReasonCode::Success);
        assert_eq!(subscriber.expect_payload("2").await.topic, "a");
        subscriber.expect_nothing().await;
        node.until_counters([("retained_refused", 3), ("qos0_refused", 1)]).await;
        assert!(
            node.running().admin_source().prometheus().await.unwrap().contains("retained_refused_total 3")
        );
        kept(node, &[("a", "2"), ("b", "1")]).await;
        client.publish_packet(retained("a", AtLeastOnce, "")).await;
        assert_eq!(client.publish_packet(retained("c", AtLeastOnce, "3")).await, ReasonCode::Success);
        kept(node, &[("b", "1"), ("c", "3")]).await;
    });
}

/// `retained_bytes_max`: the same by bytes. What is refused leaves what is kept as it was.
#[test]
fn retained_bytes() {
    let mut limited = settings();
    limited.session.retained_bytes_max = 3000;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        let long = "x".repeat(1200);
        for (topic, payload, reason) in [
            ("a", &*long, ReasonCode::NoMatchingSubscribers),
            ("b", &long, ReasonCode::NoMatchingSubscribers),
            ("c", &long, ReasonCode::QuotaExceeded),
            ("a", &long.repeat(2), ReasonCode::QuotaExceeded),
        ] {
            assert_eq!(client.publish_packet(retained(topic, AtLeastOnce, payload)).await, reason);
        }
        node.until("two are kept", |seen| seen.retained.messages == 2 && seen.retained.bytes == 2402).await;
        client.publish_packet(retained("b", AtLeastOnce, "")).await;
        client.publish_packet(retained("c", AtLeastOnce, "small")).await;
        kept(node, &[("a", &long), ("c", "small")]).await;
        node.until_counters([("retained_refused", 2)]).await;
    });
}

/// `retained_messages_per_client_max`: a client has so many, whatever sessions it had and whoever subscribes; others have
/// theirs. Who sets a topic name has it.
#[test]
fn retained_messages_of_a_client() {
    let mut limited = settings();
    limited.session.retained_messages_per_client_max = 2;
    on_nodes(limited, async |node| {
        let (yes, no) = (ReasonCode::NoMatchingSubscribers, ReasonCode::QuotaExceeded);
        let set = async |client: &mut Client, topic: &str, expected| {
            assert_eq!(client.publish_packet(retained(topic, AtLeastOnce, "x")).await, expected, "{topic}");
        };
        let mut first = node.connect(V5, "first").await;
        set(&mut first, "a", yes).await;
        set(&mut first, "b", yes).await;
        set(&mut first, "c", no).await;
        first.disconnect().await;
        // Its messages are still there.
        let mut first = node.connect(V5, "first").await;
        set(&mut first, "c", no).await;
        set(&mut first, "a", yes).await;
        let mut second = node.connect(V5, "second").await;
        set(&mut second, "c", yes).await;
        set(&mut second, "a", yes).await;
        set(&mut second, "b", no).await;
        set(&mut first, "d", yes).await;
        set(&mut first, "c", no).await;
        second.publish_packet(retained("d", AtLeastOnce, "")).await;
        set(&mut first, "c", yes).await;
        node.until_counters([("retained_per_client_refused", 4)]).await;
        assert_eq!(node.counter("retained_refused"), 0);
        kept(node, &[("a", "x"), ("b", "x"), ("c", "x")]).await;
    });
}

/// `retained_bytes_per_client_max`: the same by bytes, for 3.x and QoS 0 too.
#[test]
fn retained_bytes_of_a_client() {
    let mut limited = settings();
    limited.session.retained_bytes_per_client_max = 10;
    on_nodes(limited, async |node| {
        for version in [V5, V311] {
            let mut client = node.connect(version, "client").await;
            for (topic, payload) in [("a", "1234"), ("b", "1234"), ("b", "12345"), ("c", "")] {
                client.publish_packet(retained(topic, AtMostOnce, payload)).await;
            }
            client.publish("t", AtLeastOnce, "behind them").await;
            kept(node, &[("a", "1234"), ("b", "1234")]).await;
            client.disconnect().await;
        }
        node.until_counters([("retained_per_client_refused", 2), ("qos0_refused", 2)]).await;
    });
}

/// A will that finds no room is published all the same, since nobody can be told, and not kept; what it was to replace is
/// outdated.
#[test]
fn wills_beyond_the_limit() {
    let mut limited = settings();
    limited.session.retained_bytes_per_client_max = 5;
    on_nodes(limited, async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", AtMostOnce).await;
        let mut asked = crate::harness::connect(V311, "client");
        let mut will = crate::harness::will("t", AtLeastOnce, "too long");
        will.retain = true;
        asked.will = Some(will);
        let (mut client, _) = node.connect_with(asked).await;
        client.publish_packet(retained("t", AtLeastOnce, "here")).await;
        subscriber.expect_payload("here").await;
        client.vanish().await;
        subscriber.expect_payload("too long").await;
        kept(node, &[]).await;
        node.until_counters([("retained_per_client_refused", 1)]).await;
    });
}
