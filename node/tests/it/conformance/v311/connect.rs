//! CONNECT: what is accepted, and what is refused in which way.

use super::{
    ACCEPTED, CLEAN, DISCONNECT, PINGREQ, PINGRESP, RESUMED, WILL, connect, expect_closed_by, field, join,
    join_durable, join_with, open, packet, publish, subscribe, subscribed,
};
use crate::harness::{on_nodes, settings};

/// [MQTT311-3.1.0-1] Whatever comes in place of a CONNECT is not answered and ends the network connection; the same
/// packets are answered behind one.
#[test]
fn the_first_packet_is_a_connect() {
    on_nodes(settings(), async |node| {
        for (bytes, answer) in [
            (PINGREQ.to_vec(), PINGRESP),
            (subscribe(1, &[("a", 0)]), &b"\x90\x03\x00\x01\x00"[..]),
            (publish(0x32, "a", Some(5), "x"), b"\x40\x02\x00\x05"),
            (b"\x62\x02\x00\x07".to_vec(), b"\x70\x02\x00\x07"),
        ] {
            expect_closed_by(open(node).await, &bytes).await;
            let mut client = join(node, "second").await;
            client.send_bytes(&bytes).await;
            client.expect_bytes(answer).await;
        }
        expect_closed_by(open(node).await, DISCONNECT).await;
    });
}

/// [MQTT311-3.1.0-2] [MQTT311-4.8.0-1] A second CONNECT is a protocol violation: the network connection ends, and ends
/// as one that was lost does, with the will.
#[test]
fn a_second_connect_ends_the_network_connection() {
    on_nodes(settings(), async |node| {
        let mut heir = join(node, "heir").await;
        subscribed(&mut heir, "will", 0).await;
        let bytes = connect(CLEAN | WILL, &[b"twice", b"will", b"gone"]);
        let client = join_with(node, &bytes, ACCEPTED).await;
        expect_closed_by(client, &bytes).await;
        heir.expect_bytes(&publish(0x30, "will", None, "gone")).await;
    });
}

/// [MQTT311-3.1.2-1] A CONNECT with another protocol name is not processed as one of 3.1.1.
#[test]
fn protocol_names() {
    on_nodes(settings(), async |node| {
        let body = |name: &[u8]| [&field(name), &b"\x04\x02\x00\x3c\x00\x01x"[..]].concat();
        for name in [&b"MQTt"[..], b"mqtt", b"MQT", b"MQTTT", b"", b"HTTP", b"MQTT\x00"] {
            expect_closed_by(open(node).await, &packet(0x10, &body(name))).await;
        }
        join_with(node, &packet(0x10, &body(b"MQTT")), ACCEPTED).await;
    });
}

/// [MQTT311-3.1.2-2] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5] A protocol level that is not supported: return code 1, session
/// present 0, and the end, even for a client identifier that has a session.
#[test]
fn protocol_levels() {
    on_nodes(settings(), async |node| {
        let with_level =
            |level: u8| packet(0x10, &[b"\x00\x04MQTT", &[level, 0x00][..], b"\x00\x3c\x00\x01x"].concat());
        drop(join_with(node, &with_level(4), ACCEPTED).await);
        for level in [0, 1, 2, 3] {
            let mut client = join_with(node, &with_level(level), b"\x20\x02\x00\x01").await;
            client.expect_closed().await;
        }
        join_with(node, &with_level(4), RESUMED).await;
    });
}

/// [MQTT311-3.1.3-2] The client identifier, and nothing else, is what finds a session: byte for byte.
#[test]
fn the_client_identifier_finds_the_session() {
    on_nodes(settings(), async |node| {
        for name in ["a", "A", "a ", "\u{e1}", "a\u{301}"] {
            join_durable(node, name, ACCEPTED).await.disconnect().await;
        }
        for name in ["a", "A", "a ", "\u{e1}", "a\u{301}"] {
            join_durable(node, name, RESUMED).await.disconnect().await;
        }
        join_durable(node, "b", ACCEPTED).await.disconnect().await;
    });
}

/// [MQTT311-3.1.3-5] Every letter and digit, and every length from 1 to 23, is accepted in a client identifier.
#[test]
fn client_identifiers_that_must_be_accepted() {
    const CHARACTERS: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    on_nodes(settings(), async |node| {
        for length in 1..=23 {
            join(node, &CHARACTERS[length..2 * length]).await.disconnect().await;
        }
        for start in (0..CHARACTERS.len()).step_by(23) {
            let end = CHARACTERS.len().min(start + 23);
            join(node, &CHARACTERS[start..end]).await.disconnect().await;
        }
    });
}

