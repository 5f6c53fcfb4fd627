//! Reason codes of 5.0 and return codes of 3.x.

use crate::{PacketType, Sender};

/// Generates the enum and `TryFrom<u8>` from one table, so that they cannot disagree.
macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// Why a packet was sent or what became of a request (table 2-6 of the 5.0 standard).
        #[repr(u8)]
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl TryFrom<u8> for ReasonCode {
            type Error = UnknownReasonCode;

            fn try_from(value: u8) -> Result<Self, UnknownReasonCode> {
                match value {
                    $($value => Ok(Self::$name),)*
                    _ => Err(UnknownReasonCode(value)),
                }
            }
        }
    };
}

reason_codes! {
    /// It worked. In DISCONNECT: normal disconnection, in SUBACK: granted QoS 0.
    Success = 0x00,
    /// The subscription is granted with QoS 1 at most.
    GrantedQoS1 = 0x01,
    /// The subscription is granted with QoS 2 at most.
    GrantedQoS2 = 0x02,
    /// The client leaves and wants its will message published all the same.
    DisconnectWithWillMessage = 0x04,
    /// The message is accepted and nobody subscribes to it.
    NoMatchingSubscribers = 0x10,
    /// There was no such subscription to remove.
    NoSubscriptionExisted = 0x11,
    /// The authentication goes on with another step.
    ContinueAuthentication = 0x18,
    /// The client starts a re-authentication.
    ReAuthenticate = 0x19,
    /// The sender does not say why, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet could not be parsed.
    MalformedPacket = 0x81,
    /// The packet is well formed and breaks the protocol.
    ProtocolError = 0x82,
    /// The packet is valid and not accepted by this implementation.
    ImplementationSpecificError = 0x83,
    /// The protocol version is not supported.
    UnsupportedProtocolVersion = 0x84,
    /// The client identifier is not accepted.
    ClientIdentifierNotValid = 0x85,
    /// The user name or password is not accepted.
    BadUserNameOrPassword = 0x86,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The server is not available.
    ServerUnavailable = 0x88,
    /// The server is busy; try again later.
    ServerBusy = 0x89,
    /// The client is banned by the administrator.
    Banned = 0x8A,
    /// The server is shutting down.
    ServerShuttingDown = 0x8B,
    /// The authentication method is not supported, or not the one in use.
    BadAuthenticationMethod = 0x8C,
    /// Nothing was received for one and a half times the keep alive.
    KeepAliveTimeout = 0x8D,
    /// Another connection uses the same client identifier.
    SessionTakenOver = 0x8E,
    /// The topic filter is not accepted.
    TopicFilterInvalid = 0x8F,
    /// The topic name is not accepted.
    TopicNameInvalid = 0x90,
    /// The packet identifier is in use already.
    PacketIdentifierInUse = 0x91,
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92,
    /// More QoS 1 and 2 publishes were sent than the receive maximum allows.
    ReceiveMaximumExceeded = 0x93,
    /// The topic alias is 0, or above the topic alias maximum, or unknown.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than the maximum packet size.
    PacketTooLarge = 0x95,
    /// Messages arrive at too high a rate.
    MessageRateTooHigh = 0x96,
    /// A limit of the implementation or administrator is exceeded.
    QuotaExceeded = 0x97,
    /// The connection is closed by the administrator.
    AdministrativeAction = 0x98,
    /// The payload is not what the payload format indicator says.
    PayloadFormatInvalid = 0x99,
    /// Retained messages are not supported.
    RetainNotSupported = 0x9A,
    /// The QoS is above the maximum QoS.
    QoSNotSupported = 0x9B,
    /// Use another server for a while.
    UseAnotherServer = 0x9C,
    /// Use another server from now on.
    ServerMoved = 0x9D,
    /// Shared subscriptions are not supported.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Connections are opened at too high a rate.
    ConnectionRateExceeded = 0x9F,
    /// The longest time that the server allows for a connection is over.
    MaximumConnectTime = 0xA0,
    /// Subscription identifiers are not supported.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// Wildcard subscriptions are not supported.
    WildcardSubscriptionsNotSupported = 0xA2,
}

