//! What comes with a PUBLISH: properties, topic aliases, and the limits on packet sizes.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use actix_rt::time::sleep;
use mqtt_codec::{Packet, PayloadFormat, ProtocolVersion, Publish, QoS, ReasonCode};

use crate::harness::{Client, connect, durable, on_nodes, publish, settings, user_properties, will};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn expiring(topic: &str, payload: &str, seconds: u32) -> Publish {
    let mut message = publish(topic, QoS::AtLeastOnce, payload);
    message.properties.message_expiry_interval = Some(seconds);
    message
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] A message that waits past its message expiry interval is dropped; one that is sent in
/// time says what is left.
#[test]
fn message_expiry() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "late")).await;
        client.subscribe("e", QoS::AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish_packet(expiring("e", "at once", 100)).await;
        assert_eq!(client.take_payload("at once").await.properties.message_expiry_interval, Some(100));
        client.disconnect().await;
        publisher.publish_packet(expiring("e", "too late", 1)).await;
        publisher.publish_packet(expiring("e", "in time", 100)).await;
        publisher.publish_packet(publish("e", QoS::AtLeastOnce, "for ever")).await;
        // What is tested is that time passes.
        sleep(Duration::from_millis(2100)).await;
        let mut client = node.resume(durable(V5, "late")).await;
        let left = client.take_payload("in time").await.properties.message_expiry_interval.expect("some");
        assert!((95..=98).contains(&left), "{left} s left of 100");
        assert_eq!(client.take_payload("for ever").await.properties.message_expiry_interval, None);
        client.expect_nothing().await;
        let ledger = node.balanced_ledger().await;
        let expired =
            ledger.dropped.iter().find(|(reason, _)| reason.label() == "expired").expect("a reason");
        assert_eq!(expired.1, 1);
    });
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] What the publisher said
/// is passed on unaltered, user properties in order, and nothing is added.
#[test]
fn properties_are_passed_on() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        let mut old = node.connect(V311, "old").await;
        subscriber.subscribe("p", QoS::ExactlyOnce).await;
        old.subscribe("p", QoS::AtMostOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let mut message = publish("p", QoS::ExactlyOnce, "payload");
        message.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
        message.properties.content_type = Some("text/plain; charset=utf-8".to_owned());
        message.properties.response_topic = Some("answers/here".to_owned());
        message.properties.correlation_data = Some(b"\x00\x01\xff".to_vec().into());
        message.properties.user_properties =
            user_properties(&[("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("a", "ż")]);
        publisher.publish_packet(message.clone()).await;
        let got = subscriber.take_payload("payload").await;
        assert_eq!(got.properties, message.properties);
        old.take_payload("payload").await;
        for qos in LEVELS {
            publisher.publish("p", qos, "bare").await;
            assert_eq!(subscriber.take_payload("bare").await.properties, Default::default());
            old.take_payload("bare").await;
        }
        // From 3.1.1 to 5.0.
        old.publish("p", QoS::AtMostOnce, "old").await;
        assert_eq!(subscriber.take_payload("old").await.properties, Default::default());
    });
}

/// The payload format indicator is believed, unless `check_payload_format` is on: then 0x99.
#[test]
fn payload_format() {
    let said_to_be_utf8 = |qos| {
        let mut message = publish("f", qos, "");
        message.payload = b"\xff\xfe".to_vec().into();
        message.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
        message
    };
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("f", QoS::AtMostOnce).await;
        assert_eq!(client.publish_packet(said_to_be_utf8(QoS::AtLeastOnce)).await, ReasonCode::Success);
        assert_eq!(&client.expect_publish().await.payload[..], b"\xff\xfe");
    });
    let mut settings = settings();
    settings.mqtt.check_payload_format = true;
    on_nodes(settings, async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("f", QoS::AtMostOnce).await;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let reason = client.publish_packet(said_to_be_utf8(qos)).await;
            assert_eq!(reason, ReasonCode::PayloadFormatInvalid);
        }
        let mut fine = publish("f", QoS::AtLeastOnce, "żółć");
        fine.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
        assert_eq!(client.publish_packet(fine).await, ReasonCode::Success);
        client.expect_payload("żółć").await;
        client.publish_packet(said_to_be_utf8(QoS::AtMostOnce)).await;
        client.expect_disconnect(ReasonCode::PayloadFormatInvalid).await;
        node.until_counters([("payload_format_invalid", 3)]).await;

        let mut connect = connect(V5, "will");
        let mut broken = will("f", QoS::AtMostOnce, "");
        broken.payload = b"\xff".to_vec().into();
        broken.properties.payload_format_indicator = Some(PayloadFormat::Utf8);
        connect.will = Some(broken);
        let mut client = node.open(V5).await;
        assert_eq!(client.handshake(connect).await.reason_code, ReasonCode::PayloadFormatInvalid);
        client.expect_closed().await;
    });
}

