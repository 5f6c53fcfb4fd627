//! Any packet that a sender may send in a version, in the form in which it is decoded.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use mqtt_codec::*;
use proptest::{collection::vec, option, prelude::*};

type Pairs = Vec<(String, String)>;

fn text() -> impl Strategy<Value = String> {
    "[ -~äß€😀\u{FEFF}]{0,12}"
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..24).prop_map(Bytes::from)
}

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((text(), text()), 0..4)
}

pub(crate) fn topic_name() -> impl Strategy<Value = String> {
    "[a-c/$ é]{1,12}"
}

pub(crate) fn topic_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("+"), Just("a"), Just("b"), Just(""), Just("$a"), Just("é")];
    (vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, all_below)| {
        if all_below {
            levels.push("#");
        }
        match levels.join("/") {
            empty if empty.is_empty() => "/".to_owned(),
            filter => filter,
        }
    })
}

fn subscription_filter() -> impl Strategy<Value = SubscriptionFilter> {
    (option::of("[a-z $é]{1,6}"), topic_filter()).prop_map(|(share_name, filter)| {
        let text = match share_name {
            Some(share_name) => format!("$share/{share_name}/{filter}"),
            None => filter,
        };
        SubscriptionFilter::parse(&text).unwrap()
    })
}

fn qos() -> impl Strategy<Value = QoS> {
    (0u8..3).prop_map(|value| QoS::try_from(value).unwrap())
}

fn packet_identifier() -> impl Strategy<Value = PacketIdentifier> {
    (1u16..).prop_map(|value| PacketIdentifier::new(value).unwrap())
}

fn nonzero_u16() -> impl Strategy<Value = NonZeroU16> {
    (1u16..).prop_map(|value| NonZeroU16::new(value).unwrap())
}

fn nonzero_u32() -> impl Strategy<Value = NonZeroU32> {
    (1u32..).prop_map(|value| NonZeroU32::new(value).unwrap())
}

fn subscription_identifier() -> impl Strategy<Value = u32> {
    prop_oneof![1u32..300, 1..=REMAINING_LENGTH_MAX]
}

fn reason_code(packet_type: PacketType, sender: Sender) -> impl Strategy<Value = ReasonCode> {
    let legal: Vec<_> = (0..=u8::MAX)
        .filter_map(|value| ReasonCode::try_from(value).ok())
        .filter(|code| code.is_legal(packet_type, sender))
        .collect();
    prop::sample::select(legal)
}

/// `Default` before 5.0.
fn in_5<T: Default + std::fmt::Debug + 'static>(
    version: ProtocolVersion,
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    if version == ProtocolVersion::V5 {
        strategy.boxed()
    } else {
        Just(()).prop_map(|()| T::default()).boxed()
    }
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties> {
    (
        option::of(any::<u32>()),
        option::of(nonzero_u16()),
        option::of(nonzero_u32()),
        option::of(any::<u16>()),
        option::of(any::<bool>()),
        option::of(any::<bool>()),
        pairs(),
        option::of((text(), option::of(binary()))),
    )
        .prop_map(
            |(expiry, receive, size, alias, response, problem, user_properties, authentication)| {
                let (method, data) = authentication.unzip();
                ConnectProperties {
                    session_expiry_interval: expiry,
                    receive_maximum: receive,
                    maximum_packet_size: size,
                    topic_alias_maximum: alias,
                    request_response_information: response,
                    request_problem_information: problem,
                    user_properties,
                    authentication_method: method,
                    authentication_data: data.flatten(),
                }
            },
        )
}

