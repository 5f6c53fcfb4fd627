//! PUBLISH.

use std::num::NonZeroU16;
use std::time::Duration;

use ProtocolVersion::{V5, V31, V311};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::{
    NotAuthorized, PayloadFormatInvalid, ProtocolError, QoSNotSupported, QuotaExceeded,
    ReceiveMaximumExceeded, RetainNotSupported, Success, TopicAliasInvalid, TopicNameInvalid,
};
use mqtt_codec::{Connect, Packet, PayloadFormat, ProtocolVersion, Publish, QoS, ReasonCode};

use super::publish;
use crate::protocol::Stepped;
use crate::protocol::tests::{Client, answer};
use crate::settings::MqttSettings;
use crate::testing::id;

fn client(version: ProtocolVersion, change: impl FnOnce(&mut MqttSettings)) -> Client {
    Client::with(&Connect::new(version, "client"), |settings| change(&mut settings.mqtt))
}

fn packet(topic: &str, payload: &str, qos: QoS, identifier: u16) -> Packet {
    Packet::Publish(publish(topic, payload, qos, identifier))
}

fn with_alias(topic: &str, alias: u16) -> Packet {
    let mut publish = publish(topic, "x", AtMostOnce, 0);
    publish.properties.topic_alias = NonZeroU16::new(alias);
    Packet::Publish(publish)
}

fn routed(client: &Client) -> Vec<String> {
    client.batch().0.into_iter().map(|(topic, payload)| format!("{topic}={payload}")).collect()
}

/// [MQTT-4.6.0-5] All of one wake-up are one batch, in the order received, each with what its client is to be answered.
#[test]
fn a_batch_in_order() {
    let mut client = Client::new(V5);
    for (number, qos) in [AtMostOnce, AtLeastOnce, ExactlyOnce, AtLeastOnce].into_iter().enumerate() {
        let packet = packet("t", &number.to_string(), qos, 10 + number as u16);
        assert_eq!(client.send_more(&packet), Ok(Stepped::Done));
    }
    assert_eq!(routed(&client), ["t=0", "t=1", "t=2", "t=3"]);
    let answers = [None, answer(11, false, None), answer(12, true, None), answer(13, false, None)];
    assert_eq!(client.batch().1, answers);
    assert_eq!((client.counter("publishes_received"), client.counter("publish_bytes_received")), (4, 4));
    assert!(client.answers().is_empty());
    assert_eq!(client.online().unanswered, 3);
}

/// What a message brings along reaches those who get it.
#[test]
fn all_of_a_message_is_routed() {
    let mut client = Client::new(V5);
    let mut message = Publish { retain: true, ..publish("t", "x", AtLeastOnce, 1) };
    message.properties.message_expiry_interval = Some(7);
    message.properties.content_type = Some("c".to_owned());
    client.send(&Packet::Publish(message)).unwrap();
    let publication = client.fx.batch.publication(0);
    assert_eq!((publication.qos, publication.retain), (AtLeastOnce, true));
    assert_eq!(publication.properties, b"\x03\x00\x01c");
    assert_eq!(publication.expires_at, Some(client.office.now + Duration::from_secs(7)));
    client.send(&packet("t", "y", AtMostOnce, 0)).unwrap();
    let publication = client.fx.batch.publication(0);
    assert_eq!((publication.properties, publication.expires_at), (&[][..], None));
    assert!(!publication.retain);
}

/// [MQTT-3.2.2-11] [MQTT-3.2.2-14] What the node said it does not offer ends the network connection.
#[test]
fn what_is_not_offered() {
    for (maximum, qos, expected) in [
        (0, AtMostOnce, None),
        (0, AtLeastOnce, Some(QoSNotSupported)),
        (1, AtLeastOnce, None),
        (1, ExactlyOnce, Some(QoSNotSupported)),
        (2, ExactlyOnce, None),
    ] {
        let mut client = client(V5, |mqtt| mqtt.maximum_qos = maximum);
        let found = client.send(&packet("t", "x", qos, 1)).err().map(|violation| violation.reason);
        assert_eq!(found, expected, "{maximum} {qos:?}");
    }
    let mut client = client(V5, |mqtt| mqtt.retain_available = false);
    let retained = Publish { retain: true, ..publish("t", "x", AtMostOnce, 0) };
    assert_eq!(client.refused(&Packet::Publish(retained)), RetainNotSupported);
    assert_eq!(client.send(&packet("t", "x", AtMostOnce, 0)), Ok(Stepped::Done));
}

