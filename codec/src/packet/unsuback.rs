//! UNSUBACK.

use super::AckProperties;
use crate::{
    DecodeError, EncodeError, PacketIdentifier, PacketType, ProtocolVersion, ReasonCode, Sender,
    read::Reader,
    write::{Detail, Sink},
};

/// The answer to an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// That of the UNSUBSCRIBE.
    pub packet_identifier: PacketIdentifier,
    /// `None` when there are none, as is usual.
    pub properties: Option<Box<AckProperties>>,
    /// One for each topic filter, in their order [MQTT-3.11.3-1]. Not written before 5.0, and empty when decoded.
    pub reason_codes: Vec<ReasonCode>,
}

impl UnsubAck {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let packet_identifier = reader.packet_identifier()?;
        if version != ProtocolVersion::V5 {
            return Ok(Self { packet_identifier, properties: None, reason_codes: Vec::new() });
        }
        let properties = AckProperties::decode(reader.properties()?)?;
        if reader.is_empty() {
            return Err(DecodeError::EmptyAcknowledgement { packet_type: PacketType::UnsubAck });
        }
        let mut reason_codes = Vec::with_capacity(reader.rest().len());
        while !reader.is_empty() {
            reason_codes.push(reader.reason_code(Sender::Server)?);
        }
        Ok(Self { packet_identifier, properties, reason_codes })
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, detail: Detail, sink: &mut S) {
        sink.u16(self.packet_identifier.get());
        if version != ProtocolVersion::V5 {
            return;
        }
        if self.reason_codes.is_empty() {
            sink.refuse(EncodeError::Empty { packet_type: PacketType::UnsubAck });
        }
        sink.properties(&self.properties, detail);
        for code in &self.reason_codes {
            sink.u8(*code as u8);
        }
    }
}
