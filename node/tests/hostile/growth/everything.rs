//! One client that does all of it at once, with default limits: what the node holds for it, and what others wait.
//!
//! `MICRO_MQ_HOSTILE_PAIRS=7` looks at so many pairs of five seconds, without and with the attack, as `scripts/prove.sh`
//! does with a program that is built as users build it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mqtt_codec::{Packet, ProtocolVersion, QoS};

use super::means::{clean, durable, publish_until, subscribe_to};
use crate::harness::{Program, Scale, Sent, Turn, Wire, bytes_of, ordeal, pairs, publish, subscribe};

/// By how much the node's memory may grow.
const ALLOWED_BYTES: usize = 256 * 1024 * 1024;
const PAIR_TIME: Duration = Duration::from_secs(5);

#[test]
fn one_client_that_does_all_of_it_at_once() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let before = program.resident_bytes();
    let (most, stop) = (AtomicUsize::new(before), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                most.fetch_max(program.resident_bytes(), Ordering::Relaxed);
                // Memory is looked at again and again: nothing says when it changes.
                thread::sleep(Duration::from_millis(10));
            }
        });
        let judged = std::panic::catch_unwind(|| match wanted_pairs() {
            Some(count) => pairs(&program, count, PAIR_TIME, |scale| attack(&program, scale)),
            None => ordeal(&program, |scale| attack(&program, scale)),
        });
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = judged {
            std::panic::resume_unwind(panic);
        }
    });
    let grew = most.into_inner() - before;
    eprintln!("memory grew by {} MiB at most", grew / (1024 * 1024));
    assert!(grew <= ALLOWED_BYTES, "{grew} bytes");
    program.stop();
}

fn wanted_pairs() -> Option<usize> {
    let wanted = std::env::var("MICRO_MQ_HOSTILE_PAIRS").ok()?;
    Some(wanted.parse().expect("MICRO_MQ_HOSTILE_PAIRS is a number"))
}

fn attack(program: &Program, scale: Scale) -> Sent {
    let mut sent = Sent::default();
    let mut connect = durable("attacker");
    connect.properties.topic_alias_maximum = Some(u16::MAX);
    let mut attacker = Wire::client(program.tcp, connect);
    // Groups, and what it is sent for them later.
    let groups: Vec<String> =
        (0..scale.of(500)).map(|number| format!("$share/g{number}/all/groups")).collect();
    for some in groups.chunks(100) {
        assert!(subscribe_to(&mut attacker, some));
    }
    assert!(subscribe_to(&mut attacker, &["all/#"]));
    // Topic aliases with long names, both ways.
    for alias in 1..=64u16 {
        let mut packet = publish(&format!("all/{alias}/{}", "x".repeat(60_000)), QoS::AtMostOnce, 0, b"x");
        if let Packet::Publish(publish) = &mut packet {
            publish.properties.topic_alias = alias.try_into().ok();
        }
        attacker.send(&packet);
        attacker.until(|packet| matches!(packet, Packet::Publish(_)));
    }
    sent.add(64, 64 * 60_000);
    // QoS 2 that it does not release.
    for identifier in 1..=scale.of(500) as u16 {
        attacker.send(&publish("nobody", QoS::ExactlyOnce, identifier, b"x"));
        attacker.until(|packet| matches!(packet, Packet::PubRec(_)));
    }
    // Subscriptions as many as it may have.
    for number in 0..scale.of(2000) {
        let some: Vec<String> = (0..4).map(|at| format!("{number}/{at}/{}", "x".repeat(60_000))).collect();
        if !subscribe_to(&mut attacker, &some) {
            break;
        }
    }
    // It reads no more, and goes on subscribing.
    let more = bytes_of(&subscribe(&["all/+/none"], QoS::AtMostOnce), ProtocolVersion::V5);
    assert!(attacker.send_bytes(&more.repeat(scale.of(100))));
    let mut accomplice = clean(program, "accomplice");
    let full = |program: &Program| super::means::dropped(program, "queue_full");
    for payload in [&b"x"[..], &[b'x'; 60_000]] {
        let (before, mut rounds) = (full(program), 0);
        for topic in ["all/groups", "all/t"] {
            publish_until(&mut accomplice, topic, payload, || {
                rounds += 1;
                scale == Scale::Warm || full(program) > before || rounds > 100
            });
        }
    }
    // A packet that never ends.
    assert!(accomplice.send_bytes(&[0x30, 0xf0, 0xff, 0xff, 0x07, 0, 1, b't', 0]));
    assert!(accomplice.send_bytes(&vec![b'x'; scale.of(0x00ff_ff00)]));
    drop((attacker, accomplice));
    // Nothing of it is left.
    drop(clean(program, "attacker"));
    sent
}
