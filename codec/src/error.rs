//! Why bytes are not a packet, and why a packet cannot become bytes.

use crate::{PacketType, PropertyIdentifier, ProtocolVersion, ReasonCode, Sender, TopicError};

/// Why bytes are not a control packet. The connection they came over is to be closed; in 5.0 a CONNACK or
/// DISCONNECT with [`reason_code`](Self::reason_code) may say why.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet is larger than the receiver allows.
    #[error("packet of {bytes} bytes exceeds the maximum packet size of {limit} [MQTT-3.1.2-24]")]
    PacketTooLarge {
        /// Size of the whole packet.
        bytes: u32,
        /// [`Limits::maximum_packet_size`](crate::Limits::maximum_packet_size).
        limit: u32,
    },
    /// The packet type is 0, or 15 before 5.0.
    #[error("packet type {value} is reserved (section 2.1.2)")]
    ReservedPacketType {
        /// The upper four bits of the first byte.
        value: u8,
    },
    /// The lower four bits of the first byte are not what this packet type demands.
    #[error("fixed header flags {flags:#06b} are reserved for {packet_type} [MQTT-2.1.3-1]")]
    FixedHeaderFlags {
        /// The packet.
        packet_type: PacketType,
        /// The lower four bits of the first byte.
        flags: u8,
    },
    /// This sender does not send this packet in this version.
    #[error("{packet_type} is not sent by a {sender} (section 2.1.2)")]
    WrongDirection {
        /// The packet.
        packet_type: PacketType,
        /// Who sent it.
        sender: Sender,
    },
    /// A packet arrived before CONNECT told the protocol version.
    #[error("{packet_type} arrived before the protocol version is known [MQTT-3.1.0-1]")]
    VersionUnknown {
        /// The packet.
        packet_type: PacketType,
    },
    /// A variable byte integer does not end after four bytes.
    #[error("variable byte integer is longer than four bytes (section 1.5.5)")]
    VariableByteIntegerTooLong,
    /// A variable byte integer takes more bytes than its value needs.
    #[error("variable byte integer takes more bytes than needed [MQTT-1.5.5-1]")]
    VariableByteIntegerNotMinimal,
    /// The packet ends inside a field.
    #[error("{packet_type} ends inside a field (section 2.1.4)")]
    Truncated {
        /// The packet.
        packet_type: PacketType,
    },
    /// Bytes follow the last field.
    #[error("{packet_type} has {bytes} bytes behind its last field (section 2.1.4)")]
    TrailingBytes {
        /// The packet.
        packet_type: PacketType,
        /// How many.
        bytes: u32,
    },
    /// A string is not UTF-8, or encodes a surrogate.
    #[error("string is not well-formed UTF-8 [MQTT-1.5.4-1]")]
    InvalidUtf8,
    /// A string holds U+0000.
    #[error("string holds the character U+0000 [MQTT-1.5.4-2]")]
    NulCharacter,
    /// A string holds a control character or a non-character, which the caller did not allow.
    #[error("string holds the disallowed character U+{code:04X} (section 1.5.4)")]
    DisallowedCharacter {
        /// The code point.
        code: u32,
    },
    /// A string is longer than the caller allows.
    #[error("string of {bytes} bytes exceeds the limit of {limit}")]
    StringTooLong {
        /// Its length.
        bytes: u16,
        /// [`Limits::string_bytes_max`](crate::Limits::string_bytes_max).
        limit: u16,
    },
    /// A packet identifier is 0.
    #[error("packet identifier is 0 [MQTT-2.2.1-3]")]
    ZeroPacketIdentifier,
    /// A QoS is 3.
    #[error("QoS {value} does not exist [MQTT-3.3.1-4]")]
    InvalidQoS {
        /// The two bits.
        value: u8,
    },
    /// A PUBLISH of QoS 0 claims to be a duplicate.
    #[error("DUP is set on a PUBLISH of QoS 0 [MQTT-3.3.1-2]")]
    DupWithQoS0,
    /// The topic name of a PUBLISH or will is invalid.
    #[error("topic name: {0}")]
    TopicName(TopicError),
    /// A response topic is invalid.
    #[error("response topic: {0} [MQTT-3.3.2-14]")]
    ResponseTopic(TopicError),
    /// A topic filter is invalid.
    #[error("topic filter: {0}")]
    TopicFilter(TopicError),
    /// A PUBLISH of 5.0 has neither a topic name nor a topic alias.
    #[error("empty topic name without a topic alias (section 3.3.2.1)")]
    NoTopic,
    /// A property identifier is not defined.
    #[error("property identifier {value:#04x} does not exist (section 2.2.2.2)")]
    UnknownProperty {
        /// The property identifier.
        value: u32,
    },
    /// A property does not belong into this packet.
    #[error("{property} does not belong into {packet_type} (section 2.2.2.2)")]
    PropertyNotAllowed {
        /// The property.
        property: PropertyIdentifier,
        /// The packet.
        packet_type: PacketType,
    },
    /// A property may not be sent by this sender.
    #[error("{property} is not sent in {packet_type} by a {sender} (section 3.14.2.2) [MQTT-3.14.2-2]")]
    PropertyFromWrongSender {
        /// The property.
        property: PropertyIdentifier,
        /// The packet.
        packet_type: PacketType,
        /// Who sent it.
        sender: Sender,
    },
    /// A property that may stand once stands twice.
    #[error("{property} stands more than once (section 2.2.2.2)")]
    DuplicateProperty {
        /// The property.
        property: PropertyIdentifier,
    },
    /// The value of a property is out of its range.
    #[error("{property} has the illegal value {value} (section 2.2.2.2)")]
    PropertyValue {
        /// The property.
        property: PropertyIdentifier,
        /// The value.
        value: u32,
    },
    /// A client sent a PUBLISH with a subscription identifier.
    #[error("subscription identifier in a PUBLISH from a client [MQTT-3.3.4-6]")]
    SubscriptionIdentifierFromClient,
    /// There are more user properties than the caller allows.
    #[error("more than {limit} user properties")]
    TooManyProperties {
        /// [`Limits::properties_max`](crate::Limits::properties_max).
        limit: u16,
    },
    /// There are more topic filters than the caller allows.
    #[error("more than {limit} topic filters")]
    TooManyFilters {
        /// [`Limits::filters_max`](crate::Limits::filters_max).
        limit: u16,
    },
    /// The byte is no reason code, or none that this sender may use in this packet.
    #[error("reason code {value:#04x} is not one that a {sender} sends in {packet_type} (section 2.4)")]
    ReasonCodeNotAllowed {
        /// The packet.
        packet_type: PacketType,
        /// The byte.
        value: u8,
        /// Who sent it.
        sender: Sender,
    },
    /// The protocol name of CONNECT is neither `MQTT` nor `MQIsdp`.
    #[error("protocol name is neither MQTT nor MQIsdp [MQTT-3.1.2-1]")]
    ProtocolName,
    /// The protocol level of CONNECT does not exist, or not with that name. A server answers with return
    /// code 1 or reason code 0x84.
    #[error("protocol level {level:#04x} is not supported [MQTT-3.1.2-2]")]
    UnsupportedProtocolLevel {
        /// The byte as sent, with a bridge bit.
        level: u8,
    },
    /// The lowest connect flag is set.
    #[error("reserved connect flag is set [MQTT-3.1.2-3]")]
    ReservedConnectFlag,
    /// Will QoS or will retain are set without a will, or will QoS is 3.
    #[error(
        "connect flags {flags:#010b} contradict themselves on the will [MQTT-3.1.2-11] to [MQTT-3.1.2-15]"
    )]
    WillFlags {
        /// The connect flags.
        flags: u8,
    },
    /// A CONNECT before 5.0 has a password and no user name.
    #[error("password without a user name (3.1.1 [MQTT-3.1.2-22])")]
    PasswordWithoutUserName,
    /// Authentication data without authentication method.
    #[error("authentication data without an authentication method (section 3.1.2.11.10)")]
    AuthenticationDataWithoutMethod,
    /// An AUTH has no authentication method.
    #[error("AUTH without an authentication method (section 3.15.2.2.2)")]
    AuthenticationMethodMissing,
    /// A reserved CONNACK flag is set.
    #[error("connect acknowledge flags {flags:#010b} are reserved [MQTT-3.2.2-1]")]
    ConnAckFlags {
        /// The byte.
        flags: u8,
    },
    /// A CONNACK refuses the connection and claims that a session is present.
    #[error("session present in a CONNACK that refuses [MQTT-3.2.2-6]")]
    SessionPresentWithError,
    /// A SUBSCRIBE has no topic filter.
    #[error("SUBSCRIBE without a topic filter [MQTT-3.8.3-2]")]
    EmptySubscribe,
    /// An UNSUBSCRIBE has no topic filter.
    #[error("UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]")]
    EmptyUnsubscribe,
    /// A SUBACK or an UNSUBACK of 5.0 has no reason code.
    #[error("{packet_type} without a reason code [MQTT-3.8.4-6] [MQTT-3.11.3-1]")]
    EmptyAcknowledgement {
        /// The packet.
        packet_type: PacketType,
    },
    /// Reserved bits of subscription options are set; before 5.0 all but the QoS.
    #[error("subscription options {bits:#010b} set reserved bits [MQTT-3.8.3-5]")]
    ReservedSubscriptionOptions {
        /// The byte.
        bits: u8,
    },
    /// QoS or retain handling of a subscription is 3.
    #[error("subscription options {bits:#010b} have QoS 3 or retain handling 3 (section 3.8.3.1)")]
    SubscriptionOptionsValue {
        /// The byte.
        bits: u8,
    },
    /// No local on a shared subscription.
    #[error("no local on a shared subscription [MQTT-3.8.3-4]")]
    NoLocalOnSharedSubscription,
}

