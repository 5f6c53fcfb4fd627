//! Retained messages [MQTT-3.3.1-5 to 13].

use std::collections::BTreeSet;
use std::time::Duration;

use actix_rt::time::sleep;
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, Publish, QoS, ReasonCode, RetainHandling, SubscriptionOptions};

use crate::harness::{
    Client, on_node, on_nodes, options, publish, settings, subscribe_packet, user_properties,
};

fn retained(topic: &str, qos: QoS, payload: &str) -> Publish {
    Publish { retain: true, ..publish(topic, qos, payload) }
}

/// What a new subscription of a new client gets, in no order; nothing of it twice.
async fn kept(client: &mut Client, filter: &str) -> BTreeSet<(String, String)> {
    client.subscribe(filter, AtMostOnce).await;
    client.send(Packet::PingReq).await;
    let mut kept = BTreeSet::new();
    loop {
        match client.next().await {
            Packet::Publish(publish) => {
                assert!(publish.retain, "{publish:?}");
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                assert!(kept.insert((publish.topic, payload)), "twice");
            }
            Packet::PingResp => return kept,
            other => panic!("{other:?} in place of a PUBLISH"),
        }
    }
}

fn pairs(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect()
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8] The last one is kept, an empty payload removes it, one
/// without RETAIN changes nothing.
#[test]
fn the_last_is_kept_and_an_empty_one_removes_it() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for (topic, payload) in [("a", "1"), ("b", "1"), ("a", "2"), ("a/x", "1"), ("c", "1"), ("c", "")] {
            publisher.publish_packet(retained(topic, AtLeastOnce, payload)).await;
        }
        publisher.publish("b", AtLeastOnce, "not retained").await;
        publisher.publish_packet(retained("never/kept", AtLeastOnce, "")).await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        assert_eq!(kept(&mut subscriber, "#").await, pairs(&[("a", "2"), ("b", "1"), ("a/x", "1")]));
        assert_eq!(kept(&mut subscriber, "a/#").await, pairs(&[("a", "2"), ("a/x", "1")]));
        assert_eq!(kept(&mut subscriber, "+").await, pairs(&[("a", "2"), ("b", "1")]));
        assert_eq!(kept(&mut subscriber, "b").await, pairs(&[("b", "1")]));
        assert_eq!(kept(&mut subscriber, "c").await, pairs(&[]));
        node.until("3 retained messages", |seen| seen.retained.messages == 3).await;
    });
}

/// [MQTT-3.3.1-6] An empty retained message is a message all the same: subscribers get it.
#[test]
fn an_empty_one_is_delivered_to_those_who_are_there() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V311, "subscriber").await;
        subscriber.subscribe("t", AtMostOnce).await;
        let mut publisher = node.connect(V311, "publisher").await;
        publisher.publish_packet(retained("t", AtLeastOnce, "")).await;
        assert!(!subscriber.expect_payload("").await.retain);
    });
}

/// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] Retain handling 0 always, 1 for a new subscription alone, 2 never.
#[test]
fn retain_handling() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        client.publish_packet(retained("t", AtLeastOnce, "kept")).await;
        let with = |retain_handling| SubscriptionOptions { retain_handling, ..options(AtLeastOnce) };
        client.subscribe_with("t", with(RetainHandling::DoNotSend)).await;
        client.expect_nothing().await;
        client.subscribe_with("t", with(RetainHandling::SendIfNew)).await;
        client.expect_nothing().await;
        client.subscribe_with("t", with(RetainHandling::SendAtSubscribe)).await;
        client.take_payload("kept").await;
        client.unsubscribe(&["t"]).await;
        client.subscribe_with("t", with(RetainHandling::SendIfNew)).await;
        client.take_payload("kept").await;
        client.expect_nothing().await;
        for version in [V31, V311] {
            let mut old = node.connect(version, "old").await;
            for _ in 0..2 {
                old.subscribe("t", AtLeastOnce).await;
                old.take_payload("kept").await;
            }
            old.disconnect().await;
        }
    });
}

