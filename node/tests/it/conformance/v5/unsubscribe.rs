//! UNSUBSCRIBE and UNSUBACK (chapters 3.10, 3.11).

use mqtt_codec::QoS;

use super::bytes::{PROTOCOL_ERROR, V5, connected, packet, properties, refuses, string, user_property};
use crate::harness::{durable, on_nodes, settings};

fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<u8> = filters.iter().flat_map(string).collect();
    packet(0xa2, &[&id.to_be_bytes()[..], b"\x00", &filters].concat())
}

/// [MQTT-2.2.1-6] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] UNSUBSCRIBE is
/// answered by UNSUBACK with its packet identifier: 0x00 for a subscription that there was, 0x11 for one that there was
/// not, in the order of the topic filters, one after the other.
#[test]
fn is_answered() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        for id in [1u16, 255, 256, 65_535] {
            let [high, low] = id.to_be_bytes();
            client.send_bytes(&unsubscribe(id, &["a"])).await;
            client.expect_bytes(&[0xb0, 4, high, low, 0, 0x11]).await;
            client.subscribe("a", QoS::AtMostOnce).await;
            client.subscribe("b/#", QoS::AtMostOnce).await;
            client.subscribe("$share/g/a", QoS::AtMostOnce).await;
            let filters = ["b", "b/#", "a", "a", "b/+", "$share/h/a", "$share/g/a", "$share/g/a"];
            client.send_bytes(&unsubscribe(id, &filters)).await;
            let answer = [0xb0, 11, high, low, 0, 0x11, 0, 0, 0x11, 0x11, 0x11, 0, 0x11];
            client.expect_bytes(&answer).await;
        }
        node.until("0 subscriptions", |seen| seen.sessions.subscriptions == 0).await;
    });
}

/// [MQTT-3.10.3-2] An UNSUBSCRIBE without a topic filter, with and without properties.
#[test]
fn needs_a_topic_filter() {
    on_nodes(settings(), async |node| {
        for list in [&b""[..], &user_property("n", "v")] {
            let bytes = packet(0xa2, &[&b"\x00\x01"[..], &properties(list)].concat());
            refuses(node, &bytes, PROTOCOL_ERROR).await;
        }
    });
}

/// [MQTT-3.10.4-1] Topic filters are compared character by character: what matches the same topic names is another one.
#[test]
fn compares_character_by_character() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        client.subscribe("a/+/b", QoS::AtMostOnce).await;
        for other in
            ["a/#", "a/x/b", "A/+/b", "a/+/b/", "/a/+/b", "a/+/B", "a/+/+", "$share/g/a/+/b", "a/+/b\u{301}"]
        {
            client.send_bytes(&unsubscribe(9, &[other])).await;
            client.expect_bytes(b"\xb0\x04\x00\x09\x00\x11").await;
        }
        client.publish("a/x/b", QoS::AtMostOnce, "still").await;
        client.expect_payload("still").await;
        client.send_bytes(&unsubscribe(9, &["a/+/b"])).await;
        client.expect_bytes(b"\xb0\x04\x00\x09\x00\x00").await;
        client.publish("a/x/b", QoS::AtMostOnce, "no more").await;
        client.expect_nothing().await;
    });
}

/// [MQTT-3.10.4-2] [MQTT-3.10.4-3] After UNSUBACK nothing new is added; QoS 1 and 2 that were begun are completed, and
/// sent again when the session is resumed.
#[test]
fn what_was_begun_is_completed() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "leaving")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", QoS::AtLeastOnce, "one").await;
        publisher.publish("t", QoS::ExactlyOnce, "two").await;
        let one = client.expect_payload("one").await;
        let two = client.expect_payload("two").await;
        client.send_bytes(&unsubscribe(1, &["t"])).await;
        client.expect_bytes(b"\xb0\x04\x00\x01\x00\x00").await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publisher.publish("t", qos, "new").await;
        }
        client.expect_nothing().await;
        node.until("2 messages are queued", |seen| seen.ledger.queued == 2).await;
        client.acknowledge(&one).await;
        client.vanish().await;
        let mut client = node.resume(durable(V5, "leaving")).await;
        let again = client.take_payload("two").await;
        assert_eq!((again.packet_identifier, again.dup), (two.packet_identifier, true));
        client.expect_nothing().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
    });
}
