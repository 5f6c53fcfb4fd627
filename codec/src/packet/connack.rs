//! CONNACK.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;

use crate::{
    ConnectReturnCode, DecodeError, EncodeError, PropertyIdentifier, ProtocolVersion, QoS, ReasonCode,
    Sender,
    property::PropertyReader,
    read::Reader,
    write::{Detail, Properties, Sink},
};

/// The answer to a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server has a session for the client. Written only with [`ReasonCode::Success`] [MQTT-3.2.2-6], and
    /// not in 3.1, which does not have it.
    pub session_present: bool,
    /// The answer. Before 5.0 it travels as the [`ConnectReturnCode`] that says most of it, and cannot be encoded where
    /// none does.
    pub reason_code: ReasonCode,
    /// 5.0.
    pub properties: ConnAckProperties,
}

/// Properties of a CONNACK (5.0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnAckProperties {
    /// Seconds that the session will outlive the network connection, where it is not what the client asked for.
    pub session_expiry_interval: Option<u32>,
    /// How many QoS 1 and 2 publishes the server takes unacknowledged.
    pub receive_maximum: Option<NonZeroU16>,
    /// Highest QoS that the server supports: 0 or 1; absent for 2.
    pub maximum_qos: Option<QoS>,
    /// Whether the server supports retained messages.
    pub retain_available: Option<bool>,
    /// Largest packet that the server takes, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Client identifier given by the server.
    pub assigned_client_identifier: Option<String>,
    /// Highest topic alias that the server takes.
    pub topic_alias_maximum: Option<u16>,
    /// A reason for humans.
    pub reason_string: Option<String>,
    /// In order of arrival.
    pub user_properties: Vec<(String, String)>,
    /// Whether the server supports wildcard subscriptions.
    pub wildcard_subscription_available: Option<bool>,
    /// Whether the server supports subscription identifiers.
    pub subscription_identifiers_available: Option<bool>,
    /// Whether the server supports shared subscriptions.
    pub shared_subscription_available: Option<bool>,
    /// Keep alive in seconds to use instead of that of CONNECT.
    pub server_keep_alive: Option<u16>,
    /// Basis of the client's response topics.
    pub response_information: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// Name of the extended authentication.
    pub authentication_method: Option<String>,
    /// Data that the method defines.
    pub authentication_data: Option<Bytes>,
}

impl ConnAck {
    /// A CONNACK without properties that refuses or begins a session.
    pub fn new(reason_code: ReasonCode) -> Self {
        Self { session_present: false, reason_code, properties: ConnAckProperties::default() }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        // 3.1 does not use this byte.
        if version != ProtocolVersion::V31 && flags > 1 {
            return Err(DecodeError::ConnAckFlags { flags });
        }
        let session_present = version != ProtocolVersion::V31 && flags == 1;
        let reason_code = match version {
            ProtocolVersion::V5 => reader.reason_code(Sender::Server)?,
            _ => decode_return_code(reader)?,
        };
        if session_present && reason_code != ReasonCode::Success {
            return Err(DecodeError::SessionPresentWithError);
        }
        let properties = match version {
            ProtocolVersion::V5 => ConnAckProperties::decode(reader.properties()?)?,
            _ => ConnAckProperties::default(),
        };
        Ok(Self { session_present, reason_code, properties })
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, detail: Detail, sink: &mut S) {
        let may_be_present = version != ProtocolVersion::V31 && self.reason_code == ReasonCode::Success;
        sink.u8((self.session_present && may_be_present).into());
        if version == ProtocolVersion::V5 {
            sink.u8(self.reason_code as u8);
            sink.properties(&self.properties, detail);
        } else {
            match ConnectReturnCode::from_reason(self.reason_code) {
                Some(code) => sink.u8(code as u8),
                None => sink.refuse(EncodeError::NoReturnCode { reason_code: self.reason_code }),
            }
        }
    }
}

