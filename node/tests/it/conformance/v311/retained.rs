//! RETAIN.

use super::{
    ACCEPTED, CLEAN, RESUMED, connect, join, join_durable, join_with, publish, subscribe, subscribed,
};
use crate::harness::{Client, TestNode, on_nodes, settings};

/// What a new client with a new subscription is sent, as QoS and payload; each with RETAIN, QoS 1 and 2 acknowledged.
async fn kept(node: &TestNode, filter: &str) -> Vec<(u8, String)> {
    let mut client = join(node, "asks").await;
    subscribed(&mut client, filter, 2).await;
    client.send_bytes(super::PINGREQ).await;
    let mut kept = Vec::new();
    while let mqtt_codec::Packet::Publish(got) = client.next().await {
        assert!(got.retain && !got.dup, "{got:?}");
        kept.push((got.qos as u8, String::from_utf8(got.payload.to_vec()).unwrap()));
    }
    client.disconnect().await;
    kept.sort();
    kept
}

fn expected(messages: &[(u8, &str)]) -> Vec<(u8, String)> {
    messages.iter().map(|(qos, payload)| (*qos, (*payload).to_owned())).collect()
}

/// Publishes and takes the answer.
async fn send(publisher: &mut Client, first_byte: u8, topic: &str, payload: &str) {
    let identifier = (first_byte & 0x06 != 0).then_some(5);
    publisher.send_bytes(&publish(first_byte, topic, identifier, payload)).await;
    match first_byte & 0x06 {
        0x02 => publisher.expect_bytes(b"\x40\x02\x00\x05").await,
        0x04 => {
            publisher.expect_bytes(b"\x50\x02\x00\x05").await;
            publisher.send_bytes(b"\x62\x02\x00\x05").await;
            publisher.expect_bytes(b"\x70\x02\x00\x05").await;
        }
        _ => publisher.expect_nothing().await,
    }
}

/// [MQTT311-3.3.1-5] The message and its QoS are kept for those who subscribe later, the last of each topic name.
#[test]
fn is_stored_with_its_qos() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        for (first_byte, qos) in [(0x31, 0), (0x33, 1), (0x35, 2), (0x33, 1)] {
            let payload = format!("with {qos}");
            send(&mut publisher, first_byte, "t", &payload).await;
            assert_eq!(kept(node, "t").await, expected(&[(qos, &payload)]));
        }
        publisher.disconnect().await;
        assert_eq!(kept(node, "t").await, expected(&[(1, "with 1")]));
    });
}

/// [MQTT311-3.3.1-6] [MQTT311-3.3.1-8] A new subscription gets the retained message of each topic name that it matches,
/// and no others, with RETAIN, with the lower QoS.
#[test]
fn is_sent_to_new_subscriptions() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        for topic in ["a", "a/b", "a/c", "a/b/c", "$x"] {
            send(&mut publisher, 0x33, topic, topic).await;
        }
        for (filter, payloads) in [
            ("a", &["a"][..]),
            ("a/+", &["a/b", "a/c"]),
            ("a/#", &["a", "a/b", "a/b/c", "a/c"]),
            ("#", &["a", "a/b", "a/b/c", "a/c"]),
            ("+", &["a"]),
            ("$x/#", &["$x"]),
            ("b", &[]),
        ] {
            let wanted: Vec<_> = payloads.iter().map(|payload| (1, *payload)).collect();
            assert_eq!(kept(node, filter).await, expected(&wanted), "{filter}");
        }
        let mut client = join(node, "client").await;
        subscribed(&mut client, "a", 0).await;
        client.expect_bytes(&publish(0x31, "a", None, "a")).await;
        subscribed(&mut client, "a/b", 1).await;
        client.expect_bytes(&publish(0x33, "a/b", Some(1), "a/b")).await;
        client.expect_nothing().await;
    });
}

/// [MQTT311-3.3.1-7] QoS 0 with RETAIN replaces what was kept, of whatever QoS.
#[test]
fn qos_0_replaces() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        send(&mut publisher, 0x35, "t", "old").await;
        send(&mut publisher, 0x31, "t", "new").await;
        assert_eq!(kept(node, "t").await, expected(&[(0, "new")]));
    });
}

