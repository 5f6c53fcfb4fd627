//! UTF-8 in every string of every packet.

use super::{
    ACCEPTED, CLEAN, PASSWORD, USER_NAME, WILL, connect, expect_closed_by, field, join, join_with, open,
    packet, publish, subscribe, subscribed,
};
use crate::harness::{TestNode, on_nodes, settings};

/// Ill-formed: bytes that never occur, a lone continuation, a sequence cut short, an overlong form, surrogates, and what
/// is above U+10FFFF.
const ILL_FORMED: &[&[u8]] = &[
    b"\xff",
    b"a\xfeb",
    b"\x80",
    b"a\xc3",
    b"\xe2\x82",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"a\xed\xa0\x81\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
];
const NUL: &[&[u8]] = &[b"\x00", b"a\x00", b"\x00a", b"a\x00b", b"a/\x00/b"];
const WELL_FORMED: &str = "a/ż/€/𝄞/\u{d7ff}\u{e000}\u{10fffd}";

/// Packets behind a CONNECT that hold a string.
fn packets(text: &[u8]) -> [Vec<u8>; 4] {
    [
        packet(0x30, &field(text)),
        packet(0x34, &[&field(text)[..], b"\x00\x01x"].concat()),
        packet(0x82, &[b"\x00\x01", &field(text)[..], b"\x00"].concat()),
        packet(0xa2, &[b"\x00\x01", &field(text)[..]].concat()),
    ]
}

/// CONNECTs that hold it as client identifier, will topic and user name.
fn connects(text: &[u8]) -> [Vec<u8>; 3] {
    [
        connect(CLEAN, &[text]),
        connect(CLEAN | WILL, &[b"x", text, b"m"]),
        connect(CLEAN | USER_NAME | PASSWORD, &[b"x", text, b"p"]),
    ]
}

async fn refused_everywhere(node: &TestNode, texts: &[&[u8]]) {
    for text in texts {
        for bytes in connects(text) {
            expect_closed_by(open(node).await, &bytes).await;
        }
        for bytes in packets(text) {
            expect_closed_by(join(node, "client").await, &bytes).await;
        }
    }
}

/// [MQTT311-1.5.3-1] [MQTT311-3.1.3-4] [MQTT311-3.1.3-10] [MQTT311-3.1.3-11] [MQTT311-3.3.2-1] [MQTT311-3.8.3-1]
/// [MQTT311-3.10.3-1] A string that is not UTF-8 ends the network connection, in whichever field of whichever packet; one
/// that is does not.
#[test]
fn ill_formed() {
    on_nodes(settings(), async |node| {
        refused_everywhere(node, ILL_FORMED).await;
        for bytes in connects(WELL_FORMED.as_bytes()) {
            join_with(node, &bytes, ACCEPTED).await.disconnect().await;
        }
        for bytes in packets(WELL_FORMED.as_bytes()) {
            let mut client = join(node, "client").await;
            client.send_bytes(&bytes).await;
            if bytes[0] != 0x30 {
                client.next().await;
            }
            client.expect_nothing().await;
        }
    });
}

/// [MQTT311-1.5.3-2] [MQTT311-4.7.3-2] U+0000 ends the network connection, wherever it stands.
#[test]
fn nul() {
    on_nodes(settings(), async |node| refused_everywhere(node, NUL).await);
}

/// [MQTT311-1.5.3-3] U+FEFF is a character like others, at the beginning as well: a topic name with it is another one,
/// and is passed on byte for byte.
#[test]
fn byte_order_mark() {
    on_nodes(settings(), async |node| {
        let mut marked = join(node, "marked").await;
        subscribed(&mut marked, "\u{feff}t", 0).await;
        let mut plain = join(node, "plain").await;
        subscribed(&mut plain, "t", 0).await;
        let mut all = join(node, "\u{feff}plain").await;
        subscribed(&mut all, "+", 0).await;
        let mut publisher = join(node, "publisher").await;
        publisher.send_bytes(b"\x30\x07\x00\x04\xef\xbb\xbft1").await;
        publisher.send_bytes(b"\x30\x04\x00\x01t2").await;
        marked.expect_bytes(b"\x30\x07\x00\x04\xef\xbb\xbft1").await;
        plain.expect_bytes(b"\x30\x04\x00\x01t2").await;
        all.expect_bytes(b"\x30\x07\x00\x04\xef\xbb\xbft1\x30\x04\x00\x01t2").await;
        for client in [&mut marked, &mut plain, &mut all] {
            client.expect_nothing().await;
        }
    });
}

/// Every string may have 65,535 bytes [MQTT311-4.7.3-3], the most that its length can say.
#[test]
fn longest() {
    on_nodes(settings(), async |node| {
        let text = "x".repeat(65_535);
        for bytes in connects(text.as_bytes()) {
            join_with(node, &bytes, ACCEPTED).await.disconnect().await;
        }
        let mut client = join(node, "client").await;
        client.send_bytes(&subscribe(1, &[(&text, 1)])).await;
        client.expect_bytes(b"\x90\x03\x00\x01\x01").await;
        client.send_bytes(&publish(0x30, &text, None, "m")).await;
        client.expect_bytes(&publish(0x30, &text, None, "m")).await;
    });
}
