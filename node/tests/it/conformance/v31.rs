//! MQTT 3.1 where it differs from 3.1.1: protocol name and level, the client identifier, what CONNACK leaves out, and what
//! it lets pass. 3.1 has no numbered statements; those cited are the ones of 3.1.1 that hold for it too.

use mqtt_codec::ProtocolVersion::V31;
use mqtt_codec::QoS::AtMostOnce;

use crate::harness::{Client, TestNode, on_node, on_nodes, settings};

/// CONNECT of 3.1: flags, and payload as it is on the wire.
fn connect(flags: u8, payload: &[u8]) -> Vec<u8> {
    let body = [b"\x00\x06MQIsdp\x03", &[flags][..], b"\x00\x3c", payload].concat();
    [&[0x10, u8::try_from(body.len()).expect("a short CONNECT")], &body[..]].concat()
}

async fn answered(node: &TestNode, bytes: &[u8], answer: &[u8]) -> Client {
    let mut client = node.open(V31).await;
    client.send_bytes(bytes).await;
    client.expect_bytes(answer).await;
    client
}

/// [MQTT311-3.1.2-1] [MQTT311-3.1.2-2] `MQIsdp` with level 3 is 3.1; with another level it is answered with return code
/// 1, and so is `MQTT` with level 3.
#[test]
fn protocol_name_and_level() {
    on_nodes(settings(), async |node| {
        answered(node, &connect(0x02, b"\x00\x01x"), b"\x20\x02\x00\x00").await.ping().await;
        for level in [0, 1, 2, 4, 5] {
            let mut bytes = connect(0x02, b"\x00\x01x");
            bytes[10] = level;
            answered(node, &bytes, b"\x20\x02\x00\x01").await.expect_closed().await;
        }
        let other_name = b"\x10\x0d\x00\x04MQTT\x03\x02\x00\x3c\x00\x01x";
        answered(node, other_name, b"\x20\x02\x00\x01").await.expect_closed().await;
        for wrong in [&b"mqisdp"[..], b"MQISDP", b"MQIsdq"] {
            let mut bytes = connect(0x02, b"\x00\x01x");
            bytes[4..10].copy_from_slice(wrong);
            let mut client = node.open(V31).await;
            client.send_bytes(&bytes).await;
            client.expect_closed().await;
        }
    });
}

/// [MQTT311-3.1.3-9] 3.1 asks for a client identifier, with clean session too: return code 2 without one. Its bound of 23
/// characters is not held against a client.
#[test]
fn client_identifiers() {
    on_nodes(settings(), async |node| {
        for flags in [0x00, 0x02] {
            answered(node, &connect(flags, b"\x00\x00"), b"\x20\x02\x00\x02").await.expect_closed().await;
        }
        for length in [1, 23, 24, 100] {
            let payload = [&[0, length], &vec![b'x'; usize::from(length)][..]].concat();
            answered(node, &connect(0x02, &payload), b"\x20\x02\x00\x00").await.disconnect().await;
        }
    });
}

/// [MQTT311-3.1.2-4] Sessions are resumed, though CONNACK has no session present: its first byte is 0.
#[test]
fn connack_without_session_present() {
    on_nodes(settings(), async |node| {
        let kept = connect(0x00, b"\x00\x01k");
        let mut client = answered(node, &kept, b"\x20\x02\x00\x00").await;
        client.send_bytes(b"\x82\x06\x00\x01\x00\x01t\x01").await;
        client.expect_bytes(b"\x90\x03\x00\x01\x01").await;
        client.disconnect().await;
        let mut client = answered(node, &kept, b"\x20\x02\x00\x00").await;
        client.send_bytes(b"\x32\x06\x00\x01t\x00\x05m").await;
        client.expect_bytes_in_any_order(&[b"\x40\x02\x00\x05", b"\x32\x06\x00\x01t\x00\x01m"]).await;
    });
}

/// [MQTT311-3.8.4-5] 3.1 has no return code for failure. The node has to say it all the same, and says 0x80 in its place;
/// what is granted is the QoS, which may be lower than asked for.
#[test]
fn suback() {
    let mut limited = settings();
    limited.mqtt.maximum_qos = 1;
    limited.mqtt.topic_levels_max = 2;
    on_node(1, limited, async |node| {
        let mut client = answered(node, &connect(0x02, b"\x00\x01x"), b"\x20\x02\x00\x00").await;
        client.send_bytes(b"\x82\x12\x00\x01\x00\x01t\x02\x00\x05a/b/c\x01\x00\x01u\x00").await;
        client.expect_bytes(b"\x90\x05\x00\x01\x01\x80\x00").await;
    });
}

/// [MQTT311-3.1.2-22] What 3.1 does not rule out is accepted: the reserved connect flag, flags of a will that is not
/// there, a payload that ends before user name and password; not a password without a user name.
#[test]
fn connects_that_3_1_lets_pass() {
    on_nodes(settings(), async |node| {
        for flags in [0x03, 0x0a, 0x22, 0x1a, 0x82, 0xc2] {
            answered(node, &connect(flags, b"\x00\x01x"), b"\x20\x02\x00\x00").await.disconnect().await;
        }
        let user_name_alone = connect(0xc2, b"\x00\x01x\x00\x03ann");
        answered(node, &user_name_alone, b"\x20\x02\x00\x00").await.disconnect().await;
        for refused in [connect(0x42, b"\x00\x01x\x00\x01p"), connect(0x1e, b"\x00\x01x\x00\x01t\x00\x01m")] {
            let mut client = node.open(V31).await;
            client.send_bytes(&refused).await;
            client.expect_closed().await;
        }
    });
}

