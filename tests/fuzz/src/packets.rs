//! Packets of clients that mean it: well-formed, with values at which something happens, drawn from few names so that
//! the clients meet.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use mqtt_codec::{
    Ack, Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketIdentifier,
    PayloadFormat, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, Subscribe,
    SubscriptionFilter, SubscriptionOptions, TopicName, Unsubscribe, Will,
};

use crate::choices::Choices;

const NAMES: [&str; 5] = ["a", "b", "c", "d", ""];
const TOPICS: [&str; 8] = ["t", "t/u", "t/u/v", "/", "$x/t", "u", "u/v", "a/b/c/d/e/f/g"];
const FILTERS: [&str; 14] = [
    "t",
    "#",
    "+",
    "t/#",
    "t/+",
    "+/u",
    "$share/g/t",
    "$share/g/#",
    "$share/h/#",
    "u",
    "$x/#",
    "u/+",
    "+/+/#",
    "a/b/c/d/e/f/g",
];
const VERSIONS: [ProtocolVersion; 4] =
    [ProtocolVersion::V5, ProtocolVersion::V311, ProtocolVersion::V5, ProtocolVersion::V31];

fn qos(choices: &mut Choices<'_>) -> QoS {
    choices.of(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn identifier(choices: &mut Choices<'_>) -> PacketIdentifier {
    PacketIdentifier::new(u16::from(choices.below(8)) + 1).unwrap_or(PacketIdentifier::MIN)
}

fn payload(choices: &mut Choices<'_>) -> Bytes {
    vec![b'p'; choices.of(&[1, 0, 30, 300, 1500])].into()
}

fn properties(choices: &mut Choices<'_>) -> PublishProperties {
    let mut properties = PublishProperties::default();
    if choices.once_in(3) {
        properties.message_expiry_interval = choices.maybe(&[0, 1, 5, u32::MAX]);
        properties.payload_format_indicator =
            choices.maybe(&[PayloadFormat::Unspecified, PayloadFormat::Utf8]);
        properties.topic_alias = choices.maybe(&[1, 2, 3, 4]).and_then(NonZeroU16::new);
        properties.response_topic = choices.maybe(&["r".to_owned()]);
        properties.correlation_data = choices.maybe(&[Bytes::from_static(b"c")]);
        properties.content_type = choices.maybe(&["text".to_owned()]);
        let pairs = choices.of(&[0, 1, 3, 9]);
        properties.user_properties = vec![("name".to_owned(), "value".to_owned()); pairs];
    }
    properties
}

fn will(choices: &mut Choices<'_>) -> Option<Will> {
    let topic = TopicName::new(choices.maybe(&TOPICS)?).ok()?;
    let mut properties = properties(choices);
    // These do not belong there.
    properties.topic_alias = None;
    Some(Will {
        qos: qos(choices),
        retain: choices.once_in(2),
        topic,
        payload: payload(choices),
        delay_interval: choices.of(&[0, 1, 5, u32::MAX]),
        properties,
    })
}

/// A CONNECT.
pub fn connect(choices: &mut Choices<'_>) -> Connect {
    let version = choices.of(&VERSIONS);
    let mut connect = Connect::new(version, choices.of(&NAMES));
    connect.clean_start = choices.once_in(2);
    connect.keep_alive = choices.of(&[0, 1, 10, u16::MAX]);
    connect.will = will(choices);
    if version == ProtocolVersion::V5 {
        connect.properties = ConnectProperties {
            session_expiry_interval: choices.of(&[None, Some(3), Some(u32::MAX), Some(0)]),
            receive_maximum: choices.maybe(&[1, 2, 3]).and_then(NonZeroU16::new),
            maximum_packet_size: choices.maybe(&[1, 20, 40, 200]).and_then(NonZeroU32::new),
            topic_alias_maximum: choices.maybe(&[1, 2, 10]),
            request_response_information: choices.maybe(&[false, true]),
            request_problem_information: choices.maybe(&[false, true]),
            authentication_method: choices.once_in(16).then(|| "method".to_owned()),
            ..ConnectProperties::default()
        };
    } else if let Some(will) = &mut connect.will {
        (will.delay_interval, will.properties) = Default::default();
    }
    connect
}

/// A PUBLISH.
pub fn publish(choices: &mut Choices<'_>) -> Packet {
    let qos = qos(choices);
    let properties = properties(choices);
    let by_alias = properties.topic_alias.is_some() && choices.once_in(2);
    Packet::Publish(Publish {
        qos,
        dup: choices.once_in(8),
        retain: choices.once_in(4),
        topic: if by_alias { String::new() } else { choices.of(&TOPICS).to_owned() },
        packet_identifier: (qos != QoS::AtMostOnce).then(|| identifier(choices)),
        payload: payload(choices),
        properties,
    })
}

/// A SUBSCRIBE.
pub fn subscribe(choices: &mut Choices<'_>) -> Packet {
    let filters = (0..=choices.below(3))
        .map(|_| {
            let filter = filter(choices);
            let options = SubscriptionOptions {
                qos: qos(choices),
                no_local: choices.once_in(4) && filter.share_name().is_none(),
                retain_as_published: choices.once_in(4),
                retain_handling: choices.of(&[
                    RetainHandling::SendAtSubscribe,
                    RetainHandling::SendIfNew,
                    RetainHandling::DoNotSend,
                ]),
            };
            (filter, options)
        })
        .collect();
    Packet::Subscribe(Subscribe {
        packet_identifier: identifier(choices),
        subscription_identifier: choices.maybe(&[1, 2, 300]).and_then(NonZeroU32::new),
        user_properties: Vec::new(),
        filters,
    })
}

/// An UNSUBSCRIBE.
pub fn unsubscribe(choices: &mut Choices<'_>) -> Packet {
    Packet::Unsubscribe(Unsubscribe {
        packet_identifier: identifier(choices),
        user_properties: Vec::new(),
        filters: (0..=choices.below(3)).map(|_| filter(choices)).collect(),
    })
}

fn filter(choices: &mut Choices<'_>) -> SubscriptionFilter {
    SubscriptionFilter::parse(choices.of(&FILTERS)).expect("these are filters")
}

/// An acknowledgement of anything, or of nothing.
pub fn acknowledgement(choices: &mut Choices<'_>) -> Packet {
    let ack = |reason_code, choices: &mut Choices<'_>| Ack::new(identifier(choices), reason_code);
    let refused = choices.of(&[
        ReasonCode::Success,
        ReasonCode::Success,
        ReasonCode::UnspecifiedError,
        ReasonCode::QuotaExceeded,
    ]);
    let unknown =
        choices.of(&[ReasonCode::Success, ReasonCode::Success, ReasonCode::PacketIdentifierNotFound]);
    match choices.below(4) {
        0 => Packet::PubAck(ack(refused, choices)),
        1 => Packet::PubRec(ack(refused, choices)),
        2 => Packet::PubRel(ack(unknown, choices)),
        _ => Packet::PubComp(ack(unknown, choices)),
    }
}

/// A DISCONNECT.
pub fn disconnect(choices: &mut Choices<'_>) -> Packet {
    let reason_code = choices.of(&[
        ReasonCode::Success,
        ReasonCode::DisconnectWithWillMessage,
        ReasonCode::UnspecifiedError,
    ]);
    let properties = DisconnectProperties {
        session_expiry_interval: choices.maybe(&[0, 2, u32::MAX]),
        ..DisconnectProperties::default()
    };
    Packet::Disconnect(Disconnect { reason_code, properties })
}
