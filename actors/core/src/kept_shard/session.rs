//! What is kept of one session.

use std::collections::BTreeMap;
use std::sync::Arc;

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};

use super::message::KeptBody;
use crate::records::{CopyId, Position, WallClock};

/// A will message that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptWill {
    /// What is published.
    pub body: KeptBody,
    /// RETAIN.
    pub retain: bool,
    /// Will delay interval, in seconds.
    pub delay_seconds: u32,
    /// Message expiry interval, in seconds from when it is published.
    pub expiry_seconds: Option<u32>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSubscription {
    /// Its options.
    pub options: SubscriptionOptions,
    /// Subscription identifier; 0: none.
    pub identifier: u32,
    /// The position of its SUBSCRIBE.
    pub since: Position,
    /// How far its retained messages have been sent; none: there are none to send.
    pub replay: Option<KeptReplay>,
}

/// Retained messages that are still to be sent for a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptReplay {
    /// Those behind this topic name; none: all.
    pub after: Option<Arc<str>>,
}

/// A copy that was sent as QoS 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentCopy {
    /// By this packet identifier.
    pub identifier: PacketIdentifier,
    /// Where that is recorded: what is in flight was sent in this order.
    pub at: Position,
    /// Whether its PUBREC came: then its message is not kept any more.
    pub released: bool,
}

/// A copy of a message that waits for its client's acknowledgement, sent or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCopy {
    /// QoS it is sent with, 1 or 2.
    pub qos: QoS,
    /// RETAIN it is sent with.
    pub retain: bool,
    /// Subscription identifiers it is sent with.
    pub identifiers: Box<[u32]>,
    /// The shared group that it came through, by its whole filter.
    pub group: Option<Arc<str>>,
    /// It was retained when a subscription began at this position: it comes ahead of what was published since.
    pub ahead_of: Option<Position>,
    /// If it was sent as QoS 2.
    pub sent: Option<SentCopy>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSession {
    /// Who the client showed itself to be.
    pub user_name: Option<Arc<str>>,
    /// Protocol version of the present or last network connection.
    pub version: ProtocolVersion,
    /// Session expiry interval, in seconds.
    pub expiry_interval: u32,
    /// The position at which its present or last network connection began.
    pub epoch: Position,
    /// When that ended; none: it has not.
    pub parted: Option<WallClock>,
    /// Its will.
    pub will: Option<KeptWill>,
    /// QoS 2 messages from the client between PUBLISH and PUBREL, by packet identifier: where they were received.
    pub incoming: BTreeMap<PacketIdentifier, Position>,
    /// By topic filter.
    pub subscriptions: BTreeMap<Arc<str>, KeptSubscription>,
    /// Messages to the client.
    pub copies: BTreeMap<CopyId, KeptCopy>,
}

impl KeptSession {
    /// All messages to the client in the order in which they go to it: first those in flight, in the order sent.
    pub fn in_order(&self) -> Vec<(CopyId, &KeptCopy)> {
        let mut copies: Vec<_> = self.copies.iter().map(|(id, copy)| (*id, copy)).collect();
        copies.sort_by_key(|(id, copy)| match copy.sent {
            Some(sent) => (false, sent.at, false, *id),
            // What was retained as a subscription began stands right behind that position.
            None => (true, copy.ahead_of.unwrap_or(id.message), copy.ahead_of.is_none(), *id),
        });
        copies
    }
}
