//! The disk has no room for what has to be kept: as long as that is so, publishes that have to be are refused.
//!
//! Whoever publishes does not know who has a match, so each worker lists what its durable sessions are subscribed to when
//! the disk runs full. That does not change before there is room: a SUBSCRIBE waits until it is kept.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use hashbrown::HashSet;
use mqtt_codec::matches;
use parking_lot::RwLock;

/// Topic filters with wildcards that are looked through for a publish; with more, each is taken for a match.
const WILDCARDS_MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FullDisk {
    filters: RwLock<Filters>,
    /// The workers that have listed theirs, a bit each.
    listed: AtomicU64,
}

#[derive(Debug, Default)]
struct Filters {
    exact: HashSet<Box<str>>,
    wildcards: HashSet<Box<str>>,
}

impl FullDisk {
    pub(super) fn list<'a>(&self, filters: impl Iterator<Item = &'a str>) {
        let mut listed = self.filters.write();
        for filter in filters {
            let Filters { exact, wildcards } = &mut *listed;
            let has_wildcard = filter.contains(['+', '#']);
            let into = if has_wildcard { wildcards } else { exact };
            let is_enough = has_wildcard && into.len() > WILDCARDS_MAX;
            if !is_enough && !into.contains(filter) {
                into.insert(filter.into());
            }
        }
    }

    /// Whether all workers have listed theirs now.
    pub(super) fn note_listed(&self, worker: u64, workers: u64) -> bool {
        (self.listed.fetch_or(worker, SeqCst) | worker) & workers == workers
    }

    pub(super) fn is_any_durable(&self, topic: &str) -> bool {
        let Filters { exact, wildcards } = &*self.filters.read();
        exact.contains(topic)
            || wildcards.len() > WILDCARDS_MAX
            || wildcards.iter().any(|filter| matches(filter, topic))
    }

    pub(super) fn end(&self) {
        self.listed.store(0, SeqCst);
        *self.filters.write() = Filters::default();
    }
}
