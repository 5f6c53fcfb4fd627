//! What the scenarios have in common: the program under attack, honest clients beside it, and the judgement.

mod figures;
mod honest;
mod ordeal;
mod process;
mod random;
mod starved;
mod websocket;
mod wire;

use std::time::{Duration, Instant};

pub(crate) use figures::Figures;
pub(crate) use ordeal::{Scale, Sent, Turn, ordeal, pairs};
pub(crate) use process::Program;
pub(crate) use random::{Random, seed};
pub(crate) use starved::{Starved, waited_here};
pub(crate) use websocket::{Frame, REQUEST, WebSocket};
pub(crate) use wire::{Wire, bytes_of, connect, filter, publish, subscribe};

/// Far above what anything here takes; reached only by what hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Looks again and again until something is as wanted.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(seen) => assert!(began.elapsed() < DEADLINE, "not in time: {what}: {seen}"),
        }
        // What is looked at does not say when it changes.
        std::thread::sleep(Duration::from_millis(20));
    }
}
