//! Properties of a PUBLISH and of a will message (5.0).

use std::num::NonZeroU16;

use bytes::Bytes;

use crate::{
    DecodeError, Limits, PacketType, PropertyIdentifier, Sender,
    property::{Entries, PropertyReader},
    read::Reader,
    topic::validate_topic_name,
    write::{Detail, Properties, Sink},
};

/// What a payload is said to be.
#[repr(u8)]
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum PayloadFormat {
    /// Bytes of no stated kind.
    Unspecified = 0,
    /// UTF-8 text; whether it is, the receiver may check.
    Utf8 = 1,
}

/// Properties of a PUBLISH, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties {
    /// What the payload is said to be.
    pub payload_format_indicator: Option<PayloadFormat>,
    /// Lifetime in seconds.
    pub message_expiry_interval: Option<u32>,
    /// Number that stands for the topic name.
    pub topic_alias: Option<NonZeroU16>,
    /// Topic name for a response.
    pub response_topic: Option<String>,
    /// Ties a response to its request.
    pub correlation_data: Option<Bytes>,
    /// In order of arrival [MQTT-3.3.2-18].
    pub user_properties: Vec<(String, String)>,
    /// Those of the matching subscriptions, 1 to 268435455; only from a server.
    pub subscription_identifiers: Vec<u32>,
    /// What the payload is.
    pub content_type: Option<String>,
}

/// Properties of a PUBLISH, borrowed from its bytes. They were judged when the packet was decoded.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishPropertiesRef<'a> {
    raw: &'a [u8],
    /// Bits of the properties that are there.
    present: u64,
    /// What the payload is said to be.
    pub payload_format_indicator: Option<PayloadFormat>,
    /// Lifetime in seconds.
    pub message_expiry_interval: Option<u32>,
    /// Number that stands for the topic name.
    pub topic_alias: Option<NonZeroU16>,
}

/// Where the properties of a message stand, which decides what is legal.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum PropertiesOf {
    /// In a PUBLISH from this end.
    Publish(Sender),
    /// In a CONNECT.
    Will,
    /// Written by [`PublishPropertiesRef::write_forwarded`] before.
    Forwarded,
}

/// What a server does not pass on: these belong to one hop.
const OF_ONE_HOP: u64 = PropertyIdentifier::TopicAlias.bit()
    | PropertyIdentifier::MessageExpiryInterval.bit()
    | PropertyIdentifier::SubscriptionIdentifier.bit()
    | PropertyIdentifier::WillDelayInterval.bit();

impl<'a> PublishPropertiesRef<'a> {
    /// Judges the properties; the will delay interval, which only a will has, comes beside them.
    pub(super) fn decode(
        mut properties: PropertyReader<'_, 'a>,
        place: PropertiesOf,
    ) -> Result<(Self, u32), DecodeError> {
        use PropertyIdentifier as P;
        properties.repeated_subscription_identifiers = true;
        let mut out = Self { raw: properties.values.rest(), ..Self::default() };
        let mut will_delay_interval = 0;
        while let Some(property) = properties.next()? {
            match (property, place) {
                (P::PayloadFormatIndicator, _) => {
                    let is_text = properties.boolean(property)?;
                    out.payload_format_indicator =
                        Some(if is_text { PayloadFormat::Utf8 } else { PayloadFormat::Unspecified });
                }
                (P::ResponseTopic, _) => {
                    validate_topic_name(properties.values.text()?).map_err(DecodeError::ResponseTopic)?;
                }
                (P::CorrelationData, _) => {
                    properties.values.binary()?;
                }
                (P::ContentType, _) => {
                    properties.values.text()?;
                }
                (P::UserProperty, _) => {
                    properties.user_property()?;
                }
                (P::MessageExpiryInterval, PropertiesOf::Publish(_) | PropertiesOf::Will) => {
                    out.message_expiry_interval = Some(properties.values.u32()?);
                }
                (P::TopicAlias, PropertiesOf::Publish(_)) => {
                    out.topic_alias = Some(properties.nonzero_u16(property)?);
                }
                (P::SubscriptionIdentifier, PropertiesOf::Publish(Sender::Client)) => {
                    return Err(DecodeError::SubscriptionIdentifierFromClient);
                }
                (P::SubscriptionIdentifier, PropertiesOf::Publish(Sender::Server)) => {
                    properties.subscription_identifier()?;
                }
                (P::WillDelayInterval, PropertiesOf::Will) => {
                    will_delay_interval = properties.values.u32()?
                }
                (other, _) => return properties.not_allowed(other),
            }
        }
        out.present = properties.seen;
        Ok((out, will_delay_interval))
    }