#[test]
fn properties_that_are_too_long() {
    let mut client = client(V5, |mqtt| mqtt.publish_properties_bytes_max = 10);
    let mut message = publish("t", "x", AtMostOnce, 0);
    // Identifier, length and text.
    message.properties.content_type = Some("7 bytes".to_owned());
    assert_eq!(client.send(&Packet::Publish(message.clone())), Ok(Stepped::Done));
    assert_eq!(client.counter("publish_properties_too_large"), 0);
    message.properties.content_type = Some("8 bytes!".to_owned());
    assert_eq!(client.refused(&Packet::Publish(message)), QuotaExceeded);
    assert_eq!(client.counter("publish_properties_too_large"), 1);
}

/// [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12] An alias stands for the topic name that it was set with last.
#[test]
fn topic_aliases() {
    let mut client = client(V5, |mqtt| mqtt.topic_alias_maximum = 3);
    for (topic, alias) in [("c", 3), ("a", 1), ("", 3), ("", 1), ("other", 3), ("", 3), ("", 1)] {
        assert_eq!(client.send_more(&with_alias(topic, alias)), Ok(Stepped::Done));
    }
    assert_eq!(routed(&client), ["c=x", "a=x", "c=x", "a=x", "other=x", "other=x", "a=x"]);
    assert_eq!(client.refused(&with_alias("", 2)), ProtocolError, "never set");
    assert_eq!(client.counter("topic_alias_exceeded"), 0);
    assert_eq!(client.refused(&with_alias("d", 4)), TopicAliasInvalid);
    assert_eq!(client.counter("topic_alias_exceeded"), 1);
    assert_eq!(Client::new(V5).refused(&with_alias("", 1)), ProtocolError, "none was ever set");
}

/// [MQTT-3.3.4-7] A 5.0 client that sends more than the receive maximum is disconnected; QoS 0 is not counted.
#[test]
fn receive_maximum_of_5_0() {
    let mut client = client(V5, |mqtt| mqtt.receive_maximum = 2);
    for (identifier, qos) in [(1, AtLeastOnce), (2, ExactlyOnce)] {
        assert_eq!(client.send(&packet("t", "x", qos, identifier)), Ok(Stepped::Done));
    }
    assert_eq!(client.send(&packet("t", "x", AtMostOnce, 0)), Ok(Stepped::Done));
    assert_eq!(client.counter("receive_maximum_exceeded"), 0);
    assert_eq!(client.refused(&packet("t", "x", AtLeastOnce, 3)), ReceiveMaximumExceeded);
    assert_eq!(client.counter("receive_maximum_exceeded"), 1);
    // One is answered: there is room for another.
    client.online().unanswered -= 1;
    assert_eq!(client.send(&packet("t", "x", AtLeastOnce, 3)), Ok(Stepped::Done));
}

/// Nothing told a 3.x client of the receive maximum: its publish waits.
#[test]
fn receive_maximum_of_3_x() {
    for version in [V31, V311] {
        let mut client = client(version, |mqtt| mqtt.receive_maximum = 1);
        assert_eq!(client.send(&packet("t", "a", ExactlyOnce, 1)), Ok(Stepped::Done));
        assert_eq!(client.send(&packet("t", "b", AtLeastOnce, 2)), Ok(Stepped::NeedsAnswers));
        assert!(client.fx.batch.is_empty());
        assert_eq!(client.counter("publishes_received"), 1);
        client.online().unanswered = 0;
        assert_eq!(client.send(&packet("t", "b", AtLeastOnce, 2)), Ok(Stepped::Done));
        assert_eq!(routed(&client), ["t=b"]);
    }
}

/// [MQTT-4.3.3-10] A QoS 2 message is routed once, however often it is sent before its PUBREL; each is answered.
#[test]
fn qos_2_is_routed_once() {
    for (version, unanswered) in [(V5, 1), (V311, 3)] {
        let mut client = Client::new(version);
        for _ in 0..3 {
            client.send_more(&packet("t", "x", ExactlyOnce, 9)).unwrap();
        }
        assert_eq!(routed(&client), ["t=x"]);
        let again = answer(9, true, Some(Success));
        assert_eq!(client.batch().1, [answer(9, true, None), again, again]);
        // 5.0 counts it once until its PUBREL; 3.x counts each until it is answered.
        assert_eq!(client.online().unanswered, unanswered);
        assert_eq!(client.session.incoming.count(), 1);
        // QoS 1 with the same packet identifier is a message of its own.
        client.send(&packet("t", "y", AtLeastOnce, 9)).unwrap();
        assert_eq!(routed(&client), ["t=y"]);
    }
}

