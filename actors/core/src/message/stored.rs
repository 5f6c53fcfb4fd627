//! A message that waits: in a session's queue, in flight to a durable session, in a shared group, or retained.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use mqtt_codec::QoS;

use super::{Payload, Publication, QUEUED_OVERHEAD_BYTES, SHARED_PAYLOAD_BYTES};
use crate::ids::SessionKey;

/// Stored once, however many sessions wait for it: they hold references.
#[derive(Debug)]
pub struct StoredMessage {
    topic: Box<str>,
    /// Forwarded properties and, if it is short, the payload, one behind the other.
    text: Box<[u8]>,
    rare: Option<Box<RareMessage>>,
    publisher_hash: u64,
    stamp: u64,
    publisher: Option<SessionKey>,
    properties_bytes: u32,
    /// In how many places it waits.
    places: AtomicU32,
    qos: QoS,
    retain: bool,
}

/// What few messages have: there may be a million of them, retained.
#[derive(Debug)]
struct RareMessage {
    long_payload: Option<Bytes>,
    expires_at: Option<Instant>,
}

impl StoredMessage {
    /// Copies what has to be copied of a message; a long payload is shared.
    pub fn new(publication: &Publication<'_>) -> Self {
        let (short, long_payload) = match publication.payload {
            Payload::Short(bytes) if bytes.len() <= SHARED_PAYLOAD_BYTES => (bytes, None),
            Payload::Short(bytes) => (&[][..], Some(Bytes::copy_from_slice(bytes))),
            Payload::Long(bytes) => (&[][..], Some(bytes.clone())),
        };
        let expires_at = publication.expires_at;
        let is_rare = long_payload.is_some() || expires_at.is_some();
        Self {
            topic: publication.topic.into(),
            text: [publication.properties, short].concat().into_boxed_slice(),
            rare: is_rare.then(|| Box::new(RareMessage { long_payload, expires_at })),
            publisher_hash: publication.publisher_hash,
            stamp: publication.stamp,
            publisher: publication.publisher,
            properties_bytes: u32::try_from(publication.properties.len())
                .expect("a packet has less than 2^28 bytes"),
            places: AtomicU32::new(0),
            qos: publication.qos,
            retain: publication.retain,
        }
    }

    /// It takes a place where it waits. Answers whether that is its only one.
    #[inline]
    pub fn hold(&self) -> bool {
        self.places.fetch_add(1, Relaxed) == 0
    }

    /// It leaves a place. Answers whether that was its last one.
    #[inline]
    pub fn release(&self) -> bool {
        self.places.fetch_sub(1, Relaxed) == 1
    }

    fn long_payload(&self) -> Option<&Bytes> {
        self.rare.as_ref().and_then(|rare| rare.long_payload.as_ref())
    }

    /// Whether it is the node's own, `$SYS`, and no client's.
    #[inline]
    pub fn is_own(&self) -> bool {
        self.publisher.is_none()
    }

    /// Topic name.
    #[inline]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The message as everybody else sees it.
    #[inline]
    pub fn publication(&self) -> Publication<'_> {
        let (properties, short) = self.text.split_at(self.properties_bytes as usize);
        Publication {
            topic: self.topic(),
            properties,
            payload: self.long_payload().map_or(Payload::Short(short), Payload::Long),
            qos: self.qos,
            retain: self.retain,
            expires_at: self.rare.as_ref().and_then(|rare| rare.expires_at),
            publisher: self.publisher,
            publisher_hash: self.publisher_hash,
            stamp: self.stamp,
        }
    }

    /// What it costs in a queue, its place there included.
    #[inline]
    pub fn queued_bytes(&self) -> usize {
        self.bytes() + QUEUED_OVERHEAD_BYTES
    }

    /// Bytes of topic name, properties and payload.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.text.len() + self.long_payload().map_or(0, Bytes::len)
    }
}
