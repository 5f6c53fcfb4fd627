//! CONNECT.

use std::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
};

use bytes::Bytes;

use super::Will;
use crate::{
    DecodeError, EncodeError, PropertyIdentifier, ProtocolVersion, QoS,
    property::PropertyReader,
    read::Reader,
    write::{Detail, Properties, Sink},
};

/// Set in the protocol level by bridges.
const BRIDGE: u8 = 0x80;

/// The connect flags.
mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN_START: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS: u8 = 0x18;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USER_NAME: u8 = 0x80;
}

/// A connection request. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The protocol version, from protocol name and level.
    pub version: ProtocolVersion,
    /// Whether the client is a bridge: the protocol level has 0x80 set, as mosquitto does in 3.1 and 3.1.1.
    pub bridge: bool,
    /// Whether the session starts empty; before 5.0 the clean session flag, which ends the session with the network
    /// connection as well.
    pub clean_start: bool,
    /// Keep alive in seconds, 0 for none.
    pub keep_alive: u16,
    /// May be empty: whether that is acceptable is for the server to say [MQTT-3.1.3-6].
    pub client_identifier: String,
    /// The user name.
    pub user_name: Option<String>,
    /// The password.
    pub password: Option<Bytes>,
    /// The will message.
    pub will: Option<Will>,
    /// 5.0.
    pub properties: ConnectProperties,
}

/// Properties of a CONNECT (5.0). `Debug` hides the authentication data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectProperties {
    /// Seconds that the session outlives the network connection; 0xFFFFFFFF for ever.
    pub session_expiry_interval: Option<u32>,
    /// How many QoS 1 and 2 publishes the client takes unacknowledged.
    pub receive_maximum: Option<NonZeroU16>,
    /// Largest packet that the client takes, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Highest topic alias that the client takes.
    pub topic_alias_maximum: Option<u16>,
    /// Whether the client wants response information.
    pub request_response_information: Option<bool>,
    /// Whether the client wants reason strings and user properties.
    pub request_problem_information: Option<bool>,
    /// In order of arrival.
    pub user_properties: Vec<(String, String)>,
    /// Name of the extended authentication.
    pub authentication_method: Option<String>,
    /// Data that the method defines.
    pub authentication_data: Option<Bytes>,
}

/// Shows that a secret is there, and not the secret.
pub(super) struct Hidden<'a>(pub(super) Option<&'a Bytes>);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(secret) => write!(f, "Some(<{} bytes>)", secret.len()),
            None => f.write_str("None"),
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("bridge", &self.bridge)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_identifier", &self.client_identifier)
            .field("user_name", &self.user_name)
            .field("password", &Hidden(self.password.as_ref()))
            .field("will", &self.will)
            .field("properties", &self.properties)
            .finish()
    }
}

impl fmt::Debug for ConnectProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_interval", &self.session_expiry_interval)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_response_information", &self.request_response_information)
            .field("request_problem_information", &self.request_problem_information)
            .field("user_properties", &self.user_properties)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &Hidden(self.authentication_data.as_ref()))
            .finish()
    }
}

impl Connect {
    /// A CONNECT with a clean start, without keep alive, will, user name and properties.
    pub fn new(version: ProtocolVersion, client_identifier: &str) -> Self {
        Self {
            version,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_identifier: client_identifier.to_owned(),
            user_name: None,
            password: None,
            will: None,
            properties: ConnectProperties::default(),
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (version, bridge) = decode_version(reader)?;
        let flags = reader.u8()?;
        judge_flags(flags, version)?;
        let mut connect = Self {
            version,
            bridge,
            clean_start: flags & flag::CLEAN_START != 0,
            keep_alive: reader.u16()?,
            client_identifier: String::new(),
            user_name: None,
            password: None,
            will: None,
            properties: match version {
                ProtocolVersion::V5 => ConnectProperties::decode(reader.properties()?)?,
                _ => ConnectProperties::default(),
            },
        };
        connect.client_identifier = reader.text()?.to_owned();
        if flags & flag::WILL != 0 {
            let qos = QoS::try_from((flags & flag::WILL_QOS) >> 3)?;
            connect.will = Some(Will::decode(reader, version, qos, flags & flag::WILL_RETAIN != 0)?);
        }
        // 3.1 lets a payload end before the user name and password that its flags announce.
        let is_announced = |flag, reader: &Reader<'_>| {
            flags & flag != 0 && !(version == ProtocolVersion::V31 && reader.is_empty())
        };
        if is_announced(flag::USER_NAME, reader) {
            connect.user_name = Some(reader.text()?.to_owned());
        }
        if is_announced(flag::PASSWORD, reader) {
            connect.password = Some(Bytes::copy_from_slice(reader.binary()?));
        }
        Ok(connect)
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        let mut set = |condition, bits| {
            if condition {
                flags |= bits;
            }
        };
        set(self.clean_start, flag::CLEAN_START);
        if let Some(will) = &self.will {
            set(true, flag::WILL | (will.qos as u8) << 3);
            set(will.retain, flag::WILL_RETAIN);
        }
        set(self.password.is_some(), flag::PASSWORD);
        set(self.user_name.is_some(), flag::USER_NAME);
        flags
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        let is_5 = self.version == ProtocolVersion::V5;
        if !is_5 && self.password.is_some() && self.user_name.is_none() {
            sink.refuse(EncodeError::PasswordWithoutUserName);
        }
        sink.text(self.version.name());
        sink.u8(self.version.level() | if self.bridge && !is_5 { BRIDGE } else { 0 });
        sink.u8(self.flags());
        sink.u16(self.keep_alive);
        if is_5 {
            sink.properties(&self.properties, Detail::Full);
        }
        sink.text(&self.client_identifier);
        if let Some(will) = &self.will {
            will.write(self.version, sink);
        }
        if let Some(user_name) = &self.user_name {
            sink.text(user_name);
        }
        if let Some(password) = &self.password {
            sink.binary(password);
        }
    }
}

