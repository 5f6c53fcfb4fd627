//! Lengths: variable byte integers, and packets that are longer or shorter than what they hold (chapters 1.5.5, 2.1.4).

use mqtt_codec::QoS;

use super::bytes::{
    Kind, MALFORMED, PROTOCOL_ERROR, V5, accepts_kind, connect_packet, packet, properties, refuses,
    refuses_connect, refuses_kind, string, user_property,
};
use crate::harness::{connect, on_nodes, settings, will};

/// [MQTT-1.5.5-1] A remaining length in more bytes than needed, up to four.
#[test]
fn remaining_length_is_minimal() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL {
            let right = kind.with(b"");
            let length = right[1];
            assert!(length < 0x80, "one byte is enough");
            for padded in
                [&[length | 0x80, 0][..], &[length | 0x80, 0x80, 0], &[length | 0x80, 0x80, 0x80, 0]]
            {
                let bytes = [&right[..1], padded, &right[2..]].concat();
                refuses_kind(node, kind, &bytes, MALFORMED).await;
            }
            accepts_kind(node, kind, &right).await;
        }
        for padded in [&b"\xc0\x80\x00"[..], b"\xc0\x80\x80\x00", b"\xc0\x80\x80\x80\x00"] {
            refuses(node, padded, MALFORMED).await;
        }
    });
}

/// [MQTT-1.5.5-1] What the node sends is minimal too, on either side of each boundary: remaining length and property
/// length of PUBLISH come back as they were sent, and those of SUBACK and UNSUBACK are what they must be.
#[test]
fn lengths_of_the_node() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(V5, "raw").await;
        client.subscribe("t", QoS::AtMostOnce).await;
        const BOUNDARIES: [usize; 3] = [0x7f, 0x3fff, 0x1f_ffff];
        for boundary in BOUNDARIES {
            for length in [boundary, boundary + 1] {
                let payload = vec![b'x'; length - 4];
                let publish = packet(0x30, &[&b"\x00\x01t\x00"[..], &payload].concat());
                client.send_bytes(&publish).await;
                client.expect_bytes(&publish).await;
            }
        }
        for boundary in &BOUNDARIES[..2] {
            for length in [*boundary, boundary + 1] {
                let list = user_property("n", vec![b'v'; length - 6]);
                assert_eq!(list.len(), length);
                let publish = packet(0x30, &[&b"\x00\x01t"[..], &properties(&list), b"x"].concat());
                client.send_bytes(&publish).await;
                client.expect_bytes(&publish).await;
            }
        }
        for count in [0x7f - 3, 0x80 - 3, 0x3fff / 4] {
            let filters = b"\x00\x01u\x00".repeat(count);
            client.send_bytes(&packet(0x82, &[&b"\x00\x01\x00"[..], &filters].concat())).await;
            client.expect_bytes(&packet(0x90, &[&b"\x00\x01\x00"[..], &vec![0; count]].concat())).await;
            let filters = b"\x00\x01v".repeat(count);
            client.send_bytes(&packet(0xa2, &[&b"\x00\x01\x00"[..], &filters].concat())).await;
            client.expect_bytes(&packet(0xb0, &[&b"\x00\x01\x00"[..], &vec![0x11; count]].concat())).await;
        }
        client.ping().await;
    });
}

/// [MQTT-1.5.5-1] The same of a property length, a property identifier and a subscription identifier.
#[test]
fn integers_within_packets_are_minimal() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL {
            for padded in [&b"\x80\x00"[..], b"\x80\x80\x00", b"\x80\x80\x80\x00"] {
                refuses_kind(node, kind, &kind.with_encoded(padded), MALFORMED).await;
            }
            let padded = b"\xa6\x00\x00\x01a\x00\x01b";
            refuses_kind(node, kind, &kind.with(padded), MALFORMED).await;
        }
        for padded in [&b"\x0b\x81\x00"[..], b"\x0b\xff\x80\x00", b"\x0b\x81\x80\x80\x00"] {
            refuses(node, &Kind::Subscribe.with(padded), MALFORMED).await;
        }
        for right in [&b"\x0b\x01"[..], b"\x0b\x7f", b"\x0b\x80\x01", b"\x0b\xff\xff\xff\x7f"] {
            accepts_kind(node, Kind::Subscribe, &Kind::Subscribe.with(right)).await;
        }
    });
}

/// [MQTT-4.13.1-1] Variable byte integers that do not end after four bytes, wherever one stands.
#[test]
fn five_bytes_of_length() {
    on_nodes(settings(), async |node| {
        for first in [0x30, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0, 0xf0] {
            for length in [&b"\x80\x80\x80\x80\x00"[..], b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x7f"] {
                refuses(node, &[&[first][..], length].concat(), MALFORMED).await;
            }
        }
        refuses_connect(node, b"\x10\xff\xff\xff\xff\x7f", None).await;
        for kind in Kind::ALL {
            for length in [&b"\x80\x80\x80\x80\x00"[..], b"\xff\xff\xff\xff\x01"] {
                refuses_kind(node, kind, &kind.with_encoded(length), MALFORMED).await;
            }
        }
        refuses(node, &Kind::Subscribe.with(b"\x0b\x80\x80\x80\x80\x01"), MALFORMED).await;
    });
}

