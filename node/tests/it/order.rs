//! What stands before what, with real sockets and workers on threads of their own: retained messages before what is
//! published behind a SUBSCRIBE, what an old network connection sent before a takeover, a will before the next birth.

use std::num::NonZeroU16;

use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Connect, Disconnect, Packet, Publish, ReasonCode};

use crate::harness::{
    Client, TestNode, connect, durable, identifier, on_node, on_nodes, options, publish, settings,
    subscribe_packet, will,
};

fn retained(topic: &str, qos: QoS, payload: &str) -> Publish {
    Publish { retain: true, ..publish(topic, qos, payload) }
}

/// The payloads of what a client is sent up to this one and until a ping is answered behind it, and whether each is a
/// retained message.
async fn copies(client: &mut Client, last: &str) -> Vec<(String, bool)> {
    let mut copies: Vec<(String, bool)> = Vec::new();
    let mut pinged = false;
    loop {
        match client.next().await {
            Packet::Publish(publish) => {
                copies.push((String::from_utf8(publish.payload.to_vec()).unwrap(), publish.retain));
                client.acknowledge(&publish).await;
            }
            Packet::PingResp => return copies,
            _ => {}
        }
        if !pinged && copies.last().is_some_and(|(payload, _)| payload == last) {
            client.send(Packet::PingReq).await;
            pinged = true;
        }
    }
}

/// [MQTT-4.6.0-5] [MQTT-3.3.1-9] SUBSCRIBE and PUBLISH in one segment: what was retained comes first, then what was
/// published behind the SUBSCRIBE, once, whether that is retained or not.
#[test]
fn subscribe_and_publish_in_one_segment() {
    on_nodes(settings(), async |node| {
        for version in [V311, V5] {
            for qos in [AtMostOnce, AtLeastOnce] {
                for retains in [false, true] {
                    let topic = format!("{version:?}/{qos:?}/{retains}");
                    let mut client = node.connect(version, &topic).await;
                    client.publish_packet(retained(&topic, AtLeastOnce, "old")).await;
                    let mut new = publish(&topic, qos, "new");
                    new.retain = retains;
                    new.packet_identifier = (qos != AtMostOnce).then(|| identifier(9));
                    let subscribe = subscribe_packet(identifier(8), &[(&topic, options(qos))]);
                    client.send_all(&[Packet::Subscribe(subscribe), Packet::Publish(new)]).await;
                    let expected = [("old".to_owned(), true), ("new".to_owned(), false)];
                    assert_eq!(copies(&mut client, "new").await, expected, "{topic}");
                }
            }
        }
    });
}

/// [MQTT-4.6.0-5] [MQTT-3.3.1-9] A reader that acknowledges slowly: what is published with QoS 0 waits for the retained
/// message that waits for its receive maximum.
#[test]
fn a_slow_reader_gets_what_is_retained_first() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for topic in ["t/1", "t/2"] {
            publisher.publish_packet(retained(topic, AtLeastOnce, topic)).await;
        }
        let mut asked = connect(V5, "slow");
        asked.properties.receive_maximum = NonZeroU16::new(1);
        let (mut slow, _) = node.connect_with(asked).await;
        slow.subscribe("t/+", AtLeastOnce).await;
        let first = slow.expect_payload("t/1").await;
        publisher.publish("t/2", AtMostOnce, "live").await;
        publisher.publish("t/1", AtMostOnce, "behind it").await;
        publisher.ping().await;
        slow.expect_nothing().await;
        slow.acknowledge(&first).await;
        let second = slow.take_payload("t/2").await;
        assert!(second.retain);
        for payload in ["live", "behind it"] {
            assert!(!slow.expect_payload(payload).await.retain);
        }
    });
}