/// [MQTT311-2.2.2-2] Fixed header flags that 3.1 calls unused may hold anything: all but those of PUBLISH, and the QoS of
/// SUBSCRIBE, UNSUBSCRIBE and PUBREL, which is 1.
#[test]
fn fixed_header_flags() {
    on_nodes(settings(), async |node| {
        let join = async || answered(node, &connect(0x02, b"\x00\x01x"), b"\x20\x02\x00\x00").await;
        for flags in 0..16u8 {
            let mut hello = connect(0x02, b"\x00\x01x");
            hello[0] |= flags;
            answered(node, &hello, b"\x20\x02\x00\x00").await.disconnect().await;
            let mut client = join().await;
            for (packet_type, body) in [
                // Acknowledgements of packet identifiers that nobody knows, PINGREQ.
                (0x40, &b"\x00\x01"[..]),
                (0x70, b"\x00\x01"),
                (0x50, b"\x00\x01"),
                (0xc0, b""),
            ] {
                client.send_bytes(&[&[packet_type | flags, body.len() as u8], body].concat()).await;
            }
            client.expect_bytes(b"\x62\x02\x00\x01\xd0\x00").await;
            client.send_bytes(&[0xe0 | flags, 0]).await;
            client.expect_closed().await;
        }
        for flags in [0x02, 0x03, 0x0a, 0x0b] {
            let mut client = join().await;
            client.send_bytes(&[&[0x80 | flags][..], b"\x06\x00\x01\x00\x01t\x01"].concat()).await;
            client.expect_bytes(b"\x90\x03\x00\x01\x01").await;
            client.send_bytes(&[&[0xa0 | flags][..], b"\x05\x00\x02\x00\x01t"].concat()).await;
            client.expect_bytes(b"\xb0\x02\x00\x02").await;
            client.send_bytes(&[&[0x60 | flags][..], b"\x02\x00\x03"].concat()).await;
            client.expect_bytes(b"\x70\x02\x00\x03").await;
        }
        let mut client = join().await;
        client.send_bytes(b"\x38\x04\x00\x01tm\xc0\x00").await;
        client.expect_bytes(b"\xd0\x00").await;
        for wrong in [
            &b"\x80\x06\x00\x01\x00\x01t\x01"[..],
            b"\x84\x06\x00\x01\x00\x01t\x01",
            b"\xa8\x05\x00\x02\x00\x01t",
            b"\x66\x02\x00\x03",
            b"\x36\x06\x00\x01t\x00\x01m",
        ] {
            let mut client = join().await;
            client.send_bytes(wrong).await;
            client.expect_closed().await;
        }
    });
}

/// [MQTT311-3.14.4-3] A DISCONNECT is one whatever its flags: the will is not published.
#[test]
fn disconnect_with_flags() {
    on_nodes(settings(), async |node| {
        let mut heir = node.connect(V31, "heir").await;
        heir.subscribe("t", AtMostOnce).await;
        let mortal = connect(0x06, b"\x00\x01x\x00\x01t\x00\x01m");
        for flags in 0..16 {
            let mut client = answered(node, &mortal, b"\x20\x02\x00\x00").await;
            client.send_bytes(&[0xe0 | flags, 0]).await;
            client.expect_closed().await;
        }
        heir.expect_nothing().await;
    });
}

/// [MQTT311-3.3.1-1] [MQTT311-4.4.0-1] [MQTT311-4.3.3-2] The exchanges of QoS 2 and their resumption are those of 3.1.1.
#[test]
fn qos_2_across_network_connections() {
    on_nodes(settings(), async |node| {
        let kept = connect(0x00, b"\x00\x01k");
        let mut client = answered(node, &kept, b"\x20\x02\x00\x00").await;
        client.send_bytes(b"\x82\x06\x00\x01\x00\x01t\x02").await;
        client.expect_bytes(b"\x90\x03\x00\x01\x02").await;
        client.send_bytes(b"\x34\x06\x00\x01t\x00\x07m").await;
        client.expect_bytes_in_any_order(&[b"\x50\x02\x00\x07", b"\x34\x06\x00\x01t\x00\x01m"]).await;
        drop(client);
        let mut client = answered(node, &kept, b"\x20\x02\x00\x00").await;
        client.expect_bytes(b"\x3c\x06\x00\x01t\x00\x01m").await;
        client.send_bytes(b"\x3c\x06\x00\x01t\x00\x07m").await;
        client.expect_bytes(b"\x50\x02\x00\x07").await;
        client.send_bytes(b"\x62\x02\x00\x07\x50\x02\x00\x01").await;
        client.expect_bytes(b"\x70\x02\x00\x07\x62\x02\x00\x01").await;
        client.send_bytes(b"\x70\x02\x00\x01").await;
        client.expect_nothing().await;
    });
}