fn aliased(topic: &str, alias: u16, payload: &str) -> Packet {
    let mut message = publish(topic, QoS::AtMostOnce, payload);
    message.properties.topic_alias = NonZeroU16::new(alias);
    Packet::Publish(message)
}

/// [MQTT-3.3.2-7] [MQTT-3.3.2-12] A topic alias stands for the topic name it was set with on this network connection,
/// until it is set anew, and is no business of subscribers.
#[test]
fn topic_aliases_of_the_client() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", QoS::AtMostOnce).await;
        let (mut client, answer) = node.connect_with(durable(V5, "alias")).await;
        let maximum = answer.properties.topic_alias_maximum.expect("aliases are offered");
        client
            .send_all(&[
                aliased("one", 1, "a"),
                aliased("", 1, "b"),
                aliased("highest", maximum, "c"),
                aliased("other", 1, "d"),
                aliased("", 1, "e"),
                aliased("", maximum, "f"),
            ])
            .await;
        for (topic, payload) in
            [("one", "a"), ("one", "b"), ("highest", "c"), ("other", "d"), ("other", "e"), ("highest", "f")]
        {
            let got = subscriber.expect_payload(payload).await;
            assert_eq!((got.topic.as_str(), got.properties.topic_alias), (topic, None));
        }
        client.vanish().await;

        // [MQTT-3.3.2-7] Aliases end with the network connection.
        let mut client = node.resume(durable(V5, "alias")).await;
        client.send(aliased("", 1, "nowhere")).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        // Above the maximum.
        let mut client = node.connect(V5, "alias").await;
        client.send(aliased("x", maximum + 1, "nowhere")).await;
        client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
        // [MQTT-3.3.2-8] An alias of 0.
        let mut client = node.connect(V5, "alias").await;
        client.send_bytes(b"\x30\x07\x00\x01x\x03\x23\x00\x00").await;
        client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
        // Neither a topic name nor an alias.
        let mut client = node.connect(V5, "alias").await;
        client.send_bytes(b"\x30\x04\x00\x00\x00x").await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        subscriber.expect_nothing().await;
    });
}

async fn expect_alias(client: &mut Client, topic: &str, alias: Option<u16>) {
    let got = client.expect_publish().await;
    client.acknowledge(&got).await;
    assert_eq!((got.topic.as_str(), got.properties.topic_alias.map(NonZeroU16::get)), (topic, alias));
}

