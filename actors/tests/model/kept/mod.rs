//! Answers that wait for somebody who keeps what they promise: late, in any order, never, or not at all.
#![allow(clippy::unwrap_used, reason = "what helpers of a test unwrap is the test's to fail on")]

mod ends;
mod lines;

use std::sync::{Arc, Weak};
use std::task::Waker;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use micro_mq_actors::worker::{Keeper, Promise};
use micro_mq_core::completion::{Condition, Conditions};
use micro_mq_core::message::Batch;
use micro_mq_core::session::Session;
use micro_mq_core::settings::Settings;
use mqtt_codec::{
    Ack, Connect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode,
    encode,
};
use parking_lot::Mutex;

use super::simulated::{named, settings, subscribe};

/// What an open condition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Publish,
    Release,
    Change,
}

use Kind::{Change, Publish as Published, Release};

#[derive(Debug, Default)]
struct State {
    open: Vec<(Kind, Condition)>,
    batches: Vec<Weak<Batch>>,
    is_full: bool,
    waiting: Vec<Waker>,
}

/// It keeps these kinds of promises, when the test says so.
#[derive(Debug)]
struct Patient {
    kinds: &'static [Kind],
    state: Mutex<State>,
}

impl Patient {
    fn new(kinds: &'static [Kind]) -> Arc<Self> {
        Arc::new(Self { kinds, state: Mutex::default() })
    }

    fn open(&self) -> Vec<Kind> {
        self.state.lock().open.iter().map(|(kind, _)| *kind).collect()
    }

    /// What was asked for in this place is kept.
    fn keep(&self, at: usize) {
        let (_, condition) = self.state.lock().open.remove(at);
        condition.done();
    }

    /// It cannot be kept.
    fn fail(&self, at: usize) {
        drop(self.state.lock().open.remove(at));
    }

    fn set_full(&self, is_full: bool) {
        let mut state = self.state.lock();
        state.is_full = is_full;
        if !is_full {
            state.waiting.drain(..).for_each(Waker::wake);
        }
    }

    fn batches_alive(&self) -> usize {
        self.state.lock().batches.iter().filter(|batch| batch.strong_count() > 0).count()
    }
}

impl Keeper for Patient {
    fn is_full(&self) -> bool {
        self.state.lock().is_full
    }

    fn wake_when_there_is_room(&self, waker: &Waker) {
        self.state.lock().waiting.push(waker.clone());
    }

    fn publish(&self, batch: &Arc<Batch>) {
        let mut state = self.state.lock();
        state.batches.push(Arc::downgrade(batch));
        if self.kinds.contains(&Published) {
            let opened = (0..batch.items().len()).filter_map(|item| batch.open(item));
            state.open.extend(opened.map(|condition| (Published, condition)));
        }
    }

    fn promise(&self, _: &Session, promise: &Promise<'_>, conditions: &Conditions) {
        let kind = match promise {
            Promise::Release(_) => Release,
            Promise::Change(_) => Change,
        };
        if self.kinds.contains(&kind) {
            self.state.lock().open.push((kind, conditions.open(0, 1)));
        }
    }
}

fn id(identifier: u16) -> PacketIdentifier {
    PacketIdentifier::new(identifier).unwrap()
}

fn send(client: &mut SimulatedClient, version: ProtocolVersion, packet: &Packet) {
    let mut bytes = Vec::new();
    encode(packet, version, u32::MAX, &mut bytes).expect("a packet of this version");
    client.send(&bytes);
}

fn publish(qos: QoS, identifier: u16) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "t".to_owned(),
        packet_identifier: Some(id(identifier)),
        properties: PublishProperties::default(),
        payload: "x".into(),
    })
}

fn again(identifier: u16) -> Packet {
    match publish(QoS::ExactlyOnce, identifier) {
        Packet::Publish(publish) => Packet::Publish(Publish { dup: true, ..publish }),
        other => other,
    }
}

fn release(identifier: u16) -> Packet {
    Packet::PubRel(Ack::new(id(identifier), ReasonCode::Success))
}

/// What a client received, in few words.
fn received(client: &mut SimulatedClient) -> Vec<String> {
    let ack = |name: &str, ack: &Ack| match ack.reason_code {
        ReasonCode::Success | ReasonCode::NoMatchingSubscribers => {
            format!("{name} {}", ack.packet_identifier)
        }
        reason => format!("{name} {} {reason:?}", ack.packet_identifier),
    };
    let packets = client.receive().expect("nothing wrong");
    let named = packets.iter().map(|packet| match packet {
        Packet::PubAck(puback) => ack("PUBACK", puback),
        Packet::PubRec(pubrec) => ack("PUBREC", pubrec),
        Packet::PubComp(pubcomp) => ack("PUBCOMP", pubcomp),
        Packet::SubAck(suback) => format!("SUBACK {}", suback.packet_identifier),
        Packet::UnsubAck(unsuback) => format!("UNSUBACK {}", unsuback.packet_identifier),
        Packet::PingResp => "PINGRESP".to_owned(),
        Packet::Publish(publish) => format!("PUBLISH {}", publish.topic),
        Packet::ConnAck(connack) => format!("CONNACK {}", u8::from(connack.session_present)),
        Packet::Disconnect(disconnect) => format!("DISCONNECT {:?}", disconnect.reason_code),
        other => format!("{other:?}"),
    });
    named.collect()
}

/// A node with one who keeps promises of these kinds.
struct Node<'a> {
    node: &'a SimulatedNode,
    keeper: Arc<Patient>,
}

impl Node<'_> {
    async fn connect(&self, worker: usize, connect: Connect) -> SimulatedClient {
        let mut client = self.node.connect(worker);
        send(&mut client, connect.version, &Packet::Connect(Box::new(connect)));
        self.node.settle().await;
        client
    }

    /// A client of 5.0 that has taken in its CONNACK.
    async fn client(&self, worker: usize) -> SimulatedClient {
        let mut client = self.connect(worker, named("client")).await;
        assert_eq!(received(&mut client), ["CONNACK 0"]);
        client
    }

    async fn exchange(&self, client: &mut SimulatedClient, packets: &[Packet]) -> Vec<String> {
        packets.iter().for_each(|packet| send(client, ProtocolVersion::V5, packet));
        self.node.settle().await;
        received(client)
    }

    /// Something is kept, and the client looks what it has for that.
    async fn keep(&self, at: usize, client: &mut SimulatedClient) -> Vec<String> {
        self.keeper.keep(at);
        self.node.settle().await;
        received(client)
    }

    #[track_caller]
    fn counter(&self, name: &str) -> u64 {
        let counted = self.node.shared().peers.iter().flat_map(|peer| peer.counters.all());
        counted.filter(|(other, _)| *other == name).map(|(_, count)| count).sum()
    }

    /// Nobody is there any more, and nothing is left of anybody.
    async fn finish(&self) {
        self.node.clear().await.unwrap();
        self.keeper.state.lock().open.clear();
        self.node.settle().await;
        self.node.check().await.unwrap();
        assert_eq!(self.keeper.batches_alive(), 0);
    }
}

fn play(settings: Settings, kinds: &'static [Kind], script: impl for<'a> AsyncFnOnce(Node<'a>)) {
    let keeper = Patient::new(kinds);
    let keepers: Vec<Arc<dyn Keeper>> = vec![Arc::clone(&keeper) as _];
    Simulation::start_on(settings, Default::default(), keepers)
        .run(async |node| script(Node { node, keeper }).await);
}
