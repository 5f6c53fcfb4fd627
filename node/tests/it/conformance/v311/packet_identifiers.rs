//! Packet identifiers: those that clients give, and those of the node.

use std::collections::BTreeSet;

use super::{
    ACCEPTED, RESUMED, ack, expect_closed_by, join, join_durable, publish, subscribe, subscribed, unsubscribe,
};
use crate::harness::{on_nodes, settings};

/// [MQTT311-2.3.1-1] A packet identifier of 0 where there has to be one ends the network connection; the lowest and the
/// highest are answered.
#[test]
fn is_not_0() {
    on_nodes(settings(), async |node| {
        for identifier in [0, 1, 65_535] {
            let bytes = u16::to_be_bytes(identifier);
            for (packet, answer) in [
                (subscribe(identifier, &[("a", 0)]), [b"\x90\x03", &bytes[..], b"\x00"].concat()),
                (unsubscribe(identifier, &["a"]), [b"\xb0\x02", &bytes[..]].concat()),
                (publish(0x32, "a", Some(identifier), "x"), [b"\x40\x02", &bytes[..]].concat()),
                (publish(0x34, "a", Some(identifier), "x"), [b"\x50\x02", &bytes[..]].concat()),
                (ack(0x50, identifier), [b"\x62\x02", &bytes[..]].concat()),
                (ack(0x62, identifier), [b"\x70\x02", &bytes[..]].concat()),
            ] {
                let mut client = join(node, "client").await;
                if identifier == 0 {
                    expect_closed_by(client, &packet).await;
                } else {
                    client.send_bytes(&packet).await;
                    client.expect_bytes(&answer).await;
                }
            }
        }
        for first_byte in [0x40, 0x70] {
            expect_closed_by(join(node, "client").await, &ack(first_byte, 0)).await;
        }
    });
}

/// [MQTT311-2.3.1-5] PUBLISH of QoS 0 has none, coming or going: what stands behind the topic name is payload.
#[test]
fn qos_0_has_none() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        subscribed(&mut client, "t", 2).await;
        client.send_bytes(b"\x30\x05\x00\x01t\x00\x07").await;
        client.expect_bytes(b"\x30\x05\x00\x01t\x00\x07").await;
        client.send_bytes(b"\x30\x03\x00\x01t").await;
        client.expect_bytes(b"\x30\x03\x00\x01t").await;
    });
}

/// [MQTT311-2.3.1-6] [MQTT311-2.3.1-7] Each answer repeats the packet identifier of what it answers, whatever order they
/// come in.
#[test]
fn answers_repeat_it() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        for identifier in [65_535, 1, 256, 255, 0x1234] {
            let bytes = u16::to_be_bytes(identifier);
            client.send_bytes(&publish(0x32, "t", Some(identifier), "x")).await;
            client.expect_bytes(&[b"\x40\x02", &bytes[..]].concat()).await;
            client.send_bytes(&subscribe(identifier, &[("other", 1)])).await;
            client.expect_bytes(&[b"\x90\x03", &bytes[..], b"\x01"].concat()).await;
            client.send_bytes(&unsubscribe(identifier, &["other"])).await;
            client.expect_bytes(&[b"\xb0\x02", &bytes[..]].concat()).await;
        }
        let several = [9, 300, 2];
        for identifier in several {
            client.send_bytes(&publish(0x34, "t", Some(identifier), "x")).await;
            client.expect_bytes(&ack(0x50, identifier)).await;
        }
        for identifier in several {
            client.send_bytes(&ack(0x62, identifier)).await;
            client.expect_bytes(&ack(0x70, identifier)).await;
        }
    });
}

/// [MQTT311-2.3.1-4] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1] The node gives a packet identifier other than 0 that nothing
/// unacknowledged has, and the same again when it sends again; an acknowledged one may come again.
#[test]
fn given_by_the_node() {
    on_nodes(settings(), async |node| {
        let mut subscriber = join_durable(node, "subscriber", ACCEPTED).await;
        subscribed(&mut subscriber, "t", 2).await;
        let mut publisher = join(node, "publisher").await;
        let mut given = Vec::new();
        for round in 0..300_u16 {
            let first_byte = if round % 2 == 0 { 0x32 } else { 0x34 };
            publisher.send_bytes(&publish(first_byte, "t", Some(round + 1), &round.to_string())).await;
            publisher.next().await;
            let got = subscriber.expect_payload(&round.to_string()).await;
            assert!(!got.dup);
            given.push(got.packet_identifier.expect("QoS 1 or 2").get());
        }
        assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 300, "{given:?}");
        drop(subscriber);
        let mut subscriber = join_durable(node, "subscriber", RESUMED).await;
        for (round, identifier) in given.iter().enumerate() {
            let first_byte = if round % 2 == 0 { 0x3a } else { 0x3c };
            let again = publish(first_byte, "t", Some(*identifier), &round.to_string());
            subscriber.expect_bytes(&again).await;
        }
    });
}
