//! `[mqtt]`: what a packet may carry.

use std::num::NonZeroU16;

use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Connect, Packet, Publish, PublishProperties, ReasonCode, Unsubscribe};

use super::refused;
use crate::harness::{
    connect, filter, identifier, numbered, on_node, on_nodes, options, publish, settings, subscribe_packet,
    user_properties, will,
};

/// `maximum_packet_size_bytes`, announced: 0x95 for what is above, told by its header alone.
#[test]
fn packet_size() {
    let mut limited = settings();
    limited.mqtt.maximum_packet_size_bytes = 1000;
    on_nodes(limited, async |node| {
        let (mut client, answer) = node.connect_with(connect(V5, "client")).await;
        assert_eq!(answer.properties.maximum_packet_size.map(u32::from), Some(1000));
        let mut message = publish("t", AtLeastOnce, "");
        let empty = client.encoded(&Packet::Publish(message.clone())).len();
        message.payload = vec![b'x'; 1000 - empty - 1].into();
        assert_eq!(client.encoded(&Packet::Publish(message.clone())).len(), 1000);
        assert_eq!(client.publish_packet(message).await, ReasonCode::NoMatchingSubscribers);
        // 1001 bytes: the fixed header is all that has to come.
        client.send_bytes(b"\x32\xe6\x07").await;
        client.expect_disconnect(ReasonCode::PacketTooLarge).await;

        let mut old = node.connect(V311, "old").await;
        old.send_bytes(b"\x32\xe6\x07").await;
        old.expect_closed().await;

        let long = "x".repeat(1000);
        let mut client = node.open(V5).await;
        assert_eq!(client.handshake(connect(V5, &long)).await.reason_code, ReasonCode::PacketTooLarge);
        client.expect_closed().await;
        node.until_counters([("packets_too_large", 3)]).await;
    });
}

/// `receive_maximum`, announced: 0x93 for one more than that. QoS 2 holds its place until PUBCOMP.
#[test]
fn receive_maximum() {
    let mut limited = settings();
    limited.mqtt.receive_maximum = 4;
    on_nodes(limited, async |node| {
        let (mut client, answer) = node.connect_with(connect(V5, "client")).await;
        assert_eq!(answer.properties.receive_maximum, NonZeroU16::new(4));
        for number in 1..=4 {
            client.send(numbered(number, "t", ExactlyOnce)).await;
            assert!(matches!(client.next().await, Packet::PubRec(_)));
        }
        client.send(Packet::PubRel(Ack::new(identifier(2), ReasonCode::Success))).await;
        assert!(matches!(client.next().await, Packet::PubComp(_)));
        client.send(numbered(2, "t", AtLeastOnce)).await;
        assert!(matches!(client.next().await, Packet::PubAck(_)));
        client.send_all(&[numbered(5, "t", ExactlyOnce), numbered(6, "t", AtLeastOnce)]).await;
        loop {
            match client.next().await {
                Packet::PubRec(_) => {}
                Packet::Disconnect(told) => {
                    assert_eq!(told.reason_code, ReasonCode::ReceiveMaximumExceeded);
                    break;
                }
                other => panic!("{other:?} in place of a DISCONNECT"),
            }
        }
        client.expect_closed().await;
        node.until_counters([("receive_maximum_exceeded", 1)]).await;
    });
}

/// Before 5.0 there is no receive maximum: a client that sends more is read as its publishes are answered, and all of
/// them are.
#[test]
fn receive_maximum_of_an_old_client() {
    let mut limited = settings();
    limited.mqtt.receive_maximum = 4;
    on_nodes(limited, async |node| {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut subscriber = node.connect(V5, "subscriber").await;
            subscriber.subscribe("t", AtMostOnce).await;
            let mut client = node.connect(V311, "client").await;
            let packets: Vec<Packet> = (1..=100).map(|number| numbered(number, "t", qos)).collect();
            client.send_all(&packets).await;
            for number in 1..=100 {
                let ack = Ack::new(identifier(number), ReasonCode::Success);
                client
                    .expect(if qos == AtLeastOnce { Packet::PubAck(ack) } else { Packet::PubRec(ack) })
                    .await;
            }
            for number in 1..=100 {
                subscriber.expect_payload(&number.to_string()).await;
                if qos == ExactlyOnce {
                    let ack = Ack::new(identifier(number), ReasonCode::Success);
                    client.send(Packet::PubRel(ack.clone())).await;
                    client.expect(Packet::PubComp(ack)).await;
                }
            }
            client.disconnect().await;
            subscriber.disconnect().await;
        }
    });
}

