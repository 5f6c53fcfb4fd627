//! Properties of 5.0: their identifiers, and reading a list of them.

use std::fmt;

use bytes::Bytes;

use crate::{DecodeError, PacketType, frame::variable_bytes, read::Reader};

/// How the value of a property is encoded.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
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

            pub(crate) const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)*
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

/// Reads the properties of one packet in turn: [`next`](Self::next), then the value.
pub(crate) struct PropertyReader<'r, 'a> {
    pub(crate) values: Reader<'a>,
    /// User properties that the packet may still have.
    user_properties_left: &'r mut u16,
    /// Bits of the properties met so far.
    pub(crate) seen: u64,
    /// Whether the subscription identifier may repeat, as it does in a PUBLISH.
    pub(crate) repeated_subscription_identifiers: bool,
}

impl<'r, 'a> PropertyReader<'r, 'a> {
    pub(crate) fn new(values: Reader<'a>, user_properties_left: &'r mut u16) -> Self {
        Self { values, user_properties_left, seen: 0, repeated_subscription_identifiers: false }
    }

    /// The identifier of the next property.
    pub(crate) fn next(&mut self) -> Result<Option<PropertyIdentifier>, DecodeError> {
        if self.values.is_empty() {
            return Ok(None);
        }
        let value = self.values.variable()?;
        let property = PropertyIdentifier::from_value(value).ok_or(DecodeError::UnknownProperty { value })?;
        let repeats = match property {
            PropertyIdentifier::UserProperty => true,
            PropertyIdentifier::SubscriptionIdentifier => self.repeated_subscription_identifiers,
            _ => false,
        };
        if self.seen & property.bit() != 0 && !repeats {
            return Err(DecodeError::DuplicateProperty { property });
        }
        self.seen |= property.bit();
        Ok(Some(property))
    }

    /// The error for a property that this packet does not have.
    pub(crate) fn not_allowed<T>(&self, property: PropertyIdentifier) -> Result<T, DecodeError> {
        Err(DecodeError::PropertyNotAllowed { property, packet_type: self.packet_type() })
    }

    pub(crate) fn packet_type(&self) -> PacketType {
        self.values.packet_type()
    }

    pub(crate) fn boolean(&mut self, property: PropertyIdentifier) -> Result<bool, DecodeError> {
        match self.values.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::PropertyValue { property, value: value.into() }),
        }
    }

    pub(crate) fn string(&mut self) -> Result<String, DecodeError> {
        self.values.text().map(str::to_owned)
    }

    pub(crate) fn binary(&mut self) -> Result<Bytes, DecodeError> {
        self.values.binary().map(Bytes::copy_from_slice)
    }

    /// A user property, counted against the limit.
    pub(crate) fn user_property(&mut self) -> Result<(&'a str, &'a str), DecodeError> {
        match self.user_properties_left.checked_sub(1) {
            Some(left) => *self.user_properties_left = left,
            None => {
                return Err(DecodeError::TooManyProperties { limit: self.values.limits().properties_max });
            }
        }
        Ok((self.values.text()?, self.values.text()?))
    }

    /// A user property to keep.
    pub(crate) fn owned_user_property(&mut self) -> Result<(String, String), DecodeError> {
        self.user_property().map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    /// A subscription identifier, 1 to 268435455.
    pub(crate) fn subscription_identifier(&mut self) -> Result<std::num::NonZeroU32, DecodeError> {
        let property = PropertyIdentifier::SubscriptionIdentifier;
        std::num::NonZeroU32::new(self.values.variable()?)
            .ok_or(DecodeError::PropertyValue { property, value: 0 })
    }

    /// A 16 bit number that may not be 0.
    pub(crate) fn nonzero_u16(
        &mut self,
        property: PropertyIdentifier,
    ) -> Result<std::num::NonZeroU16, DecodeError> {
        std::num::NonZeroU16::new(self.values.u16()?).ok_or(DecodeError::PropertyValue { property, value: 0 })
    }

    /// A 32 bit number that may not be 0.
    pub(crate) fn nonzero_u32(
        &mut self,
        property: PropertyIdentifier,
    ) -> Result<std::num::NonZeroU32, DecodeError> {
        std::num::NonZeroU32::new(self.values.u32()?).ok_or(DecodeError::PropertyValue { property, value: 0 })
    }
}

/// One property of a list that was judged before.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) property: PropertyIdentifier,
    /// Identifier and value.
    pub(crate) encoded: &'a [u8],
    /// The value alone.
    pub(crate) value: &'a [u8],
}

/// Walks a list of properties that was judged before. Ends early if it was not.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (&identifier, rest) = self.0.split_first()?;
        // All identifiers are below 128, so each is one byte.
        let property = PropertyIdentifier::from_value(identifier.into())?;
        let value_bytes = match property.kind() {
            Kind::Byte => 1,
            Kind::TwoBytes => 2,
            Kind::FourBytes => 4,
            Kind::Variable => variable_bytes(read_variable(rest)?),
            Kind::Prefixed => 2 + read_prefixed(rest)?.len(),
            Kind::Pair => {
                let name_bytes = 2 + read_prefixed(rest)?.len();
                name_bytes + 2 + read_prefixed(rest.get(name_bytes..)?)?.len()
            }
        };
        let (encoded, following) = self.0.split_at_checked(1 + value_bytes)?;
        self.0 = following;
        Some(Entry { property, encoded, value: &encoded[1..] })
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.binary()?).ok()
    }

    pub(crate) fn binary(&self) -> Option<&'a [u8]> {
        read_prefixed(self.value)
    }

    pub(crate) fn pair(&self) -> Option<(&'a str, &'a str)> {
        let name = read_prefixed(self.value)?;
        let value = read_prefixed(self.value.get(2 + name.len()..)?)?;
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    }

    pub(crate) fn variable(&self) -> Option<u32> {
        read_variable(self.value)
    }
}

fn read_prefixed(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..u16::from_be_bytes(*length).into())
}

fn read_variable(bytes: &[u8]) -> Option<u32> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * place);
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}
