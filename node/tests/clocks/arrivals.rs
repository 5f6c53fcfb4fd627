//! When the clients of a kind begin, and how they differ: spread evenly, the same in every run.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::SPREAD;

/// A kind's clients, numbered from 0: each begins at its time.
pub(crate) fn spread<F: Future<Output = ()> + 'static>(
    clients: usize,
    act: impl Fn(usize) -> F,
) -> Vec<JoinHandle<()>> {
    (0..clients)
        .map(|number| {
            let begins = SPREAD * number as u32 / clients as u32;
            let acting = act(number);
            spawn_local(async move {
                sleep(begins).await;
                acting.await;
            })
        })
        .collect()
}

/// So much of a second, another part for each number: what is due is not due at whole seconds or ticks.
pub(crate) fn fraction(number: usize) -> Duration {
    Duration::from_millis((number * 619 % 1000) as u64)
}

/// One of these whole seconds.
pub(crate) fn seconds(number: usize, of: &[u64]) -> Duration {
    Duration::from_secs(of[number % of.len()])
}
