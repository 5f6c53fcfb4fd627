//! UTF-8 strings and string pairs (chapters 1.5.4, 1.5.7), in every place of every packet where a client sends one.

use mqtt_codec::{QoS, ReasonCode};

use super::bytes::{
    Kind, MALFORMED, V5, accepts_kind, connect_packet, packet, properties, refuses_connect, refuses_kind,
    string, user_property,
};
use crate::harness::{on_nodes, settings};

/// What is no UTF-8 string.
const ILL_FORMED: [&[u8]; 14] = [
    b"\xed\xa0\x80",             // U+D800
    b"\xed\xbf\xbf",             // U+DFFF
    b"\xed\xa0\xbd\xed\xb8\x80", // a character above U+FFFF as two surrogates
    b"\xc0\x80",                 // U+0000 in two bytes
    b"\xc1\xbf",                 // too long
    b"\xe0\x9f\xbf",             // too long
    b"\xf0\x8f\xbf\xbf",         // too long
    b"\xf4\x90\x80\x80",         // above U+10FFFF
    b"\xf8\x88\x80\x80\x80",     // five bytes
    b"\x80",                     // begins in the middle
    b"a\xbf",                    // goes on behind its end
    b"\xe2\x82",                 // cut
    b"\xff",
    b"\xfe\xff",
];

/// U+0000, in each part of a string.
const WITH_NUL: [&[u8]; 4] = [b"\x00", b"a\x00", b"\x00a", b"a\x00b"];

/// What is one: the edges of what UTF-8 encodes in one to four bytes, and U+FEFF first, last and alone.
const WELL_FORMED: [&str; 12] = [
    "~",
    "\u{a0}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{10000}",
    "\u{10fffd}",
    "\u{feff}",
    "\u{feff}a\u{feff}",
    "żółć ☃ 名前",
];

/// A packet with this string in one of its places.
type With = dyn Fn(&[u8]) -> Vec<u8>;

/// A place for a string.
struct Place {
    kind: Kind,
    packet: Box<With>,
}

fn place(kind: Kind, packet: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Place {
    Place { kind, packet: Box::new(packet) }
}

fn places() -> Vec<Place> {
    let clean = |flags, payload: &[&[u8]]| connect_packet(flags, b"", &payload.concat());
    let subscribe = |payload: &[&[u8]]| packet(0x82, &[&b"\x00\x01\x00"[..], &payload.concat()].concat());
    let mut places = vec![
        place(Kind::Connect, move |text| clean(0x02, &[&string(text)])),
        place(Kind::Connect, move |text| clean(0x82, &[&string("raw"), &string(text)])),
        place(Kind::Will, move |text| {
            clean(0x06, &[&string("raw"), b"\x00", &string(text), &string("gone")])
        }),
        place(Kind::Publish, |text| packet(0x30, &[&string(text)[..], b"\x00x"].concat())),
        place(Kind::Subscribe, move |text| subscribe(&[&string(text), b"\x00"])),
        place(Kind::Subscribe, move |text| subscribe(&[b"\x00\x01a\x00", &string(text), b"\x00"])),
        place(Kind::Subscribe, move |text| {
            subscribe(&[&string([b"$share/", text, b"/a"].concat()), b"\x00"])
        }),
        place(Kind::Unsubscribe, |text| packet(0xa2, &[&b"\x00\x01\x00"[..], &string(text)].concat())),
    ];
    let of_properties = [
        (0x03, &[Kind::Publish, Kind::Will][..]),
        (0x08, &[Kind::Publish, Kind::Will]),
        (0x15, &[Kind::Auth]),
        (0x1f, &[Kind::PubAck, Kind::PubRec, Kind::PubRel, Kind::PubComp, Kind::Disconnect, Kind::Auth]),
    ];
    for (identifier, kinds) in of_properties {
        for kind in kinds.iter().copied() {
            places.push(place(kind, move |text| kind.with(&[&[identifier][..], &string(text)].concat())));
        }
    }
    for kind in Kind::ALL {
        places.push(place(kind, move |text| kind.with(&user_property(text, "v"))));
        places.push(place(kind, move |text| kind.with(&user_property("n", text))));
    }
    places
}

/// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-3.3.2-1]
/// [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2] What is no UTF-8 string, surrogates
/// above all, and U+0000.
#[test]
fn ill_formed() {
    on_nodes(settings(), async |node| {
        for Place { kind, packet } in places() {
            for text in ILL_FORMED.into_iter().chain(WITH_NUL) {
                refuses_kind(node, kind, &packet(text), MALFORMED).await;
            }
        }
        for text in ILL_FORMED.into_iter().chain(WITH_NUL) {
            let list = [&b"\x15"[..], &string(text)].concat();
            refuses_connect(node, &connect_packet(0x02, &list, &string("raw")), MALFORMED).await;
        }
    });
}

/// [MQTT-1.5.4-1] Any character has its place in any string.
#[test]
fn well_formed() {
    on_nodes(settings(), async |node| {
        for Place { kind, packet } in places() {
            for text in WELL_FORMED {
                accepts_kind(node, kind, &packet(text.as_bytes())).await;
            }
        }
    });
}

/// [MQTT-1.5.4-3] EF BB BF is U+FEFF, a character like others, wherever it stands: it makes another topic name and
/// another client identifier, and is passed on.
#[test]
fn byte_order_mark() {
    on_nodes(settings(), async |node| {
        let mut plain = node.connect(V5, "x").await;
        let mut marked = node.connect(V5, "\u{feff}x").await;
        plain.ping().await;
        plain.subscribe("a/b", QoS::AtMostOnce).await;
        marked.subscribe("\u{feff}a/\u{feff}b", QoS::AtMostOnce).await;
        marked.subscribe("+/b\u{feff}", QoS::AtMostOnce).await;
        let list = [
            &b"\x03"[..],
            &string("\u{feff}t"),
            b"\x08",
            &string("r\u{feff}"),
            &user_property("\u{feff}", "\u{feff}\u{feff}"),
        ];
        let list = properties(&list.concat());
        for topic in ["\u{feff}a/\u{feff}b", "a/b\u{feff}"] {
            let publish = packet(0x30, &[&string(topic)[..], &list, b"\xef\xbb\xbf"].concat());
            plain.send_bytes(&publish).await;
            marked.expect_bytes(&publish).await;
        }
        plain.expect_nothing().await;
        plain.publish("a/b", QoS::AtMostOnce, "plain").await;
        plain.expect_payload("plain").await;
        marked.expect_nothing().await;
    });
}

/// [MQTT-4.7.3-3] The longest topic names and filters that two bytes of length can tell go through whole.
#[test]
fn longest() {
    on_nodes(settings(), async |node| {
        let longest = "t".repeat(65_535);
        let mut client = node.connect(V5, "longest").await;
        client.subscribe(&longest, QoS::AtMostOnce).await;
        let publish = packet(0x30, &[&string(&longest)[..], b"\x00x"].concat());
        client.send_bytes(&publish).await;
        client.expect_bytes(&publish).await;
        assert_eq!(client.unsubscribe(&[&longest]).await.reason_codes, [ReasonCode::Success]);
    });
}
