//! The will message of a CONNECT.

use bytes::Bytes;

use super::{
    PublishProperties,
    publish_properties::{PropertiesOf, PublishPropertiesRef},
};
use crate::{
    DecodeError, PropertyIdentifier, ProtocolVersion, QoS, TopicName,
    read::Reader,
    write::{Detail, Properties, Sink},
};

/// The message that a server publishes when the client is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// QoS to publish it with.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Topic name to publish it to.
    pub topic: TopicName,
    /// The message.
    pub payload: Bytes,
    /// Seconds to wait before it is published, 0 for none (5.0).
    pub delay_interval: u32,
    /// 5.0; a topic alias and subscription identifiers are not legal here and not written.
    pub properties: PublishProperties,
}

impl Will {
    /// Reads what the payload of CONNECT says of it.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
        qos: QoS,
        retain: bool,
    ) -> Result<Self, DecodeError> {
        let (properties, delay_interval) = match version {
            ProtocolVersion::V5 => {
                let (properties, delay_interval) =
                    PublishPropertiesRef::decode(reader.properties()?, PropertiesOf::Will)?;
                (properties.to_owned(), delay_interval)
            }
            _ => Default::default(),
        };
        let topic = TopicName::new(reader.text()?).map_err(DecodeError::TopicName)?;
        let payload = Bytes::copy_from_slice(reader.binary()?);
        Ok(Self { qos, retain, topic, payload, delay_interval, properties })
    }

    pub(super) fn write<S: Sink>(&self, version: ProtocolVersion, sink: &mut S) {
        if version == ProtocolVersion::V5 {
            sink.properties(self, Detail::Full);
        }
        sink.text(self.topic.as_str());
        sink.binary(&self.payload);
    }
}

impl Properties for Will {
    fn write<S: Sink>(&self, _detail: Detail, sink: &mut S) {
        let delay_interval = Some(self.delay_interval).filter(|seconds| *seconds > 0);
        sink.u32_property(PropertyIdentifier::WillDelayInterval, delay_interval);
        sink.u32_property(PropertyIdentifier::MessageExpiryInterval, self.properties.message_expiry_interval);
        self.properties.write_forwarded_into(sink);
    }
}