fn publish_properties(sender: Option<Sender>) -> impl Strategy<Value = PublishProperties> {
    let identifiers = if sender == Some(Sender::Server) { 0..4 } else { 0..1 };
    (
        option::of(prop_oneof![Just(PayloadFormat::Unspecified), Just(PayloadFormat::Utf8)]),
        option::of(any::<u32>()),
        if sender.is_some() { option::of(nonzero_u16()).boxed() } else { Just(None).boxed() },
        option::of(topic_name()),
        option::of(binary()),
        pairs(),
        vec(subscription_identifier(), identifiers),
        option::of(text()),
    )
        .prop_map(
            |(format, expiry, alias, response, correlation, user_properties, identifiers, content)| {
                PublishProperties {
                    payload_format_indicator: format,
                    message_expiry_interval: expiry,
                    topic_alias: alias,
                    response_topic: response,
                    correlation_data: correlation,
                    user_properties,
                    subscription_identifiers: identifiers,
                    content_type: content,
                }
            },
        )
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = Will> {
    (
        qos(),
        any::<bool>(),
        topic_name(),
        binary(),
        in_5(version, any::<u32>()),
        in_5(version, publish_properties(None)),
    )
        .prop_map(|(qos, retain, topic, payload, delay_interval, properties)| Will {
            qos,
            retain,
            topic: TopicName::new(&topic).unwrap(),
            payload,
            delay_interval,
            properties,
        })
}

fn connect(version: ProtocolVersion) -> impl Strategy<Value = Connect> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<u16>(),
        text(),
        option::of(text()),
        option::of(binary()),
        option::of(will(version)),
        in_5(version, connect_properties()),
    )
        .prop_map(
            move |(bridge, clean_start, keep_alive, identifier, user_name, password, will, properties)| {
                let is_5 = version == ProtocolVersion::V5;
                Connect {
                    version,
                    bridge: bridge && !is_5,
                    clean_start,
                    keep_alive,
                    client_identifier: identifier,
                    password: password.filter(|_| is_5 || user_name.is_some()),
                    user_name,
                    will,
                    properties,
                }
            },
        )
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(nonzero_u16()),
        option::of(prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce)]),
        option::of(nonzero_u32()),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
    );
    let texts = (
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(binary()),
        pairs(),
    );
    (numbers, texts, vec(option::of(any::<bool>()), 4)).prop_map(|(numbers, texts, available)| {
        ConnAckProperties {
            session_expiry_interval: numbers.0,
            receive_maximum: numbers.1,
            maximum_qos: numbers.2,
            retain_available: available[0],
            maximum_packet_size: numbers.3,
            assigned_client_identifier: texts.0,
            topic_alias_maximum: numbers.4,
            reason_string: texts.1,
            user_properties: texts.6,
            wildcard_subscription_available: available[1],
            subscription_identifiers_available: available[2],
            shared_subscription_available: available[3],
            server_keep_alive: numbers.5,
            response_information: texts.2,
            server_reference: texts.3,
            authentication_method: texts.4,
            authentication_data: texts.5,
        }
    })
}

fn connack(version: ProtocolVersion) -> impl Strategy<Value = ConnAck> {
    let reason_code = if version == ProtocolVersion::V5 {
        reason_code(PacketType::ConnAck, Sender::Server).boxed()
    } else {
        (0u8..=5).prop_map(|value| ReasonCode::from(ConnectReturnCode::from_byte(value).unwrap())).boxed()
    };
    (any::<bool>(), reason_code, in_5(version, connack_properties())).prop_map(
        move |(session_present, reason_code, properties)| ConnAck {
            session_present: session_present
                && reason_code == ReasonCode::Success
                && version != ProtocolVersion::V31,
            reason_code,
            properties,
        },
    )
}

fn publish(version: ProtocolVersion, sender: Sender) -> impl Strategy<Value = Publish> {
    (
        any::<bool>(),
        qos(),
        any::<bool>(),
        topic_name(),
        packet_identifier(),
        in_5(version, publish_properties(Some(sender))),
        vec(any::<u8>(), 0..300),
        any::<bool>(),
    )
        .prop_map(|(dup, qos, retain, topic, identifier, properties, payload, by_alias)| Publish {
            dup: dup && qos != QoS::AtMostOnce,
            qos,
            retain,
            topic: if by_alias && properties.topic_alias.is_some() { String::new() } else { topic },
            packet_identifier: Some(identifier).filter(|_| qos != QoS::AtMostOnce),
            properties,
            payload: payload.into(),
        })
}

