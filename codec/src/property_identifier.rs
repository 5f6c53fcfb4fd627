//! What properties 5.0 has, and how the value of each is encoded.

use std::fmt;

/// How the value of a property is encoded.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum PropertyType {
    Byte,
    TwoBytes,
    FourBytes,
    Variable,
    /// UTF-8 string or binary data: two bytes of length and the content.
    Prefixed,
    /// Two UTF-8 strings.
    Pair,
}

/// Generates the enum, the lookup, the display text and the encodings from one table.
macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal, $kind:ident;)*) => {
        /// What a property is (table 2-4 of the 5.0 standard).
        #[repr(u8)]
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        pub enum PropertyIdentifier {
            $($(#[$doc])* $name = $value,)*
        }

        impl PropertyIdentifier {
            /// The property with this identifier.
            pub const fn from_value(value: u32) -> Option<Self> {
                match value {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }

            pub(crate) const fn kind(self) -> PropertyType {
                match self {
                    $(Self::$name => PropertyType::$kind,)*
                }
            }
        }

        impl fmt::Display for PropertyIdentifier {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

properties! {
    /// Whether the payload is UTF-8 text.
    PayloadFormatIndicator = 0x01, "payload format indicator", Byte;
    /// Lifetime of a message in seconds.
    MessageExpiryInterval = 0x02, "message expiry interval", FourBytes;
    /// What the payload is.
    ContentType = 0x03, "content type", Prefixed;
    /// Topic name for a response.
    ResponseTopic = 0x08, "response topic", Prefixed;
    /// Ties a response to its request.
    CorrelationData = 0x09, "correlation data", Prefixed;
    /// Number that a subscription gives to its messages.
    SubscriptionIdentifier = 0x0B, "subscription identifier", Variable;
    /// Seconds that a session outlives its network connection.
    SessionExpiryInterval = 0x11, "session expiry interval", FourBytes;
    /// Client identifier given by the server.
    AssignedClientIdentifier = 0x12, "assigned client identifier", Prefixed;
    /// Keep alive that the server imposes, in seconds.
    ServerKeepAlive = 0x13, "server keep alive", TwoBytes;
    /// Name of the extended authentication.
    AuthenticationMethod = 0x15, "authentication method", Prefixed;
    /// Data of the extended authentication.
    AuthenticationData = 0x16, "authentication data", Prefixed;
    /// Whether the client wants reason strings and user properties.
    RequestProblemInformation = 0x17, "request problem information", Byte;
    /// Seconds between the end of a connection and its will message.
    WillDelayInterval = 0x18, "will delay interval", FourBytes;
    /// Whether the client wants response information.
    RequestResponseInformation = 0x19, "request response information", Byte;
    /// Basis of the client's response topics.
    ResponseInformation = 0x1A, "response information", Prefixed;
    /// Another server to use.
    ServerReference = 0x1C, "server reference", Prefixed;
    /// A reason for humans.
    ReasonString = 0x1F, "reason string", Prefixed;
    /// How many QoS 1 and 2 publishes may be unacknowledged.
    ReceiveMaximum = 0x21, "receive maximum", TwoBytes;
    /// Highest topic alias accepted.
    TopicAliasMaximum = 0x22, "topic alias maximum", TwoBytes;
    /// Number in place of a topic name.
    TopicAlias = 0x23, "topic alias", TwoBytes;
    /// Highest QoS that the server supports.
    MaximumQoS = 0x24, "maximum QoS", Byte;
    /// Whether the server supports retained messages.
    RetainAvailable = 0x25, "retain available", Byte;
    /// Name and value that mean something to the application.
    UserProperty = 0x26, "user property", Pair;
    /// Largest packet accepted, in bytes.
    MaximumPacketSize = 0x27, "maximum packet size", FourBytes;
    /// Whether the server supports wildcard subscriptions.
    WildcardSubscriptionAvailable = 0x28, "wildcard subscription available", Byte;
    /// Whether the server supports subscription identifiers.
    SubscriptionIdentifiersAvailable = 0x29, "subscription identifiers available", Byte;
    /// Whether the server supports shared subscriptions.
    SharedSubscriptionAvailable = 0x2A, "shared subscription available", Byte;
}

impl PropertyIdentifier {
    /// Its place in a set of 64 bits; all identifiers are below 64.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}
