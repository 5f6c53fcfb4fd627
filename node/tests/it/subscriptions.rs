//! SUBSCRIBE and UNSUBSCRIBE: what matches, how it is delivered, and what is refused.

use std::num::NonZeroU32;

use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Packet, Publish, QoS, ReasonCode, Subscribe, SubscriptionOptions};

use crate::harness::{
    Client, TestNode, connect, durable, identifier, on_node, on_nodes, options, publish, settings,
    subscribe_packet, will,
};

fn with_identifier(subscribe: Subscribe, number: u32) -> Subscribe {
    Subscribe { subscription_identifier: NonZeroU32::new(number), ..subscribe }
}

async fn subscribe_as(client: &mut Client, filter: &str, options: SubscriptionOptions, number: u32) {
    let subscribe = subscribe_packet(client.next_identifier(), &[(filter, options)]);
    let answer = client.subscribe_packet(with_identifier(subscribe, number)).await;
    assert!(!answer.reason_codes[0].is_error(), "{answer:?}");
}

/// The copies that a client gets next, as QoS and subscription identifiers, in no order.
async fn copies(client: &mut Client, count: usize) -> Vec<(QoS, Vec<u32>)> {
    let mut copies = Vec::new();
    for _ in 0..count {
        let publish = client.expect_publish().await;
        client.acknowledge(&publish).await;
        copies.push((publish.qos, publish.properties.subscription_identifiers));
    }
    copies.sort();
    copies
}

fn codes(answer: &[ReasonCode]) -> Vec<u8> {
    answer.iter().map(|code| *code as u8).collect()
}

async fn publish_retained(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.publish_packet(Publish { retain: true, ..publish(topic, AtLeastOnce, payload) }).await
}

/// [MQTT-3.3.2-3] [MQTT-4.7.2-1] Whoever publishes where, each filter gets what it matches and no more.
#[test]
fn filters_get_what_they_match() {
    const TOPICS: &[&str] = &["a", "a/", "/a", "a/b", "a/b/c", "b", "$a", "$a/b", "A", "ä/b", "a b/c"];
    const EXPECTED: &[(&str, &[&str])] = &[
        ("a", &["a"]),
        ("+", &["a", "b", "A"]),
        ("#", &["a", "a/", "/a", "a/b", "a/b/c", "b", "A", "ä/b", "a b/c"]),
        ("a/#", &["a", "a/", "a/b", "a/b/c"]),
        ("a/+", &["a/", "a/b"]),
        ("+/+", &["a/", "/a", "a/b", "ä/b", "a b/c"]),
        ("/+", &["/a"]),
        ("/#", &["/a"]),
        ("+/b/#", &["a/b", "a/b/c", "ä/b"]),
        ("a/+/c", &["a/b/c"]),
        ("$a/#", &["$a", "$a/b"]),
        ("$a/+", &["$a/b"]),
        ("+/#", &["a", "a/", "/a", "a/b", "a/b/c", "b", "A", "ä/b", "a b/c"]),
        ("a b/+", &["a b/c"]),
    ];
    on_nodes(settings(), async |node| {
        let mut subscribers = Vec::new();
        for (index, (filter, _)) in EXPECTED.iter().enumerate() {
            let version = [V31, V311, V5][index % 3];
            let mut subscriber = node.connect(version, &format!("subscriber {index}")).await;
            subscriber.subscribe(filter, AtLeastOnce).await;
            subscribers.push(subscriber);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        for topic in TOPICS {
            publisher.publish(topic, AtLeastOnce, topic).await;
        }
        for (subscriber, (filter, expected)) in subscribers.iter_mut().zip(EXPECTED) {
            for topic in *expected {
                assert_eq!(subscriber.take_payload(topic).await.topic, *topic, "{filter}");
            }
            subscriber.expect_nothing().await;
        }
    });
}

/// [MQTT-3.8.4-8] The QoS is the lower one of message and subscription.
#[test]
fn qos_is_the_lower_of_both() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V311, "publisher").await;
        for granted in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let mut subscriber = node.connect(V5, "subscriber").await;
            subscriber.subscribe("t", granted).await;
            for sent in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                publisher.publish("t", sent, "m").await;
                assert_eq!(subscriber.take_payload("m").await.qos, granted.min(sent));
            }
            subscriber.disconnect().await;
        }
    });
}