impl DecodeError {
    /// The reason code with which 5.0 answers.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::StringTooLong { .. } | Self::TooManyProperties { .. } | Self::TooManyFilters { .. } => {
                ReasonCode::QuotaExceeded
            }
            Self::TopicName(_) | Self::ResponseTopic(_) => ReasonCode::TopicNameInvalid,
            Self::TopicFilter(_) => ReasonCode::TopicFilterInvalid,
            Self::UnsupportedProtocolLevel { .. } => ReasonCode::UnsupportedProtocolVersion,
            Self::PropertyValue { property: PropertyIdentifier::TopicAlias, .. } => {
                ReasonCode::TopicAliasInvalid
            }
            Self::WrongDirection { .. }
            | Self::VersionUnknown { .. }
            | Self::NoTopic
            | Self::PropertyFromWrongSender { .. }
            | Self::DuplicateProperty { .. }
            | Self::PropertyValue { .. }
            | Self::SubscriptionIdentifierFromClient
            | Self::ReasonCodeNotAllowed { .. }
            | Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing
            | Self::SessionPresentWithError
            | Self::EmptySubscribe
            | Self::EmptyUnsubscribe
            | Self::EmptyAcknowledgement { .. }
            | Self::SubscriptionOptionsValue { .. }
            | Self::NoLocalOnSharedSubscription => ReasonCode::ProtocolError,
            Self::ReservedPacketType { .. }
            | Self::FixedHeaderFlags { .. }
            | Self::VariableByteIntegerTooLong
            | Self::VariableByteIntegerNotMinimal
            | Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::InvalidUtf8
            | Self::NulCharacter
            | Self::DisallowedCharacter { .. }
            | Self::ZeroPacketIdentifier
            | Self::InvalidQoS { .. }
            | Self::DupWithQoS0
            | Self::UnknownProperty { .. }
            | Self::PropertyNotAllowed { .. }
            | Self::ProtocolName
            | Self::ReservedConnectFlag
            | Self::WillFlags { .. }
            | Self::PasswordWithoutUserName
            | Self::ConnAckFlags { .. }
            | Self::ReservedSubscriptionOptions { .. } => ReasonCode::MalformedPacket,
        }
    }
}

