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

use harness::{Program, Starved};
use part::{Addresses, Part, THREADS};
use verdict::Verdict;

/// Clients that stay, whatever happens to the others.
const CONNECTIONS: usize = 5000;
const CONNECT_TIMEOUT_MS: u64 = 2000;

#[test]
fn kept_to_half_a_second_with_5_000_connections_under_load() {
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
    verdict.judge();
    let silent = (keep_alive::SILENT + wills::SILENT) * THREADS;
    assert!(figures.get("keep_alive_timeouts_total") >= silent as u64);
    let unfinished = (connects::EACH * connects::KINDS.len() * THREADS) as u64;
    assert_eq!(figures.get("connect_timeouts_total"), unfinished);
    program.until_connections(0);
    program.balanced_ledger();
    program.assert_unhurt();
    program.stop();
}
