//! Messages on their way to a topic trie: at the limit publishers wait, nothing is lost, and order is kept.

use micro_mq_core::settings::Settings;
use mqtt_codec::ProtocolVersion::{self, V5};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_codec::{Ack, Packet, ReasonCode, Unsubscribe};

use crate::harness::{Client, connect, filter, identifier, numbered, on_node, publish, settings};

/// `messages_between_workers_max`: publishers wait until there is room, and nothing is lost.
#[test]
fn by_number() {
    let mut limited = settings();
    limited.node.messages_between_workers_max = 1;
    publishers_wait(limited);
}

/// `bytes_between_workers_max`: the same.
#[test]
fn by_bytes() {
    let mut limited = settings();
    limited.node.bytes_between_workers_max = 1;
    publishers_wait(limited);
}

fn publishers_wait(mut limited: Settings) {
    const COUNT: u16 = 3000;
    limited.node.deliveries_per_turn = 1;
    limited.mqtt.receive_maximum = u16::MAX;
    on_node(3, limited, async |node| {
        let mut subscribers = Vec::new();
        for index in 0..6 {
            let mut subscriber = node.connect(V5, &format!("subscriber {index}")).await;
            subscriber.subscribe("t/#", AtMostOnce).await;
            subscribers.push(subscriber);
        }
        let mut publishers: Vec<Client> = Vec::new();
        for index in 0..6 {
            let mut publisher = node.connect(V5, &format!("publisher {index}")).await;
            let topic = format!("t/{index}");
            let packets: Vec<Packet> =
                (1..=COUNT).map(|number| numbered(number, &topic, AtLeastOnce)).collect();
            publisher.send_all(&packets).await;
            publishers.push(publisher);
        }
        for publisher in &mut publishers {
            for number in 1..=COUNT {
                publisher.expect(Packet::PubAck(Ack::new(identifier(number), ReasonCode::Success))).await;
            }
        }
        for subscriber in &mut subscribers {
            let mut next = std::collections::HashMap::new();
            for _ in 0..6 * COUNT {
                let publish = subscriber.expect_publish().await;
                let next = next.entry(publish.topic).or_insert(1);
                assert_eq!(publish.payload, next.to_string());
                *next += 1;
            }
        }
        node.until("they were full", |seen| seen.counter("between_workers_full") > 0).await;
    });
}

/// The last words of a client whose publishes were waiting for room are routed all the same.
#[test]
fn publishes_that_waited_for_room_outlive_their_client() {
    const COUNT: u16 = 400;
    let mut limited = settings();
    limited.node.messages_between_workers_max = 1;
    limited.node.deliveries_per_turn = 1;
    on_node(3, limited, async |node| {
        let mut subscribers = Vec::new();
        for index in 0..6 {
            let mut subscriber = node.connect(V5, &format!("subscriber {index}")).await;
            subscriber.subscribe("t", AtMostOnce).await;
            subscribers.push(subscriber);
        }
        for round in 0..6 {
            let mut publisher = node.connect(ProtocolVersion::V5, &format!("publisher {round}")).await;
            let mut packets: Vec<Packet> = (1..=COUNT)
                .map(|number| Packet::Publish(publish("t", AtMostOnce, &number.to_string())))
                .collect();
            packets.push(Packet::Disconnect(mqtt_codec::Disconnect::new(ReasonCode::Success)));
            publisher.send_all(&packets).await;
            publisher.expect_closed().await;
        }
        for subscriber in &mut subscribers {
            for _ in 0..6 * COUNT {
                subscriber.expect_publish().await;
            }
        }
    });
}

/// Members of a shared subscription whose worker has no room: their messages wait in the group, in order, and none is
/// lost.
#[test]
fn members_of_a_shared_subscription_elsewhere() {
    const COUNT: u16 = 2000;
    let mut limited = settings();
    limited.node.messages_between_workers_max = 1;
    limited.node.deliveries_per_turn = 1;
    limited.mqtt.receive_maximum = u16::MAX;
    on_node(3, limited, async |node| {
        let mut members = Vec::new();
        for index in 0..6 {
            let mut member = node.connect(V5, &format!("member {index}")).await;
            member.subscribe("$share/group/t", AtMostOnce).await;
            members.push(member);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        let packets: Vec<Packet> = (1..=COUNT).map(|number| numbered(number, "t", AtLeastOnce)).collect();
        publisher.send_all(&packets).await;
        for number in 1..=COUNT {
            publisher.expect(Packet::PubAck(Ack::new(identifier(number), ReasonCode::Success))).await;
        }
        // Acknowledged is what every worker has accepted; it is delivered when it is written.
        node.until("all are delivered", |seen| seen.ledger.delivered == u64::from(COUNT)).await;
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.matched, ledger.dropped_total()), (COUNT.into(), 0));
        drop(members);
    });
}

/// Order is kept across a takeover: what the earlier network connection could not send on its way, for want of room,
/// stands before what the next one publishes right behind its CONNECT.
#[test]
fn publishes_that_waited_for_room_stand_before_those_of_the_next_connection() {
    const COUNT: usize = 300;
    let mut limited = settings();
    limited.node.messages_between_workers_max = 1;
    limited.node.deliveries_per_turn = 1;
    on_node(3, limited, async |node| {
        let mut subscribers = Vec::new();
        for index in 0..6 {
            let mut subscriber = node.connect(V5, &format!("subscriber {index}")).await;
            subscriber.subscribe("t", AtMostOnce).await;
            subscribers.push(subscriber);
        }
        for round in 0..12 {
            let name = format!("publisher {round}");
            let early: Vec<Packet> =
                (0..COUNT).map(|_| Packet::Publish(publish("t", AtMostOnce, "early"))).collect();
            let mut first = node.connect(V5, &name).await;
            first.send_all(&early).await;
            let mut second = node.open(V5).await;
            let connect = Packet::Connect(Box::new(connect(V5, &name)));
            second.send_all(&[connect, Packet::Publish(publish("t", AtMostOnce, "late"))]).await;
            for subscriber in &mut subscribers {
                while subscriber.expect_publish().await.payload != "late" {}
            }
            // Nothing early is behind it: the next that comes is this.
            let mut other = node.connect(V5, "other").await;
            other.publish("t", AtMostOnce, "end").await;
            for subscriber in &mut subscribers {
                assert_eq!(subscriber.expect_publish().await.payload, "end");
            }
            other.disconnect().await;
        }
    });
}

/// A client leaves a shared subscription right behind a publish to it: the publish still finds it there, whichever worker
/// keeps the group.
#[test]
fn a_publish_stands_before_the_end_of_a_shared_subscription() {
    const GROUPS: u16 = 16;
    on_node(2, settings(), async |node| {
        let mut members = Vec::new();
        for number in 1..=GROUPS {
            let mut member = node.connect(V5, &format!("member {number}")).await;
            let shared = format!("$share/group {number}/t/{number}");
            member.subscribe(&shared, AtMostOnce).await;
            members.push((member, shared));
        }
        for (number, (member, shared)) in (1..).zip(&mut members) {
            let last = publish(&format!("t/{number}"), AtMostOnce, "last");
            let packet_identifier = member.next_identifier();
            let leave =
                Unsubscribe { packet_identifier, user_properties: Vec::new(), filters: vec![filter(shared)] };
            member.send_all(&[Packet::Publish(last), Packet::Unsubscribe(leave)]).await;
        }
        for (member, _) in &mut members {
            while !matches!(member.next().await, Packet::UnsubAck(_)) {}
        }
        assert_eq!(node.balanced_ledger().await.matched, u64::from(GROUPS));
    });
}