/// On a new network connection a QoS 2 message that is sent again takes a place in the receive maximum.
#[test]
fn qos_2_from_an_earlier_connection() {
    let mut client = Client::new(V5);
    client.send(&packet("t", "x", ExactlyOnce, 9)).unwrap();
    client.session.epoch += 1;
    client.online().unanswered = 0;
    client.send(&packet("t", "x", ExactlyOnce, 9)).unwrap();
    assert_eq!(client.batch(), (vec![], vec![answer(9, true, Some(Success))]));
    assert_eq!(client.online().unanswered, 1);
    client.send(&packet("t", "x", ExactlyOnce, 9)).unwrap();
    assert_eq!(client.online().unanswered, 1);
}

/// However often a client reconnects, it holds no more QoS 2 exchanges open than admitted. What it sends again it holds
/// already.
#[test]
fn incoming_qos_2_is_bounded() {
    let mut client = Client::with(&Connect::new(V5, "c"), |settings| settings.session.incoming_qos2_max = 2);
    for identifier in [1, 2, 1] {
        client.send(&packet("t", "x", ExactlyOnce, identifier)).unwrap();
    }
    assert_eq!(client.counter("incoming_qos2_full"), 0);
    assert_eq!(client.refused(&packet("t", "x", ExactlyOnce, 3)), ReceiveMaximumExceeded);
    assert_eq!(client.counter("incoming_qos2_full"), 1);
    assert_eq!(client.send(&packet("t", "x", AtLeastOnce, 4)), Ok(Stepped::Done));
    client.session.incoming.remove(id(1));
    assert_eq!(client.send(&packet("t", "x", ExactlyOnce, 3)), Ok(Stepped::Done));
}

/// A publish that is refused is answered in its turn and goes nowhere. QoS 0 has no answer.
#[test]
fn refusals() {
    let deep = "a/b/c/d";
    for (topic, payload, reason, counter) in [
        (deep, "x", TopicNameInvalid, "topic_levels_exceeded"),
        ("$SYS/x", "x", NotAuthorized, "publishes_not_authorized"),
        ("$SYS", "x", NotAuthorized, "publishes_not_authorized"),
    ] {
        let mut client = client(V5, |mqtt| mqtt.topic_levels_max = 3);
        client.send(&packet(topic, payload, AtLeastOnce, 1)).unwrap();
        client.send_more(&packet(topic, payload, ExactlyOnce, 2)).unwrap();
        client.send_more(&packet(topic, payload, AtMostOnce, 0)).unwrap();
        let expected = vec![answer(1, false, Some(reason)), answer(2, true, Some(reason))];
        assert_eq!(client.batch(), (vec![], expected), "{topic}");
        assert_eq!(client.counter(counter), 3);
        assert_eq!(client.counter("publishes_received"), 3);
        // They take their place in the receive maximum until they are answered; QoS 2 holds nothing.
        assert_eq!((client.online().unanswered, client.session.incoming.count()), (2, 0));
    }
    let mut client = client(V5, |mqtt| mqtt.topic_levels_max = 3);
    for topic in ["a/b/c", "$SYSTEM", "$", "$sys/x", "x/$SYS/x"] {
        client.send(&packet(topic, "x", AtMostOnce, 0)).unwrap();
        assert_eq!(routed(&client), [format!("{topic}=x")]);
    }
    assert_eq!(client.counter("topic_levels_exceeded") + client.counter("publishes_not_authorized"), 0);
}

/// A failing PUBREC frees the packet identifier, whatever it stood for before.
#[test]
fn a_refusal_ends_the_exchange() {
    let mut client = Client::new(V5);
    client.send(&packet("t", "x", ExactlyOnce, 1)).unwrap();
    client.send(&packet("t", "x", ExactlyOnce, 2)).unwrap();
    client.send(&packet("$SYS", "x", ExactlyOnce, 1)).unwrap();
    assert!(!client.session.incoming.contains(id(1)) && client.session.incoming.contains(id(2)));
    client.send(&packet("$SYS", "x", AtLeastOnce, 2)).unwrap();
    assert!(client.session.incoming.contains(id(2)), "QoS 1 says nothing of it");
}

