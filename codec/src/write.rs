//! Writing fields: the same code first counts, then writes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    EncodeError, PropertyIdentifier, SubscriptionFilter, TopicError,
    frame::variable_bytes,
    topic::{TOPIC_BYTES_MAX, validate_topic_name},
};

/// How much of what may be left out is written [MQTT-3.2.2-19] [MQTT-3.2.2-20].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All.
    Full,
    /// All but user properties.
    NoUserProperties,
    /// Neither reason string nor user properties.
    Bare,
}

impl Detail {
    /// The next smaller form.
    pub(crate) fn less(self) -> Option<Self> {
        match self {
            Self::Full => Some(Self::NoUserProperties),
            Self::NoUserProperties => Some(Self::Bare),
            Self::Bare => None,
        }
    }
}

/// Where bytes go. The counting sink also judges what is written; the others trust it.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    /// Notes why the packet cannot be encoded.
    fn refuse(&mut self, _error: EncodeError) {}

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// A variable byte integer up to 268435455.
    fn variable(&mut self, value: u32) {
        let (encoded, length) = encode_variable(value);
        self.put(&encoded[..length]);
    }

    /// Two bytes of length and the content.
    fn binary(&mut self, content: &[u8]) {
        let length = u16::try_from(content.len()).unwrap_or_else(|_| {
            self.refuse(EncodeError::FieldTooLong { bytes: content.len() });
            u16::MAX
        });
        self.u16(length);
        self.put(content);
    }

    fn text(&mut self, text: &str) {
        self.binary(text.as_bytes());
    }

    fn topic_name(&mut self, topic: &str) {
        self.text(topic);
    }

    fn subscription_filter(&mut self, filter: &SubscriptionFilter) {
        match filter {
            SubscriptionFilter::Plain(filter) => self.text(filter.as_str()),
            SubscriptionFilter::Shared(_) => self.text(&filter.to_string()),
        }
    }

    fn identifier(&mut self, property: PropertyIdentifier) {
        self.u8(property as u8);
    }

    fn u8_property(&mut self, property: PropertyIdentifier, value: Option<u8>) {
        if let Some(value) = value {
            self.identifier(property);
            self.u8(value);
        }
    }

    fn boolean_property(&mut self, property: PropertyIdentifier, value: Option<bool>) {
        self.u8_property(property, value.map(u8::from));
    }

    fn u16_property(&mut self, property: PropertyIdentifier, value: Option<u16>) {
        if let Some(value) = value {
            self.identifier(property);
            self.u16(value);
        }
    }

    fn u32_property(&mut self, property: PropertyIdentifier, value: Option<u32>) {
        if let Some(value) = value {
            self.identifier(property);
            self.u32(value);
        }
    }

    fn text_property(&mut self, property: PropertyIdentifier, value: Option<&str>) {
        if let Some(value) = value {
            self.identifier(property);
            self.text(value);
        }
    }

    fn binary_property(&mut self, property: PropertyIdentifier, value: Option<&Bytes>) {
        if let Some(value) = value {
            self.identifier(property);
            self.binary(value);
        }
    }

    fn subscription_identifier(&mut self, value: u32) {
        self.identifier(PropertyIdentifier::SubscriptionIdentifier);
        self.variable(value);
    }

    fn user_properties(&mut self, properties: &[(String, String)]) {
        for (name, value) in properties {
            self.identifier(PropertyIdentifier::UserProperty);
            self.text(name);
            self.text(value);
        }
    }

    /// Reason string and user properties, as far as the detail asks for them.
    fn problem(&mut self, reason_string: Option<&str>, user_properties: &[(String, String)], detail: Detail) {
        if detail != Detail::Bare {
            self.text_property(PropertyIdentifier::ReasonString, reason_string);
        }
        if detail == Detail::Full {
            self.user_properties(user_properties);
        }
    }

    /// The length of the properties and the properties.
    fn properties<P: Properties>(&mut self, properties: &P, detail: Detail)
    where
        Self: Sized,
    {
        let length = properties_bytes(properties, detail);
        // Beyond 32 bits the packet as a whole is refused for its size.
        self.variable(u32::try_from(length).unwrap_or(u32::MAX));
        properties.write(detail, self);
    }
}

/// A list of properties.
pub(crate) trait Properties {
    fn write<S: Sink>(&self, detail: Detail, sink: &mut S);
}

/// Size of the properties without their length.
pub(crate) fn properties_bytes<P: Properties>(properties: &P, detail: Detail) -> usize {
    let mut count = Count::default();
    properties.write(detail, &mut count);
    count.bytes
}

/// The bytes of a variable byte integer, and how many of them count.
pub(crate) fn encode_variable(value: u32) -> ([u8; 4], usize) {
    let mut encoded = [0; 4];
    let length = variable_bytes(value);
    for (place, byte) in encoded.iter_mut().enumerate().take(length) {
        let more = if place + 1 < length { 0x80 } else { 0 };
        *byte = (value >> (7 * place)) as u8 & 0x7F | more;
    }
    (encoded, length)
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Counts the bytes, and keeps the first reason against writing them.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) bytes: usize,
    pub(crate) refusal: Option<EncodeError>,
}

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    fn refuse(&mut self, error: EncodeError) {
        self.refusal.get_or_insert(error);
    }

    fn text(&mut self, text: &str) {
        if text.as_bytes().contains(&0) {
            self.refuse(EncodeError::NulCharacter);
        }
        self.binary(text.as_bytes());
    }

    fn topic_name(&mut self, topic: &str) {
        // A topic name that is too long is refused like any other long field.
        if topic.len() <= TOPIC_BYTES_MAX
            && let Err(error) = validate_topic_name(topic)
            && error != TopicError::NulCharacter
        {
            self.refuse(EncodeError::TopicName(error));
        }
        self.text(topic);
    }

    fn subscription_identifier(&mut self, value: u32) {
        if value == 0 || value > crate::REMAINING_LENGTH_MAX {
            self.refuse(EncodeError::SubscriptionIdentifier { value });
        }
        self.bytes += 1 + variable_bytes(value);
    }
}
