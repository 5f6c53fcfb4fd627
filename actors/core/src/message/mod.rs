//! An application message on its way through a node: as part of a batch, or stored for those who wait.

mod batch;
mod stored;

pub use batch::{Ack, Batch, Beyond, Item, Received};
pub use stored::StoredMessage;

use std::time::Instant;

use bytes::Bytes;
use mqtt_codec::QoS;

use crate::ids::SessionKey;

/// Payloads above this many bytes are shared by reference instead of copied into each outbox.
pub(crate) const SHARED_PAYLOAD_BYTES: usize = 1024;

/// What a message that waits costs beside its bytes: its place in the queue, its header and its allocations.
pub(crate) const QUEUED_OVERHEAD_BYTES: usize = 256;

/// A payload: short ones lie beside their topic name, long ones in memory of their own that all subscribers share.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// To be copied.
    Short(&'a [u8]),
    /// To be shared.
    Long(&'a Bytes),
}

impl Payload<'_> {
    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether it has no bytes: a retained message with such a payload deletes [MQTT-3.3.1-6].
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}

/// One application message, borrowed from wherever it lies.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// The properties a server passes on unaltered, encoded, in the publisher's order.
    pub properties: &'a [u8],
    /// Application payload.
    pub payload: Payload<'a>,
    /// QoS it was published with.
    pub qos: QoS,
    /// RETAIN as published.
    pub retain: bool,
    /// When its message expiry interval ends.
    pub expires_at: Option<Instant>,
    /// Who published it, for no local.
    pub publisher: Option<SessionKey>,
    /// A hash of the publisher's client identifier, 0 for `$SYS`: for shared subscriptions that choose by it, and for no
    /// local of retained messages, which outlive the session that they came from.
    pub publisher_hash: u64,
    /// Where it stands among all publishes of the node ([`PublishOrder`](crate::moment::PublishOrder)); 0 until it
    /// is routed, and when it is given out as a retained message.
    pub stamp: u64,
}

impl Publication<'_> {
    /// Whether it is the node's own, `$SYS`, and no client's.
    #[inline]
    pub fn is_own(&self) -> bool {
        self.publisher.is_none()
    }

    /// Bytes that it takes in a queue.
    #[inline]
    pub(crate) fn stored_bytes(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len()
    }

    /// What it costs in a queue, its place there included.
    #[inline]
    pub fn queued_bytes(&self) -> usize {
        self.stored_bytes() + QUEUED_OVERHEAD_BYTES
    }

    /// Whether the message expiry interval has passed.
    #[inline]
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now)
    }
}

/// What remains of a message expiry interval, in whole seconds, rounded up so that it never becomes longer than the
/// publisher's and never 0 before its time [MQTT-3.3.2-6].
pub(crate) fn remaining_seconds(deadline: Instant, now: Instant) -> u32 {
    let remaining = deadline.saturating_duration_since(now);
    let seconds = remaining.as_secs() + u64::from(remaining.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
