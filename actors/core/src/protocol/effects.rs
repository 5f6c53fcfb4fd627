//! What one step of the protocol asks for. A worker owns one of these and reuses it, so a step allocates nothing of its
//! own.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_codec::{
    Disconnect, DisconnectProperties, Packet, PacketIdentifier, ProtocolVersion, ReasonCode, encode,
};

use super::permission::Wishes;
use crate::message::Batch;
use crate::subscriptions::Subscription;

/// A subscription that was granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Topic filter, as the client wrote it.
    pub filter: Arc<str>,
    /// Options and identifier.
    pub subscription: Subscription,
    /// Whether retained messages are to be sent [MQTT-3.3.1-9, -10, -11].
    pub replay: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE to carry out; its answer leaves when the change is in force.
#[derive(Debug)]
pub enum SubscriptionChange {
    /// SUBSCRIBE.
    Subscribe {
        /// For the SUBACK.
        packet_identifier: PacketIdentifier,
        /// What was granted.
        granted: Vec<Granted>,
        /// For the SUBACK, one per filter.
        reasons: Vec<ReasonCode>,
        /// For the SUBACK, why something was refused.
        reason_string: Option<String>,
    },
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// For the UNSUBACK.
        packet_identifier: PacketIdentifier,
        /// What existed.
        filters: Vec<Arc<str>>,
        /// For the UNSUBACK, one per filter.
        reasons: Vec<ReasonCode>,
    },
}

impl SubscriptionChange {
    /// How many topic filters it concerns.
    pub fn filters(&self) -> usize {
        match self {
            Self::Subscribe { granted, .. } => granted.len(),
            Self::Unsubscribe { filters, .. } => filters.len(),
        }
    }
}

impl SubscriptionChange {
    /// Answers for an earlier part of the same packet as well.
    pub fn answer_behind(&mut self, earlier: Self) {
        let (mut before, text) = match earlier {
            Self::Subscribe { reasons, reason_string, .. } => (reasons, reason_string),
            Self::Unsubscribe { reasons, .. } => (reasons, None),
        };
        let reasons = match self {
            Self::Subscribe { reasons, reason_string, .. } => {
                *reason_string = text.or(reason_string.take());
                reasons
            }
            Self::Unsubscribe { reasons, .. } => reasons,
        };
        before.append(reasons);
        *reasons = before;
    }
}

/// A step of an enhanced authentication [MQTT-4.12.1].
#[derive(Debug)]
pub struct Reauthenticate {
    /// Whether it begins a new exchange (0x19) or goes on with one (0x18).
    pub begins: bool,
    /// Authentication data.
    pub data: Option<Vec<u8>>,
}

/// How the network connection is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Told to a 5.0 client in a DISCONNECT, unless the client said goodbye itself.
    pub reason: ReasonCode,
    /// More about it, for the DISCONNECT.
    pub reason_string: Option<String>,
    /// Whether the client sent DISCONNECT, so that it is sent nothing any more.
    pub by_client: bool,
    /// Whether the will message is to be published.
    pub publish_will: bool,
}

impl Ending {
    /// The node ends it.
    pub fn because(reason: ReasonCode) -> Self {
        Self { reason, reason_string: None, by_client: false, publish_will: true }
    }

    /// The DISCONNECT that says so; nothing for a client that would not understand it.
    pub fn packet(&self, version: ProtocolVersion, maximum_packet_size: u32, out: &mut Vec<u8>) {
        if version != ProtocolVersion::V5 || self.by_client || self.reason == ReasonCode::Success {
            return;
        }
        let properties = DisconnectProperties {
            reason_string: self.reason_string.clone(),
            ..DisconnectProperties::default()
        };
        let packet = Packet::Disconnect(Disconnect { reason_code: self.reason, properties });
        // A client that takes no 4 bytes is told nothing.
        let _ = encode(&packet, version, maximum_packet_size, out);
    }
}

/// What a packet costs a turn that is no acknowledgement, in acknowledgements. A turn takes some hundred microseconds at
/// most with it, and a subscriber of very many publishers keeps up with its acknowledgements.
pub const COST_OF_PACKET: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Effects {
    /// What the packets cost that were stepped through.
    pub cost: usize,
    /// Packets for the client, encoded, in order.
    pub out: Vec<u8>,
    /// How many there are.
    pub out_packets: u64,
    /// Publishes to route, in the order received [MQTT-4.6.0-5], and answers that leave in their turn.
    pub batch: Batch,
    /// QoS 2 messages to release, by their packet identifiers, and to answer PUBCOMP: where somebody may have to keep that.
    pub releases: Vec<PacketIdentifier>,
    /// Changes of subscriptions.
    pub changes: Vec<SubscriptionChange>,
    /// The only one of them is a part of its packet, of which more is to come: it is answered with that.
    pub change_goes_on: bool,
    /// What the auth actor has to be asked for; the packet that wants it is stepped again with the verdicts.
    pub wishes: Wishes,
    /// Steps of an enhanced authentication.
    pub reauthenticate: Vec<Reauthenticate>,
    /// Set when the network connection is to end.
    pub end: Option<Ending>,
    /// The bytes that are stepped through, if they begin with a large packet: its payload is shared with them.
    pub source: Option<Bytes>,
    /// Room for the properties of one message.
    pub properties: Vec<u8>,
}

impl Effects {
    /// Sends a packet. One that does not fit the client's maximum packet size even without its optional properties is
    /// not sent.
    pub fn send(&mut self, packet: &Packet, version: ProtocolVersion, maximum_packet_size: u32) {
        if encode(packet, version, maximum_packet_size, &mut self.out).is_ok() {
            self.out_packets += 1;
        }
    }

    /// Topic filters of the changes of subscriptions.
    pub fn filters_to_change(&self) -> usize {
        self.changes.iter().map(SubscriptionChange::filters).sum()
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.cost = 0;
        self.out.clear();
        self.out_packets = 0;
        self.batch.clear();
        self.releases.clear();
        self.changes.clear();
        self.change_goes_on = false;
        self.wishes.clear();
        self.reauthenticate.clear();
        self.end = None;
        self.source = None;
    }
}