/// Protocol name and level, and whether the level has the bridge bit.
fn decode_version(reader: &mut Reader<'_>) -> Result<(ProtocolVersion, bool), DecodeError> {
    let name = reader.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(DecodeError::ProtocolName);
    }
    let level = reader.u8()?;
    match ProtocolVersion::from_level(level & !BRIDGE) {
        Some(version)
            if version.name().as_bytes() == name
                && (version != ProtocolVersion::V5 || level & BRIDGE == 0) =>
        {
            Ok((version, level & BRIDGE != 0))
        }
        _ => Err(DecodeError::UnsupportedProtocolLevel { level }),
    }
}

/// Judges the connect flags. 3.1 leaves open what the reserved flag and the flags of an absent will hold.
fn judge_flags(flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
    let is_31 = version == ProtocolVersion::V31;
    if flags & flag::RESERVED != 0 && !is_31 {
        return Err(DecodeError::ReservedConnectFlag);
    }
    let has_will = flags & flag::WILL != 0;
    let has_will_details = flags & (flag::WILL_QOS | flag::WILL_RETAIN) != 0;
    let is_qos_3 = flags & flag::WILL_QOS == flag::WILL_QOS;
    if (!has_will && has_will_details && !is_31) || (has_will && is_qos_3) {
        return Err(DecodeError::WillFlags { flags });
    }
    let has_lone_password = flags & (flag::USER_NAME | flag::PASSWORD) == flag::PASSWORD;
    if has_lone_password && version != ProtocolVersion::V5 {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}

impl ConnectProperties {
    fn decode(mut properties: PropertyReader<'_, '_>) -> Result<Self, DecodeError> {
        use PropertyIdentifier as P;
        let mut out = Self::default();
        while let Some(property) = properties.next()? {
            match property {
                P::SessionExpiryInterval => out.session_expiry_interval = Some(properties.values.u32()?),
                P::ReceiveMaximum => out.receive_maximum = Some(properties.nonzero_u16(property)?),
                P::MaximumPacketSize => out.maximum_packet_size = Some(properties.nonzero_u32(property)?),
                P::TopicAliasMaximum => out.topic_alias_maximum = Some(properties.values.u16()?),
                P::RequestResponseInformation => {
                    out.request_response_information = Some(properties.boolean(property)?);
                }
                P::RequestProblemInformation => {
                    out.request_problem_information = Some(properties.boolean(property)?);
                }
                P::UserProperty => out.user_properties.push(properties.owned_user_property()?),
                P::AuthenticationMethod => out.authentication_method = Some(properties.string()?),
                P::AuthenticationData => out.authentication_data = Some(properties.binary()?),
                other => return properties.not_allowed(other),
            }
        }
        if out.authentication_data.is_some() && out.authentication_method.is_none() {
            return Err(DecodeError::AuthenticationDataWithoutMethod);
        }
        Ok(out)
    }
}

impl Properties for ConnectProperties {
    fn write<S: Sink>(&self, _detail: Detail, sink: &mut S) {
        use PropertyIdentifier as P;
        sink.u32_property(P::SessionExpiryInterval, self.session_expiry_interval);
        sink.u16_property(P::ReceiveMaximum, self.receive_maximum.map(NonZeroU16::get));
        sink.u32_property(P::MaximumPacketSize, self.maximum_packet_size.map(NonZeroU32::get));
        sink.u16_property(P::TopicAliasMaximum, self.topic_alias_maximum);
        sink.boolean_property(P::RequestResponseInformation, self.request_response_information);
        sink.boolean_property(P::RequestProblemInformation, self.request_problem_information);
        sink.text_property(P::AuthenticationMethod, self.authentication_method.as_deref());
        sink.binary_property(P::AuthenticationData, self.authentication_data.as_ref());
        sink.user_properties(&self.user_properties);
    }
}