/// The QoS is the lower one, properties and subscription identifier go along, and RETAIN is set.
#[test]
fn sent_with_all_that_belongs_to_it() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let mut message = retained("t", ExactlyOnce, "kept");
        message.properties.user_properties = user_properties(&[("a", "1"), ("a", "2")]);
        message.properties.content_type = Some("text/plain".to_owned());
        let properties = message.properties.clone();
        publisher.publish_packet(message).await;
        publisher.disconnect().await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        let mut subscribe = subscribe_packet(subscriber.next_identifier(), &[("t", options(AtLeastOnce))]);
        subscribe.subscription_identifier = 5.try_into().ok();
        subscriber.subscribe_packet(subscribe).await;
        let got = subscriber.take_payload("kept").await;
        assert_eq!((got.qos, got.retain, got.dup), (AtLeastOnce, true, false));
        assert_eq!(got.properties.subscription_identifiers, [5]);
        assert_eq!(got.properties.user_properties, properties.user_properties);
        assert_eq!(got.properties.content_type, properties.content_type);
    });
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] A retained message ends with its message expiry interval, and says what is left of it.
#[test]
fn expires() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for (topic, seconds) in [("short", 1), ("long", 100)] {
            let mut message = retained(topic, AtLeastOnce, topic);
            message.properties.message_expiry_interval = Some(seconds);
            publisher.publish_packet(message).await;
        }
        let mut early = node.connect(V5, "early").await;
        early.subscribe("short", AtMostOnce).await;
        early.expect_payload("short").await;
        // What is to be seen is that time passes.
        sleep(Duration::from_millis(1100)).await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", AtMostOnce).await;
        let left = subscriber.expect_payload("long").await.properties.message_expiry_interval;
        assert!(left.is_some_and(|left| (90..100).contains(&left)), "{left:?}");
        subscriber.expect_nothing().await;
        node.until("what expired is not kept", |seen| seen.retained.messages == 1).await;
    });
}

/// Retained messages of a will are kept like others.
#[test]
fn of_a_will() {
    on_nodes(settings(), async |node| {
        let will = mqtt_codec::Will { retain: true, ..crate::harness::will("w", AtLeastOnce, "gone") };
        let connect = mqtt_codec::Connect { will: Some(will), ..crate::harness::connect(V311, "dying") };
        let (dying, _) = node.connect_with(connect).await;
        dying.vanish().await;
        let mut subscriber = node.connect(V311, "subscriber").await;
        assert_eq!(kept(&mut subscriber, "w").await, pairs(&[("w", "gone")]));
    });
}

/// Thousands of them, far more than outbox and queue hold, to a reader who takes them one by one: all arrive, once, and
/// none is dropped.
#[test]
fn thousands_to_a_slow_reader() {
    const COUNT: usize = 5000;
    let mut small = settings();
    small.node.outbox_bytes_max = 4096;
    small.session.queue_messages_max = 300;
    small.session.inflight_max = 10;
    on_nodes(small, async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let payload = "x".repeat(200);
        let messages: Vec<Packet> = (0..COUNT)
            .map(|index| Packet::Publish(retained(&format!("r/{index}"), AtMostOnce, &payload)))
            .collect();
        publisher.send_all(&messages).await;
        node.until("all are kept", |seen| seen.retained.messages == COUNT).await;
        for qos in [AtMostOnce, AtLeastOnce] {
            let mut subscriber = node.connect(V5, "subscriber").await;
            subscriber.subscribe("r/+", qos).await;
            let mut topics = BTreeSet::new();
            while topics.len() < COUNT {
                let publish = subscriber.expect_publish().await;
                assert!(publish.retain);
                if let Some(identifier) = publish.packet_identifier {
                    subscriber.send(Packet::PubAck(Ack::new(identifier, ReasonCode::Success))).await;
                }
                assert!(topics.insert(publish.topic), "twice");
            }
            subscriber.expect_nothing().await;
            subscriber.disconnect().await;
        }
        assert_eq!(node.balanced_ledger().await.dropped_total(), 0);
    });
}

/// Each larger than what the default outbox takes beside another.
#[test]
fn large_ones_are_not_dropped() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for index in 0..6 {
            let payload = "x".repeat(700_000 + index);
            publisher.publish_packet(retained(&format!("r/{index}"), AtLeastOnce, &payload)).await;
        }
        for qos in [AtMostOnce, AtLeastOnce] {
            let mut subscriber = node.connect(V311, "subscriber").await;
            subscriber.subscribe("r/#", qos).await;
            for index in 0..6 {
                let publish = subscriber.expect_publish().await;
                subscriber.acknowledge(&publish).await;
                assert_eq!(publish.payload.len(), 700_000 + index);
            }
            subscriber.expect_nothing().await;
            subscriber.disconnect().await;
        }
        assert_eq!(node.balanced_ledger().await.dropped_total(), 0);
    });
}

