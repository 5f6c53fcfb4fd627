//! What one client can make the node hold, in every way that it can grow: a table of attacks against resident memory.
//!
//! A further attack is a line in [`ATTACKS`] and a function that plays it: it opens what connections it likes, goes on
//! until the limit that it means is reached, and leaves open what is to be open while memory is looked at. Each is
//! played against a node of its own, with default limits unless the line says otherwise.

mod everything;
mod handshakes;
mod means;
mod messages;
mod names;
mod packets;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Program, Turn};
use means::Held;

/// One way to make the node hold something.
struct Attack {
    name: &'static str,
    /// What a node holds at its limits is more than a test should fill: these are lower then.
    settings: &'static [&'static str],
    /// By how much the node's memory may grow, at any moment.
    allowed_mib: usize,
    play: fn(&Program, &mut Held),
}

const fn attack(name: &'static str, allowed_mib: usize, play: fn(&Program, &mut Held)) -> Attack {
    Attack { name, settings: &[], allowed_mib, play }
}

const WITH_USERS: &[&str] = &["auth.provider=file", handshakes::USERS];

const ATTACKS: &[Attack] = &[
    attack("one-byte messages for an offline session", 64, messages::small_for_offline),
    attack("large messages for an offline session", 96, messages::large_for_offline),
    attack("messages for a session that does not read", 96, messages::for_slow_durable),
    attack("messages for a clean session that does not read", 24, messages::for_slow_clean),
    attack("one message in a thousand shared groups", 64, messages::in_many_groups),
    attack("messages that are never released", 16, messages::never_released),
    attack("short topic filters", 96, names::short_filters),
    attack("long topic filters", 96, names::long_filters),
    attack("deep topic filters", 96, names::deep_filters),
    attack("shared groups", 96, names::groups),
    attack("subscriptions that come and go", 24, names::filters_that_go),
    attack("topic names beside retained messages on their way", 32, names::beside_replays),
    attack("retained messages still to come for very many subscriptions", 64, names::pending_replays),
    attack("replays for SUBSCRIBE packets in a row", 32, names::pipelined_replays),
    attack("topic aliases", 24, names::aliases),
    attack("CONNECTs in part", 24, handshakes::connects),
    Attack { settings: handshakes::TLS, ..attack("handshakes of TLS in part", 48, handshakes::tls) },
    attack("handshakes of WebSockets in part, and WebSockets without a CONNECT", 24, handshakes::upgrades),
    Attack {
        settings: WITH_USERS,
        ..attack("exchanges of authentication in part", 24, handshakes::exchanges)
    },
    Attack { settings: WITH_USERS, ..attack("permissions remembered", 48, handshakes::permissions) },
    Attack {
        settings: &["node.bytes_between_workers_max=65536", "node.messages_between_workers_max=1024"],
        ..attack("publishes that find no room", 48, handshakes::held_up_batches)
    },
    attack("a packet received in part", 48, packets::in_part),
    attack("a WebSocket message in very many fragments", 48, packets::fragments),
    attack("requests without end to the HTTP listener", 16, packets::http),
    Attack {
        settings: &["node.queued_bytes_max=33554432"],
        ..attack("the largest wills of very many sessions", 96, packets::wills)
    },
    Attack {
        settings: &["node.queued_bytes_max=33554432"],
        ..attack("queues of very many sessions", 64, messages::for_many_sessions)
    },
];

#[test]
fn one_client_costs_what_its_limits_say() {
    let _turn = Turn::take();
    handshakes::write_users();
    handshakes::write_certificate();
    let mut beyond = Vec::new();
    for attack in ATTACKS {
        let (before, most) = most_resident(attack.settings, attack.play);
        let grew = most.saturating_sub(before) / (1024 * 1024);
        eprintln!("{}: {grew} MiB of {} allowed", attack.name, attack.allowed_mib);
        if grew > attack.allowed_mib {
            beyond.push(format!("{}: {grew} MiB, {} are allowed", attack.name, attack.allowed_mib));
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// Plays an attack. Returns the resident memory before, and the most there was.
fn most_resident(settings: &[&str], play: fn(&Program, &mut Held)) -> (usize, usize) {
    let program = Program::start(settings);
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
        let mut held = Held::default();
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(&program, &mut held)));
        most.fetch_max(program.resident_bytes(), Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = played {
            std::panic::resume_unwind(panic);
        }
    });
    program.assert_unhurt();
    program.stop();
    (before, most.into_inner())
}
