//! A topic trie that panics goes on behind what it was doing.

use auth_actor::AuthSettings;
use micro_mq_actors::messages::{ForTrie, Takes};
use micro_mq_actors::stats::ActorKind;
use micro_mq_core::routing::{InjectPanic, ToTrie};
use mqtt_codec::{Ack, Packet, ProtocolVersion, Publish, QoS, ReasonCode};

use crate::harness::{Client, TestNode, connect, durable, publish, settings};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const HOW: [InjectPanic; 2] = [InjectPanic::InTurn, InjectPanic::InRecovery];

fn trie_restarts(node: &TestNode) -> u64 {
    let peers = node.shared().peers.iter();
    peers.map(|peer| peer.stats.of(ActorKind::TopicTrie).figures().restarts).sum()
}

async fn panic_every_trie(node: &TestNode, how: InjectPanic) {
    let before = trie_restarts(node);
    for peer in &node.shared().peers {
        peer.trie.do_send(ForTrie(ToTrie::Panic(how)));
    }
    let all = node.shared().peers.len() as u64;
    node.until("the tries are started anew", |_| trie_restarts(node) == before + all).await;
}

/// Takes a message of a plain subscription, and counts those of the group that come before it.
async fn take_plain(client: &mut Client, topic: &str, shared: &mut usize) {
    loop {
        let got = client.expect_publish().await;
        client.acknowledge(&got).await;
        if got.topic == topic {
            return;
        }
        assert_eq!(got.topic, "s/1");
        *shared += 1;
    }
}

async fn subscriptions_go_on(workers: usize, how: InjectPanic) {
    let node = TestNode::start_with(workers, settings(), AuthSettings::default()).await;
    let mut online = Vec::new();
    for number in 0..6 {
        let version = if number % 2 == 0 { V5 } else { V311 };
        let mut client = node.connect(version, &format!("online-{number}")).await;
        client.subscribe("t/+/x", QoS::AtLeastOnce).await;
        client.subscribe(&format!("own/{number}"), QoS::ExactlyOnce).await;
        client.subscribe("$share/group/s/#", QoS::AtMostOnce).await;
        online.push(client);
    }
    let (mut away, _) = node.connect_with(durable(V5, "away")).await;
    away.subscribe("t/#", QoS::AtLeastOnce).await;
    away.disconnect().await;
    let mut publisher = node.connect(V5, "publisher").await;

    let mut shared = 0;
    for round in 0..3_u64 {
        panic_every_trie(&node, how).await;
        assert_eq!(node.restarts(), (round + 1) * workers as u64);
        assert_eq!(publisher.publish("t/1/x", QoS::AtLeastOnce, "all").await, ReasonCode::Success);
        for (number, client) in online.iter_mut().enumerate() {
            take_plain(client, "t/1/x", &mut shared).await;
            let topic = format!("own/{number}");
            assert_eq!(publisher.publish(&topic, QoS::ExactlyOnce, "own").await, ReasonCode::Success);
            take_plain(client, &topic, &mut shared).await;
        }
        assert_eq!(publisher.publish("s/1", QoS::AtLeastOnce, "one").await, ReasonCode::Success);
        node.settle().await;
        // What is gone stays gone, and what is new is found.
        let reason = publisher.publish("new/topic", QoS::AtLeastOnce, "nobody").await;
        assert_eq!(reason, ReasonCode::NoMatchingSubscribers);
    }
    for client in &mut online {
        client.subscribe("new/#", QoS::AtMostOnce).await;
        client.unsubscribe(&["t/+/x"]).await;
    }
    publisher.publish("new/topic", QoS::AtLeastOnce, "new").await;
    publisher.publish("t/1/x", QoS::AtLeastOnce, "away only").await;
    for client in &mut online {
        take_plain(client, "new/topic", &mut shared).await;
        client.expect_nothing().await;
    }
    assert_eq!(shared, 3, "each message of the group went to one member");
    let mut away = node.resume(durable(V5, "away")).await;
    for payload in ["all", "all", "all", "away only"] {
        away.take_payload(payload).await;
    }
    away.expect_nothing().await;
    drop((online, away, publisher));
    node.stop_after_restarts(3 * workers as u64).await;
}

/// A trie that is started anew is rebuilt from its worker's sessions: plain and shared subscriptions, of clients that
/// are online and of sessions that are not.
#[test]
fn subscriptions_outlive_the_topic_trie() {
    for how in HOW {
        actix_rt::System::new().block_on(subscriptions_go_on(1, how));
    }
}

/// The same over three workers.
#[test]
fn subscriptions_outlive_the_topic_tries_of_three_workers() {
    for how in HOW {
        actix_rt::System::new().block_on(subscriptions_go_on(3, how));
    }
}