/// [MQTT-3.8.3-3] No local keeps a client's own messages from it, on this subscription alone.
#[test]
fn no_local_keeps_back_the_clients_own() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        let mut other = node.connect(V5, "other").await;
        client.subscribe_with("t/#", SubscriptionOptions { no_local: true, ..options(AtMostOnce) }).await;
        client.subscribe("u", AtMostOnce).await;
        assert_eq!(client.publish("t/1", AtLeastOnce, "own").await, ReasonCode::NoMatchingSubscribers);
        other.publish("t/1", AtLeastOnce, "foreign").await;
        client.expect_payload("foreign").await;
        client.publish("u", AtMostOnce, "own elsewhere").await;
        client.expect_payload("own elsewhere").await;
        client.expect_nothing().await;
    });
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13] RETAIN of a live message is passed on only with retain as published.
#[test]
fn retain_flag_as_the_subscription_wants_it() {
    on_nodes(settings(), async |node| {
        let mut plain = node.connect(V5, "plain").await;
        let mut bridge = node.connect(V5, "bridge").await;
        let mut old = node.connect(V311, "old").await;
        plain.subscribe("t", AtMostOnce).await;
        old.subscribe("t", AtMostOnce).await;
        let as_published = SubscriptionOptions { retain_as_published: true, ..options(AtMostOnce) };
        bridge.subscribe_with("t", as_published).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publish_retained(&mut publisher, "t", "retained").await;
        publisher.publish("t", AtMostOnce, "not").await;
        for (client, expected) in [(&mut plain, false), (&mut bridge, true), (&mut old, false)] {
            assert_eq!(client.expect_payload("retained").await.retain, expected);
            assert!(!client.expect_payload("not").await.retain);
        }
    });
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-5] One copy per subscription that matches, each with its own QoS and
/// identifier.
#[test]
fn overlapping_subscriptions_get_a_copy_each() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        subscribe_as(&mut client, "t/#", options(AtMostOnce), 7).await;
        subscribe_as(&mut client, "t/+", options(ExactlyOnce), 268_435_455).await;
        client.subscribe("t/1", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t/1", ExactlyOnce, "m").await;
        let expected = [(AtMostOnce, vec![7]), (AtLeastOnce, vec![]), (ExactlyOnce, vec![268_435_455])];
        assert_eq!(copies(&mut client, 3).await, expected);
        client.expect_nothing().await;
    });
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-4] By config: one copy with the highest QoS and all identifiers.
#[test]
fn overlapping_subscriptions_can_be_merged() {
    let mut merged = settings();
    merged.mqtt.merge_overlapping_subscriptions = true;
    on_nodes(merged, async |node| {
        let mut client = node.connect(V5, "client").await;
        let mut other = node.connect(V5, "other").await;
        let as_published = SubscriptionOptions { retain_as_published: true, ..options(AtMostOnce) };
        subscribe_as(&mut client, "t/#", as_published, 7).await;
        subscribe_as(&mut client, "t/+", options(AtLeastOnce), 8).await;
        client.subscribe("t/1", AtMostOnce).await;
        other.subscribe("t/1", AtMostOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publish_retained(&mut publisher, "t/1", "m").await;
        let mut copy = client.expect_publish().await;
        client.acknowledge(&copy).await;
        copy.properties.subscription_identifiers.sort();
        assert_eq!((copy.qos, copy.retain), (AtLeastOnce, true));
        assert_eq!(copy.properties.subscription_identifiers, [7, 8]);
        client.expect_nothing().await;
        other.expect_payload("m").await;
        other.expect_nothing().await;
    });
}

/// [MQTT-3.8.4-3] An equal filter replaces the subscription, its identifier included, and no message is lost or
/// doubled.
#[test]
fn equal_filter_replaces_the_subscription() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        let mut publisher = node.connect(V5, "publisher").await;
        subscribe_as(&mut client, "t/+", options(AtMostOnce), 1).await;
        subscribe_as(&mut client, "t/+", options(AtLeastOnce), 2).await;
        publisher.publish("t/1", AtLeastOnce, "m").await;
        assert_eq!(copies(&mut client, 1).await, [(AtLeastOnce, vec![2])]);
        client.subscribe("t/+", AtMostOnce).await;
        publisher.publish("t/1", AtLeastOnce, "m").await;
        assert_eq!(copies(&mut client, 1).await, [(AtMostOnce, vec![])]);
        client.expect_nothing().await;
        node.until("1 subscription", |seen| seen.sessions.subscriptions == 1).await;
    });
}

/// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] UNSUBACK tells which filters there
/// were, character by character; then nothing comes.
#[test]
fn unsubscribing_ends_exactly_that_subscription() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        let mut publisher = node.connect(V5, "publisher").await;
        for filter in ["t/#", "t/+", "$share/g/t/1"] {
            client.subscribe(filter, AtMostOnce).await;
        }
        let answer = client.unsubscribe(&["t/+", "t/1", "$share/g/t/1", "t/+", "$share/h/t/1"]).await;
        assert_eq!(codes(&answer.reason_codes), [0, 0x11, 0, 0x11, 0x11]);
        publisher.publish("t/1", AtLeastOnce, "m").await;
        client.expect_payload("m").await;
        client.expect_nothing().await;
        client.unsubscribe(&["t/#"]).await;
        assert_eq!(publisher.publish("t/1", AtLeastOnce, "m").await, ReasonCode::NoMatchingSubscribers);
        client.expect_nothing().await;

        let mut old = node.connect(V311, "old").await;
        let answer = old.unsubscribe(&["nothing"]).await;
        assert!(codes(&answer.reason_codes).iter().all(|code| *code == 0), "{answer:?}");
    });
}

/// [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] One reason code for each filter, in their
/// order, whatever becomes of the others.
#[test]
fn suback_has_a_reason_for_each_filter() {
    let mut limited = settings();
    limited.mqtt.shared_subscription_available = false;
    limited.mqtt.topic_levels_max = 4;
    on_nodes(limited, async |node| {
        let filters = [
            ("a/b/c/d", options(AtMostOnce)),
            ("a/b/c/d/e", options(AtMostOnce)),
            ("$share/g/t", options(AtLeastOnce)),
            ("x/#", options(ExactlyOnce)),
            ("a/b/c/d", options(AtLeastOnce)),
        ];
        for (version, expected) in
            [(V5, [0, 0x8f, 0x9e, 2, 1]), (V311, [0, 0x80, 0x80, 2, 1]), (V31, [0, 0x80, 0x80, 2, 1])]
        {
            let mut client = node.connect(version, "client").await;
            let answer = client.subscribe_packet(subscribe_packet(identifier(65_535), &filters)).await;
            assert_eq!(codes(&answer.reason_codes), expected, "{version:?}");
            client.disconnect().await;
        }
        node.until_counters([("topic_levels_exceeded", 3)]).await;
    });
}

/// A SUBSCRIBE may hold thousands of filters, all of them in force with the SUBACK.
#[test]
fn many_filters_in_one_packet() {
    const COUNT: usize = 8000;
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        let mut publisher = node.connect(V5, "publisher").await;
        let names: Vec<String> = (0..COUNT).map(|index| format!("many/{index}/+")).collect();
        let filters: Vec<_> = names.iter().map(|name| (name.as_str(), options(AtLeastOnce))).collect();
        let answer = client.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
        assert_eq!(codes(&answer.reason_codes), vec![1; COUNT]);
        for index in [0, 1, COUNT / 2, COUNT - 1] {
            publisher.publish(&format!("many/{index}/x"), AtLeastOnce, "m").await;
            client.take_payload("m").await;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(codes(&client.unsubscribe(&names).await.reason_codes), vec![0; COUNT]);
        assert_eq!(publisher.publish("many/1/x", AtLeastOnce, "m").await, ReasonCode::NoMatchingSubscribers);
    });
}

/// A SUBACK means that every later publish of anybody is delivered, whichever worker it comes through.
#[test]
fn in_force_everywhere_with_the_suback() {
    on_nodes(settings(), async |node| {
        let mut publishers = Vec::new();
        for index in 0..6 {
            publishers.push(node.connect(V5, &format!("publisher {index}")).await);
        }
        for round in 0..20 {
            let mut client = node.connect(V5, &format!("client {round}")).await;
            client.subscribe(&format!("round/{round}"), AtMostOnce).await;
            for publisher in &mut publishers {
                let reason = publisher.publish(&format!("round/{round}"), AtLeastOnce, "m").await;
                assert_eq!(reason, ReasonCode::Success);
                client.expect_payload("m").await;
            }
        }
    });
}

/// [MQTT-3.1.2-5] [MQTT-4.5.0-1] Subscriptions are part of the session, their identifiers too.
#[test]
fn subscriptions_outlive_the_network_connection() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "client")).await;
        subscribe_as(&mut client, "t", options(AtLeastOnce), 9).await;
        client.disconnect().await;
        let mut publisher = node.connect(V5, "publisher").await;
        assert_eq!(publisher.publish("t", AtLeastOnce, "offline").await, ReasonCode::Success);
        let mut client = node.resume(durable(V5, "client")).await;
        let publish = client.take_payload("offline").await;
        assert_eq!(publish.properties.subscription_identifiers, [9]);
        publisher.publish("t", AtLeastOnce, "online").await;
        client.take_payload("online").await;
        client.disconnect().await;
    });
}

// === features that are switched off ===

async fn announced(node: &TestNode) -> mqtt_codec::ConnAckProperties {
    node.connect_with(connect(V5, "asks")).await.1.properties
}