/// [MQTT-4.3.3-10] What is sent again before its PUBREL is answered as before: no limit on what comes anew bounds it.
#[test]
fn qos_2_that_is_held_is_answered_at_each_limit() {
    for version in [V5, V311, V31] {
        let mut client = Client::with(&Connect::new(version, "c"), |settings| {
            settings.mqtt.receive_maximum = 2;
            settings.mqtt.topic_levels_max = 3;
            settings.mqtt.publish_properties_bytes_max = 10;
            settings.session.incoming_qos2_max = 2;
        });
        let again = (vec![], vec![answer(1, true, Some(Success))]);
        let mut messages = vec![publish("t", "x", ExactlyOnce, 1), publish("a/b/c/d", "x", ExactlyOnce, 1)];
        if version == V5 {
            let mut long = publish("t", "x", ExactlyOnce, 1);
            long.properties.content_type = Some("8 bytes!".to_owned());
            messages.push(long);
        }
        client.send(&packet("t", "x", ExactlyOnce, 1)).unwrap();
        client.send(&packet("t", "x", ExactlyOnce, 2)).unwrap();
        if version != V5 {
            // It waits until others are answered.
            assert_eq!(client.send(&Packet::Publish(messages[0].clone())), Ok(Stepped::NeedsAnswers));
        }
        for message in messages {
            for dup in [false, true] {
                if version != V5 {
                    client.online().unanswered = 0;
                }
                let message = Publish { dup, ..message.clone() };
                assert_eq!(client.send(&Packet::Publish(message.clone())), Ok(Stepped::Done), "{message:?}");
                assert_eq!(client.batch(), again, "{version} {message:?}");
            }
        }
        assert_eq!(client.session.incoming.count(), 2);
        assert_eq!(client.counter("receive_maximum_exceeded") + client.counter("incoming_qos2_full"), 0);
        if version == V5 {
            assert_eq!(client.online().unanswered, 2);
            assert_eq!(client.refused(&packet("t", "x", AtLeastOnce, 1)), ReceiveMaximumExceeded);
            assert_eq!(client.refused(&packet("t", "x", ExactlyOnce, 3)), ReceiveMaximumExceeded);
        }
    }
}

/// What was held on an earlier network connection has no place on this one.
#[test]
fn qos_2_from_an_earlier_connection_at_the_receive_maximum() {
    let mut client = client(V5, |mqtt| mqtt.receive_maximum = 1);
    client.send(&packet("t", "x", ExactlyOnce, 9)).unwrap();
    client.session.epoch += 1;
    client.online().unanswered = 0;
    client.send(&packet("t", "y", ExactlyOnce, 1)).unwrap();
    assert_eq!(client.refused(&packet("t", "x", ExactlyOnce, 9)), ReceiveMaximumExceeded);
    client.online().unanswered = 0;
    client.send(&packet("t", "x", ExactlyOnce, 9)).unwrap();
    assert_eq!(client.batch(), (vec![], vec![answer(9, true, Some(Success))]));
}

/// [MQTT-3.3.2-4] With the setting on, a payload that is said to be UTF-8 has to be; QoS 0 is told by a DISCONNECT.
#[test]
fn payload_format() {
    let message = |format, payload: &'static [u8], qos| {
        let mut message = Publish { payload: payload.into(), ..publish("t", "", qos, 1) };
        message.properties.payload_format_indicator = format;
        Packet::Publish(message)
    };
    let utf8 = Some(PayloadFormat::Utf8);
    let mut client = client(V5, |mqtt| mqtt.check_payload_format = true);
    for (format, payload) in [(None, &b"\xff"[..]), (Some(PayloadFormat::Unspecified), b"\xff"), (utf8, b"x")]
    {
        assert_eq!(client.send(&message(format, payload, AtMostOnce)), Ok(Stepped::Done));
        assert_eq!(client.batch().0.len(), 1);
    }
    assert_eq!(client.counter("payload_format_invalid"), 0);
    client.send(&message(utf8, b"\xff", AtLeastOnce)).unwrap();
    assert_eq!(client.batch(), (vec![], vec![answer(1, false, Some(PayloadFormatInvalid))]));
    assert_eq!(client.refused(&message(utf8, b"\xff", AtMostOnce)), PayloadFormatInvalid);
    assert_eq!(client.counter("payload_format_invalid"), 2);
    let mut lax = Client::new(V5);
    assert_eq!(lax.send(&message(utf8, b"\xff", AtMostOnce)), Ok(Stepped::Done));
}
