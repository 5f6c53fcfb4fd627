//! When the machine kept the node from running: how long its threads stood in line for a processor, as the kernel counts
//! it. That is not the node's doing, and taken off the lateness of an event that was due meanwhile.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const PACE: Duration = Duration::from_millis(20);

/// A stretch of time, and how much of it the thread that waited longest waited.
#[derive(Debug, Clone, Copy)]
struct Sample {
    from: Instant,
    to: Instant,
    waited: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Starved(Mutex<Vec<Sample>>);

impl Starved {
    /// Watches a process until this is dropped by everybody else.
    pub(crate) fn watch(process: u32) -> Arc<Self> {
        let starved = Arc::new(Self::default());
        let watched = Arc::downgrade(&starved);
        thread::spawn(move || {
            let (mut before, mut from) = (waited(process), Instant::now());
            loop {
                // The kernel counts, and does not say when.
                thread::sleep(PACE);
                let Some(watched) = watched.upgrade() else { return };
                let (now, to) = (waited(process), Instant::now());
                let grown = now.iter().map(|(thread, waited)| {
                    waited.saturating_sub(before.get(thread).copied().unwrap_or(*waited))
                });
                let waited = grown.max().unwrap_or_default();
                watched.0.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { from, to, waited });
                (before, from) = (now, to);
            }
        });
        starved
    }

    /// How much of the time from `due` to `seen` it waited, whichever of its threads did: what an answer takes may pass
    /// through several.
    pub(crate) fn between(&self, due: Instant, seen: Instant) -> Duration {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meanwhile = samples.iter().filter(|sample| sample.from < seen && sample.to > due);
        meanwhile.map(|sample| sample.waited).sum::<Duration>().min(seen.saturating_duration_since(due))
    }
}

/// How long this thread has waited for a processor so far; nothing where the kernel does not tell.
pub(crate) fn waited_here() -> Duration {
    figure("/proc/thread-self/schedstat".as_ref()).unwrap_or_default()
}

fn figure(schedstat: &Path) -> Option<Duration> {
    let figures = fs::read_to_string(schedstat).ok()?;
    Some(Duration::from_nanos(figures.split(' ').nth(1)?.parse().ok()?))
}

/// How long each thread of a process has waited for a processor so far; nothing where the kernel does not tell.
fn waited(process: u32) -> HashMap<String, Duration> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return HashMap::new() };
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?;
            let waited = figure(&thread.path().join("schedstat"))?;
            Some((thread.file_name().to_string_lossy().into_owned(), waited))
        })
        .collect()
}
