//! Clean session, and what a session holds.

use super::{
    ACCEPTED, CLEAN, DISCONNECT, PUBACK, PUBCOMP, PUBREC, PUBREL, RESUMED, ack, connect, join, join_durable,
    join_with, open, publish, subscribe, subscribed, unsubscribe,
};
use crate::harness::{TestNode, on_nodes, settings};

/// Publishes to `t` and takes the first answer.
async fn send(node: &TestNode, first_byte: u8, payload: &str) {
    let mut publisher = join(node, "publisher").await;
    publisher.send_bytes(&publish(first_byte, "t", (first_byte & 0x06 != 0).then_some(1), payload)).await;
    match first_byte & 0x06 {
        0x02 => publisher.expect_bytes(&ack(PUBACK, 1)).await,
        0x04 => publisher.expect_bytes(&ack(PUBREC, 1)).await,
        _ => publisher.expect_nothing().await,
    }
    publisher.disconnect().await;
}

/// [MQTT311-3.1.2-4] [MQTT311-4.1.0-1] With clean session 0 a session is resumed with all that belongs to it:
/// subscriptions, what was sent and not acknowledged, what waits, and QoS 2 that was received and not released; however
/// its network connection ended, and as often as it is resumed.
#[test]
fn is_resumed() {
    on_nodes(settings(), async |node| {
        let mut client = join_durable(node, "client", ACCEPTED).await;
        subscribed(&mut client, "t", 2).await;
        subscribed(&mut client, "gone", 2).await;
        client.send_bytes(&unsubscribe(2, &["gone"])).await;
        client.expect_bytes(b"\xb0\x02\x00\x02").await;
        client.send_bytes(&publish(0x34, "elsewhere", Some(8), "received")).await;
        client.expect_bytes(&ack(PUBREC, 8)).await;
        send(node, 0x34, "sent").await;
        client.expect_bytes(&publish(0x34, "t", Some(1), "sent")).await;
        client.disconnect().await;
        send(node, 0x32, "waits").await;
        for lost in [true, false, true] {
            let mut client = join_durable(node, "client", RESUMED).await;
            client.expect_bytes(&publish(0x3c, "t", Some(1), "sent")).await;
            let waits = client.expect_payload("waits").await;
            assert_eq!(waits.packet_identifier.map(|it| it.get()), Some(2));
            client.expect_nothing().await;
            if lost {
                client.vanish().await;
            } else {
                client.disconnect().await;
            }
        }
        let mut client = join_durable(node, "client", RESUMED).await;
        client.expect_bytes(&publish(0x3c, "t", Some(1), "sent")).await;
        client.expect_bytes(&publish(0x3a, "t", Some(2), "waits")).await;
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "elsewhere", 0).await;
        client.send_bytes(&publish(0x3c, "elsewhere", Some(8), "received")).await;
        client.expect_bytes(&ack(PUBREC, 8)).await;
        watcher.expect_nothing().await;
        node.until("2 subscriptions", |seen| seen.sessions.subscriptions == 2).await;
    });
}

/// [MQTT311-3.1.2-5] QoS 1 and 2 messages for a session that is away are kept, with the QoS that they are due, in order.
#[test]
fn messages_are_kept_while_away() {
    on_nodes(settings(), async |node| {
        let mut one = join_durable(node, "one", ACCEPTED).await;
        subscribed(&mut one, "t", 1).await;
        let mut two = join_durable(node, "two", ACCEPTED).await;
        subscribed(&mut two, "+", 2).await;
        one.disconnect().await;
        two.vanish().await;
        for (first_byte, payload) in [(0x32, "1"), (0x34, "2"), (0x32, "3"), (0x34, "4")] {
            send(node, first_byte, payload).await;
        }
        let mut one = join_durable(node, "one", RESUMED).await;
        for (identifier, payload) in [(1, "1"), (2, "2"), (3, "3"), (4, "4")] {
            one.expect_bytes(&publish(0x32, "t", Some(identifier), payload)).await;
        }
        one.expect_nothing().await;
        let mut two = join_durable(node, "two", RESUMED).await;
        for (first_byte, identifier, payload) in
            [(0x32, 1, "1"), (0x34, 2, "2"), (0x32, 3, "3"), (0x34, 4, "4")]
        {
            two.expect_bytes(&publish(first_byte, "t", Some(identifier), payload)).await;
        }
        two.expect_nothing().await;
    });
}

