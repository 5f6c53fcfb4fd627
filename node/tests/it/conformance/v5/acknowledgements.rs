//! PUBACK, PUBREC, PUBREL and PUBCOMP from a client (chapters 3.4 to 3.7): reason codes, and packet identifiers that
//! the node does not know.

use mqtt_codec::QoS;

use super::bytes::{
    MALFORMED, PROTOCOL_ERROR, accepts, connected, packet, properties, refuses, string, user_property,
};
use crate::harness::{on_nodes, settings};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// What a client may say.
fn reason_codes(first: u8) -> &'static [u8] {
    match first {
        PUBACK | PUBREC => &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        _ => &[0x00, 0x92],
    }
}

/// What answers an acknowledgement of an unknown packet identifier.
fn answer(first: u8, id: [u8; 2], reason: u8) -> Option<Vec<u8>> {
    match first {
        PUBREC if reason < 0x80 => Some(vec![PUBREL, 3, id[0], id[1], 0x92]),
        PUBREL => Some(vec![PUBCOMP, 3, id[0], id[1], 0x92]),
        _ => None,
    }
}

/// [MQTT-3.6.2-1] [MQTT-3.7.2-1] Packet identifiers that the node does not know, in all four packets, with each reason
/// code and with properties, never end the network connection. PUBREC and PUBREL are answered by 0x92.
#[test]
fn of_unknown_packet_identifiers() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        let list = [&b"\x1f"[..], &string("why"), &user_property("n", "v"), &user_property("n", "")].concat();
        for first in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
            for id in [1u16, 2, 255, 256, 65_535].map(u16::to_be_bytes) {
                client.send_bytes(&packet(first, &id)).await;
                if let Some(answer) = answer(first, id, 0) {
                    client.expect_bytes(&answer).await;
                }
                for reason in reason_codes(first) {
                    for list in [&b""[..], &list] {
                        let body = [&id[..], &[*reason], &properties(list)].concat();
                        client.send_bytes(&packet(first, &body)).await;
                        if let Some(answer) = answer(first, id, *reason) {
                            client.expect_bytes(&answer).await;
                        }
                    }
                    client.ping().await;
                }
            }
        }
        client.expect_nothing().await;
    });
}

/// The same in the middle of exchanges that they do not belong to: these go on as if nothing had come.
/// [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5]
#[test]
fn of_another_exchange() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = node.connect(super::bytes::V5, "publisher").await;
        publisher.publish("t", QoS::AtLeastOnce, "one").await;
        publisher.publish("t", QoS::ExactlyOnce, "two").await;
        let one = client.expect_payload("one").await.packet_identifier.expect("QoS 1").get();
        let two = client.expect_payload("two").await.packet_identifier.expect("QoS 2").get();
        let send = |first, id: u16| [&[first, 2][..], &id.to_be_bytes()].concat();
        // PUBCOMP and PUBREC are not what QoS 1 waits for, PUBACK and PUBCOMP not what QoS 2 does.
        for bytes in [send(PUBCOMP, one), send(PUBACK, two), send(PUBCOMP, two), send(PUBACK, 999)] {
            client.send_bytes(&bytes).await;
            client.ping().await;
        }
        node.until("both are still unacknowledged", |seen| seen.ledger.queued == 2).await;
        client.send_bytes(&send(PUBACK, one)).await;
        client.send_bytes(&send(PUBREC, two)).await;
        client.expect_bytes(&send(PUBREL, two)).await;
        // Again, as after a lost PUBREL; and PUBACK, which is too late and too early.
        client.send_bytes(&send(PUBREC, two)).await;
        client.expect_bytes(&send(PUBREL, two)).await;
        client.send_bytes(&send(PUBACK, two)).await;
        client.ping().await;
        node.until("the PUBCOMP is missing", |seen| seen.ledger.queued == 1).await;
        client.send_bytes(&send(PUBCOMP, two)).await;
        client.ping().await;
        node.until("nothing is queued", |seen| seen.ledger.queued == 0).await;
    });
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] Every byte in place of a reason code: those that the
/// packet does not know end the network connection.
#[test]
fn reason_codes_of_others() {
    on_nodes(settings(), async |node| {
        for first in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
            for reason in 0..=255 {
                let bytes = packet(first, &[0, 9, reason]);
                if reason_codes(first).contains(&reason) {
                    accepts(node, &bytes).await;
                } else {
                    refuses(node, &bytes, PROTOCOL_ERROR).await;
                }
            }
        }
    });
}

/// [MQTT-4.13.1-1] A packet identifier of 0 in any of them is malformed.
#[test]
fn of_packet_identifier_0() {
    on_nodes(settings(), async |node| {
        for first in [PUBACK, PUBREC, PUBREL, PUBCOMP, 0x82, 0xa2] {
            let rest = match first {
                0x82 => &b"\x00\x00\x01a\x00"[..],
                0xa2 => b"\x00\x00\x01a",
                _ => b"",
            };
            refuses(node, &packet(first, &[&b"\x00\x00"[..], rest].concat()), MALFORMED).await;
        }
    });
}