/// [MQTT311-3.3.1-9] Who is subscribed already gets it without RETAIN, also from the queue of a session that was away,
/// and also when it is sent again.
#[test]
fn established_subscriptions_get_it_without_retain() {
    on_nodes(settings(), async |node| {
        let mut online = join(node, "online").await;
        subscribed(&mut online, "t", 1).await;
        let mut away = join_durable(node, "away", ACCEPTED).await;
        subscribed(&mut away, "t", 1).await;
        away.disconnect().await;
        let mut publisher = join(node, "publisher").await;
        send(&mut publisher, 0x33, "t", "1").await;
        send(&mut publisher, 0x31, "t", "2").await;
        online.expect_bytes(&publish(0x32, "t", Some(1), "1")).await;
        online.expect_bytes(&publish(0x30, "t", None, "2")).await;
        for first_byte in [0x32, 0x3a] {
            let mut away = join_durable(node, "away", RESUMED).await;
            away.expect_bytes(&publish(first_byte, "t", Some(1), "1")).await;
            away.expect_nothing().await;
        }
    });
}

/// [MQTT311-3.3.1-10] [MQTT311-3.3.1-11] Without payload it is a message for those who are there, removes what was kept,
/// and is not kept itself.
#[test]
fn an_empty_one_removes() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        for first_byte in [0x31, 0x33, 0x35] {
            send(&mut publisher, 0x33, "t", "kept").await;
            send(&mut publisher, 0x33, "u", "other").await;
            let mut there = join(node, "there").await;
            subscribed(&mut there, "t", 0).await;
            there.expect_bytes(&publish(0x31, "t", None, "kept")).await;
            send(&mut publisher, first_byte, "t", "").await;
            there.expect_bytes(&publish(0x30, "t", None, "")).await;
            assert_eq!(kept(node, "#").await, expected(&[(1, "other")]));
            node.until("1 retained message", |seen| seen.retained.messages == 1).await;
            // Once more, with nothing to remove.
            send(&mut publisher, first_byte, "t", "").await;
            there.expect_bytes(&publish(0x30, "t", None, "")).await;
            node.until("1 retained message", |seen| seen.retained.messages == 1).await;
        }
    });
}

/// [MQTT311-3.3.1-12] Without RETAIN a message changes nothing that is kept, not even without payload.
#[test]
fn without_retain_nothing_changes() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        send(&mut publisher, 0x33, "t", "kept").await;
        for first_byte in [0x30, 0x32, 0x34] {
            for payload in ["not", ""] {
                send(&mut publisher, first_byte, "t", payload).await;
                send(&mut publisher, first_byte, "u", payload).await;
            }
        }
        assert_eq!(kept(node, "#").await, expected(&[(1, "kept")]));
    });
}

/// [MQTT311-3.1.2-7] What a client retained outlives its session.
#[test]
fn outlives_the_session() {
    on_nodes(settings(), async |node| {
        for flags in [CLEAN, 0] {
            let mut publisher = join_with(node, &connect(flags, &[b"publisher"]), ACCEPTED).await;
            send(&mut publisher, 0x33, "t", "kept").await;
            publisher.disconnect().await;
            join(node, "publisher").await.disconnect().await;
            node.until("no session is left", |seen| seen.sessions.sessions == 0).await;
            assert_eq!(kept(node, "t").await, expected(&[(1, "kept")]));
            let mut publisher = join(node, "publisher").await;
            send(&mut publisher, 0x31, "t", "").await;
            publisher.disconnect().await;
        }
    });
}

/// [MQTT311-3.8.4-3] An equal topic filter is subscribed to anew: retained messages come again, live ones go on with the
/// new QoS and come once.
#[test]
fn comes_again_with_an_equal_filter() {
    on_nodes(settings(), async |node| {
        let mut publisher = join(node, "publisher").await;
        send(&mut publisher, 0x35, "t", "kept").await;
        let mut client = join(node, "client").await;
        for (round, qos) in [0_u8, 2, 1, 1, 0].into_iter().enumerate() {
            client.send_bytes(&subscribe(1, &[("+", qos)])).await;
            client.expect_bytes(&[0x90, 3, 0, 1, qos]).await;
            let retained = client.take_payload("kept").await;
            assert_eq!((retained.retain, retained.qos as u8), (true, qos));
            let live = round.to_string();
            send(&mut publisher, 0x34, "t", &live).await;
            let got = client.take_payload(&live).await;
            assert_eq!((got.retain, got.qos as u8), (false, qos));
            client.expect_nothing().await;
        }
        node.until("1 subscription", |seen| seen.sessions.subscriptions == 1).await;
    });
}