/// [MQTT-4.13.1-1] [MQTT-3.1.4-1] Each packet cut at each byte, with the remaining length that is left: it ends within
/// a field, unless the rest may be left out.
#[test]
fn cut_at_every_byte() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL {
            let (first, before, behind) = kind.around();
            let list = properties(b"\x26\x00\x01a\x00\x01b");
            let body = [&before[..], &list, &behind].concat();
            for length in 0..body.len() {
                let bytes = packet(first, &body[..length]);
                match (kind, length) {
                    // Only a protocol name that can be read is answered.
                    (Kind::Connect | Kind::Will, 0..7) => refuses_connect(node, &bytes, None).await,
                    // Reason code and properties may be left out, and a payload may be shorter.
                    (Kind::PubAck | Kind::PubRec | Kind::PubRel | Kind::PubComp, 2 | 3)
                    | (Kind::Disconnect, 0 | 1) => accepts_kind(node, kind, &bytes).await,
                    (Kind::Publish, _) if length == before.len() + list.len() => {
                        accepts_kind(node, kind, &bytes).await;
                    }
                    // No reason code means 0x00, which is a server's; no properties mean no method.
                    (Kind::Auth, 0 | 1) => refuses(node, &bytes, PROTOCOL_ERROR).await,
                    // Up to the first topic filter nothing is missing but a topic filter.
                    (Kind::Subscribe | Kind::Unsubscribe, _) if length == before.len() + list.len() => {
                        refuses(node, &bytes, PROTOCOL_ERROR).await;
                    }
                    _ => refuses_kind(node, kind, &bytes, MALFORMED).await,
                }
            }
        }
    });
}

/// [MQTT-4.13.1-1] [MQTT-3.1.4-1] Bytes behind the last field; a PUBLISH takes them for payload, and SUBSCRIBE and
/// UNSUBSCRIBE for a further topic filter that is cut.
#[test]
fn bytes_behind_the_last_field() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Publish) {
            let (first, before, behind) = kind.around();
            let list = if kind == Kind::Auth { properties(b"\x15\x00\x01m") } else { properties(b"") };
            let body = [&before[..], &list, &behind, b"\x00"].concat();
            refuses_kind(node, kind, &packet(first, &body), MALFORMED).await;
        }
    });
}

/// [MQTT-4.13.1-1] Properties whose length reaches beyond the packet, or ends within the last of them.
#[test]
fn property_length_beside_the_properties() {
    on_nodes(settings(), async |node| {
        let property = b"\x26\x00\x01a\x00\x01b";
        for kind in Kind::ALL {
            let (_, _, behind) = kind.around();
            let beyond = property.len() + behind.len() + 1;
            let bytes = kind.with_encoded(&[&[beyond as u8][..], property].concat());
            refuses_kind(node, kind, &bytes, MALFORMED).await;
            for length in 1..property.len() {
                let bytes = kind.with_encoded(&[&[length as u8][..], property].concat());
                refuses_kind(node, kind, &bytes, MALFORMED).await;
            }
        }
        refuses(node, &packet(0x30, &[&string("a")[..], b"\x04\x03\x00\x05ab"].concat()), MALFORMED).await;
    });
}

/// [MQTT-4.13.1-1] [MQTT-3.1.2-8] A packet that the end of the network connection cuts, at any byte, counts for
/// nothing; and the network connection counts as lost.
#[test]
fn cut_by_the_end_of_the_connection() {
    on_nodes(settings(), async |node| {
        let mut heir = node.connect(V5, "heir").await;
        heir.subscribe("#", QoS::AtMostOnce).await;
        let whole = packet(0x33, b"\x00\x01t\x00\x01\x02\x01\x01x");
        for length in 1..whole.len() {
            let mut mortal = connect(V5, "mortal");
            mortal.will = Some(will("will", QoS::AtMostOnce, &length.to_string()));
            let (mut client, _) = node.connect_with(mortal).await;
            client.send_bytes(&whole[..length]).await;
            client.vanish().await;
            assert_eq!(heir.expect_payload(&length.to_string()).await.topic, "will");
        }
        heir.expect_nothing().await;
        let connect = Kind::Will.with(b"");
        for length in 1..connect.len() {
            let mut client = node.open(V5).await;
            client.send_bytes(&connect[..length]).await;
            drop(client);
        }
        node.until("they are gone", |seen| seen.connections == 1).await;
        heir.expect_nothing().await;
        node.until("1 session", |seen| seen.sessions.sessions == 1).await;
    });
}

/// [MQTT-4.2-1] A stream of packets in two parts, split at every byte, is the same as in one.
#[test]
fn split_at_every_byte() {
    on_nodes(settings(), async |node| {
        let stream = [
            connect_packet(0x02, b"\x21\x00\x05", &string("raw")),
            packet(0x82, b"\x00\x01\x00\x00\x01t\x01"),
            packet(0x32, b"\x00\x01t\x00\x02\x05\x26\x00\x00\x00\x00x"),
            packet(0xc0, b""),
        ]
        .concat();
        for length in 0..=stream.len() {
            let mut client = node.open(V5).await;
            client.send_bytes(&stream[..length]).await;
            node.settle().await;
            client.send_bytes(&stream[length..]).await;
            let mut kinds = Vec::new();
            for _ in 0..5 {
                kinds.push(client.next_frame_or_end().await.expect("a packet")[0]);
            }
            assert_eq!(kinds[0], 0x20, "split at {length}");
            kinds.sort_unstable();
            assert_eq!(kinds, [0x20, 0x32, 0x40, 0x90, 0xd0], "split at {length}");
            client.disconnect().await;
        }
    });
}
