//! DISCONNECT.

use crate::{
    DecodeError, PacketType, PropertyIdentifier, ProtocolVersion, ReasonCode, Sender,
    read::Reader,
    write::{Detail, Properties, Sink, properties_bytes},
};

/// The announced end of a network connection. Before 5.0 it has no contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub reason_code: ReasonCode,
    /// 5.0.
    pub properties: DisconnectProperties,
}

/// Properties of a DISCONNECT (5.0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisconnectProperties {
    /// Seconds that the session is kept; only from a client [MQTT-3.14.2-2].
    pub session_expiry_interval: Option<u32>,
    /// A reason for humans.
    pub reason_string: Option<String>,
    /// Another server to use; only from a server.
    pub server_reference: Option<String>,
    /// In order of arrival.
    pub user_properties: Vec<(String, String)>,
}

impl Disconnect {
    /// A DISCONNECT without properties.
    pub fn new(reason_code: ReasonCode) -> Self {
        Self { reason_code, properties: DisconnectProperties::default() }
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        let mut disconnect = Self::new(ReasonCode::Success);
        if version != ProtocolVersion::V5 || reader.is_empty() {
            return Ok(disconnect);
        }
        disconnect.reason_code = reader.reason_code(sender)?;
        if reader.is_empty() {
            return Ok(disconnect);
        }
        let mut properties = reader.properties()?;
        let wrong_sender = |property| {
            let packet_type = PacketType::Disconnect;
            Err(DecodeError::PropertyFromWrongSender { property, packet_type, sender })
        };
        let out = &mut disconnect.properties;
        while let Some(property) = properties.next()? {
            match property {
                PropertyIdentifier::SessionExpiryInterval if sender == Sender::Server => {
                    return wrong_sender(property);
                }
                PropertyIdentifier::ServerReference if sender == Sender::Client => {
                    return wrong_sender(property);
                }
                PropertyIdentifier::SessionExpiryInterval => {
                    out.session_expiry_interval = Some(properties.values.u32()?);
                }
                PropertyIdentifier::ReasonString => out.reason_string = Some(properties.string()?),
                PropertyIdentifier::ServerReference => out.server_reference = Some(properties.string()?),
                PropertyIdentifier::UserProperty => {
                    out.user_properties.push(properties.owned_user_property()?);
                }
                other => return properties.not_allowed(other),
            }
        }
        Ok(disconnect)
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, detail: Detail, sink: &mut S) {
        if version != ProtocolVersion::V5 {
            return;
        }
        // A reason code without a property length is legal too, but there are clients that wait for more behind it.
        if properties_bytes(&self.properties, detail) > 0 || self.reason_code != ReasonCode::Success {
            sink.u8(self.reason_code as u8);
            sink.properties(&self.properties, detail);
        }
    }
}

impl Properties for DisconnectProperties {
    fn write<S: Sink>(&self, detail: Detail, sink: &mut S) {
        sink.u32_property(PropertyIdentifier::SessionExpiryInterval, self.session_expiry_interval);
        sink.text_property(PropertyIdentifier::ServerReference, self.server_reference.as_deref());
        sink.problem(self.reason_string.as_deref(), &self.user_properties, detail);
    }
}