/// A byte that is no reason code.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reason code {0:#04x} does not exist")]
pub struct UnknownReasonCode(pub u8);

impl ReasonCode {
    /// Whether it tells of a failure (0x80 and above).
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether 5.0 allows this code in that packet from that sender.
    pub const fn is_legal(self, packet_type: PacketType, sender: Sender) -> bool {
        use ReasonCode::*;
        let from_server = matches!(sender, Sender::Server);
        match packet_type {
            PacketType::ConnAck => {
                matches!(self as u8, 0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
            }
            PacketType::PubAck | PacketType::PubRec => match self {
                NoMatchingSubscribers => from_server,
                _ => matches!(self as u8, 0x00 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99),
            },
            PacketType::PubRel | PacketType::PubComp => matches!(self, Success | PacketIdentifierNotFound),
            PacketType::SubAck => {
                matches!(
                    self as u8,
                    0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
                )
            }
            PacketType::UnsubAck => matches!(self as u8, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91),
            PacketType::Disconnect => match self as u8 {
                0x00 | 0x80..=0x83 | 0x90 | 0x93..=0x99 => true,
                0x04 => !from_server,
                // 0x8C stands in table 2-6 and not in 3.14.2.1: a re-authentication may end so.
                0x87 | 0x89 | 0x8B..=0x8F | 0x9A..=0xA2 => from_server,
                _ => false,
            },
            PacketType::Auth => match self {
                Success => from_server,
                ContinueAuthentication => true,
                ReAuthenticate => !from_server,
                _ => false,
            },
            _ => false,
        }
    }
}

/// The answer to a CONNECT of 3.1 and 3.1.1.
#[repr(u8)]
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConnectReturnCode {
    /// The connection is accepted.
    Accepted = 0,
    /// The protocol level is not supported.
    UnacceptableProtocolVersion = 1,
    /// The client identifier is not accepted.
    IdentifierRejected = 2,
    /// The server is not available.
    ServerUnavailable = 3,
    /// The user name or password is malformed.
    BadUserNameOrPassword = 4,
    /// The client may not connect.
    NotAuthorized = 5,
}

impl ConnectReturnCode {
    /// The return code with this number.
    pub const fn from_byte(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Accepted),
            1 => Some(Self::UnacceptableProtocolVersion),
            2 => Some(Self::IdentifierRejected),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }

    /// The return code that says most of what the reason code says. None where no return code applies: before 5.0 such a
    /// refusal has no CONNACK (3.1.1 [MQTT-3.2.2-6]).
    pub const fn from_reason(reason: ReasonCode) -> Option<Self> {
        use ReasonCode as R;
        Some(match reason {
            R::UnsupportedProtocolVersion => Self::UnacceptableProtocolVersion,
            R::ClientIdentifierNotValid => Self::IdentifierRejected,
            R::BadUserNameOrPassword | R::BadAuthenticationMethod => Self::BadUserNameOrPassword,
            R::NotAuthorized | R::Banned => Self::NotAuthorized,
            R::ServerUnavailable
            | R::ServerBusy
            | R::ServerShuttingDown
            | R::QuotaExceeded
            | R::ConnectionRateExceeded
            | R::UseAnotherServer
            | R::ServerMoved => Self::ServerUnavailable,
            reason if reason.is_error() => return None,
            _ => Self::Accepted,
        })
    }
}

impl From<ConnectReturnCode> for ReasonCode {
    fn from(code: ConnectReturnCode) -> Self {
        match code {
            ConnectReturnCode::Accepted => Self::Success,
            ConnectReturnCode::UnacceptableProtocolVersion => Self::UnsupportedProtocolVersion,
            ConnectReturnCode::IdentifierRejected => Self::ClientIdentifierNotValid,
            ConnectReturnCode::ServerUnavailable => Self::ServerUnavailable,
            ConnectReturnCode::BadUserNameOrPassword => Self::BadUserNameOrPassword,
            ConnectReturnCode::NotAuthorized => Self::NotAuthorized,
        }
    }
}
