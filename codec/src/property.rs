//! Reading a list of properties of 5.0.

use bytes::Bytes;

use crate::{
    DecodeError, PacketType, PropertyIdentifier, frame::variable_bytes, property_identifier::PropertyType,
    read::Reader,
};

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

impl<'a> Reader<'a> {
    /// A length and the properties it spans.
    pub(crate) fn properties(&mut self) -> Result<PropertyReader<'_, 'a>, DecodeError> {
        let (values, user_properties_left) = self.list()?;
        Ok(PropertyReader::new(values, user_properties_left))
    }
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
            PropertyType::Byte => 1,
            PropertyType::TwoBytes => 2,
            PropertyType::FourBytes => 4,
            PropertyType::Variable => variable_bytes(read_variable(rest)?),
            PropertyType::Prefixed => 2 + read_prefixed(rest)?.len(),
            PropertyType::Pair => {
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