fn decode_return_code(reader: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    let value = reader.u8()?;
    match ConnectReturnCode::from_byte(value) {
        Some(code) => Ok(code.into()),
        None => {
            let packet_type = reader.packet_type();
            Err(DecodeError::ReasonCodeNotAllowed { packet_type, value, sender: Sender::Server })
        }
    }
}

impl ConnAckProperties {
    fn decode(mut properties: PropertyReader<'_, '_>) -> Result<Self, DecodeError> {
        use PropertyIdentifier as P;
        let mut out = Self::default();
        while let Some(property) = properties.next()? {
            match property {
                P::SessionExpiryInterval => out.session_expiry_interval = Some(properties.values.u32()?),
                P::ReceiveMaximum => out.receive_maximum = Some(properties.nonzero_u16(property)?),
                P::MaximumQoS => {
                    // 2 is what holds without the property, so it is not a legal value.
                    let at_least_once = properties.boolean(property)?;
                    out.maximum_qos = Some(if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce });
                }
                P::RetainAvailable => out.retain_available = Some(properties.boolean(property)?),
                P::MaximumPacketSize => out.maximum_packet_size = Some(properties.nonzero_u32(property)?),
                P::AssignedClientIdentifier => out.assigned_client_identifier = Some(properties.string()?),
                P::TopicAliasMaximum => out.topic_alias_maximum = Some(properties.values.u16()?),
                P::ReasonString => out.reason_string = Some(properties.string()?),
                P::UserProperty => out.user_properties.push(properties.owned_user_property()?),
                P::WildcardSubscriptionAvailable => {
                    out.wildcard_subscription_available = Some(properties.boolean(property)?);
                }
                P::SubscriptionIdentifiersAvailable => {
                    out.subscription_identifiers_available = Some(properties.boolean(property)?);
                }
                P::SharedSubscriptionAvailable => {
                    out.shared_subscription_available = Some(properties.boolean(property)?);
                }
                P::ServerKeepAlive => out.server_keep_alive = Some(properties.values.u16()?),
                P::ResponseInformation => out.response_information = Some(properties.string()?),
                P::ServerReference => out.server_reference = Some(properties.string()?),
                P::AuthenticationMethod => out.authentication_method = Some(properties.string()?),
                P::AuthenticationData => out.authentication_data = Some(properties.binary()?),
                other => return properties.not_allowed(other),
            }
        }
        Ok(out)
    }
}

impl Properties for ConnAckProperties {
    fn write<S: Sink>(&self, detail: Detail, sink: &mut S) {
        use PropertyIdentifier as P;
        sink.u32_property(P::SessionExpiryInterval, self.session_expiry_interval);
        sink.u16_property(P::ReceiveMaximum, self.receive_maximum.map(NonZeroU16::get));
        // QoS 2 is said by leaving the property out.
        let maximum_qos = self.maximum_qos.filter(|qos| *qos < QoS::ExactlyOnce);
        sink.u8_property(P::MaximumQoS, maximum_qos.map(u8::from));
        sink.boolean_property(P::RetainAvailable, self.retain_available);
        sink.u32_property(P::MaximumPacketSize, self.maximum_packet_size.map(NonZeroU32::get));
        sink.text_property(P::AssignedClientIdentifier, self.assigned_client_identifier.as_deref());
        sink.u16_property(P::TopicAliasMaximum, self.topic_alias_maximum);
        sink.boolean_property(P::WildcardSubscriptionAvailable, self.wildcard_subscription_available);
        sink.boolean_property(P::SubscriptionIdentifiersAvailable, self.subscription_identifiers_available);
        sink.boolean_property(P::SharedSubscriptionAvailable, self.shared_subscription_available);
        sink.u16_property(P::ServerKeepAlive, self.server_keep_alive);
        sink.text_property(P::ResponseInformation, self.response_information.as_deref());
        sink.text_property(P::ServerReference, self.server_reference.as_deref());
        sink.text_property(P::AuthenticationMethod, self.authentication_method.as_deref());
        sink.binary_property(P::AuthenticationData, self.authentication_data.as_ref());
        sink.problem(self.reason_string.as_deref(), &self.user_properties, detail);
    }
}
