//! SUBACK.

use super::AckProperties;
use crate::{
    DecodeError, EncodeError, PacketIdentifier, PacketType, ProtocolVersion, ReasonCode, Sender,
    read::Reader,
    write::{Detail, Sink},
};

/// The answer to a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// That of the SUBSCRIBE.
    pub packet_identifier: PacketIdentifier,
    /// `None` when there are none, as is usual.
    pub properties: Option<Box<AckProperties>>,
    /// One for each topic filter, in their order [MQTT-3.8.4-5]. Before 5.0 every failure is encoded as 0x80; so it
    /// is for 3.1, which had no word for it.
    pub reason_codes: Vec<ReasonCode>,
}

impl SubAck {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let packet_type = PacketType::SubAck;
        let packet_identifier = reader.packet_identifier()?;
        let properties = match version {
            ProtocolVersion::V5 => AckProperties::decode(reader.properties()?)?,
            _ => None,
        };
        if reader.is_empty() {
            return Err(DecodeError::EmptyAcknowledgement { packet_type });
        }
        let mut reason_codes = Vec::with_capacity(reader.rest().len());
        while !reader.is_empty() {
            let code = reader.reason_code(Sender::Server)?;
            if version != ProtocolVersion::V5 && code as u8 > ReasonCode::UnspecifiedError as u8 {
                let sender = Sender::Server;
                return Err(DecodeError::ReasonCodeNotAllowed { packet_type, value: code as u8, sender });
            }
            reason_codes.push(code);
        }
        Ok(Self { packet_identifier, properties, reason_codes })
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, detail: Detail, sink: &mut S) {
        if self.reason_codes.is_empty() {
            sink.refuse(EncodeError::Empty { packet_type: PacketType::SubAck });
        }
        sink.u16(self.packet_identifier.get());
        if version == ProtocolVersion::V5 {
            sink.properties(&self.properties, detail);
        }
        for code in &self.reason_codes {
            match version {
                ProtocolVersion::V5 => sink.u8(*code as u8),
                _ if code.is_error() => sink.u8(ReasonCode::UnspecifiedError as u8),
                _ => sink.u8(*code as u8),
            }
        }
    }
}
