//! Messages that wait.

use mqtt_codec::{Packet, PacketIdentifier, QoS};

use super::means::{Held, clean, dropped, durable, offline, publish_until, subscribe_to};
use crate::harness::{Program, Wire, publish};

const LARGE: usize = 60_000;

fn until_full(program: &Program, payload: &[u8]) {
    let mut publisher = clean(program, "publisher");
    publish_until(&mut publisher, "t", payload, || dropped(program, "queue_full") > 0);
}

pub(super) fn small_for_offline(program: &Program, _held: &mut Held) {
    offline(program, "offline", &["t"]);
    until_full(program, b"x");
}

pub(super) fn large_for_offline(program: &Program, _held: &mut Held) {
    offline(program, "offline", &["t"]);
    until_full(program, &[b'x'; LARGE]);
}

pub(super) fn for_slow_durable(program: &Program, held: &mut Held) {
    let mut slow = Wire::client(program.tcp, durable("slow"));
    subscribe_to(&mut slow, &["t"]);
    held.keep(slow);
    until_full(program, &[b'x'; 500]);
}

pub(super) fn for_slow_clean(program: &Program, held: &mut Held) {
    let mut slow = clean(program, "slow");
    subscribe_to(&mut slow, &["t"]);
    held.keep(slow);
    until_full(program, &[b'x'; 500]);
}

pub(super) fn in_many_groups(program: &Program, _held: &mut Held) {
    let groups: Vec<String> = (0..1000).map(|number| format!("$share/g{number}/t")).collect();
    offline(program, "offline", &groups);
    until_full(program, b"x");
    // As many again, as far as they go.
    let twice = dropped(program, "queue_full") + 100_000;
    let mut publisher = clean(program, "publisher");
    publish_until(&mut publisher, "t", b"x", || dropped(program, "queue_full") > twice);
}

pub(super) fn for_many_sessions(program: &Program, _held: &mut Held) {
    for number in 0..20 {
        offline(program, &format!("offline-{number}"), &[format!("{number}")]);
    }
    let mut publisher = clean(program, "publisher");
    for number in 0..20 {
        for round in 1..=100 {
            let packet = publish(&number.to_string(), QoS::AtLeastOnce, round, &[b'x'; LARGE]);
            publisher.send(&packet);
            publisher.until(|packet| matches!(packet, Packet::PubAck(_)));
        }
    }
    assert!(program.figures().get("messages_queued_bytes") > 32 * 1024 * 1024, "the limit is reached");
}

pub(super) fn never_released(program: &Program, held: &mut Held) {
    let mut client = clean(program, "client");
    for identifier in 1..=1024 {
        client.send(&publish("t", QoS::ExactlyOnce, identifier, b"x"));
        client.until(|packet| matches!(packet, Packet::PubRec(_)));
    }
    client.send(&publish("t", QoS::ExactlyOnce, PacketIdentifier::MAX.get(), b"x"));
    client.expect_end();
    held.keep(client);
}
