//! PUBLISH.

use bytes::Bytes;

use super::{PublishProperties, PublishPropertiesRef, publish_properties::PropertiesOf};
use crate::{
    DecodeError, EncodeError, FrameHeader, Limits, PacketIdentifier, PacketType, ProtocolVersion, QoS,
    Sender, TopicError,
    read::Reader,
    write::{Detail, Sink},
};

/// The fixed header flags.
const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// An application message on its way, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Whether it may have been sent before; not written with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is, or is to be, retained.
    pub retain: bool,
    /// The topic name; empty only with a topic alias.
    pub topic: String,
    /// With QoS 1 and 2 only [MQTT-2.2.1-2].
    pub packet_identifier: Option<PacketIdentifier>,
    /// 5.0.
    pub properties: PublishProperties,
    /// The message.
    pub payload: Bytes,
}

/// A judged PUBLISH that borrows from the bytes it was decoded from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PublishRef<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is, or is to be, retained.
    pub retain: bool,
    /// The topic name, valid; empty only with a topic alias.
    pub topic: &'a str,
    /// With QoS 1 and 2 only.
    pub packet_identifier: Option<PacketIdentifier>,
    /// 5.0.
    pub properties: PublishPropertiesRef<'a>,
    /// The message.
    pub payload: &'a [u8],
}

/// The fixed header flags of a PUBLISH.
pub(super) fn flags(dup: bool, qos: QoS, retain: bool) -> u8 {
    let dup = dup && qos != QoS::AtMostOnce;
    (qos as u8) << 1 | if dup { DUP } else { 0 } | if retain { RETAIN } else { 0 }
}

impl<'a> PublishRef<'a> {
    #[inline]
    pub(crate) fn decode(
        header: FrameHeader,
        body: &'a [u8],
        version: ProtocolVersion,
        sender: Sender,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        header.judge_minimal(version)?;
        let flags = header.flags;
        let qos = QoS::try_from(flags >> 1 & 0b11)?;
        let dup = flags & DUP != 0;
        // 3.1 does not forbid it.
        if dup && qos == QoS::AtMostOnce && version != ProtocolVersion::V31 {
            return Err(DecodeError::DupWithQoS0);
        }
        let mut reader = Reader::new(body, PacketType::Publish, limits);
        let topic = reader.topic_name_or_empty()?;
        let packet_identifier = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_identifier()?),
        };
        let mut properties = PublishPropertiesRef::default();
        if version == ProtocolVersion::V5 && !reader.skip_empty_properties() {
            properties = PublishPropertiesRef::decode(reader.properties()?, PropertiesOf::Publish(sender))?.0;
        }
        if topic.is_empty() {
            if version != ProtocolVersion::V5 {
                return Err(DecodeError::TopicName(TopicError::Empty));
            }
            if properties.topic_alias.is_none() {
                return Err(DecodeError::NoTopic);
            }
        }
        let retain = flags & RETAIN != 0;
        Ok(Self { dup, qos, retain, topic, packet_identifier, properties, payload: reader.rest() })
    }

    /// Copies it, payload included.
    pub fn to_owned(&self) -> Publish {
        self.with_payload(Bytes::copy_from_slice(self.payload))
    }

    /// Copies all but the payload, which shares `frame`.
    ///
    /// # Panics
    /// If this was not decoded from the bytes of `frame`.
    pub fn to_shared(&self, frame: &Bytes) -> Publish {
        self.with_payload(frame.slice_ref(self.payload))
    }

    fn with_payload(&self, payload: Bytes) -> Publish {
        Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.to_owned(),
            packet_identifier: self.packet_identifier,
            properties: self.properties.to_owned(),
            payload,
        }
    }
}

impl Publish {
    pub(super) fn flags(&self) -> u8 {
        flags(self.dup, self.qos, self.retain)
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, sink: &mut S) {
        let has_alias = version == ProtocolVersion::V5 && self.properties.topic_alias.is_some();
        if self.topic.is_empty() && has_alias {
            sink.u16(0);
        } else {
            sink.topic_name(&self.topic);
        }
        match (self.qos, self.packet_identifier) {
            (QoS::AtMostOnce, _) => {}
            (_, Some(identifier)) => sink.u16(identifier.get()),
            (qos, None) => sink.refuse(EncodeError::PacketIdentifierMissing { qos: qos as u8 }),
        }
        if version == ProtocolVersion::V5 {
            sink.properties(&self.properties, Detail::Full);
        }
        sink.put(&self.payload);
    }
}