    /// Reads what [`write_forwarded`](Self::write_forwarded) wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn from_forwarded(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        // They were judged by the limits of their time before.
        let limits = Limits { allow_control_characters: true, properties_max: u16::MAX, ..Limits::default() };
        let mut user_properties_left = limits.properties_max;
        let values = Reader::new(bytes, PacketType::Publish, &limits);
        let properties = PropertyReader::new(values, &mut user_properties_left);
        Self::decode(properties, PropertiesOf::Forwarded).map(|(properties, _)| properties)
    }

    /// All of them as they were encoded, without their length.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    fn entries(&self, property: PropertyIdentifier) -> impl Iterator<Item = crate::property::Entry<'a>> {
        let is_present = self.present & property.bit() != 0;
        Entries(if is_present { self.raw } else { &[] }).filter(move |entry| entry.property == property)
    }

    /// Topic name for a response.
    pub fn response_topic(&self) -> Option<&'a str> {
        self.entries(PropertyIdentifier::ResponseTopic).next()?.text()
    }

    /// Ties a response to its request.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.entries(PropertyIdentifier::CorrelationData).next()?.binary()
    }

    /// What the payload is.
    pub fn content_type(&self) -> Option<&'a str> {
        self.entries(PropertyIdentifier::ContentType).next()?.text()
    }

    /// Names and values in order of arrival [MQTT-3.3.2-18].
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.entries(PropertyIdentifier::UserProperty).filter_map(|entry| entry.pair())
    }

    /// Those of the matching subscriptions; only a server sends them.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.entries(PropertyIdentifier::SubscriptionIdentifier).filter_map(|entry| entry.variable())
    }

    /// Appends the properties that a server passes on to subscribers unaltered and in order: all but topic alias,
    /// message expiry interval and subscription identifiers [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16]
    /// [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]. [`PublishFrame`](crate::PublishFrame) takes them.
    pub fn write_forwarded(&self, out: &mut Vec<u8>) {
        if self.present & OF_ONE_HOP == 0 {
            out.extend_from_slice(self.raw);
            return;
        }
        for entry in Entries(self.raw).filter(|entry| entry.property.bit() & OF_ONE_HOP == 0) {
            out.extend_from_slice(entry.encoded);
        }
    }

    /// Copies them.
    pub fn to_owned(&self) -> PublishProperties {
        PublishProperties {
            payload_format_indicator: self.payload_format_indicator,
            message_expiry_interval: self.message_expiry_interval,
            topic_alias: self.topic_alias,
            response_topic: self.response_topic().map(str::to_owned),
            correlation_data: self.correlation_data().map(Bytes::copy_from_slice),
            user_properties: self
                .user_properties()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            subscription_identifiers: self.subscription_identifiers().collect(),
            content_type: self.content_type().map(str::to_owned),
        }
    }
}

impl PublishProperties {
    /// Appends the properties that a server passes on to subscribers, as
    /// [`PublishPropertiesRef::write_forwarded`] does.
    pub fn write_forwarded(&self, out: &mut Vec<u8>) {
        self.write_forwarded_into(out);
    }

    pub(super) fn write_forwarded_into<S: Sink>(&self, sink: &mut S) {
        use PropertyIdentifier as P;
        sink.u8_property(P::PayloadFormatIndicator, self.payload_format_indicator.map(|format| format as u8));
        if let Some(topic) = &self.response_topic {
            sink.identifier(P::ResponseTopic);
            sink.topic_name(topic);
        }
        sink.binary_property(P::CorrelationData, self.correlation_data.as_ref());
        sink.text_property(P::ContentType, self.content_type.as_deref());
        sink.user_properties(&self.user_properties);
    }
}

impl Properties for PublishProperties {
    fn write<S: Sink>(&self, _detail: Detail, sink: &mut S) {
        use PropertyIdentifier as P;
        sink.u16_property(P::TopicAlias, self.topic_alias.map(NonZeroU16::get));
        sink.u32_property(P::MessageExpiryInterval, self.message_expiry_interval);
        for identifier in &self.subscription_identifiers {
            sink.subscription_identifier(*identifier);
        }
        self.write_forwarded_into(sink);
    }
}
