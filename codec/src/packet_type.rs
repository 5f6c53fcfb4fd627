//! What a control packet is, and who may send it.

use std::fmt;

use crate::ProtocolVersion;

/// Which end of the network connection sent a packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The end that sends CONNECT.
    Client,
    /// The end that answers with CONNACK.
    Server,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// The kind of a control packet (table 2-1 of the standard).
#[repr(u8)]
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// Connection request.
    Connect = 1,
    /// Connection acknowledgement.
    ConnAck = 2,
    /// An application message.
    Publish = 3,
    /// Acknowledgement of QoS 1.
    PubAck = 4,
    /// First acknowledgement of QoS 2.
    PubRec = 5,
    /// Second packet of the publisher of QoS 2.
    PubRel = 6,
    /// Last acknowledgement of QoS 2.
    PubComp = 7,
    /// Subscription request.
    Subscribe = 8,
    /// Subscription acknowledgement.
    SubAck = 9,
    /// Request to end subscriptions.
    Unsubscribe = 10,
    /// Acknowledgement of UNSUBSCRIBE.
    UnsubAck = 11,
    /// Sign of life of a client.
    PingReq = 12,
    /// Answer to PINGREQ.
    PingResp = 13,
    /// Announced end of the network connection.
    Disconnect = 14,
    /// A step of an authentication (5.0).
    Auth = 15,
}

impl PacketType {
    /// The packet with this number in the upper four bits of its first byte.
    pub const fn from_value(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The fixed header flags that the standard demands of this packet; those of PUBLISH carry meaning.
    pub const fn reserved_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// Whether this sender may send this packet in this version.
    pub const fn is_sent_by(self, sender: Sender, version: ProtocolVersion) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(sender, Sender::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => {
                matches!(sender, Sender::Server)
            }
            Self::Disconnect => matches!(sender, Sender::Client) || matches!(version, ProtocolVersion::V5),
            Self::Auth => matches!(version, ProtocolVersion::V5),
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp => true,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        })
    }
}