/// What a lost network connection interrupts goes on when the session is resumed; nothing is left out.
#[test]
fn goes_on_when_the_session_is_resumed() {
    const COUNT: usize = 2000;
    let mut small = settings();
    small.node.outbox_bytes_max = 4096;
    small.session.inflight_max = 10;
    on_nodes(small, async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for index in 0..COUNT {
            publisher.publish_packet(retained(&format!("r/{index}"), AtLeastOnce, "m")).await;
        }
        let (mut subscriber, _) = node.connect_with(crate::harness::durable(V5, "subscriber")).await;
        subscriber.subscribe("r/#", AtLeastOnce).await;
        let mut topics = BTreeSet::new();
        while topics.len() < COUNT {
            for _ in 0..300.min(COUNT - topics.len()) {
                let publish = subscriber.expect_publish().await;
                subscriber.acknowledge(&publish).await;
                topics.insert(publish.topic);
            }
            if topics.len() < COUNT {
                subscriber.vanish().await;
                subscriber = node.resume(crate::harness::durable(V5, "subscriber")).await;
            }
        }
        assert_eq!(topics.len(), COUNT);
    });
}

/// Whoever subscribes while somebody publishes ends with the newest, live or retained, whatever the order of events: live
/// messages keep their order, and a retained one is not older than what was sent before it.
#[test]
fn a_subscriber_ends_with_the_newest() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for round in 0..30 {
            let mut subscriber = node.connect(V5, &format!("subscriber {round}")).await;
            let messages: Vec<Packet> = (0..20)
                .map(|number| {
                    Packet::Publish(retained("t", AtMostOnce, &format!("{:04}", round * 20 + number)))
                })
                .collect();
            publisher.send_all(&messages[..10]).await;
            let subscribe = subscribe_packet(subscriber.next_identifier(), &[("t", options(AtMostOnce))]);
            subscriber.send(Packet::Subscribe(subscribe)).await;
            publisher.send_all(&messages[10..]).await;
            publisher.ping().await;
            let mut seen = Vec::new();
            loop {
                match subscriber.next().await {
                    Packet::Publish(publish) => {
                        let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                        assert!(
                            !publish.retain || seen.iter().all(|(_, earlier)| *earlier <= payload),
                            "{seen:?}"
                        );
                        seen.push((publish.retain, payload));
                    }
                    Packet::SubAck(_) => {
                        // All that was published is on its way to it by now, and what comes before this answer.
                        node.settle().await;
                        subscriber.send(Packet::PingReq).await;
                    }
                    Packet::PingResp => break,
                    other => panic!("{other:?} in place of a PUBLISH"),
                }
            }
            let newest = format!("{:04}", round * 20 + 19);
            assert_eq!(seen.last().map(|(_, payload)| payload), Some(&newest), "{seen:?}");
            assert!(seen.iter().filter(|(retain, _)| !retain).is_sorted(), "{seen:?}");
            subscriber.disconnect().await;
        }
    });
}

// === $SYS ===

/// `$SYS/broker/...` under mosquitto's names, retained; wildcards do not reach it [MQTT-4.7.2-1]; nobody may publish
/// there.
#[test]
fn sys_topics() {
    let mut talkative = settings();
    talkative.mqtt.sys_interval_seconds = 1;
    on_node(3, talkative, async |node| {
        let mut everything = node.connect(V311, "everything").await;
        everything.subscribe("#", AtMostOnce).await;
        everything.subscribe("+/broker/uptime", AtMostOnce).await;
        node.until("$SYS is published", |seen| seen.retained.messages > 20).await;
        let mut client = node.connect(V5, "client").await;
        let topics: BTreeSet<String> =
            kept(&mut client, "$SYS/#").await.into_iter().map(|(topic, _)| topic).collect();
        for name in [
            "version",
            "uptime",
            "clients/connected",
            "clients/total",
            "clients/maximum",
            "messages/received",
            "messages/sent",
            "publish/messages/dropped",
            "bytes/received",
            "bytes/sent",
            "retained messages/count",
            "subscriptions/count",
            "load/messages/received/1min",
            "load/connections/15min",
        ] {
            assert!(topics.contains(&format!("$SYS/broker/{name}")), "{name} is missing in {topics:?}");
        }
        everything.ping().await;

        let mut publisher = node.connect(V5, "publisher").await;
        for topic in ["$SYS/broker/uptime", "$SYS/x", "$SYS"] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                assert_eq!(publisher.publish(topic, qos, "forged").await, ReasonCode::NotAuthorized);
            }
        }
        publisher.publish_packet(retained("$SYS/broker/version", AtMostOnce, "forged")).await;
        publisher.ping().await;
        node.until_counters([("publishes_not_authorized", 7)]).await;
        let mut old = node.connect(V311, "old").await;
        assert_eq!(old.publish("$SYS/x", AtLeastOnce, "forged").await, ReasonCode::Success);
        let mut reader = node.connect(V5, "reader").await;
        let version = kept(&mut reader, "$SYS/broker/version").await;
        assert!(version.iter().all(|(_, payload)| payload.starts_with("micro-mq")), "{version:?}");
        // The next interval may fall into the end of the test.
        everything.disconnect().await;
        client.disconnect().await;
        reader.disconnect().await;
    });
}
