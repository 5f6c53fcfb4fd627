//! SUBSCRIBE.

use std::num::NonZeroU32;

use crate::{
    DecodeError, EncodeError, PacketIdentifier, PacketType, PropertyIdentifier, ProtocolVersion, QoS,
    SubscriptionFilter,
    read::Reader,
    write::{Detail, Properties, Sink},
};

/// A request for subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Ties the SUBACK to it.
    pub packet_identifier: PacketIdentifier,
    /// Number that its messages will carry (5.0), at most 268435455.
    pub subscription_identifier: Option<NonZeroU32>,
    /// In order of arrival (5.0).
    pub user_properties: Vec<(String, String)>,
    /// At least one [MQTT-3.8.3-2].
    pub filters: Vec<(SubscriptionFilter, SubscriptionOptions)>,
}

/// What a subscriber wants of a subscription. Before 5.0 there is only the QoS.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// Highest QoS of its messages.
    pub qos: QoS,
    /// Whether the client's own messages are left out.
    pub no_local: bool,
    /// Whether messages keep their retain flag.
    pub retain_as_published: bool,
    /// Which retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// Whether a subscription starts with the retained messages that match.
#[repr(u8)]
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum RetainHandling {
    /// Whenever it is made or replaced.
    #[default]
    SendAtSubscribe = 0,
    /// Only when it did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl SubscriptionOptions {
    const NO_LOCAL: u8 = 0b0000_0100;
    const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
    const RESERVED: u8 = 0b1100_0000;

    /// The byte that stands for them in a SUBSCRIBE of 5.0.
    pub const fn to_bits(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// Reads the byte of a SUBSCRIBE of 5.0.
    ///
    /// # Errors
    /// Reserved bits [MQTT-3.8.3-5], QoS 3, retain handling 3.
    pub fn from_bits(bits: u8) -> Result<Self, DecodeError> {
        if bits & Self::RESERVED != 0 {
            return Err(DecodeError::ReservedSubscriptionOptions { bits });
        }
        let illegal = DecodeError::SubscriptionOptionsValue { bits };
        Ok(Self {
            qos: QoS::try_from(bits & 0b11).map_err(|_| illegal)?,
            no_local: bits & Self::NO_LOCAL != 0,
            retain_as_published: bits & Self::RETAIN_AS_PUBLISHED != 0,
            retain_handling: match bits >> 4 {
                0 => RetainHandling::SendAtSubscribe,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(illegal),
            },
        })
    }

    /// Reads the byte of a SUBSCRIBE before 5.0, which holds only a QoS.
    fn from_requested_qos(bits: u8) -> Result<Self, DecodeError> {
        match QoS::try_from(bits) {
            Ok(qos) => Ok(qos.into()),
            Err(_) if bits & !0b11 != 0 => Err(DecodeError::ReservedSubscriptionOptions { bits }),
            Err(_) => Err(DecodeError::SubscriptionOptionsValue { bits }),
        }
    }
}

impl From<QoS> for SubscriptionOptions {
    fn from(qos: QoS) -> Self {
        Self { qos, ..Self::default() }
    }
}

impl Subscribe {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut subscribe = Self::decode_head(reader, version)?;
        subscribe.filters.reserve_exact(reader.filters_left(1));
        while !reader.is_empty() {
            reader.judge_filter_count(subscribe.filters.len())?;
            subscribe.decode_filter(reader, version)?;
        }
        Ok(subscribe)
    }

    /// What stands before the filters; there is one at least.
    pub(crate) fn decode_head(
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let mut subscribe = Self {
            packet_identifier: reader.packet_identifier()?,
            subscription_identifier: None,
            user_properties: Vec::new(),
            filters: Vec::new(),
        };
        if version == ProtocolVersion::V5 {
            let mut properties = reader.properties()?;
            while let Some(property) = properties.next()? {
                match property {
                    PropertyIdentifier::SubscriptionIdentifier => {
                        subscribe.subscription_identifier = Some(properties.subscription_identifier()?);
                    }
                    PropertyIdentifier::UserProperty => {
                        subscribe.user_properties.push(properties.owned_user_property()?);
                    }
                    other => return properties.not_allowed(other),
                }
            }
        }
        if reader.is_empty() {
            return Err(DecodeError::EmptySubscribe);
        }
        Ok(subscribe)
    }

    pub(crate) fn decode_filter(
        &mut self,
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
    ) -> Result<(), DecodeError> {
        let filter = reader.subscription_filter()?;
        let options = match version {
            ProtocolVersion::V5 => SubscriptionOptions::from_bits(reader.u8()?)?,
            _ => SubscriptionOptions::from_requested_qos(reader.u8()?)?,
        };
        if options.no_local && matches!(filter, SubscriptionFilter::Shared(_)) {
            return Err(DecodeError::NoLocalOnSharedSubscription);
        }
        self.filters.push((filter, options));
        Ok(())
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, sink: &mut S) {
        if self.filters.is_empty() {
            sink.refuse(EncodeError::Empty { packet_type: PacketType::Subscribe });
        }
        sink.u16(self.packet_identifier.get());
        if version == ProtocolVersion::V5 {
            sink.properties(self, Detail::Full);
        }
        for (filter, options) in &self.filters {
            sink.subscription_filter(filter);
            sink.u8(match version {
                ProtocolVersion::V5 => options.to_bits(),
                _ => options.qos as u8,
            });
        }
    }
}

impl Properties for Subscribe {
    fn write<S: Sink>(&self, _detail: Detail, sink: &mut S) {
        if let Some(identifier) = self.subscription_identifier {
            sink.subscription_identifier(identifier.get());
        }
        sink.user_properties(&self.user_properties);
    }
}
