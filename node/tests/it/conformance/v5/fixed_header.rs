//! The first byte of a packet (chapter 2.1).

use super::bytes::{MALFORMED, PROTOCOL_ERROR, accepts, connected, packet, refuses, refuses_connect, string};
use crate::harness::{on_nodes, settings};

/// The body of an otherwise correct packet, by packet type; none for CONNECT and PUBLISH, whose flags differ.
fn bodies() -> Vec<(u8, u8, Vec<u8>)> {
    vec![
        (4, 0, b"\x00\x09".to_vec()),
        (5, 0, b"\x00\x09".to_vec()),
        (6, 2, b"\x00\x09".to_vec()),
        (7, 0, b"\x00\x09".to_vec()),
        (8, 2, b"\x00\x09\x00\x00\x01a\x00".to_vec()),
        (10, 2, b"\x00\x09\x00\x00\x01a".to_vec()),
        (12, 0, Vec::new()),
        (14, 0, Vec::new()),
        (15, 0, b"\x18\x04\x15\x00\x01m".to_vec()),
    ]
}

/// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1] Each packet with each
/// of the fifteen flags that it may not have.
#[test]
fn reserved_flags() {
    on_nodes(settings(), async |node| {
        for (packet_type, right, body) in bodies() {
            for flags in (0..16).filter(|flags| *flags != right) {
                refuses(node, &packet(packet_type << 4 | flags, &body), MALFORMED).await;
            }
        }
        for flags in 1..16 {
            let body = [&b"\x00\x04MQTT\x05\x02\x00\x00\x00"[..], &string("raw")].concat();
            refuses_connect(node, &packet(0x10 | flags, &body), None).await;
        }
    });
}

/// [MQTT-3.3.1-4] QoS 3, with and without DUP and RETAIN.
#[test]
fn no_qos_3() {
    on_nodes(settings(), async |node| {
        for flags in [0x06, 0x07, 0x0e, 0x0f] {
            refuses(node, &packet(0x30 | flags, b"\x00\x01a\x00\x01\x00x"), MALFORMED).await;
        }
    });
}

/// [MQTT-3.3.1-2] [MQTT-4.3.1-1] DUP with QoS 0.
#[test]
fn no_dup_with_qos_0() {
    on_nodes(settings(), async |node| {
        for flags in [0x08, 0x09] {
            refuses(node, &packet(0x30 | flags, b"\x00\x01a\x00x"), MALFORMED).await;
        }
        for flags in [0x00, 0x01] {
            accepts(node, &packet(0x30 | flags, b"\x00\x01a\x00")).await;
        }
    });
}

/// [MQTT-4.13.1-1] The packet type that is reserved, and those that only a server sends, are errors.
#[test]
fn packet_types_of_others() {
    on_nodes(settings(), async |node| {
        for flags in 0..16 {
            refuses(node, &packet(flags, b""), MALFORMED).await;
        }
        for bytes in [
            &b"\x20\x03\x00\x00\x00"[..],
            b"\x90\x04\x00\x01\x00\x00",
            b"\xb0\x04\x00\x01\x00\x00",
            b"\xd0\x00",
        ] {
            refuses(node, bytes, PROTOCOL_ERROR).await;
        }
    });
}

/// [MQTT-3.12.4-1] PINGREQ is two bytes, and so is what answers it.
#[test]
fn ping() {
    on_nodes(settings(), async |node| {
        let mut client = connected(node).await;
        for count in [1, 2, 500] {
            client.send_bytes(&b"\xc0\x00".repeat(count)).await;
            client.expect_bytes(&b"\xd0\x00".repeat(count)).await;
        }
        refuses(node, b"\xc0\x01\x00", MALFORMED).await;
    });
}