async fn load_goes_on(workers: usize, how: InjectPanic) {
    let node = TestNode::start_with(workers, settings(), AuthSettings::default()).await;
    let (mut subscriber, _) = node.connect_with(durable(V5, "subscriber")).await;
    subscriber.subscribe("load", QoS::AtLeastOnce).await;
    subscriber.disconnect().await;
    let mut acknowledged = 0;
    for number in 0..30 {
        let mut publisher = node.open(V5).await;
        publisher.handshake(connect(V5, &format!("publisher-{number}"))).await;
        for _ in 0..10 {
            // A publish in the trie that panics is not acknowledged: its network connection is closed.
            let packet_identifier = Some(publisher.next_identifier());
            let message = Publish { packet_identifier, ..publish("load", QoS::AtLeastOnce, "x") };
            publisher.send(Packet::Publish(message)).await;
        }
        if number % 10 == 5 {
            panic_every_trie(&node, how).await;
        }
        let mut answered = 0;
        while answered < 10 {
            match publisher.next_or_end().await {
                Some(Packet::PubAck(ack)) if ack.reason_code == ReasonCode::Success => {
                    acknowledged += 1;
                    answered += 1;
                }
                Some(Packet::PubAck(_)) => answered += 1,
                Some(Packet::Disconnect(disconnect)) => {
                    assert_eq!(disconnect.reason_code, ReasonCode::ImplementationSpecificError);
                    break;
                }
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
    }
    let ledger = node.balanced_ledger().await;
    assert!(ledger.queued >= acknowledged, "{acknowledged} acknowledged, {ledger:?}");
    assert!(acknowledged >= 200, "{acknowledged} acknowledged");
    node.stop_after_restarts(3 * workers as u64).await;
}

/// Nothing that was acknowledged is lost, and nothing that was lost is acknowledged, whatever the number of workers, and
/// though the recovery from a panic panics itself.
#[test]
fn acknowledged_means_accepted_whatever_panics() {
    for (workers, how) in [1, 3].into_iter().flat_map(|workers| HOW.map(|how| (workers, how))) {
        actix_rt::System::new().block_on(load_goes_on(workers, how));
    }
}

/// QoS 2 publishes to these topic names come in one batch, in whose first run the trie panics when one of three
/// subscribers had its copies; then their publisher comes back and sends them again. Returns the copies that the
/// subscribers had in all.
async fn copies_after_a_panic(topics: [&str; 3]) -> usize {
    let node = TestNode::start_with(1, settings(), AuthSettings::default()).await;
    let mut subscribers = Vec::new();
    for number in 0..3 {
        let mut client = node.connect(V5, &format!("subscriber-{number}")).await;
        client.subscribe("t/#", QoS::ExactlyOnce).await;
        subscribers.push(client);
    }
    let (mut publisher, _) = node.connect_with(durable(V5, "publisher")).await;
    let trie = node.shared().peers[0].trie.addr().unwrap();
    trie.send(ForTrie(ToTrie::Panic(InjectPanic::InBatch))).await.unwrap();
    let mut packets: Vec<Packet> = (1..=3)
        .zip(topics)
        .map(|(number, topic)| {
            let packet_identifier = Some(crate::harness::identifier(number));
            let payload = number.to_string();
            Packet::Publish(Publish { packet_identifier, ..publish(topic, QoS::ExactlyOnce, &payload) })
        })
        .collect();
    publisher.send_all(&packets).await;
    publisher.expect_disconnect(ReasonCode::ImplementationSpecificError).await;

    let mut publisher = node.resume(durable(V5, "publisher")).await;
    for packet in &mut packets {
        if let Packet::Publish(publish) = packet {
            publish.dup = true;
        }
    }
    publisher.send_all(&packets).await;
    for number in 1..=3 {
        let ack = Ack::new(crate::harness::identifier(number), ReasonCode::Success);
        publisher.expect(Packet::PubRec(ack)).await;
    }
    publisher.publish("t/end", QoS::AtMostOnce, "end").await;
    let together = topics.iter().take_while(|topic| **topic == topics[0]).count();
    let mut copies = 0;
    for client in &mut subscribers {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let got = client.expect_publish().await;
            client.acknowledge(&got).await;
            if got.topic == "t/end" {
                break;
            }
            seen.push(String::from_utf8_lossy(&got.payload).into_owned());
        }
        for (number, payload) in ["1", "2", "3"].into_iter().enumerate() {
            let times = seen.iter().filter(|seen| *seen == payload).count();
            let most = if number < together { 2 } else { 1 };
            assert!((1..=most).contains(&times), "{seen:?}");
        }
        copies += seen.len();
    }
    drop((subscribers, publisher));
    node.stop_after_restarts(1).await;
    copies
}

/// A panic amid a batch costs no more than the publisher its connection: what it sends again, as it must, arrives, and what
/// stands behind the message that could not be routed arrives without that, QoS 2 once.
#[test]
fn a_batch_goes_on_behind_the_message_that_panicked() {
    actix_rt::System::new().block_on(async {
        let copies = copies_after_a_panic(["t/1", "t/2", "t/3"]).await;
        assert_eq!(copies, 9 + 1, "one subscriber had the first before the panic, all three have it after");
    });
}

/// Messages in a row to the same topic name are delivered together: none of them is acknowledged if that panics.
#[test]
fn messages_to_the_same_topic_name_fail_together() {
    actix_rt::System::new().block_on(async {
        let copies = copies_after_a_panic(["t/1", "t/1", "t/1"]).await;
        assert_eq!(copies, 9 + 3, "one subscriber had all before the panic, all three have them after");
        let copies = copies_after_a_panic(["t/1", "t/1", "t/3"]).await;
        assert_eq!(copies, 9 + 2, "what stands behind them arrives once");
    });
}
