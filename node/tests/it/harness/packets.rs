//! Packets as the tests need them.

use mqtt_codec::{
    Connect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS, Subscribe,
    SubscriptionFilter, SubscriptionOptions, TopicName, Will,
};

/// A packet identifier.
#[track_caller]
pub(crate) fn identifier(number: u16) -> PacketIdentifier {
    PacketIdentifier::new(number).expect("0 is no packet identifier")
}

/// A CONNECT with a clean start and a session that ends with its network connection.
pub(crate) fn connect(version: ProtocolVersion, client_identifier: &str) -> Connect {
    Connect::new(version, client_identifier)
}

/// A CONNECT that resumes, and whose session stays for an hour (5.0), or as long as the node lets any stay.
pub(crate) fn durable(version: ProtocolVersion, client_identifier: &str) -> Connect {
    let mut connect = Connect { clean_start: false, ..connect(version, client_identifier) };
    if version == ProtocolVersion::V5 {
        connect.properties.session_expiry_interval = Some(3600);
    }
    connect
}

/// A will message without delay and properties.
pub(crate) fn will(topic: &str, qos: QoS, payload: &str) -> Will {
    Will {
        qos,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        payload: payload.as_bytes().to_vec().into(),
        delay_interval: 0,
        properties: PublishProperties::default(),
    }
}

/// A PUBLISH; the packet identifier is 1 unless it is QoS 0.
pub(crate) fn publish(topic: &str, qos: QoS, payload: &str) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: (qos > QoS::AtMostOnce).then_some(PacketIdentifier::MIN),
        properties: PublishProperties::default(),
        payload: payload.as_bytes().to_vec().into(),
    }
}

/// A PUBLISH of QoS 1 or 2 with its own packet identifier.
pub(crate) fn numbered(number: u16, topic: &str, qos: QoS) -> Packet {
    let message = publish(topic, qos, &number.to_string());
    Packet::Publish(Publish { packet_identifier: Some(identifier(number)), ..message })
}

/// A topic filter, shared or not.
#[track_caller]
pub(crate) fn filter(filter: &str) -> SubscriptionFilter {
    SubscriptionFilter::parse(filter).expect("a topic filter")
}

/// Subscription options with this QoS and nothing else.
pub(crate) fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

/// A SUBSCRIBE without properties.
pub(crate) fn subscribe_packet(
    packet_identifier: PacketIdentifier,
    filters: &[(&str, SubscriptionOptions)],
) -> Subscribe {
    Subscribe {
        packet_identifier,
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: filters.iter().map(|(name, options)| (filter(name), *options)).collect(),
    }
}

/// User properties.
pub(crate) fn user_properties(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
