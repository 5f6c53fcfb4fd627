//! What the model knows of a client, and what the client itself remembers.

use std::collections::{BTreeMap, VecDeque};

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode};
use mqtt_codec::{Packet, PacketType, ProtocolVersion, QoS, encode};
use tokio::time::Instant;

use super::crash::Earlier;
use super::session::{Session, Will};

/// A network connection to a worker by a pipe of so many bytes. Every fourth is a WebSocket, be it of one client or of
/// several: what is promised does not depend on it.
pub(crate) fn network_connection(
    node: &SimulatedNode,
    worker: usize,
    pipe_bytes: usize,
    number: u64,
) -> SimulatedClient {
    if number.is_multiple_of(4) {
        node.connect_websocket(worker, pipe_bytes)
    } else {
        node.connect_with(worker, pipe_bytes)
    }
}

/// A publish of the client that is not acknowledged to the end.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) identifier: u16,
    pub(crate) qos: QoS,
    pub(crate) message: usize,
    /// None: the node never had all of it.
    pub(crate) instance: Option<usize>,
    /// PUBREC came: PUBREL is due or sent.
    pub(crate) recorded: bool,
}

/// A network connection of a client.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) wire: SimulatedClient,
    pub(crate) version: ProtocolVersion,
    pub(crate) clean_start: bool,
    pub(crate) expiry: u32,
    pub(crate) keep_alive: u16,
    pub(crate) will: Option<Will>,
    /// CONNACK came.
    pub(crate) connected: bool,
    pub(crate) connected_at: Instant,
    /// As CONNACK said it; until then, and for 3.1, whose CONNACK says nothing of it, as it is.
    pub(crate) session_present: bool,
    /// The client takes in what arrives.
    pub(crate) reads: bool,
    /// At the end of this round it stops to.
    pub(crate) stops_reading: bool,
    pub(crate) last_sent: Instant,
    /// Acknowledgements that the client owes, in order.
    pub(crate) owed: VecDeque<(PacketType, u16)>,
    /// Topic aliases that the client set.
    pub(crate) aliases: BTreeMap<&'static str, u16>,
    /// Publishes with QoS 0 of this round.
    pub(crate) fresh: Vec<usize>,
    /// Acknowledgements sent in this round, by packet identifier.
    pub(crate) acknowledged: Vec<u16>,
    /// The order of the message that was sent again last, of each class.
    pub(crate) resent: BTreeMap<QoS, u64>,
}

impl Link {
    pub(crate) fn send(&mut self, packet: &Packet) {
        let bytes = self.encoded(packet);
        self.send_bytes(&bytes);
    }

    pub(crate) fn encoded(&self, packet: &Packet) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(packet, self.version, u32::MAX, &mut bytes).expect("a packet of this version");
        bytes
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.last_sent = Instant::now();
        self.wire.send(bytes);
    }

    /// Whether what is published now reaches it for sure, if the network connection lasts.
    pub(crate) fn is_steady(&self) -> bool {
        self.reads && self.connected
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) version: ProtocolVersion,
    /// It acknowledges in any order.
    pub(crate) is_odd: bool,
    /// It takes part in shared subscriptions, and in no others where these could not be told apart.
    pub(crate) shares: bool,
    pub(crate) packet_bytes_max: Option<u32>,
    pub(crate) link: Option<Link>,
    pub(crate) session: Option<Session>,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) last_identifier: u16,
    /// The round of its last CONNECT.
    pub(crate) connected_in: u32,
    /// When a network connection of it was closed with a DISCONNECT in this round: the node may not know yet.
    pub(crate) said_goodbye: u32,
    /// What may come back of its session if the process is killed.
    pub(crate) earlier: Vec<Earlier>,
}

impl Client {
    pub(crate) fn new(name: String, version: ProtocolVersion) -> Self {
        Self {
            name,
            version,
            is_odd: false,
            shares: false,
            packet_bytes_max: None,
            link: None,
            session: None,
            outgoing: Vec::new(),
            last_identifier: 0,
            connected_in: 0,
            said_goodbye: 0,
            earlier: Vec::new(),
        }
    }

    /// A packet identifier that is not in use [MQTT-2.2.1-3].
    pub(crate) fn next_identifier(&mut self) -> u16 {
        loop {
            self.last_identifier = self.last_identifier % 60 + 1;
            let pending = self.session.iter().flat_map(|session| session.subscriptions.values().flatten());
            let link = self.link.as_ref().map_or(0, |link| link.number);
            let asked = pending
                .filter_map(|variant| variant.asked)
                .any(|asked| asked == (self.last_identifier, link));
            if !asked && !self.outgoing.iter().any(|outgoing| outgoing.identifier == self.last_identifier) {
                return self.last_identifier;
            }
        }
    }
}
