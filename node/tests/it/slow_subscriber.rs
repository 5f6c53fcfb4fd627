//! A subscriber that does not read: it costs the node a bounded amount, and the others nothing.

use std::time::{Duration, Instant};

use micro_mq_core::ledger::DropReason;
use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, ReasonCode};

use crate::harness::{
    Client, durable, identifier, on_node, on_nodes, options, publish, settings, subscribe_packet,
};

/// More than the kernel's buffers of one connection and the outbox take together.
const FLOOD: usize = 400;
const PAYLOAD: usize = 64 * 1024;

/// Publishes the flood with QoS 1, to the last PUBACK.
async fn flood(publisher: &mut Client, topic: &str) {
    let payload = "x".repeat(PAYLOAD);
    for _ in 0..FLOOD {
        assert_eq!(publisher.publish(topic, AtLeastOnce, &payload).await, ReasonCode::Success);
    }
}

/// QoS 0 beyond its outbox is dropped and counted, and no more than the outbox waits; who reads gets everything.
#[test]
fn qos_0_beyond_the_outbox_is_dropped_and_counted() {
    on_nodes(settings(), async |node| {
        let mut stuck = node.connect(V311, "stuck").await;
        stuck.subscribe("t", AtMostOnce).await;
        let mut reading = node.connect(V5, "reading").await;
        reading.subscribe("t", AtMostOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let payload = "x".repeat(PAYLOAD);
        for _ in 0..FLOOD {
            publisher.publish("t", AtLeastOnce, &payload).await;
            assert_eq!(reading.expect_publish().await.payload.len(), PAYLOAD);
        }
        let ledger = node.balanced_ledger().await;
        let full = ledger.dropped.iter().find(|(reason, _)| *reason == DropReason::OutboxFull).unwrap().1;
        assert!(full > 0 && full == ledger.dropped_total(), "{ledger:?}");
        let outbox = node.shared().settings.node.outbox_bytes_max;
        assert!(ledger.queued as usize <= outbox / PAYLOAD + 1, "{ledger:?}");
        let of_stuck =
            node.running().admin_source().client_ledger("stuck".to_owned()).await.unwrap().unwrap();
        assert_eq!(of_stuck.dropped["outbox_full"], full);
        // It gets what was taken for it as soon as it reads, and what is published from then on.
        for _ in 0..FLOOD as u64 - full {
            assert_eq!(stuck.expect_publish().await.payload.len(), PAYLOAD);
        }
        publisher.publish("t", AtLeastOnce, "next").await;
        stuck.expect_payload("next").await;
        stuck.expect_nothing().await;
    });
}

/// QoS 1 and 2 are not dropped: they wait in the session's queue, in their order.
#[test]
fn qos_1_and_2_wait_in_the_queue() {
    on_nodes(settings(), async |node| {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let (mut stuck, _) = node.connect_with(durable(V5, "stuck")).await;
            stuck.subscribe("t", qos).await;
            let mut publisher = node.connect(V5, "publisher").await;
            for number in 0..FLOOD {
                publisher.publish("t", qos, &format!("{number:04}{}", "x".repeat(PAYLOAD))).await;
            }
            assert_eq!(node.balanced_ledger().await.dropped_total(), 0);
            let (mut arrived, mut completed) = (0, 0);
            while completed < FLOOD {
                match stuck.next().await {
                    Packet::Publish(publish) => {
                        assert_eq!(&publish.payload[..4], format!("{arrived:04}").as_bytes());
                        arrived += 1;
                        let ack = Ack::new(publish.packet_identifier.unwrap(), ReasonCode::Success);
                        stuck
                            .send(if qos == AtLeastOnce { Packet::PubAck(ack) } else { Packet::PubRec(ack) })
                            .await;
                        completed += usize::from(qos == AtLeastOnce);
                    }
                    Packet::PubRel(ack) => {
                        stuck.send(Packet::PubComp(ack)).await;
                        completed += 1;
                    }
                    other => panic!("{other:?} in place of a PUBLISH"),
                }
            }
            stuck.expect_nothing().await;
            stuck.disconnect().await;
            publisher.disconnect().await;
        }
    });
}

/// Neither publishers nor readers wait for a subscriber that does not read, on its own worker or on another.
#[test]
fn the_others_are_served_as_before() {
    on_nodes(settings(), async |node| {
        let mut stuck = Vec::new();
        for index in 0..3 {
            let mut client = node.connect(V5, &format!("stuck {index}")).await;
            client.subscribe("t/#", AtMostOnce).await;
            stuck.push(client);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        flood(&mut publisher, "t/flood").await;
        let mut reading = node.connect(V5, "reading").await;
        reading.subscribe("t/small", AtLeastOnce).await;
        let began = Instant::now();
        for number in 0..300 {
            publisher.publish("t/small", AtLeastOnce, &number.to_string()).await;
            reading.take_payload(&number.to_string()).await;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?} for 300 messages", began.elapsed());
    });
}

/// A client that asks and does not take the answers is not read any more once its outbox is full.
#[test]
fn a_client_that_takes_no_answers_is_not_read() {
    let mut small = settings();
    small.node.outbox_bytes_max = 4096;
    on_nodes(small, async |node| {
        let mut client = node.connect(V5, "client").await;
        let sending = actix_rt::spawn(async move {
            let questions = [0xc0, 0].repeat(32 * 1024);
            loop {
                client.send_bytes(&questions).await;
            }
        });
        node.until("it is not read", |seen| seen.counter("reading_paused_outbox") > 0).await;
        let mut other = node.connect(V5, "other").await;
        other.ping().await;
        sending.abort();
    });
}

/// A fan-out to very many does not hold up those beside it: its deliveries are made in turns.
#[test]
fn a_fan_out_does_not_hold_up_pings() {
    const LEVELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    const CLIENTS: usize = 50;
    const FILTERS: usize = 40;
    const MESSAGES: usize = 50;
    on_node(1, settings(), async |node| {
        // 2000 deliveries of each message, to 50 network connections.
        let filters: Vec<String> = (0..FILTERS)
            .map(|mask| {
                let level =
                    |(at, name): (usize, &&'static str)| if mask >> at & 1 == 1 { "+" } else { *name };
                LEVELS.iter().enumerate().map(level).collect::<Vec<_>>().join("/")
            })
            .collect();
        let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options(AtMostOnce))).collect();
        let mut subscribers = Vec::new();
        for index in 0..CLIENTS {
            let mut subscriber = node.connect(V311, &format!("subscriber {index}")).await;
            subscriber.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
            subscribers.push(subscriber);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        let mut pinging = node.connect(V5, "pinging").await;
        let topic = LEVELS.join("/");
        let messages: Vec<Packet> =
            (0..MESSAGES).map(|_| Packet::Publish(publish(&topic, AtMostOnce, "m"))).collect();
        publisher.send_all(&messages).await;
        let all = (CLIENTS * FILTERS * MESSAGES) as u64;
        let matched = || node.shared().peers[0].ledger.matched.get();
        let mut pings_meanwhile = 0;
        while matched() < all {
            pinging.ping().await;
            pings_meanwhile += u32::from((1..all).contains(&matched()));
        }
        assert!(pings_meanwhile >= 5, "{pings_meanwhile} pings were answered during {all} deliveries");
        for subscriber in &mut subscribers {
            for _ in 0..FILTERS * MESSAGES {
                subscriber.expect_publish().await;
            }
        }
    });
}
