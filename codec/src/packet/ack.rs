//! PUBACK, PUBREC, PUBREL and PUBCOMP, which look alike.

use crate::{
    DecodeError, PacketIdentifier, PacketType, PropertyIdentifier, ProtocolVersion, ReasonCode, Sender,
    property::PropertyReader,
    read::Reader,
    write::{Detail, Properties, Sink, properties_bytes},
};

/// The contents of PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// That of the PUBLISH.
    pub packet_identifier: PacketIdentifier,
    /// What became of it; before 5.0 always [`ReasonCode::Success`].
    pub reason_code: ReasonCode,
    /// `None` when there are none, as is usual.
    pub properties: Option<Box<AckProperties>>,
}

/// Properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK (5.0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckProperties {
    /// A reason for humans.
    pub reason_string: Option<String>,
    /// In order of arrival.
    pub user_properties: Vec<(String, String)>,
}

impl Ack {
    /// An acknowledgement without properties.
    pub const fn new(packet_identifier: PacketIdentifier, reason_code: ReasonCode) -> Self {
        Self { packet_identifier, reason_code, properties: None }
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        let mut ack = Self::new(reader.packet_identifier()?, ReasonCode::Success);
        // 5.0 may leave out the properties, and the reason code if it is Success.
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            ack.reason_code = reader.reason_code(sender)?;
            if !reader.is_empty() {
                ack.properties = AckProperties::decode(reader.properties()?)?;
            }
        }
        Ok(ack)
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, detail: Detail, sink: &mut S) {
        sink.u16(self.packet_identifier.get());
        if version != ProtocolVersion::V5 {
            return;
        }
        let has_properties = properties_bytes(&self.properties, detail) > 0;
        if has_properties || self.reason_code != ReasonCode::Success {
            sink.u8(self.reason_code as u8);
        }
        if has_properties {
            sink.properties(&self.properties, detail);
        }
    }
}

impl AckProperties {
    /// Reads them; `None` when there are none.
    pub(crate) fn decode(mut reader: PropertyReader<'_, '_>) -> Result<Option<Box<Self>>, DecodeError> {
        let mut properties: Option<Box<Self>> = None;
        while let Some(property) = reader.next()? {
            let properties = properties.get_or_insert_default();
            match property {
                PropertyIdentifier::ReasonString => properties.reason_string = Some(reader.string()?),
                PropertyIdentifier::UserProperty => {
                    properties.user_properties.push(reader.owned_user_property()?);
                }
                other => return reader.not_allowed(other),
            }
        }
        Ok(properties)
    }
}

impl Properties for Option<Box<AckProperties>> {
    fn write<S: Sink>(&self, detail: Detail, sink: &mut S) {
        if let Some(properties) = self {
            sink.problem(properties.reason_string.as_deref(), &properties.user_properties, detail);
        }
    }
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties to `out`.
///
/// Before 5.0 the reason code is not written; in 5.0 [`ReasonCode::Success`] is left out, which is shorter.
pub fn encode_ack(
    packet_type: PacketType,
    version: ProtocolVersion,
    packet_identifier: PacketIdentifier,
    reason_code: ReasonCode,
    out: &mut Vec<u8>,
) {
    debug_assert!(matches!(
        packet_type,
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp
    ));
    let first = (packet_type as u8) << 4 | packet_type.reserved_flags();
    let [high, low] = packet_identifier.get().to_be_bytes();
    if version == ProtocolVersion::V5 && reason_code != ReasonCode::Success {
        out.extend_from_slice(&[first, 3, high, low, reason_code as u8]);
    } else {
        out.extend_from_slice(&[first, 2, high, low]);
    }
}