fn ack_properties() -> impl Strategy<Value = Option<Box<AckProperties>>> {
    (option::of(text()), pairs()).prop_map(|(reason_string, user_properties)| {
        let properties = AckProperties { reason_string, user_properties };
        Some(Box::new(properties)).filter(|properties| **properties != AckProperties::default())
    })
}

fn ack(version: ProtocolVersion, packet_type: PacketType, sender: Sender) -> impl Strategy<Value = Ack> {
    let reason_code = reason_code(packet_type, sender).prop_map(Some);
    (packet_identifier(), in_5(version, reason_code), in_5(version, ack_properties())).prop_map(
        |(packet_identifier, reason_code, properties)| Ack {
            packet_identifier,
            reason_code: reason_code.unwrap_or(ReasonCode::Success),
            properties,
        },
    )
}

fn subscribe(version: ProtocolVersion) -> impl Strategy<Value = Subscribe> {
    let options = (qos(), in_5(version, (any::<bool>(), any::<bool>(), 0u8..3)));
    (
        packet_identifier(),
        in_5(version, option::of(subscription_identifier())),
        in_5(version, pairs()),
        vec((subscription_filter(), options), 1..5),
    )
        .prop_map(|(packet_identifier, identifier, user_properties, filters)| Subscribe {
            packet_identifier,
            subscription_identifier: identifier.and_then(NonZeroU32::new),
            user_properties,
            filters: filters
                .into_iter()
                .map(|(filter, (qos, (no_local, retain_as_published, retain_handling)))| {
                    let options = SubscriptionOptions {
                        qos,
                        no_local: no_local && filter.share_name().is_none(),
                        retain_as_published,
                        retain_handling: match retain_handling {
                            0 => RetainHandling::SendAtSubscribe,
                            1 => RetainHandling::SendIfNew,
                            _ => RetainHandling::DoNotSend,
                        },
                    };
                    (filter, options)
                })
                .collect(),
        })
}

fn suback(version: ProtocolVersion) -> impl Strategy<Value = SubAck> {
    let reason_code = reason_code(PacketType::SubAck, Sender::Server).prop_map(move |code| {
        if version != ProtocolVersion::V5 && code.is_error() { ReasonCode::UnspecifiedError } else { code }
    });
    (packet_identifier(), in_5(version, ack_properties()), vec(reason_code, 1..5)).prop_map(
        |(packet_identifier, properties, reason_codes)| SubAck {
            packet_identifier,
            properties,
            reason_codes,
        },
    )
}

fn unsubscribe(version: ProtocolVersion) -> impl Strategy<Value = Unsubscribe> {
    (packet_identifier(), in_5(version, pairs()), vec(subscription_filter(), 1..5)).prop_map(
        |(packet_identifier, user_properties, filters)| Unsubscribe {
            packet_identifier,
            user_properties,
            filters,
        },
    )
}

fn unsuback(version: ProtocolVersion) -> impl Strategy<Value = UnsubAck> {
    let reason_codes = vec(reason_code(PacketType::UnsubAck, Sender::Server), 1..5);
    (packet_identifier(), in_5(version, ack_properties()), in_5(version, reason_codes)).prop_map(
        |(packet_identifier, properties, reason_codes)| UnsubAck {
            packet_identifier,
            properties,
            reason_codes,
        },
    )
}

