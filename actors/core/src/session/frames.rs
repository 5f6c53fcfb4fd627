//! A PUBLISH is encoded once for all subscribers that get the same bytes; what differs is set as it is appended.

use std::time::Instant;

use mqtt_codec::{PacketIdentifier, ProtocolVersion, PublishFrame, QoS};

use super::online::Online;
use crate::message::{Payload, Publication, remaining_seconds};
use crate::pool::BufferPool;

/// What makes the bytes of one message differ from client to client, packet identifier apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    v5: bool,
    qos: QoS,
    retain: bool,
}

/// A buffer above that, of a very long topic name or very long properties, is not kept for the next message.
const SPARE_BYTES_MAX: usize = 4096;

#[derive(Debug)]
struct Frame {
    shape: Shape,
    /// All of the packet, or all but a long payload.
    bytes: Vec<u8>,
    frame_bytes: usize,
    identifier_at: usize,
}

/// The frames of the message that is being delivered. Forget them before the next one.
#[derive(Debug, Default)]
pub struct FrameCache {
    frames: Vec<Frame>,
    spare: Vec<Vec<u8>>,
}

/// How one copy is sent.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// QoS of the PUBLISH.
    pub qos: QoS,
    /// RETAIN of the PUBLISH.
    pub retain: bool,
    /// DUP of the PUBLISH.
    pub dup: bool,
    /// Subscription identifiers.
    pub identifiers: &'a [u32],
}

/// The packet would exceed the client's maximum packet size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl FrameCache {
    /// Another message follows.
    #[inline]
    pub fn forget(&mut self) {
        while let Some(mut frame) = self.frames.pop() {
            if frame.bytes.capacity() <= SPARE_BYTES_MAX {
                frame.bytes.clear();
                self.spare.push(frame.bytes);
            }
        }
    }

    /// Whether a copy fits the client's maximum packet size; to be asked before a packet identifier is spent on it.
    pub fn check(
        &mut self,
        online: &Online,
        publication: &Publication<'_>,
        sending: Sending<'_>,
        now: Instant,
    ) -> Result<(), TooLarge> {
        if online.maximum_packet_size == u32::MAX {
            return Ok(());
        }
        let alias = alias_that_fits(online, publication, sending, now);
        let frame = packet(online, publication, sending, None, alias, now);
        if frame.frame_bytes() > online.maximum_packet_size as usize { Err(TooLarge) } else { Ok(()) }
    }

    /// Appends a copy to the client's outbox.
    pub fn append(
        &mut self,
        online: &mut Online,
        pool: &mut BufferPool,
        publication: &Publication<'_>,
        sending: Sending<'_>,
        identifier: Option<PacketIdentifier>,
        now: Instant,
    ) {
        if sending.dup || !sending.identifiers.is_empty() || online.aliases().is_some() {
            let alias = alias_that_fits(online, publication, sending, now);
            let frame = packet(online, publication, sending, identifier, alias, now);
            let payload = publication.payload;
            online.outbox.append_with(pool, |out| {
                frame.encode_head(out);
                if let Payload::Short(bytes) = payload {
                    out.extend_from_slice(bytes);
                }
            });
            online.alias_was_sent(alias, publication.topic);
        } else {
            let shape =
                Shape { v5: online.version == ProtocolVersion::V5, qos: sending.qos, retain: sending.retain };
            let index = self.frame(shape, online, publication, sending, now);
            let frame = &self.frames[index];
            online.outbox.append_with(pool, |out| {
                let start = out.len();
                out.extend_from_slice(&frame.bytes);
                if let Some(identifier) = identifier {
                    let at = start + frame.identifier_at;
                    out[at..at + 2].copy_from_slice(&identifier.get().to_be_bytes());
                }
            });
        }
        if let Payload::Long(bytes) = publication.payload {
            online.outbox.append_payload(pool, bytes.clone());
        }
    }

    #[inline]
    fn frame(
        &mut self,
        shape: Shape,
        online: &Online,
        publication: &Publication<'_>,
        sending: Sending<'_>,
        now: Instant,
    ) -> usize {
        if let Some(index) = self.frames.iter().position(|frame| frame.shape == shape) {
            return index;
        }
        // The packet identifier of each client is set in its copy.
        let packet = packet(online, publication, sending, None, OutgoingAlias::None, now);
        let mut bytes = self.spare.pop().unwrap_or_default();
        packet.encode_head(&mut bytes);
        let frame_bytes = packet.frame_bytes();
        let fixed_header_bytes = 1 + remaining_length_bytes(&bytes);
        let identifier_at = fixed_header_bytes + 2 + publication.topic.len();
        if let Payload::Short(payload) = publication.payload {
            bytes.extend_from_slice(payload);
        }
        self.frames.push(Frame { shape, bytes, frame_bytes, identifier_at });
        debug_assert!(self.frames.iter().all(|frame| frame.frame_bytes >= frame.bytes.len()));
        self.frames.len() - 1
    }
}

/// Bytes of the variable byte integer behind the first byte of a packet of our own.
fn remaining_length_bytes(packet: &[u8]) -> usize {
    1 + packet[1..].iter().take_while(|byte| **byte & 0x80 != 0).count()
}

/// What stands in place of, or beside, the topic name [MQTT-3.3.2-8].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutgoingAlias {
    /// The topic name alone.
    None,
    /// The topic name, and the alias that it has from now on.
    New(std::num::NonZeroU16),
    /// The alias alone.
    Known(std::num::NonZeroU16),
}

/// A new alias makes its first packet longer: it is not given where that would make the packet too large.
fn alias_that_fits(
    online: &Online,
    publication: &Publication<'_>,
    sending: Sending<'_>,
    now: Instant,
) -> OutgoingAlias {
    if publication.is_own() {
        // Its outbox tells the node's own messages by their topic names.
        return OutgoingAlias::None;
    }
    let alias = online.outgoing_alias(publication.topic);
    let frame = || packet(online, publication, sending, None, alias, now);
    match alias {
        OutgoingAlias::New(_) if frame().frame_bytes() > online.maximum_packet_size as usize => {
            OutgoingAlias::None
        }
        _ => alias,
    }
}

fn packet<'a>(
    online: &Online,
    publication: &Publication<'a>,
    sending: Sending<'a>,
    packet_identifier: Option<PacketIdentifier>,
    alias: OutgoingAlias,
    now: Instant,
) -> PublishFrame<'a> {
    let (topic, topic_alias) = match alias {
        OutgoingAlias::None => (publication.topic, None),
        OutgoingAlias::New(alias) => (publication.topic, Some(alias)),
        OutgoingAlias::Known(alias) => ("", Some(alias)),
    };
    PublishFrame {
        version: online.version,
        dup: sending.dup,
        qos: sending.qos,
        retain: sending.retain,
        topic,
        packet_identifier,
        topic_alias,
        message_expiry_interval: publication.expires_at.map(|deadline| remaining_seconds(deadline, now)),
        subscription_identifiers: sending.identifiers,
        forwarded_properties: publication.properties,
        payload_bytes: publication.payload.len(),
    }
}
