//! What clients are told waits for a thread that keeps it, and answers in an order of its own.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::Waker;
use std::thread;

use micro_mq_actors::worker::{Keeper, Promise};
use micro_mq_core::completion::{Condition, Conditions};
use micro_mq_core::message::Batch;
use micro_mq_core::session::Session;
use mqtt_codec::ProtocolVersion::V5;
use mqtt_codec::QoS::{AtLeastOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, ReasonCode};

use crate::harness::{Client, TestNode, identifier, numbered, settings};

/// Conditions on their way to a thread that closes those first which came last.
#[derive(Debug)]
struct Threaded(Sender<Condition>);

impl Threaded {
    fn start() -> Arc<Self> {
        let (to_keep, kept) = channel::<Condition>();
        thread::spawn(move || {
            while let Ok(first) = kept.recv() {
                let mut together = vec![first];
                together.extend(kept.try_iter().take(31));
                together.into_iter().rev().for_each(Condition::done);
            }
        });
        Arc::new(Self(to_keep))
    }
}

impl Keeper for Threaded {
    fn is_full(&self) -> bool {
        false
    }

    fn wake_when_there_is_room(&self, _: &Waker) {}

    fn publish(&self, batch: &Arc<Batch>) {
        // One for each thread that works on it: some publishes have several, some none.
        for condition in (0..batch.items().len()).filter_map(|item| batch.open(item)) {
            match condition.packet() % 3 {
                0 => condition.done(),
                1 => self.0.send(condition).expect("the thread waits"),
                _ => [condition.clone(), condition]
                    .into_iter()
                    .for_each(|condition| self.0.send(condition).expect("the thread waits")),
            }
        }
    }

    fn promise(&self, _: &Session, _: &Promise<'_>, conditions: &Conditions) {
        self.0.send(conditions.open(0, 1)).expect("the thread waits");
    }
}

/// Each kind of answer comes in the order of its packets, though publishers, subscribers and the keeper have threads each.
#[test]
fn answers_come_in_order_from_a_thread_that_has_none() {
    const COUNT: u16 = 900;
    actix_rt::System::new().block_on(async {
        let node = TestNode::start_keeping(3, settings(), Threaded::start()).await;
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("t/#", AtLeastOnce).await;
        let mut publishers: Vec<Client> = Vec::new();
        let qos = |number: u16| if number.is_multiple_of(2) { ExactlyOnce } else { AtLeastOnce };
        for index in 0..3 {
            let mut publisher = node.connect(V5, &format!("publisher {index}")).await;
            let topic = format!("t/{index}");
            let packets: Vec<Packet> =
                (1..=COUNT).map(|number| numbered(number, &topic, qos(number))).collect();
            publisher.send_all(&packets).await;
            publishers.push(publisher);
        }
        let even = || (1..=COUNT).filter(|number| number.is_multiple_of(2));
        for publisher in &mut publishers {
            for number in 1..=COUNT {
                let ack = Ack::new(identifier(number), ReasonCode::Success);
                publisher
                    .expect(if number.is_multiple_of(2) { Packet::PubRec(ack) } else { Packet::PubAck(ack) })
                    .await;
            }
            let releases: Vec<Packet> = even()
                .map(|number| Packet::PubRel(Ack::new(identifier(number), ReasonCode::Success)))
                .collect();
            publisher.send_all(&releases).await;
            for number in even() {
                publisher.expect(Packet::PubComp(Ack::new(identifier(number), ReasonCode::Success))).await;
            }
            publisher.subscribe("u", AtLeastOnce).await;
        }
        for _ in 0..3 * COUNT {
            let publish = subscriber.expect_publish().await;
            subscriber.acknowledge(&publish).await;
        }
        assert_eq!(node.counter("promises_failed") + node.counter("answers_left"), 0);
        node.stop().await;
    });
}