impl From<crate::InvalidQoS> for DecodeError {
    fn from(error: crate::InvalidQoS) -> Self {
        Self::InvalidQoS { value: error.0 }
    }
}

/// Why a packet cannot be encoded. Nothing was written.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The packet is larger than the receiver allows, even without what may be left out.
    #[error("packet of {bytes} bytes exceeds the maximum packet size of {limit} [MQTT-3.1.2-24]")]
    PacketTooLarge {
        /// Size of the whole packet at its smallest.
        bytes: usize,
        /// The limit given.
        limit: u32,
    },
    /// A string or binary field is longer than its two length bytes can say.
    #[error("field of {bytes} bytes exceeds 65535 (section 1.5.4)")]
    FieldTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A string holds U+0000.
    #[error("string holds the character U+0000 [MQTT-1.5.4-2]")]
    NulCharacter,
    /// The packet type does not exist in this version.
    #[error("{packet_type} does not exist in MQTT {version}")]
    NotInVersion {
        /// The packet.
        packet_type: PacketType,
        /// The version.
        version: ProtocolVersion,
    },
    /// The protocol version of the connection is not known yet.
    #[error("{packet_type} cannot be encoded before the protocol version is known")]
    VersionUnknown {
        /// The packet.
        packet_type: PacketType,
    },
    /// The topic name or response topic of a PUBLISH is invalid.
    #[error("topic name: {0}")]
    TopicName(TopicError),
    /// A PUBLISH of QoS 1 or 2 has no packet identifier.
    #[error("PUBLISH of QoS {qos} without a packet identifier [MQTT-2.2.1-4]")]
    PacketIdentifierMissing {
        /// Its QoS.
        qos: u8,
    },
    /// A subscription identifier is 0 or above 268435455.
    #[error("subscription identifier {value} is not within 1 to 268435455 (section 3.8.2.1.2)")]
    SubscriptionIdentifier {
        /// The value.
        value: u32,
    },
    /// SUBSCRIBE or UNSUBSCRIBE without a topic filter, SUBACK or UNSUBACK without a reason code.
    #[error("{packet_type} without content [MQTT-3.8.3-2] [MQTT-3.10.3-2]")]
    Empty {
        /// The packet.
        packet_type: PacketType,
    },
    /// A CONNECT before 5.0 has a password and no user name.
    #[error("password without a user name (3.1.1 [MQTT-3.1.2-22])")]
    PasswordWithoutUserName,
    /// A CONNACK before 5.0 refuses for a reason that no return code describes: it is not to be sent.
    #[error("no return code describes {reason_code:?} (3.1.1 [MQTT-3.2.2-6])")]
    NoReturnCode {
        /// The reason.
        reason_code: ReasonCode,
    },
}

/// What goes wrong in [`MqttCodec`](crate::MqttCodec).
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The peer sent what is not a packet.
    #[error("received bytes are not a packet")]
    Decode(#[from] DecodeError),
    /// The packet cannot be sent.
    #[error("packet cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The transport failed.
    #[error("transport failed")]
    Io(#[from] std::io::Error),
}
