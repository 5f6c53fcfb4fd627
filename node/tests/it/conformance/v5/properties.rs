//! Properties (chapter 2.2.2): which packet may have which, how often, and with which values.

use super::bytes::{
    Kind, MALFORMED, PROTOCOL_ERROR, accepts, accepts_kind, packet, properties, refuses, refuses_connect,
    refuses_kind, string, user_property,
};
use crate::harness::{on_nodes, settings};

/// Every property with a value that it may have, and the packets of a client that may have it.
const PROPERTIES: [(&[u8], &[Kind]); 27] = [
    (b"\x01\x01", &[Kind::Publish, Kind::Will]),
    (b"\x02\x00\x00\x00\x0a", &[Kind::Publish, Kind::Will]),
    (b"\x03\x00\x01t", &[Kind::Publish, Kind::Will]),
    (b"\x08\x00\x01r", &[Kind::Publish, Kind::Will]),
    (b"\x09\x00\x01c", &[Kind::Publish, Kind::Will]),
    (b"\x0b\x05", &[Kind::Subscribe]),
    (b"\x11\x00\x00\x00\x00", &[Kind::Connect, Kind::Disconnect]),
    (b"\x12\x00\x01i", &[]),
    (b"\x13\x00\x0a", &[]),
    (b"\x15\x00\x01m", &[Kind::Connect, Kind::Auth]),
    (b"\x16\x00\x01d", &[Kind::Connect, Kind::Auth]),
    (b"\x17\x01", &[Kind::Connect]),
    (b"\x18\x00\x00\x00\x00", &[Kind::Will]),
    (b"\x19\x01", &[Kind::Connect]),
    (b"\x1a\x00\x01i", &[]),
    (b"\x1c\x00\x01s", &[]),
    (
        b"\x1f\x00\x01r",
        &[Kind::PubAck, Kind::PubRec, Kind::PubRel, Kind::PubComp, Kind::Disconnect, Kind::Auth],
    ),
    (b"\x21\x00\x05", &[Kind::Connect]),
    (b"\x22\x00\x05", &[Kind::Connect]),
    (b"\x23\x00\x05", &[Kind::Publish]),
    (b"\x24\x01", &[]),
    (b"\x25\x01", &[]),
    (b"\x26\x00\x01a\x00\x01b", &Kind::ALL),
    (b"\x27\x00\x00\x10\x00", &[Kind::Connect]),
    (b"\x28\x01", &[]),
    (b"\x29\x01", &[]),
    (b"\x2a\x01", &[]),
];

const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const SERVER_REFERENCE: u8 = 0x1c;
const USER_PROPERTY: u8 = 0x26;
const BAD_AUTHENTICATION_METHOD: u8 = 0x8c;

/// [MQTT-4.13.1-1] [MQTT-3.1.4-1] [MQTT-3.3.4-6] Every property in every packet: those that do not belong there are
/// errors, those that do are taken.
#[test]
fn every_property_in_every_packet() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL {
            for (property, homes) in PROPERTIES {
                let bytes = kind.with(property);
                match (kind, property[0]) {
                    // From a server they belong there.
                    (Kind::Publish, SUBSCRIPTION_IDENTIFIER) | (Kind::Disconnect, SERVER_REFERENCE) => {
                        refuses(node, &bytes, PROTOCOL_ERROR).await;
                    }
                    // Nobody knows this method, and data alone mean nothing.
                    (Kind::Connect, AUTHENTICATION_METHOD) => {
                        refuses_connect(node, &bytes, BAD_AUTHENTICATION_METHOD).await;
                    }
                    (Kind::Connect, AUTHENTICATION_DATA) => {
                        refuses_connect(node, &bytes, PROTOCOL_ERROR).await;
                    }
                    _ if homes.contains(&kind) => accepts_kind(node, kind, &bytes).await,
                    _ => refuses_kind(node, kind, &bytes, MALFORMED).await,
                }
            }
        }
    });
}

/// [MQTT-4.13.1-1] Identifiers that no property has.
#[test]
fn unknown_properties() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL {
            for identifier in [
                &b"\x00"[..],
                b"\x04",
                b"\x0a",
                b"\x10",
                b"\x14",
                b"\x1b",
                b"\x20",
                b"\x2b",
                b"\x7f",
                b"\x80\x01",
            ] {
                let list = [identifier, b"\x00\x00\x00\x00"].concat();
                refuses_kind(node, kind, &kind.with(&list), MALFORMED).await;
            }
        }
    });
}