/// [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12] A PUBLISH above the maximum QoS ends the network connection (0x9B), a
/// will is refused; subscriptions are granted less.
#[test]
fn maximum_qos() {
    let mut limited = settings();
    limited.mqtt.maximum_qos = 1;
    on_nodes(limited, async |node| {
        assert_eq!(announced(node).await.maximum_qos, Some(AtLeastOnce));
        let mut client = node.connect(V5, "client").await;
        let answer =
            client.subscribe_packet(subscribe_packet(identifier(1), &[("t", options(ExactlyOnce))])).await;
        assert_eq!(codes(&answer.reason_codes), [1]);
        client.publish("t", AtLeastOnce, "m").await;
        assert_eq!(client.take_payload("m").await.qos, AtLeastOnce);
        client.send(Packet::Publish(publish("t", ExactlyOnce, "m"))).await;
        client.expect_disconnect(ReasonCode::QoSNotSupported).await;

        let mut refused = node.open(V5).await;
        let answer = refused
            .handshake(mqtt_codec::Connect { will: Some(will("w", ExactlyOnce, "w")), ..connect(V5, "c") });
        assert_eq!(answer.await.reason_code, ReasonCode::QoSNotSupported);
        refused.expect_closed().await;
    });
}

/// [MQTT-3.2.2-13] RETAIN in a PUBLISH (0x9A) and in a will.
#[test]
fn retain_switched_off() {
    let mut limited = settings();
    limited.mqtt.retain_available = false;
    on_node(1, limited, async |node| {
        assert_eq!(announced(node).await.retain_available, Some(false));
        let mut client = node.connect(V5, "client").await;
        client.subscribe("t", AtLeastOnce).await;
        client.send(Packet::Publish(Publish { retain: true, ..publish("t", AtMostOnce, "m") })).await;
        client.expect_disconnect(ReasonCode::RetainNotSupported).await;

        let mut refused = node.open(V5).await;
        let will = mqtt_codec::Will { retain: true, ..will("w", AtMostOnce, "w") };
        let answer = refused.handshake(mqtt_codec::Connect { will: Some(will), ..connect(V5, "c") }).await;
        assert_eq!(answer.reason_code, ReasonCode::RetainNotSupported);
        refused.expect_closed().await;
    });
}

/// 0xA2 for every filter with a wildcard, inside a shared one too.
#[test]
fn wildcards_switched_off() {
    let mut limited = settings();
    limited.mqtt.wildcard_subscription_available = false;
    on_node(1, limited, async |node| {
        assert_eq!(announced(node).await.wildcard_subscription_available, Some(false));
        let filters = ["t/+", "#", "t", "$share/g/t/#"].map(|name| (name, options(AtMostOnce)));
        for (version, refused) in [(V5, 0xa2), (V311, 0x80)] {
            let mut client = node.connect(version, "client").await;
            let answer = client.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
            assert_eq!(codes(&answer.reason_codes), [refused, refused, 0, refused]);
            client.disconnect().await;
        }
    });
}

/// 0x9E for `$share/...`.
#[test]
fn shared_subscriptions_switched_off() {
    let mut limited = settings();
    limited.mqtt.shared_subscription_available = false;
    on_node(1, limited, async |node| {
        assert_eq!(announced(node).await.shared_subscription_available, Some(false));
        let mut client = node.connect(V5, "client").await;
        let filters = ["$share/g/t", "t"].map(|name| (name, options(AtMostOnce)));
        let answer = client.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
        assert_eq!(codes(&answer.reason_codes), [0x9e, 0]);
    });
}

/// DISCONNECT 0xA1 for a SUBSCRIBE with an identifier.
#[test]
fn subscription_identifiers_switched_off() {
    let mut limited = settings();
    limited.mqtt.subscription_identifiers_available = false;
    on_node(1, limited, async |node| {
        assert_eq!(announced(node).await.subscription_identifiers_available, Some(false));
        let mut client = node.connect(V5, "client").await;
        client.subscribe("t", AtMostOnce).await;
        let subscribe = subscribe_packet(identifier(2), &[("u", options(AtMostOnce))]);
        client.send(Packet::Subscribe(with_identifier(subscribe, 1))).await;
        client.expect_disconnect(ReasonCode::SubscriptionIdentifiersNotSupported).await;
    });
}

/// What is offered is not announced: absent means so (section 3.2.2.3).
#[test]
fn nothing_is_announced_of_what_is_offered() {
    on_node(1, settings(), async |node| {
        let properties = announced(node).await;
        assert_eq!(properties.maximum_qos, None);
        assert_eq!(properties.retain_available, None);
        assert_eq!(properties.wildcard_subscription_available, None);
        assert_eq!(properties.shared_subscription_available, None);
        assert_eq!(properties.subscription_identifiers_available, None);
    });
}