fn disconnect(version: ProtocolVersion, sender: Sender) -> impl Strategy<Value = Disconnect> {
    let properties = (option::of(any::<u32>()), option::of(text()), option::of(text()), pairs()).prop_map(
        move |(expiry, reason_string, server_reference, user_properties)| DisconnectProperties {
            session_expiry_interval: expiry.filter(|_| sender == Sender::Client),
            reason_string,
            server_reference: server_reference.filter(|_| sender == Sender::Server),
            user_properties,
        },
    );
    let reason_code = reason_code(PacketType::Disconnect, sender).prop_map(Some);
    (in_5(version, reason_code), in_5(version, properties)).prop_map(|(reason_code, properties)| Disconnect {
        reason_code: reason_code.unwrap_or(ReasonCode::Success),
        properties,
    })
}

fn auth(sender: Sender) -> impl Strategy<Value = Auth> {
    let properties = (text(), option::of(binary()), option::of(text()), pairs()).prop_map(
        |(method, authentication_data, reason_string, user_properties)| AuthProperties {
            authentication_method: Some(method),
            authentication_data,
            reason_string,
            user_properties,
        },
    );
    (reason_code(PacketType::Auth, sender), properties, any::<bool>()).prop_map(
        |(reason_code, properties, bare)| Auth {
            reason_code,
            properties: if bare && reason_code == ReasonCode::Success {
                AuthProperties::default()
            } else {
                properties
            },
        },
    )
}

/// Any packet of this type. The sender has to be one that sends it.
pub(crate) fn packet_of(
    packet_type: PacketType,
    version: ProtocolVersion,
    sender: Sender,
) -> BoxedStrategy<Packet> {
    let ack = || ack(version, packet_type, sender);
    match packet_type {
        PacketType::Connect => connect(version).prop_map(|p| Packet::Connect(Box::new(p))).boxed(),
        PacketType::ConnAck => connack(version).prop_map(|p| Packet::ConnAck(Box::new(p))).boxed(),
        PacketType::Publish => publish(version, sender).prop_map(Packet::Publish).boxed(),
        PacketType::PubAck => ack().prop_map(Packet::PubAck).boxed(),
        PacketType::PubRec => ack().prop_map(Packet::PubRec).boxed(),
        PacketType::PubRel => ack().prop_map(Packet::PubRel).boxed(),
        PacketType::PubComp => ack().prop_map(Packet::PubComp).boxed(),
        PacketType::Subscribe => subscribe(version).prop_map(Packet::Subscribe).boxed(),
        PacketType::SubAck => suback(version).prop_map(Packet::SubAck).boxed(),
        PacketType::Unsubscribe => unsubscribe(version).prop_map(Packet::Unsubscribe).boxed(),
        PacketType::UnsubAck => unsuback(version).prop_map(Packet::UnsubAck).boxed(),
        PacketType::PingReq => Just(Packet::PingReq).boxed(),
        PacketType::PingResp => Just(Packet::PingResp).boxed(),
        PacketType::Disconnect => disconnect(version, sender).prop_map(Packet::Disconnect).boxed(),
        PacketType::Auth => auth(sender).prop_map(Packet::Auth).boxed(),
    }
}

pub(crate) fn version() -> impl Strategy<Value = ProtocolVersion> {
    prop::sample::select(crate::feed::VERSIONS.to_vec())
}

pub(crate) fn sender() -> impl Strategy<Value = Sender> {
    prop_oneof![Just(Sender::Client), Just(Sender::Server)]
}

/// All packet types that this sender sends in this version.
pub(crate) fn packet_types(version: ProtocolVersion, sender: Sender) -> Vec<PacketType> {
    (1..=15)
        .map(|value| PacketType::try_from(value).unwrap())
        .filter(|packet_type| packet_type.is_sent_by(sender, version))
        .collect()
}

/// Any packet, with its version and sender.
pub(crate) fn packet() -> impl Strategy<Value = (Packet, ProtocolVersion, Sender)> {
    (version(), sender()).prop_flat_map(|(version, sender)| {
        prop::sample::select(packet_types(version, sender))
            .prop_flat_map(move |packet_type| packet_of(packet_type, version, sender))
            .prop_map(move |packet| (packet, version, sender))
    })
}