/// [MQTT-4.13.1-1] Each property twice where it may stand once, with the same value; a user property may repeat.
#[test]
fn properties_that_repeat() {
    on_nodes(settings(), async |node| {
        for kind in Kind::ALL {
            for (property, _) in PROPERTIES.into_iter().filter(|(_, homes)| homes.contains(&kind)) {
                let method = if kind == Kind::Connect && property[0] == AUTHENTICATION_DATA {
                    &b"\x15\x00\x01m"[..]
                } else {
                    b""
                };
                let twice = kind.with(&[method, property, property].concat());
                if property[0] == USER_PROPERTY {
                    accepts_kind(node, kind, &twice).await;
                } else {
                    refuses_kind(node, kind, &twice, PROTOCOL_ERROR).await;
                }
            }
        }
    });
}

/// [MQTT-4.13.1-1] [MQTT-3.3.2-8] Values that a property may not have: flags above 1, and 0 where it means nothing.
#[test]
fn values_out_of_range() {
    const TOPIC_ALIAS_INVALID: u8 = 0x94;
    on_nodes(settings(), async |node| {
        for (kind, property, reason) in [
            (Kind::Connect, &b"\x17\x02"[..], PROTOCOL_ERROR),
            (Kind::Connect, b"\x17\xff", PROTOCOL_ERROR),
            (Kind::Connect, b"\x19\x02", PROTOCOL_ERROR),
            (Kind::Connect, b"\x19\xff", PROTOCOL_ERROR),
            (Kind::Connect, b"\x21\x00\x00", PROTOCOL_ERROR),
            (Kind::Connect, b"\x27\x00\x00\x00\x00", PROTOCOL_ERROR),
            (Kind::Will, b"\x01\x02", PROTOCOL_ERROR),
            (Kind::Publish, b"\x01\x02", PROTOCOL_ERROR),
            (Kind::Publish, b"\x01\xff", PROTOCOL_ERROR),
            (Kind::Publish, b"\x23\x00\x00", TOPIC_ALIAS_INVALID),
            (Kind::Subscribe, b"\x0b\x00", PROTOCOL_ERROR),
        ] {
            refuses_kind(node, kind, &kind.with(property), reason).await;
        }
    });
}

/// [MQTT-2.2.2-1] Where a packet has properties, their length is there though it is 0; where it may be left out, both
/// forms are taken.
#[test]
fn property_length_of_0() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(super::bytes::V5, "raw").await;
        client.send_bytes(b"\x82\x07\x00\x01\x00\x00\x01a\x00").await;
        client.expect_bytes(b"\x90\x04\x00\x01\x00\x00").await;
        client.send_bytes(b"\x30\x05\x00\x01a\x00x").await;
        client.expect_bytes(b"\x30\x05\x00\x01a\x00x").await;
        client.send_bytes(b"\xa2\x06\x00\x02\x00\x00\x01a").await;
        client.expect_bytes(b"\xb0\x04\x00\x02\x00\x00").await;
        client.disconnect().await;
        for short in [&b"\x40\x02\x00\x09"[..], b"\x40\x03\x00\x09\x00", b"\x40\x04\x00\x09\x00\x00"] {
            for first in [0x40, 0x50, 0x62, 0x70] {
                accepts(node, &[&[first][..], &short[1..]].concat()).await;
            }
        }
        for disconnect in [&b"\xe0\x00"[..], b"\xe0\x01\x00", b"\xe0\x02\x00\x00"] {
            accepts_kind(node, Kind::Disconnect, disconnect).await;
        }
        // Without it, what follows is taken for it.
        refuses(node, &packet(0x82, &[&b"\x00\x01"[..], &string("a"), b"\x00"].concat()), MALFORMED).await;
        refuses(node, &packet(0xa2, &[&b"\x00\x01"[..], &string("a")].concat()), MALFORMED).await;
    });
}

/// [MQTT-3.3.2-17] [MQTT-3.3.2-18] The order of properties is free, and user properties may stand between others. What
/// is passed on keeps the order of user properties, names that repeat included.
#[test]
fn order_is_free() {
    on_nodes(settings(), async |node| {
        let mut client = node.connect(super::bytes::V5, "raw").await;
        client.send_bytes(b"\x82\x07\x00\x01\x00\x00\x01a\x00").await;
        client.expect_bytes(b"\x90\x04\x00\x01\x00\x00").await;
        let (one, two, three) = (user_property("k", "1"), user_property("", ""), user_property("k", "0"));
        let list = [
            &one[..],
            b"\x03\x00\x01t",
            &two,
            b"\x09\x00\x02\x00\xff",
            &three,
            b"\x08\x00\x01r",
            b"\x01\x00",
        ];
        let publish = packet(0x30, &[&string("a")[..], &properties(&list.concat()), b"x"].concat());
        client.send_bytes(&publish).await;
        client.expect_bytes(&publish).await;
        client.ping().await;
    });
}