/// [MQTT-3.3.1-9] A subscription in a stream of retained publishes: each comes once, and none behind a newer one.
#[test]
fn a_subscription_in_a_stream_of_retained_publishes() {
    const PUBLISHES: usize = 400;
    on_node(4, settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let mut subscribers = Vec::new();
        for number in 0..PUBLISHES {
            let payload = format!("{number:04}");
            let mut message = retained("t", [AtLeastOnce, AtMostOnce][number % 2], &payload);
            message.packet_identifier = (message.qos != AtMostOnce).then(|| identifier(1 + number as u16));
            publisher.send(Packet::Publish(message)).await;
            if number % 10 == 0 {
                let mut subscriber = node.connect(V311, &format!("subscriber {number}")).await;
                let filter = ["t", "+", "#"][number / 10 % 3];
                let subscribe = subscribe_packet(identifier(8), &[(filter, options(AtMostOnce))]);
                subscriber.send(Packet::Subscribe(subscribe)).await;
                subscribers.push(subscriber);
            }
        }
        for subscriber in &mut subscribers {
            let copies = copies(subscriber, &format!("{:04}", PUBLISHES - 1)).await;
            assert!(copies.windows(2).all(|pair| pair[0].0 < pair[1].0), "{copies:?}");
        }
    });
}

async fn published_and_left(node: &TestNode, client: Connect, number: usize) {
    let (mut client, answer) = node.connect_with(client).await;
    assert_eq!(answer.reason_code, ReasonCode::Success);
    let message = publish("m", AtMostOnce, &number.to_string());
    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
    client.send_all(&[Packet::Publish(message), goodbye]).await;
}

/// [MQTT-3.14.4-3] A program that connects, publishes, says goodbye and is started anew at once: what the socket of the
/// old network connection held counts before the new CONNECT, the goodbye too.
#[test]
fn what_was_sent_before_a_takeover_counts() {
    const ROUNDS: usize = 300;
    for version in [V311, V5] {
        on_node(4, settings(), async |node| {
            let mut watcher = node.connect(V5, "watcher").await;
            watcher.subscribe("#", AtMostOnce).await;
            for number in 0..ROUNDS {
                let mut client = if number % 2 == 0 { connect(version, "c") } else { durable(version, "c") };
                client.will = Some(will("will", AtMostOnce, "not"));
                published_and_left(node, client, number).await;
            }
            for number in 0..ROUNDS {
                let publish = watcher.expect_publish().await;
                assert_eq!((publish.topic.as_str(), publish.payload), ("m", number.to_string().into()));
            }
        });
    }
}

/// [MQTT-3.1.4-3] What the node publishes for a client stands before what the client's next network connection publishes,
/// for watchers on every worker and in what is retained.
#[test]
fn a_will_comes_before_the_next_birth() {
    const ROUNDS: usize = 150;
    on_node(4, settings(), async |node| {
        let mut watchers = Vec::new();
        for number in 0..6 {
            let mut watcher = node.connect(V5, &format!("watcher {number}")).await;
            watcher.subscribe("presence", AtMostOnce).await;
            watchers.push(watcher);
        }
        let mut last = None;
        for number in 0..ROUNDS {
            let mut device = connect(V5, "device");
            let mut offline = will("presence", AtLeastOnce, &format!("{number:03} offline"));
            offline.retain = true;
            device.will = Some(offline);
            let mut birth = retained("presence", ExactlyOnce, &format!("{number:03} now online"));
            birth.packet_identifier = Some(identifier(1));
            let mut client = node.open(V5).await;
            client.send_all(&[Packet::Connect(Box::new(device)), Packet::Publish(birth)]).await;
            client.expect_connack().await;
            assert!(matches!(client.next().await, Packet::PubRec(_)));
            // Some are taken over, some are gone by then.
            last = (number % 2 == 0).then_some(client);
        }
        drop(last);
        for watcher in &mut watchers {
            for number in 0..ROUNDS {
                for what in ["now online", "offline"] {
                    watcher.expect_payload(&format!("{number:03} {what}")).await;
                }
            }
        }
        let mut late = node.connect(V311, "late").await;
        late.subscribe("presence", AtMostOnce).await;
        late.expect_payload(&format!("{:03} offline", ROUNDS - 1)).await;
    });
}
