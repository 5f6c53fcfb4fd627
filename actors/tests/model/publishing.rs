//! What clients publish and acknowledge, at random.

use std::num::NonZeroU16;

use bytes::Bytes;
use mqtt_codec::{
    Ack, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode,
};
use tokio::time::Instant;

use super::client::Outgoing;
use super::message::Message;
use super::session::Phase;
use super::topics::TOPICS;
use super::world::World;

/// Publishes of one client that may be unacknowledged; 3.x knows no receive maximum, and goes beyond.
pub(crate) const OUTGOING_MAX: usize = 8;

impl World<'_> {
    /// What a session that is resumed makes its client send again [MQTT-4.4.0-1].
    pub(crate) fn send_again(&mut self, client: usize) {
        let session = self.clients[client].session.as_ref().map_or(0, |session| session.number);
        for at in 0..self.clients[client].outgoing.len() {
            let outgoing = self.clients[client].outgoing[at].clone();
            if outgoing.recorded {
                self.link(client).owed.push_back((PacketType::PubRel, outgoing.identifier));
                continue;
            }
            let instance = match outgoing.instance {
                Some(instance) if outgoing.qos == QoS::ExactlyOnce => {
                    self.route_again(instance, (client, session));
                    instance
                }
                _ => self.route(outgoing.message, Some((client, session)), true),
            };
            let is_dup = outgoing.instance.is_some();
            self.clients[client].outgoing[at].instance = Some(instance);
            let message = self.messages[outgoing.message].clone();
            let packet = self.publish_packet(client, &message, Some(outgoing.identifier), is_dup);
            self.trace(|| format!("{} > again {packet:?}", self.clients[client].name));
            self.link(client).send(&packet);
        }
    }

    pub(crate) fn message(&mut self, lane: usize, from: &str) -> Message {
        let topic = self.random.pick(&TOPICS);
        let retain = self.random.percent(25);
        let number = self.messages.len();
        let pad = match self.random.below(20) {
            0 => 1500,
            1 => 200,
            _ => 0,
        };
        let payload = if retain && self.random.percent(30) {
            Bytes::new()
        } else {
            format!("{from}-{number}{}", "x".repeat(pad)).into()
        };
        let qos = self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let expires = !payload.is_empty() && self.random.percent(15);
        let expiry = expires.then(|| 2 + self.random.below(20) as u32);
        Message { topic, payload, qos, retain, expiry, lane, at: Instant::now() }
    }

    pub(crate) fn publish_packet(
        &mut self,
        client: usize,
        message: &Message,
        identifier: Option<u16>,
        dup: bool,
    ) -> Packet {
        let is_v5 = self.link(client).version == ProtocolVersion::V5;
        let mut properties = PublishProperties::default();
        let mut topic = message.topic.to_owned();
        if is_v5 {
            properties.message_expiry_interval = message.expiry;
            if identifier.is_none_or(|_| !dup) && self.random.percent(30) {
                let free = self.link(client).aliases.len() as u16 + 1;
                let link = self.link(client);
                let known = link.aliases.contains_key(message.topic);
                let alias = *link.aliases.entry(message.topic).or_insert(free);
                properties.topic_alias = NonZeroU16::new(alias);
                if known {
                    topic.clear();
                }
            }
        }
        Packet::Publish(Publish {
            dup,
            qos: if identifier.is_some() { message.qos } else { QoS::AtMostOnce },
            retain: message.retain,
            topic,
            packet_identifier: identifier.and_then(PacketIdentifier::new),
            properties,
            payload: message.payload.clone(),
        })
    }

    pub(crate) fn publish_some(&mut self, client: usize) {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.random.below(5) {
            let name = format!("p{client}");
            let mut message = self.message(client, &name);
            if self.link(client).version != ProtocolVersion::V5 {
                message.expiry = None;
            }
            let is_v5 = self.clients[client].version == ProtocolVersion::V5;
            let outgoing_max = if is_v5 { OUTGOING_MAX } else { 3 * OUTGOING_MAX };
            if message.qos > QoS::AtMostOnce && self.clients[client].outgoing.len() >= outgoing_max {
                message.qos = QoS::AtMostOnce;
            }
            let identifier = (message.qos > QoS::AtMostOnce).then(|| self.clients[client].next_identifier());
            let packet = self.publish_packet(client, &message, identifier, false);
            self.trace(|| format!("{} > {packet:?}", self.clients[client].name));
            bytes.extend(self.link(client).encoded(&packet));
            self.messages.push(message.clone());
            let number = self.messages.len() - 1;
            let session = self.clients[client].session.as_ref().map_or(0, |session| session.number);
            let instance = self.route(number, Some((client, session)), true);
            match identifier {
                None => self.link(client).fresh.push(instance),
                Some(identifier) => self.clients[client].outgoing.push(Outgoing {
                    identifier,
                    qos: message.qos,
                    message: number,
                    instance: Some(instance),
                    recorded: false,
                }),
            }
        }
        self.link(client).send_bytes(&bytes);
    }

    /// Sends some of the acknowledgements that are due.
    pub(crate) fn acknowledge(&mut self, client: usize) {
        let due = self.link(client).owed.len();
        let count = if self.random.percent(60) { due } else { self.random.below(due + 1) };
        for _ in 0..count {
            let is_odd = self.clients[client].is_odd;
            let left = self.link(client).owed.len();
            let at = if is_odd { self.random.below(left) } else { 0 };
            let Some((packet_type, identifier)) = self.link(client).owed.remove(at) else { return };
            let Some(packet_identifier) = PacketIdentifier::new(identifier) else { continue };
            let ack = Ack::new(packet_identifier, ReasonCode::Success);
            let (packet, phase) = match packet_type {
                PacketType::PubAck => (Packet::PubAck(ack), Some(Phase::Over)),
                PacketType::PubRec => (Packet::PubRec(ack), Some(Phase::Recorded)),
                PacketType::PubComp => (Packet::PubComp(ack), Some(Phase::Over)),
                _ => (Packet::PubRel(ack), None),
            };
            self.trace(|| format!("{} > {packet:?}", self.clients[client].name));
            self.link(client).send(&packet);
            let Some(phase) = phase else { continue };
            let session = self.clients[client].session.as_mut();
            if let Some(held) = session.and_then(|session| session.inflight.get_mut(&identifier)) {
                held.phase = phase;
                held.sure = false;
                self.link(client).acknowledged.push(identifier);
            }
        }
    }
}