/// [MQTT311-3.1.3-6] Clients without a client identifier get one each: none of them takes another's session over.
#[test]
fn empty_client_identifiers_are_made_unique() {
    on_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = join(node, "").await;
            subscribed(&mut client, "all", 0).await;
            clients.push(client);
        }
        let mut publisher = join(node, "publisher").await;
        publisher.send_bytes(&publish(0x30, "all", None, "hello")).await;
        for client in &mut clients {
            client.expect_bytes(&publish(0x30, "all", None, "hello")).await;
            client.expect_nothing().await;
        }
    });
}

/// [MQTT311-3.1.3-8] [MQTT311-3.1.3-9] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5] No client identifier and a session that is to
/// be kept: return code 2, session present 0, then the end, and nothing is left of it.
#[test]
fn empty_client_identifier_without_clean_session() {
    on_nodes(settings(), async |node| {
        for _ in 0..2 {
            let mut client = join_with(node, &connect(0, &[b""]), b"\x20\x02\x00\x02").await;
            client.expect_closed().await;
        }
        node.until("nothing is left", |seen| (seen.sessions.sessions, seen.connections) == (0, 0)).await;
    });
}

/// [MQTT311-3.1.4-2] A CONNECT with the client identifier of another client disconnects that one, with clean session or
/// without.
#[test]
fn the_same_client_identifier_disconnects_the_other_client() {
    on_nodes(settings(), async |node| {
        for flags in [CLEAN, 0] {
            let bytes = connect(flags, &[b"same"]);
            let mut first = join_with(node, &bytes, ACCEPTED).await;
            let mut second = join_with(node, &bytes, if flags == 0 { RESUMED } else { ACCEPTED }).await;
            first.expect_closed().await;
            second.ping().await;
            second.disconnect().await;
        }
    });
}

/// [MQTT311-3.1.4-5] Nothing that a client sent behind a CONNECT that was refused has an effect.
#[test]
fn nothing_behind_a_refused_connect_is_processed() {
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "#", 0).await;
        let behind = [
            publish(0x31, "refused", None, "never"),
            subscribe(1, &[("#", 0)]),
            connect(CLEAN, &[b"accepted"]),
            PINGREQ.to_vec(),
        ]
        .concat();
        let level_9 = packet(0x10, b"\x00\x04MQTT\x02\x02\x00\x3c\x00\x01x");
        for (refused, answer) in [(connect(0, &[b""]), b"\x20\x02\x00\x02"), (level_9, b"\x20\x02\x00\x01")] {
            let mut client = join_with(node, &[refused, behind.clone()].concat(), answer).await;
            client.expect_closed().await;
        }
        watcher.expect_nothing().await;
        node.until("nothing is left of them", |seen| {
            seen.sessions.sessions == 1 && seen.retained.messages == 0
        })
        .await;
    });
}

/// [MQTT311-7.0.0-2] [MQTT311-7.1.1-1] A client that knows nothing but 3.1.1, over TCP: everything from CONNECT to
/// DISCONNECT without a byte that 3.1.1 does not define.
#[test]
fn a_client_of_nothing_but_3_1_1() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "plain").await;
        client.send_bytes(b"\x82\x08\x00\x01\x00\x03a/b\x02").await;
        client.expect_bytes(b"\x90\x03\x00\x01\x02").await;
        client.send_bytes(b"\x34\x0c\x00\x03a/b\x00\x02hello").await;
        client.expect_bytes_in_any_order(&[b"\x50\x02\x00\x02", b"\x34\x0c\x00\x03a/b\x00\x01hello"]).await;
        client.send_bytes(b"\x62\x02\x00\x02\x50\x02\x00\x01").await;
        client.expect_bytes(b"\x70\x02\x00\x02\x62\x02\x00\x01").await;
        client.send_bytes(b"\x70\x02\x00\x01\xa2\x07\x00\x03\x00\x03a/b").await;
        client.expect_bytes(b"\xb0\x02\x00\x03").await;
        client.send_bytes(PINGREQ).await;
        client.expect_bytes(PINGRESP).await;
        client.send_bytes(DISCONNECT).await;
        client.expect_closed().await;
    });
}