/// [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] Clean session 1 ends what there was: no subscription, no message sent or waiting,
/// no QoS 2 identifier is left, from offline or by takeover; and the new session ends with its network connection.
#[test]
fn clean_session_discards() {
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "elsewhere", 0).await;
        for online in [false, true] {
            let mut old = join_durable(node, "client", ACCEPTED).await;
            subscribed(&mut old, "t", 2).await;
            old.send_bytes(&publish(0x34, "elsewhere", Some(8), "old")).await;
            old.expect_bytes(&ack(PUBREC, 8)).await;
            watcher.expect_bytes(&publish(0x30, "elsewhere", None, "old")).await;
            send(node, 0x34, "sent").await;
            old.expect_payload("sent").await;
            if online {
                join_clean_and_check(node, &mut watcher).await;
                old.expect_closed().await;
            } else {
                old.disconnect().await;
                send(node, 0x34, "waits").await;
                join_clean_and_check(node, &mut watcher).await;
            }
            let mut client = join_durable(node, "client", ACCEPTED).await;
            send(node, 0x34, "nobody wants it").await;
            client.expect_nothing().await;
            client.disconnect().await;
            join(node, "client").await.disconnect().await;
        }
    });
}

/// A clean session under the same client identifier, which subscribes, leaves QoS 2 unreleased, and ends.
async fn join_clean_and_check(node: &TestNode, watcher: &mut crate::harness::Client) {
    let mut client = join_with(node, &connect(CLEAN, &[b"client"]), ACCEPTED).await;
    client.expect_nothing().await;
    send(node, 0x34, "not subscribed").await;
    client.expect_nothing().await;
    // The packet identifier of the old session stands for nothing: this is a new message.
    client.send_bytes(&publish(0x3c, "elsewhere", Some(8), "new")).await;
    client.expect_bytes(&ack(PUBREC, 8)).await;
    watcher.expect_bytes(&publish(0x30, "elsewhere", None, "new")).await;
    subscribed(&mut client, "t", 2).await;
    send(node, 0x34, "live").await;
    client.expect_bytes(&publish(0x34, "t", Some(1), "live")).await;
    client.vanish().await;
}

/// [MQTT311-4.1.0-2] A session lasts as long as its network connection, whatever happens on others: with clean session 1
/// too, state that was made at its begin is there at its end.
#[test]
fn lasts_as_long_as_its_network_connection() {
    on_nodes(settings(), async |node| {
        let mut client = join(node, "client").await;
        subscribed(&mut client, "t", 2).await;
        client.send_bytes(&publish(0x34, "elsewhere", Some(8), "x")).await;
        client.expect_bytes(&ack(PUBREC, 8)).await;
        send(node, 0x34, "sent").await;
        client.expect_bytes(&publish(0x34, "t", Some(1), "sent")).await;
        for round in 0..50 {
            let mut other = join(node, &format!("other {round}")).await;
            subscribed(&mut other, "t", 1).await;
            other.vanish().await;
        }
        client.send_bytes(&ack(PUBREC, 1)).await;
        client.expect_bytes(&ack(PUBREL, 1)).await;
        client.send_bytes(&ack(PUBCOMP, 1)).await;
        client.send_bytes(&ack(PUBREL, 8)).await;
        client.expect_bytes(&ack(PUBCOMP, 8)).await;
        send(node, 0x32, "still subscribed").await;
        client.expect_bytes(&publish(0x32, "t", Some(2), "still subscribed")).await;
    });
}

/// [MQTT311-4.1.0-1] [MQTT311-3.1.2-4] What stands before a DISCONNECT in the same write is part of the session, more
/// subscriptions than are in work at a time, and what is published behind them.
#[test]
fn what_stands_before_a_disconnect_counts() {
    const COUNT: u16 = 200;
    on_nodes(settings(), async |node| {
        let mut watcher = join(node, "watcher").await;
        subscribed(&mut watcher, "last", 0).await;
        let mut bytes = connect(0, &[b"hasty"]);
        for number in 1..=COUNT {
            bytes.extend(subscribe(number, &[(&format!("t/{number}"), 1)]));
            if number % 2 == 0 {
                bytes.extend(unsubscribe(number, &[&format!("t/{number}")]));
            }
            bytes.extend(publish(0x32, &format!("t/{number}"), Some(number), &number.to_string()));
        }
        bytes.extend(publish(0x30, "last", None, "x"));
        bytes.extend_from_slice(DISCONNECT);
        let mut hasty = open(node).await;
        hasty.send_bytes(&bytes).await;
        while hasty.next_or_end().await.is_some() {}
        watcher.expect_bytes(&publish(0x30, "last", None, "x")).await;
        node.until_online(1).await;
        let mut hasty = join_durable(node, "hasty", RESUMED).await;
        for number in (1..=COUNT).step_by(2) {
            let got = hasty.expect_payload(&number.to_string()).await;
            assert_eq!(got.topic, format!("t/{number}"));
        }
        hasty.expect_nothing().await;
        let left = 1 + usize::from(COUNT) / 2;
        node.until("half of them are left", |seen| seen.sessions.subscriptions == left).await;
    });
}