/// `topic_alias_maximum`, announced: 0x94 above it. 0: none is taken.
#[test]
fn topic_aliases() {
    for maximum in [0, 3] {
        let mut limited = settings();
        limited.mqtt.topic_alias_maximum = maximum;
        on_node(1, limited, async |node| {
            let (mut client, answer) = node.connect_with(connect(V5, "client")).await;
            assert_eq!(answer.properties.topic_alias_maximum.unwrap_or(0), maximum);
            let with_alias = |alias: u16| {
                let properties =
                    PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() };
                Packet::Publish(Publish { properties, ..publish("t", AtMostOnce, "m") })
            };
            for alias in 1..=maximum {
                client.send(with_alias(alias)).await;
            }
            client.ping().await;
            client.send(with_alias(maximum + 1)).await;
            client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
            node.until_counters([("topic_alias_exceeded", 1)]).await;
        });
    }
}

/// `topic_alias_maximum_outgoing`: no alias above it, though the client takes more.
#[test]
fn outgoing_topic_aliases() {
    let mut limited = settings();
    limited.mqtt.topic_alias_maximum_outgoing = 2;
    on_node(1, limited, async |node| {
        let mut asked = connect(V5, "client");
        asked.properties.topic_alias_maximum = Some(100);
        let (mut client, _) = node.connect_with(asked).await;
        client.subscribe("#", AtMostOnce).await;
        let mut aliases = std::collections::HashMap::new();
        for round in 0..2 {
            for index in 0..4 {
                let topic = format!("t/{index}");
                client.publish(&topic, AtMostOnce, "m").await;
                let got = client.expect_payload("m").await;
                match got.properties.topic_alias.map(u16::from) {
                    Some(alias) if got.topic.is_empty() => assert_eq!(aliases.get(&alias), Some(&topic)),
                    Some(alias) => {
                        assert!(round == 0 && alias <= 2, "{got:?}");
                        aliases.insert(alias, topic);
                    }
                    None => assert_eq!(got.topic, topic),
                }
            }
        }
        assert_eq!(aliases.len(), 2);
    });
}

/// `topic_levels_max`: 0x90 for a PUBLISH and a will; dropped without a word at QoS 0.
#[test]
fn topic_levels() {
    let mut limited = settings();
    limited.mqtt.topic_levels_max = 3;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("#", AtMostOnce).await;
        client.publish("a/b/c", AtLeastOnce, "m").await;
        client.publish("a/b/c/d", AtMostOnce, "m").await;
        assert_eq!(client.expect_payload("m").await.topic, "a/b/c");
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert_eq!(client.publish("a/b/c/d", qos, "m").await, ReasonCode::TopicNameInvalid);
        }
        client.expect_nothing().await;
        let with_will = Connect { will: Some(will("///", AtMostOnce, "m")), ..connect(V5, "will") };
        refused(node, with_will, ReasonCode::TopicNameInvalid).await;
        node.until_counters([("topic_levels_exceeded", 4)]).await;
    });
}

/// `user_properties_max`: 0x97 for a packet with more.
#[test]
fn user_properties_of_a_packet() {
    let mut limited = settings();
    limited.mqtt.user_properties_max = 3;
    on_node(1, limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        let with = |count: usize| {
            let properties = PublishProperties {
                user_properties: user_properties(&vec![("name", "value"); count]),
                ..PublishProperties::default()
            };
            Publish { properties, ..publish("t", AtLeastOnce, "m") }
        };
        assert_eq!(client.publish_packet(with(3)).await, ReasonCode::NoMatchingSubscribers);
        client.send(Packet::Publish(with(4))).await;
        client.expect_disconnect(ReasonCode::QuotaExceeded).await;
        let mut many = connect(V5, "client");
        many.properties.user_properties = user_properties(&[("name", "value"); 4]);
        refused(node, many, ReasonCode::QuotaExceeded).await;
        node.until_counters([("protocol_errors", 2)]).await;
    });
}

/// `filters_per_packet_max`: 0x97 for a SUBSCRIBE or UNSUBSCRIBE with more.
#[test]
fn filters_of_a_packet() {
    let mut limited = settings();
    limited.mqtt.filters_per_packet_max = 3;
    on_node(1, limited, async |node| {
        let filters = ["a", "b", "c", "d"].map(|name| (name, options(AtMostOnce)));
        for version in [V5, V311, V31] {
            let mut client = node.connect(version, "client").await;
            client.subscribe_packet(subscribe_packet(identifier(1), &filters[..3])).await;
            client.send(Packet::Subscribe(subscribe_packet(identifier(2), &filters))).await;
            client.expect_disconnect(ReasonCode::QuotaExceeded).await;
            let mut client = node.connect(version, "client").await;
            let filters = filters.iter().map(|(name, _)| filter(name)).collect();
            let unsubscribe =
                Unsubscribe { packet_identifier: identifier(3), user_properties: Vec::new(), filters };
            client.send(Packet::Unsubscribe(unsubscribe)).await;
            client.expect_disconnect(ReasonCode::QuotaExceeded).await;
        }
        node.until_counters([("protocol_errors", 6)]).await;
    });
}
