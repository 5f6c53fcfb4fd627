//! Messages that wait, each kept once.

use std::sync::Arc;

use mqtt_codec::QoS;

use crate::records::{Body, Position, Publish, WallClock};

/// The parts of a message that nobody changes on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody {
    /// Topic name.
    pub topic: Arc<str>,
    /// Properties that a server passes on, encoded.
    pub properties: Box<[u8]>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// QoS it was published with.
    pub qos: QoS,
}

impl KeptBody {
    /// A copy of it.
    pub fn new(body: &Body<'_>) -> Self {
        let Body { topic, properties, payload, qos } = *body;
        Self { topic: topic.into(), properties: properties.into(), payload: payload.into(), qos }
    }

    /// As records have it.
    pub fn body(&self) -> Body<'_> {
        let Self { topic, properties, payload, qos } = self;
        Body { topic, properties, payload, qos: *qos }
    }
}

/// A message that sessions or groups of the shard wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// The message.
    pub body: KeptBody,
    /// RETAIN as it was published.
    pub retain: bool,
    /// When its message expiry interval ends.
    pub expires_at: Option<WallClock>,
    /// The keyed hash of its publisher's client identifier.
    pub publisher_hash: u64,
}

impl KeptMessage {
    pub(super) fn new(publish: &Publish<'_>) -> Self {
        Self {
            body: KeptBody::new(&publish.body),
            retain: publish.retain,
            expires_at: publish.expires_at,
            publisher_hash: publish.publisher_hash,
        }
    }
}

/// What is retained for a topic name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRetained {
    /// Its place among all retained publishes.
    pub stamp: u64,
    /// The message, when its message expiry interval ends, and the hash of its publisher; none: it was removed, which
    /// has to be known as long as something earlier may still be read.
    pub message: Option<(KeptBody, Option<WallClock>, u64)>,
}

/// Where a message waits in a group.
pub(super) type Waiting = std::collections::BTreeSet<Position>;
