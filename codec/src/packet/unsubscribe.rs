//! UNSUBSCRIBE.

use crate::{
    DecodeError, EncodeError, PacketIdentifier, PacketType, PropertyIdentifier, ProtocolVersion,
    SubscriptionFilter,
    read::Reader,
    write::{Detail, Properties, Sink},
};

/// A request to end subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Ties the UNSUBACK to it.
    pub packet_identifier: PacketIdentifier,
    /// In order of arrival (5.0).
    pub user_properties: Vec<(String, String)>,
    /// At least one [MQTT-3.10.3-2].
    pub filters: Vec<SubscriptionFilter>,
}

impl Unsubscribe {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut unsubscribe = Self::decode_head(reader, version)?;
        unsubscribe.filters.reserve_exact(reader.filters_left(0));
        while !reader.is_empty() {
            reader.judge_filter_count(unsubscribe.filters.len())?;
            unsubscribe.filters.push(reader.subscription_filter()?);
        }
        Ok(unsubscribe)
    }

    /// What stands before the filters; there is one at least.
    pub(crate) fn decode_head(
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let packet_identifier = reader.packet_identifier()?;
        let mut user_properties = Vec::new();
        if version == ProtocolVersion::V5 {
            let mut properties = reader.properties()?;
            while let Some(property) = properties.next()? {
                match property {
                    PropertyIdentifier::UserProperty => {
                        user_properties.push(properties.owned_user_property()?);
                    }
                    other => return properties.not_allowed(other),
                }
            }
        }
        if reader.is_empty() {
            return Err(DecodeError::EmptyUnsubscribe);
        }
        Ok(Self { packet_identifier, user_properties, filters: Vec::new() })
    }

    pub(crate) fn write<S: Sink>(&self, version: ProtocolVersion, sink: &mut S) {
        if self.filters.is_empty() {
            sink.refuse(EncodeError::Empty { packet_type: PacketType::Unsubscribe });
        }
        sink.u16(self.packet_identifier.get());
        if version == ProtocolVersion::V5 {
            sink.properties(self, Detail::Full);
        }
        for filter in &self.filters {
            sink.subscription_filter(filter);
        }
    }
}

impl Properties for Unsubscribe {
    fn write<S: Sink>(&self, _detail: Detail, sink: &mut S) {
        sink.user_properties(&self.user_properties);
    }
}