/// [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-10] [MQTT-3.3.2-11] The node sets topic aliases up to the client's maximum, and none without one.
#[test]
fn topic_aliases_of_the_node() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for keeps in [false, true] {
            let mut connect = if keeps { durable(V5, "alias") } else { connect(V5, "alias") };
            connect.properties.topic_alias_maximum = Some(2);
            let (mut client, _) = node.connect_with(connect.clone()).await;
            client.subscribe("#", QoS::ExactlyOnce).await;
            for (topic, qos) in [
                ("a", QoS::AtMostOnce),
                ("a", QoS::AtLeastOnce),
                ("b", QoS::ExactlyOnce),
                ("c", QoS::AtMostOnce),
                ("a", QoS::ExactlyOnce),
                ("b", QoS::AtMostOnce),
                ("c", QoS::AtLeastOnce),
            ] {
                publisher.publish(topic, qos, "x").await;
            }
            for (topic, alias) in [
                ("a", Some(1)),
                ("", Some(1)),
                ("b", Some(2)),
                ("c", None),
                ("", Some(1)),
                ("", Some(2)),
                ("c", None),
            ] {
                expect_alias(&mut client, topic, alias).await;
            }
            client.expect_nothing().await;
            client.vanish().await;
            if keeps {
                // Another network connection, other aliases.
                publisher.publish("b", QoS::AtLeastOnce, "x").await;
                let mut client = node.resume(connect).await;
                expect_alias(&mut client, "b", Some(1)).await;
                client.expect_nothing().await;
                client.disconnect().await;
            }
        }
        node.connect(V5, "alias").await.disconnect().await;
        let mut client = node.connect(V5, "no-alias").await;
        client.subscribe("#", QoS::AtMostOnce).await;
        publisher.publish("a", QoS::AtMostOnce, "x").await;
        expect_alias(&mut client, "a", None).await;
    });
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25] A message above the client's maximum packet size is dropped for this client alone,
/// as if it had been delivered; those behind it are not held up.
#[test]
fn maximum_packet_size_of_the_client() {
    on_nodes(settings(), async |node| {
        let mut connect = durable(V5, "small");
        connect.properties.maximum_packet_size = NonZeroU32::new(60);
        let (mut client, _) = node.connect_with(connect.clone()).await;
        client.subscribe("s", QoS::ExactlyOnce).await;
        let mut other = node.connect(V5, "other").await;
        other.subscribe("s", QoS::AtMostOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let large = "x".repeat(60);
        for qos in LEVELS {
            publisher.publish("s", qos, &large).await;
            other.expect_payload(&large).await;
            publisher.publish("s", qos, "small").await;
            other.expect_payload("small").await;
            client.take_payload("small").await;
        }
        // 60 bytes exactly: 2 fixed header, 3 topic name, 2 packet identifier, 1 property length.
        let exact = "y".repeat(60 - 8);
        publisher.publish("s", QoS::AtLeastOnce, &exact).await;
        client.take_payload(&exact).await;
        publisher.publish("s", QoS::AtLeastOnce, &format!("{exact}y")).await;
        client.expect_nothing().await;
        client.disconnect().await;

        // What waited is judged by the network connection it would go to.
        publisher.publish("s", QoS::AtLeastOnce, &large).await;
        publisher.publish("s", QoS::AtLeastOnce, "behind").await;
        let mut client = node.resume(connect).await;
        client.take_payload("behind").await;
        client.expect_nothing().await;
        let ledger = node.balanced_ledger().await;
        let too_large = ledger
            .dropped
            .iter()
            .find(|(reason, _)| reason.label() == "too_large_for_client")
            .expect("a reason");
        assert_eq!(too_large.1, 5);
    });
}

/// A packet above the node's maximum packet size ends the network connection (0x95), as soon as its length is known.
#[test]
fn maximum_packet_size_of_the_node() {
    let mut settings = settings();
    settings.mqtt.maximum_packet_size_bytes = 1000;
    on_nodes(settings, async |node| {
        for version in VERSIONS {
            let mut client = node.connect(version, "large").await;
            let mut bytes = client.encoded(&Packet::Publish(publish("l", QoS::AtMostOnce, "")));
            let rest = 1000 - bytes.len() - 1;
            bytes = client.encoded(&Packet::Publish(publish("l", QoS::AtMostOnce, &"x".repeat(rest))));
            assert_eq!(bytes.len(), 1000);
            client.send_bytes(&bytes).await;
            client.ping().await;
            let bytes =
                client.encoded(&Packet::Publish(publish("l", QoS::AtMostOnce, &"x".repeat(rest + 1))));
            client.send_bytes(&bytes[..10]).await;
            client.expect_disconnect(ReasonCode::PacketTooLarge).await;
        }
        node.until_counters([("packets_too_large", 3)]).await;
    });
}
