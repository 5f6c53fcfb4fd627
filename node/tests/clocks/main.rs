//! Every clock of the node, kept to half a second with 5,000 connections under load.
//!
//! The real program runs as a process of its own. Beside 5,000 clients that stay (some publish and receive 1,000
//! messages a second, the others ping), some hundreds of each kind of event are spread over a while: clients that fall
//! silent, wills that are delayed, sessions and messages that expire, CONNECTs that never come. Each event is measured at
//! its client: it may not be early at all, and not later than half a second. What the machine kept client or node from
//! running is measured too, and does not count.

mod connects;
mod keep_alive;
mod link;
mod load;
mod messages;
mod part;
mod sessions;
mod stalls;
mod verdict;
mod wills;

/// How the program is started and looked at.
#[path = "../hostile/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the hostile input, whose attacks are not wanted here"
)]
mod harness;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use harness::{Program, Starved};
use part::{Addresses, Part, THREADS};
use verdict::{Bad, Verdict};

/// Clients that stay, whatever happens to the others.
const CONNECTIONS: usize = 5000;
const CONNECT_TIMEOUT_MS: u64 = 2000;

/// How often it is tried anew when something was late while the machine kept the node from running: what that took is
/// known only roughly then.
const STARVED_ATTEMPTS: usize = 3;
/// Less than this, all together, makes nothing late.
const STARVED: Duration = Duration::from_secs(2);

#[test]
fn kept_to_half_a_second_with_5_000_connections_under_load() {
    for attempt in 0.. {
        let (bad, starved) = attempt_once();
        let Some(bad) = bad else { return };
        let is_excused = bad.is_late_alone && starved > STARVED && attempt < STARVED_ATTEMPTS;
        let events = &bad.events[..bad.events.len().min(40)];
        assert!(is_excused, "{} events, {starved:?} starved: {events:#?}", bad.events.len());
        println!(
            "starved: the machine kept the node from running for {starved:?}; {} events were late; again",
            bad.events.len()
        );
    }
}

/// What was not as it should be, and how long the node was kept from running.
fn attempt_once() -> (Option<Bad>, Duration) {
    let began = Instant::now();
    let program = Program::start(&[&format!("node.connect_timeout_ms={CONNECT_TIMEOUT_MS}")]);
    let (opened, ended) =
        (Arc::new(tokio::sync::Barrier::new(THREADS)), Arc::new(tokio::sync::Barrier::new(THREADS)));
    let starved = Starved::watch(program.id());
    let parts: Vec<_> = (0..THREADS)
        .map(|number| {
            let addresses = Addresses { tcp: program.tcp, websocket: program.websocket };
            let (opened, ended) = (Arc::clone(&opened), Arc::clone(&ended));
            let starved = Arc::clone(&starved);
            thread::spawn(move || Part::run(number, addresses, starved, &opened, &ended))
        })
        .collect();
    let mut verdict = Verdict::default();
    for part in parts {
        match part.join() {
            Ok(seen) => verdict.add(seen),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let figures = program.figures();
    verdict.print();
    println!("{} MiB resident", program.resident_bytes() / 1024 / 1024);
    let bad = verdict.judge().err();
    let starved = starved.between(began, Instant::now());
    let silent = (keep_alive::SILENT + wills::SILENT) * THREADS;
    assert!(figures.get("keep_alive_timeouts_total") >= silent as u64);
    let unfinished = (connects::EACH * connects::KINDS.len() * THREADS) as u64;
    assert_eq!(figures.get("connect_timeouts_total"), unfinished);
    program.until_connections(0);
    program.balanced_ledger();
    program.assert_unhurt();
    program.stop();
    (bad, starved)
}
