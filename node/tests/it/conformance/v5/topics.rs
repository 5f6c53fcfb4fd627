//! Topic names and topic filters (chapter 4.7), and shared subscriptions (chapter 4.8.2).

use mqtt_codec::QoS;

use super::bytes::V5;
use crate::harness::{on_nodes, settings};

/// Names that are easily taken for each other.
const ALIKE: [&str; 16] = [
    "a/b",
    "A/b",
    "a/B",
    "/a/b",
    "a/b/",
    "a//b",
    "a/./b",
    "a/x/../b",
    "a /b",
    "a%2Fb",
    "a\\b",
    "a/\u{e9}",
    "a/e\u{301}",
    "a/\u{1e9e}",
    "a/ß",
    "a/ss",
];

/// [MQTT-4.7.3-4] [MQTT-3.3.2-3] Topic names that differ in case, slashes, dots, blanks, escapes or in how an accent is
/// written are different: each reaches its own subscription alone, and arrives as it was sent.
#[test]
fn nothing_is_normalized() {
    on_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for (index, name) in ALIKE.into_iter().enumerate() {
            let mut client = node.connect(V5, &format!("client {index}")).await;
            client.subscribe(name, QoS::AtMostOnce).await;
            clients.push(client);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        for name in ALIKE {
            publisher.publish(name, QoS::AtLeastOnce, name).await;
        }
        for (client, name) in clients.iter_mut().zip(ALIKE) {
            assert_eq!(client.expect_payload(name).await.topic, name);
            client.expect_nothing().await;
        }
        // A level of none is a level.
        let mut client = node.connect(V5, "levels").await;
        client.subscribe("+/+", QoS::AtMostOnce).await;
        let matching = ["a/b", "A/b", "a/B", "a /b", "a/\u{e9}", "a/e\u{301}", "a/\u{1e9e}", "a/ß", "a/ss"];
        for name in ALIKE {
            publisher.publish(name, QoS::AtLeastOnce, name).await;
        }
        for name in matching {
            client.expect_payload(name).await;
        }
        client.expect_nothing().await;
    });
}

/// [MQTT-4.7.2-1] A topic name that begins with `$` reaches no topic filter that begins with a wildcard, shared or not.
#[test]
fn names_with_a_dollar_sign() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        for filter in ["#", "+", "+/#", "+/a", "+/+", "$share/g/#", "$share/g/+/a"] {
            client.subscribe(filter, QoS::AtMostOnce).await;
        }
        let mut publisher = node.connect(V5, "publisher").await;
        for name in ["$", "$a", "$a/a", "$/a", "$share/a", "$b/a/c"] {
            publisher.publish(name, QoS::AtMostOnce, name).await;
        }
        client.expect_nothing().await;
        client.subscribe("$a/#", QoS::AtMostOnce).await;
        client.subscribe("$/+", QoS::AtMostOnce).await;
        publisher.publish("$a/a", QoS::AtMostOnce, "1").await;
        publisher.publish("$/a", QoS::AtMostOnce, "2").await;
        publisher.publish("a/$a", QoS::AtMostOnce, "3").await;
        // Elsewhere than at the beginning the sign is a character: "#", "+/#", "+/+" and "$share/g/#" want it. Different
        // topic names come in any order, by a shared subscription above all.
        let mut payloads = Vec::new();
        for _ in 0..6 {
            payloads.push(client.expect_publish().await.payload);
        }
        payloads.sort();
        assert_eq!(payloads, ["1", "2", "3", "3", "3", "3"]);
        client.expect_nothing().await;
    });
}

/// [MQTT-4.8.2-3] [MQTT-3.8.4-8] Each member of a shared subscription gets its messages with the QoS that it was
/// granted.
#[test]
fn qos_of_the_member() {
    on_nodes(settings(), async |node| {
        let mut members = Vec::new();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut member = node.connect(V5, &format!("{qos:?}")).await;
            member.subscribe("$share/g/t", qos).await;
            members.push((member, qos));
        }
        let mut publisher = node.connect(V5, "publisher").await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for _ in 0..members.len() {
                publisher.publish("t", qos, "m").await;
            }
            for (member, granted) in &mut members {
                assert_eq!(member.take_payload("m").await.qos, qos.min(*granted));
                member.expect_nothing().await;
            }
        }
    });
}
