//! The protocol packet by packet, without a socket and with the present moment as an argument: what each asks for, what
//! ends the network connection, and what is left of it in the session.

mod acknowledge;
mod authorizations;
mod packets;
mod publish;
mod refusals;
mod subscribe;

use std::sync::Arc;

use mqtt_codec::{
    Connect, Limits, Packet, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode, Sender, decode,
    encode,
};

use super::{Effects, Protocol, Step, Stepped, Violation};
use crate::message::Ack;
use crate::retained::RetainedMessages;
use crate::session::{Online, Session};
use crate::settings::Settings;
use crate::testing::{Office, id, online, packets, session, summary};

/// A client whose CONNECT was accepted, and all that the steps of its packets need.
pub(super) struct Client {
    protocol: Protocol,
    session: Session,
    office: Office,
    fx: Effects,
    authorizes: bool,
    revision: u64,
    retained: RetainedMessages,
    again: bool,
    promises: bool,
}

impl Client {
    fn new(version: ProtocolVersion) -> Self {
        Self::with(&Connect::new(version, "client"), |_| {})
    }

    fn with(connect: &Connect, change: impl FnOnce(&mut Settings)) -> Self {
        let mut session = session(connect.properties.session_expiry_interval.unwrap_or(0));
        session.version = connect.version;
        session.online = Some(online(connect.version));
        let office = Office::with(change);
        Self {
            protocol: Protocol::new(connect),
            session,
            retained: RetainedMessages::new(&office.settings.session, Arc::default()),
            office,
            fx: Effects::default(),
            authorizes: false,
            revision: 1,
            again: false,
            promises: false,
        }
    }

    /// The client sends a packet. What earlier ones asked for is forgotten.
    fn send(&mut self, packet: &Packet) -> Result<Stepped, Violation> {
        self.fx.clear();
        self.send_more(packet)
    }

    /// The client sends a packet in the same wake-up as the one before.
    fn send_more(&mut self, packet: &Packet) -> Result<Stepped, Violation> {
        let version = self.protocol.version();
        let mut bytes = Vec::new();
        encode(packet, version, u32::MAX, &mut bytes).expect("it can be encoded");
        self.step(&bytes)
    }

    /// Steps through bytes of a client.
    fn step(&mut self, bytes: &[u8]) -> Result<Stepped, Violation> {
        let limits = Limits::default();
        let decoded = decode(bytes, self.protocol.version(), Sender::Client, &limits);
        let (packet, _) = decoded.expect("it is well formed").expect("it is whole");
        let office = &mut self.office;
        let mut desk = crate::session::Desk {
            settings: &office.settings,
            ledger: &office.ledger,
            pool: &mut office.pool,
            frames: &mut office.frames,
            now: office.now,
        };
        let mut step = Step {
            desk: &mut desk,
            counters: &office.counters,
            authorizes: self.authorizes,
            revision: self.revision,
            retained: &self.retained,
            again: self.again,
            promises: self.promises,
        };
        self.protocol.on_packet(packet, &mut self.session, &mut step, &mut self.fx)
    }

    /// Why a packet ends the network connection.
    #[track_caller]
    fn refused(&mut self, packet: &Packet) -> ReasonCode {
        match self.send(packet) {
            Err(violation) => {
                assert!(!violation.text.is_empty());
                violation.reason
            }
            Ok(stepped) => panic!("{packet:?} is {stepped:?}"),
        }
    }

    /// What was answered at once, in few words.
    #[track_caller]
    fn answers(&self) -> Vec<String> {
        let packets = packets(&self.fx.out, self.protocol.version());
        assert_eq!(packets.len() as u64, self.fx.out_packets);
        summary(&packets)
    }

    /// What is to be routed, as topic name and payload; and what is to be answered in turn.
    fn batch(&self) -> (Vec<(String, String)>, Vec<Option<Ack>>) {
        let batch = &self.fx.batch;
        let routed = (0..batch.items().len()).filter(|index| batch.items()[*index].is_routed());
        let routed = routed.map(|index| {
            let publication = batch.publication(index);
            let payload = String::from_utf8_lossy(publication.payload.as_slice()).into_owned();
            (publication.topic.to_owned(), payload)
        });
        (routed.collect(), batch.items().iter().map(|item| item.ack).collect())
    }

    fn online(&mut self) -> &mut Online {
        self.session.online.as_mut().unwrap()
    }

    fn counter(&self, name: &str) -> u64 {
        let all = self.office.counters.all();
        all.into_iter().find(|(other, _)| *other == name).expect("there is such a counter").1
    }
}

/// A PUBLISH; its packet identifier is 0 with QoS 0.
pub(super) fn publish(topic: &str, payload: &str, qos: QoS, identifier: u16) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: (qos != QoS::AtMostOnce).then(|| id(identifier)),
        properties: PublishProperties::default(),
        payload: payload.to_owned().into(),
    }
}

/// The answer that a publish gets in its turn, once it is routed or in place of that.
pub(super) fn answer(identifier: u16, exactly_once: bool, settled: Option<ReasonCode>) -> Option<Ack> {
    Some(Ack { packet_identifier: id(identifier), exactly_once, settled })
}
