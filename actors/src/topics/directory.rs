//! Which workers have any filter that matches a topic name: shared by all, written at SUBSCRIBE, read at PUBLISH.
//!
//! Invariant: it names a worker for a filter before the SUBSCRIBE is answered, so what is published after a SUBACK is
//! seen by its subscriber whatever worker it is published at. Filters without wildcards are kept as hashes with a key
//! of this process in locked shards; filters with wildcards stand in one tree, whose lock nobody takes while there are
//! none. With one worker there is nobody to ask for, and nothing is kept.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::RwLock;

use super::path_trie::PathTrie;
use super::trie::is_wild;

/// Workers at most: a bit each.
pub const WORKERS_MAX: usize = 64;
const SHARDS: usize = 64;

type Shard = HashMap<u64, u64, rustc_hash::FxBuildHasher>;

/// See the module.
#[derive(Debug)]
pub struct Directory {
    workers: usize,
    hasher: DefaultHashBuilder,
    exact: Box<[RwLock<Shard>]>,
    wild: RwLock<PathTrie<u64>>,
    wild_filters: AtomicUsize,
}

impl Directory {
    /// For 1 to [`WORKERS_MAX`] workers.
    pub fn new(workers: usize) -> Self {
        let shards = if workers > 1 { SHARDS } else { 0 };
        Self {
            workers,
            hasher: DefaultHashBuilder::default(),
            exact: (0..shards).map(|_| RwLock::default()).collect(),
            wild: RwLock::default(),
            wild_filters: AtomicUsize::new(0),
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.exact[(hash >> 58) as usize % SHARDS]
    }

    /// A worker has its first subscription to this filter.
    pub fn add(&self, filter: &str, worker: u16) {
        if self.workers == 1 {
            return;
        }
        let bit = 1 << worker;
        if is_wild(filter) {
            let mut wild = self.wild.write();
            *wild.entry(filter) |= bit;
            self.wild_filters.store(wild.len(), Ordering::Release);
        } else {
            let hash = self.hasher.hash_one(filter);
            *self.shard(hash).write().entry(hash).or_default() |= bit;
        }
    }

    /// A worker has no subscription to this filter any more.
    pub fn remove(&self, filter: &str, worker: u16) {
        if self.workers == 1 {
            return;
        }
        let keep = !(1 << worker);
        if is_wild(filter) {
            let mut wild = self.wild.write();
            wild.update(filter, |workers| {
                *workers &= keep;
                *workers == 0
            });
            self.wild_filters.store(wild.len(), Ordering::Release);
        } else {
            let hash = self.hasher.hash_one(filter);
            let mut shard = self.shard(hash).write();
            if let Some(workers) = shard.get_mut(&hash) {
                *workers &= keep;
                if *workers == 0 {
                    shard.remove(&hash);
                }
            }
        }
    }

    /// Filters held.
    #[cfg(feature = "simulation")]
    pub(crate) fn filters(&self) -> usize {
        self.exact.iter().map(|shard| shard.read().len()).sum::<usize>() + self.wild.read().len()
    }

    /// The workers with a subscription to exactly this filter, a bit each.
    #[cfg(feature = "simulation")]
    pub(crate) fn workers_of(&self, filter: &str) -> u64 {
        if is_wild(filter) {
            return self.wild.read().get(filter).copied().unwrap_or(0);
        }
        let hash = self.hasher.hash_one(filter);
        self.shard(hash).read().get(&hash).copied().unwrap_or(0)
    }

    /// The workers with a match for a topic name, a bit each.
    #[inline]
    pub fn workers(&self, topic: &str) -> u64 {
        if self.workers == 1 {
            return 1;
        }
        let hash = self.hasher.hash_one(topic);
        let mut workers = self.shard(hash).read().get(&hash).copied().unwrap_or(0);
        if self.wild_filters.load(Ordering::Acquire) > 0 {
            self.wild.read().visit(topic, &mut |found| workers |= found);
        }
        workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_exactly_the_workers_with_a_match() {
        let directory = Directory::new(3);
        directory.add("a/b", 0);
        directory.add("a/+", 1);
        directory.add("#", 2);
        assert_eq!(directory.workers("a/b"), 0b111);
        assert_eq!(directory.workers("a/c"), 0b110);
        assert_eq!(directory.workers("$SYS/x"), 0);
        directory.remove("a/b", 0);
        directory.remove("#", 2);
        assert_eq!(directory.workers("a/b"), 0b010);
        directory.remove("a/+", 1);
        assert_eq!(directory.workers("a/b"), 0);
    }
}
