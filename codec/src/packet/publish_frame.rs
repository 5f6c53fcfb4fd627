//! The shortest way from a routed message to the bytes of a PUBLISH.

use std::num::NonZeroU16;

use super::{packet_bytes, publish::flags};
use crate::{
    PACKET_BYTES_MAX, PacketIdentifier, PacketType, PropertyIdentifier, ProtocolVersion, QoS,
    frame::variable_bytes, write::encode_variable,
};

/// A PUBLISH that a server is about to send. All but its payload is written at once, so that the payload can be
/// appended or travel by reference.
///
/// The parts are trusted: topic name and properties come from a decoded PUBLISH or will.
///
/// ```
/// use mqtt_codec::{Limits, PacketIdentifier, ProtocolVersion, PublishFrame, QoS, Sender, decode};
///
/// let frame = PublishFrame {
///     version: ProtocolVersion::V5,
///     dup: false,
///     qos: QoS::AtLeastOnce,
///     retain: false,
///     topic: "kitchen/temperature",
///     packet_identifier: PacketIdentifier::new(7),
///     topic_alias: None,
///     message_expiry_interval: Some(60),
///     subscription_identifiers: &[3],
///     forwarded_properties: &[],
///     payload_bytes: 2,
/// };
/// let mut out = Vec::new();
/// frame.encode_head(&mut out);
/// out.extend_from_slice(b"21");
/// assert_eq!(out.len(), frame.frame_bytes());
/// assert!(decode(&out, ProtocolVersion::V5, Sender::Server, &Limits::default())?.is_some());
/// # Ok::<(), mqtt_codec::DecodeError>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PublishFrame<'a> {
    /// That of the subscriber's connection. Before 5.0 no properties are written.
    pub version: ProtocolVersion,
    /// Whether it was sent before; not written with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// The QoS towards the subscriber.
    pub qos: QoS,
    /// The retain flag towards the subscriber.
    pub retain: bool,
    /// The topic name, at most 65535 bytes; empty only with a topic alias.
    pub topic: &'a str,
    /// Written with QoS 1 and 2; `None` leaves two zero bytes there, which the caller has to fill in.
    pub packet_identifier: Option<PacketIdentifier>,
    /// Number that stands for the topic name, or is to.
    pub topic_alias: Option<NonZeroU16>,
    /// What is left of the lifetime, in seconds.
    pub message_expiry_interval: Option<u32>,
    /// Those of the matching subscriptions, each 1 to 268435455.
    pub subscription_identifiers: &'a [u32],
    /// What [`write_forwarded`](crate::PublishPropertiesRef::write_forwarded) gave.
    pub forwarded_properties: &'a [u8],
    /// Size of the payload.
    pub payload_bytes: usize,
}

impl PublishFrame<'_> {
    /// Size of the whole packet with its payload, in bytes. Above [`PACKET_BYTES_MAX`] it cannot be encoded.
    pub fn frame_bytes(&self) -> usize {
        packet_bytes(self.body_bytes(self.properties_bytes()))
    }

    fn properties_bytes(&self) -> usize {
        if self.version != ProtocolVersion::V5 {
            return 0;
        }
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let expiry = if self.message_expiry_interval.is_some() { 5 } else { 0 };
        let identifiers: usize =
            self.subscription_identifiers.iter().map(|value| 1 + variable_bytes(*value)).sum();
        alias + expiry + identifiers + self.forwarded_properties.len()
    }

    /// The remaining length.
    fn body_bytes(&self, properties_bytes: usize) -> usize {
        let identifier = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = match self.version {
            ProtocolVersion::V5 => variable_bytes(saturating_u32(properties_bytes)) + properties_bytes,
            _ => 0,
        };
        2 + self.topic.len() + identifier + properties + self.payload_bytes
    }

    /// Appends all but the payload to `out`, which grows at most once.
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        let properties_bytes = self.properties_bytes();
        let body_bytes = self.body_bytes(properties_bytes);
        let frame_bytes = packet_bytes(body_bytes);
        debug_assert!(frame_bytes <= PACKET_BYTES_MAX as usize, "the caller looks at frame_bytes first");
        debug_assert!(self.topic.len() <= usize::from(u16::MAX), "topic names are at most 65535 bytes long");
        out.reserve(frame_bytes - self.payload_bytes);

        // The first bytes are put together aside, so that they are appended at once.
        let (length, length_bytes) = encode_variable(saturating_u32(body_bytes));
        let mut fixed = [0; 7];
        fixed[0] = (PacketType::Publish as u8) << 4 | flags(self.dup, self.qos, self.retain);
        fixed[1..5].copy_from_slice(&length);
        fixed[1 + length_bytes..3 + length_bytes].copy_from_slice(&(self.topic.len() as u16).to_be_bytes());
        out.extend_from_slice(&fixed[..3 + length_bytes]);
        out.extend_from_slice(self.topic.as_bytes());
        if self.qos != QoS::AtMostOnce {
            let identifier = self.packet_identifier.map_or(0, PacketIdentifier::get);
            out.extend_from_slice(&identifier.to_be_bytes());
        }
        if self.version == ProtocolVersion::V5 {
            self.encode_properties(properties_bytes, out);
        }
    }

    fn encode_properties(&self, properties_bytes: usize, out: &mut Vec<u8>) {
        let put_variable = |value, out: &mut Vec<u8>| {
            let (encoded, bytes) = encode_variable(value);
            out.extend_from_slice(&encoded[..bytes]);
        };
        put_variable(saturating_u32(properties_bytes), out);
        if let Some(alias) = self.topic_alias {
            let [high, low] = alias.get().to_be_bytes();
            out.extend_from_slice(&[PropertyIdentifier::TopicAlias as u8, high, low]);
        }
        if let Some(seconds) = self.message_expiry_interval {
            let [a, b, c, d] = seconds.to_be_bytes();
            out.extend_from_slice(&[PropertyIdentifier::MessageExpiryInterval as u8, a, b, c, d]);
        }
        for identifier in self.subscription_identifiers {
            out.push(PropertyIdentifier::SubscriptionIdentifier as u8);
            put_variable(*identifier, out);
        }
        out.extend_from_slice(self.forwarded_properties);
    }
}

/// Sizes beyond 32 bits are beyond every packet; their variable byte integer takes the longest form.
fn saturating_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
