//! The first byte of every packet, and its remaining length.

use super::{
    CLEAN, DISCONNECT, PINGREQ, PINGRESP, WILL, connect, expect_closed_by, join, join_with, open, publish,
    subscribe, subscribed, unsubscribe,
};
use crate::harness::{TestNode, on_nodes, settings};

/// Each packet that a client may send but CONNECT and PUBLISH, and what answers it.
fn packets() -> [(Vec<u8>, &'static [u8]); 8] {
    [
        (b"\x40\x02\x00\x07".to_vec(), b""),
        (b"\x50\x02\x00\x07".to_vec(), b"\x62\x02\x00\x07"),
        (b"\x62\x02\x00\x07".to_vec(), b"\x70\x02\x00\x07"),
        (b"\x70\x02\x00\x07".to_vec(), b""),
        (subscribe(7, &[("a", 1)]), b"\x90\x03\x00\x07\x01"),
        (unsubscribe(7, &["a"]), b"\xb0\x02\x00\x07"),
        (PINGREQ.to_vec(), PINGRESP),
        (DISCONNECT.to_vec(), b""),
    ]
}

/// With the bits that the standard names a packet is answered; with any others the network connection ends.
async fn only_these_bits(node: &TestNode, bytes: &[u8], answer: &[u8]) {
    for flags in 0..16 {
        let mut changed = bytes.to_vec();
        changed[0] = bytes[0] & 0xf0 | flags;
        let mut client = join(node, "client").await;
        if changed == bytes {
            client.send_bytes(bytes).await;
            client.expect_bytes(answer).await;
            client.expect_nothing().await;
        } else {
            expect_closed_by(client, &changed).await;
        }
    }
}

/// [MQTT311-2.2.2-2] Reserved bits of the fixed header that are not as they must be end the network connection.
#[test]
fn reserved_bits() {
    on_nodes(settings(), async |node| {
        for (bytes, answer) in packets().iter().filter(|(bytes, _)| bytes != DISCONNECT) {
            only_these_bits(node, bytes, answer).await;
        }
    });
}

/// [MQTT311-3.6.1-1] PUBREL has the bits 0010.
#[test]
fn pubrel() {
    on_nodes(settings(), async |node| only_these_bits(node, b"\x62\x02\x00\x07", b"\x70\x02\x00\x07").await);
}

/// [MQTT311-3.8.1-1] SUBSCRIBE has the bits 0010.
#[test]
fn subscribe_packet() {
    on_nodes(settings(), async |node| {
        only_these_bits(node, &subscribe(7, &[("a", 1)]), b"\x90\x03\x00\x07\x01").await;
    });
}

/// [MQTT311-3.10.1-1] UNSUBSCRIBE has the bits 0010.
#[test]
fn unsubscribe_packet() {
    on_nodes(settings(), async |node| {
        only_these_bits(node, &unsubscribe(7, &["a"]), b"\xb0\x02\x00\x07").await;
    });
}

/// [MQTT311-3.14.1-1] DISCONNECT with other bits than 0000, or with a payload, is none: the will is published.
#[test]
fn disconnect_packet() {
    on_nodes(settings(), async |node| {
        let mut heir = join(node, "heir").await;
        subscribed(&mut heir, "will", 0).await;
        let mortal = connect(CLEAN | WILL, &[b"mortal", b"will", b"gone"]);
        let wrong = (1..16).map(|flags| vec![0xe0 | flags, 0]).chain([b"\xe0\x01\x00".to_vec()]);
        for bytes in wrong {
            expect_closed_by(join_with(node, &mortal, b"\x20\x02\x00\x00").await, &bytes).await;
            heir.expect_bytes(&publish(0x30, "will", None, "gone")).await;
        }
        expect_closed_by(join_with(node, &mortal, b"\x20\x02\x00\x00").await, DISCONNECT).await;
        heir.expect_nothing().await;
    });
}

/// [MQTT311-2.2.2-1] What the node sends has its reserved bits as they must be, in each packet that it sends.
#[test]
fn bits_that_the_node_sends() {
    on_nodes(settings(), async |node| {
        let mut client = join_with(node, &connect(CLEAN, &[b"client"]), b"\x20\x02\x00\x00").await;
        client.send_bytes(&subscribe(1, &[("q", 2)])).await;
        client.expect_bytes(b"\x90\x03\x00\x01\x02").await;
        client.send_bytes(&publish(0x32, "other", Some(2), "x")).await;
        client.expect_bytes(b"\x40\x02\x00\x02").await;
        client.send_bytes(&publish(0x34, "other", Some(3), "x")).await;
        client.expect_bytes(b"\x50\x02\x00\x03").await;
        client.send_bytes(b"\x62\x02\x00\x03").await;
        client.expect_bytes(b"\x70\x02\x00\x03").await;
        let mut publisher = join(node, "publisher").await;
        publisher.send_bytes(&publish(0x34, "q", Some(1), "x")).await;
        client.expect_bytes(&publish(0x34, "q", Some(1), "x")).await;
        client.send_bytes(b"\x50\x02\x00\x01").await;
        client.expect_bytes(b"\x62\x02\x00\x01").await;
        client.send_bytes(&unsubscribe(4, &["q"])).await;
        client.expect_bytes(b"\xb0\x02\x00\x04").await;
        client.send_bytes(PINGREQ).await;
        client.expect_bytes(PINGRESP).await;
    });
}

/// [MQTT311-4.8.0-1] Packets of no type, of a type that only a server sends, or with more or less behind the fixed header
/// than belongs to them, are protocol violations: the network connection ends without another byte.
#[test]
fn packets_that_there_are_not() {
    on_nodes(settings(), async |node| {
        for bytes in [
            &b"\x00\x00"[..],
            b"\xf0\x00",
            b"\x20\x02\x00\x00",
            b"\x90\x03\x00\x01\x00",
            b"\xb0\x02\x00\x01",
            b"\xd0\x00",
            b"\x40\x00",
            b"\x40\x01\x00",
            b"\x40\x03\x00\x01\x00",
            b"\x50\x03\x00\x01\x00",
            b"\x62\x03\x00\x01\x00",
            b"\x70\x03\x00\x01\x00",
            b"\x82\x02\x00\x01",
            b"\x82\x06\x00\x01\x00\x02a\x00",
            b"\xa2\x02\x00\x01",
            b"\xa2\x05\x00\x01\x00\x02a",
            b"\xc0\x01\x00",
            b"\x30\x00",
            b"\x30\x02\x00\x01",
            b"\x32\x03\x00\x01a",
            b"\x32\x04\x00\x01a\x00",
        ] {
            expect_closed_by(join(node, "client").await, bytes).await;
        }
    });
}

/// A remaining length may take up to four bytes, and says the same in more of them than needed; a fifth ends the network
/// connection [MQTT311-4.8.0-1].
#[test]
fn remaining_length() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        for head in [&b"\xc0\x00"[..], b"\xc0\x80\x00", b"\xc0\x80\x80\x00", b"\xc0\x80\x80\x80\x00"] {
            client.send_bytes(head).await;
            client.expect_bytes(PINGRESP).await;
        }
        subscribed(&mut client, "t", 0).await;
        for payload in [122, 123, 124, 16_378, 16_379, 16_380, 16_381, 2_097_145, 2_097_149] {
            let bytes = publish(0x30, "t", None, &"x".repeat(payload));
            client.send_bytes(&bytes).await;
            client.expect_bytes(&bytes).await;
        }
        expect_closed_by(client, b"\xc0\x80\x80\x80\x80\x00").await;
        expect_closed_by(open(node).await, b"\x10\xff\xff\xff\xff\x01").await;
        expect_closed_by(join(node, "client").await, b"\x30\xff\xff\xff\xff").await;
    });
}

/// [MQTT311-4.8.0-1] What was sent before a violation, in the same write, is processed; what comes behind it is not.
#[test]
fn a_violation_ends_what_comes_behind_it_alone() {
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "#", 0).await;
        for violation in
            [&b"\xc1\x00"[..], b"\x00\x00", b"\x36\x05\x00\x01a\x00\x01", &connect(CLEAN, &[b"x"])]
        {
            let (before, behind) = (publish(0x32, "t", Some(1), "1"), publish(0x32, "t", Some(2), "2"));
            let mut client = join(node, "client").await;
            client.send_bytes(&[&before, violation, &behind].concat()).await;
            watcher.expect_bytes(&publish(0x30, "t", None, "1")).await;
            while let Some(packet) = client.next_or_end().await {
                assert!(matches!(&packet, mqtt_codec::Packet::PubAck(_)), "{packet:?}");
            }
            watcher.expect_nothing().await;
        }
    });
}
