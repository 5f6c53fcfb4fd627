//! Clients of a simulated node: what they do is not counted.

use std::time::Duration;

use micro_mq_actors::simulation::{SimulatedClient, Simulation};
use mqtt_codec::{
    Ack, Connect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscriptionFilter, encode,
};

use crate::counted::count;

/// Room in each direction of a network connection: a round of a case never has to wait for the other end.
const PIPE_BYTES: usize = 4 * 1024 * 1024;
const VERSION: ProtocolVersion = ProtocolVersion::V311;

/// Appends a packet.
pub(crate) fn write(packet: &Packet, out: &mut Vec<u8>) {
    encode(packet, VERSION, u32::MAX, out).expect("it can be encoded");
}

/// A PUBLISH of 64 bytes; its packet identifier is `index` and 1.
pub(crate) fn publish(topic: &str, qos: QoS, index: usize) -> Packet {
    Packet::Publish(Publish {
        qos,
        dup: false,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: (qos != QoS::AtMostOnce).then(|| identifier(index)),
        payload: vec![b'p'; 64].into(),
        properties: PublishProperties::default(),
    })
}

fn identifier(index: usize) -> PacketIdentifier {
    PacketIdentifier::new(index as u16 + 1).expect("above 0")
}

/// Lets the node do what there is to do, with its instructions counted.
pub(crate) fn settle_counted(simulation: &Simulation) {
    count(|| settle(simulation));
}

/// Lets the node do what there is to do. The clock goes on when that is done, and not before.
pub(crate) fn settle(simulation: &Simulation) {
    simulation.run(async |node| node.pass(Duration::from_millis(1)).await);
}

/// One client.
pub(crate) struct Client {
    connection: SimulatedClient,
    /// PUBLISH packets received.
    pub(crate) received: usize,
    /// Publishes acknowledged to the end.
    pub(crate) acknowledged: usize,
}

impl Client {
    /// Opens its network connection, the workers taking turns, and says CONNECT; the answer is there once the node has
    /// settled.
    pub(crate) fn begin(simulation: &Simulation, client_identifier: &str, number: usize) -> Self {
        let connection = simulation.run(async |node| node.connect_with(number % node.workers(), PIPE_BYTES));
        let mut client = Self { connection, received: 0, acknowledged: 0 };
        client.send(&Packet::Connect(Box::new(Connect::new(VERSION, client_identifier))));
        client
    }

    /// Sends one packet.
    pub(crate) fn send(&mut self, packet: &Packet) {
        let mut bytes = Vec::new();
        write(packet, &mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends many, at once.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.connection.send(bytes);
        assert_eq!(self.connection.unsent(), 0, "the pipe is too small for this case");
    }

    /// Subscribes to one filter.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = SubscriptionFilter::parse(filter).expect("it is a topic filter");
        self.send(&Packet::Subscribe(Subscribe {
            packet_identifier: PacketIdentifier::MIN,
            subscription_identifier: None,
            user_properties: Vec::new(),
            filters: vec![(filter, qos.into())],
        }));
    }

    /// Takes what has come and answers it as a client should. Returns whether there was anything to answer.
    pub(crate) fn receive(&mut self) -> bool {
        let mut answers = Vec::new();
        for packet in self.connection.receive().expect("the node breaks no rule") {
            let ok = |identifier| Ack::new(identifier, ReasonCode::Success);
            let answer = match packet {
                Packet::Publish(publish) => {
                    self.received += 1;
                    publish.packet_identifier.map(|identifier| match publish.qos {
                        QoS::ExactlyOnce => Packet::PubRec(ok(identifier)),
                        _ => Packet::PubAck(ok(identifier)),
                    })
                }
                Packet::PubRec(ack) => Some(Packet::PubRel(ok(ack.packet_identifier))),
                Packet::PubRel(ack) => Some(Packet::PubComp(ok(ack.packet_identifier))),
                Packet::PubAck(_) | Packet::PubComp(_) => {
                    self.acknowledged += 1;
                    None
                }
                _ => None,
            };
            if let Some(answer) = answer {
                write(&answer, &mut answers);
            }
        }
        if answers.is_empty() {
            return false;
        }
        self.send_bytes(&answers);
        true
    }

    /// Ends its session as clients do.
    pub(crate) fn disconnect(&mut self) {
        self.send_bytes(b"\xe0\x00");
    }
}
