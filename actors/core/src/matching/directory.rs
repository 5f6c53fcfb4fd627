//! Which workers have any filter that matches a topic name: shared by all, written at SUBSCRIBE, read at PUBLISH.
//!
//! Invariant: it names a worker for a filter before the SUBSCRIBE is answered, so what is published after a SUBACK is
//! seen by its subscriber whatever worker it is published at. Filters without wildcards are kept as hashes with a key
//! of this process in locked shards; filters with wildcards stand in one tree, whose lock nobody takes while there are
//! none. With one worker there is nobody to ask for, and nothing is kept.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::RwLock;

use super::path_trie::LockStep;
use super::path_trie::PathTrie;
use super::path_trie::Walk;
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
    wild: RwLock<Wild>,
    /// The workers that have any filter with a wildcard, a bit each.
    wild_workers: AtomicU64,
}

/// Filters with wildcards.
#[derive(Debug)]
struct Wild {
    tree: PathTrie<u64>,
    /// How many each worker has.
    filters: [usize; WORKERS_MAX],
}

impl Wild {
    fn workers(&self) -> u64 {
        let bits = self.filters.iter().enumerate().filter(|(_, filters)| **filters > 0);
        bits.fold(0, |bits, (worker, _)| bits | 1 << worker)
    }
}

/// The look-ups of one batch: what they may cost together, so that no client's filters keep the threads of others.
#[derive(Debug)]
pub struct LookUps {
    walk: Walk,
    steps: LockStep,
    places_left: usize,
}

/// Topic names that are looked up side by side.
pub const NAMES_TOGETHER: usize = 16;
/// Places that each of them may look at; with more it is looked up by itself.
const PLACES_PER_NAME: usize = 64;

/// Places of the tree of wildcards that the look-ups of any batch may look at.
const PLACES_PER_BATCH: usize = 1024;
/// Beside that, for each of its publishes.
const PLACES_PER_PUBLISH: usize = 32;
/// Places between two looks whether all workers are found.
const PLACES_PER_LOOK: usize = 64;

impl LookUps {
    /// For a batch of so many publishes.
    pub fn of(publishes: usize) -> Self {
        let places_left = PLACES_PER_BATCH + PLACES_PER_PUBLISH * publishes;
        Self { walk: Walk::default(), steps: LockStep::default(), places_left }
    }
}

impl Directory {
    /// For 1 to [`WORKERS_MAX`] workers.
    pub fn new(workers: usize) -> Self {
        let shards = if workers > 1 { SHARDS } else { 0 };
        Self {
            workers,
            hasher: DefaultHashBuilder::default(),
            exact: (0..shards).map(|_| RwLock::default()).collect(),
            wild: RwLock::new(Wild { tree: PathTrie::default(), filters: [0; WORKERS_MAX] }),
            wild_workers: AtomicU64::new(0),
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
            let workers = wild.tree.entry(filter);
            let is_new = *workers & bit == 0;
            *workers |= bit;
            wild.filters[usize::from(worker)] += usize::from(is_new);
            self.wild_workers.store(wild.workers(), Ordering::Release);
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
            let mut was_held = false;
            wild.tree.update(filter, |workers| {
                was_held = *workers & !keep != 0;
                *workers &= keep;
                *workers == 0
            });
            wild.filters[usize::from(worker)] -= usize::from(was_held);
            self.wild_workers.store(wild.workers(), Ordering::Release);
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
    pub fn filters(&self) -> usize {
        self.exact.iter().map(|shard| shard.read().len()).sum::<usize>() + self.wild.read().tree.len()
    }

    /// The workers with a subscription to exactly this filter, a bit each.
    #[cfg(feature = "simulation")]
    pub fn workers_of(&self, filter: &str) -> u64 {
        if is_wild(filter) {
            return self.wild.read().tree.get(filter).copied().unwrap_or(0);
        }
        let hash = self.hasher.hash_one(filter);
        self.shard(hash).read().get(&hash).copied().unwrap_or(0)
    }

    /// [`workers_within`](Self::workers_within), for one topic name.
    pub fn workers(&self, topic: &str) -> u64 {
        self.workers_within(topic, &mut LookUps::of(1))
    }

    /// The workers with a match for a topic name, a bit each. When the look-ups of the batch have cost what they may,
    /// that is all workers with any wildcard: their tries, which look a piece at a time, say exactly what matches.
    #[inline]
    pub fn workers_within(&self, topic: &str, look_ups: &mut LookUps) -> u64 {
        if self.workers == 1 {
            return 1;
        }
        let mut workers = self.exact_workers(topic);
        let wild_workers = self.wild_workers.load(Ordering::Acquire);
        if wild_workers & !workers != 0 {
            workers |= self.wild_workers(topic, workers, wild_workers, look_ups);
        }
        workers
    }

    /// The same for several topic names, at most [`NAMES_TOGETHER`]: among very many filters with wildcards a look-up
    /// mostly waits for memory, and side by side they wait together.
    pub fn workers_together(&self, topics: &[&str], look_ups: &mut LookUps) -> [u64; NAMES_TOGETHER] {
        let mut workers = [1; NAMES_TOGETHER];
        let all_places = topics.len() * PLACES_PER_NAME;
        if self.workers == 1 {
            return workers;
        }
        if topics.len() == 1 || look_ups.places_left < all_places {
            for (workers, topic) in workers.iter_mut().zip(topics) {
                *workers = self.workers_within(topic, look_ups);
            }
            return workers;
        }
        let mut left = [0; NAMES_TOGETHER];
        let wild_workers = self.wild_workers.load(Ordering::Acquire);
        for ((workers, left), topic) in workers.iter_mut().zip(&mut left).zip(topics) {
            *workers = self.exact_workers(topic);
            *left = if wild_workers & !*workers == 0 { 0 } else { PLACES_PER_NAME };
        }
        if wild_workers == 0 {
            return workers;
        }
        let before: usize = left.iter().sum();
        self.wild.read().tree.look_up_together(
            topics,
            &mut left,
            &mut look_ups.steps,
            |name, found, left| {
                workers[name] |= found;
                if wild_workers & !workers[name] == 0 {
                    *left = 0;
                }
            },
        );
        look_ups.places_left -= before - left.iter().sum::<usize>();
        for ((workers, left), topic) in workers.iter_mut().zip(left).zip(topics) {
            if left == 0 && wild_workers & !*workers != 0 {
                *workers |= self.wild_workers(topic, *workers, wild_workers, look_ups);
            }
        }
        workers
    }

    fn exact_workers(&self, topic: &str) -> u64 {
        let hash = self.hasher.hash_one(topic);
        self.shard(hash).read().get(&hash).copied().unwrap_or(0)
    }

    fn wild_workers(&self, topic: &str, known: u64, wild_workers: u64, look_ups: &mut LookUps) -> u64 {
        let wild = self.wild.read();
        let LookUps { walk, places_left, .. } = look_ups;
        let mut workers = known;
        wild.tree.begin(walk);
        while *places_left > 0 {
            let mut places = PLACES_PER_LOOK.min(*places_left);
            *places_left -= places;
            let is_through = wild.tree.go_on(topic, walk, &mut places, &mut |found| workers |= found);
            *places_left += places;
            if is_through || wild_workers & !workers == 0 {
                return workers;
            }
        }
        wild_workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{a,+}^12`: a look-up passes through 8,191 places.
    #[test]
    fn a_look_up_that_costs_too_much_names_all_who_may_have_a_match() {
        let directory = Directory::new(3);
        for bits in 0..1u32 << 12 {
            let level = |at: u32| if bits & 1 << at == 0 { "a" } else { "+" };
            let filter: Vec<_> = (0..12).map(level).collect();
            directory.add(&filter.join("/"), 1);
        }
        directory.add("x/+", 2);
        let deep = ["a"; 12].join("/") + "/x";
        let mut look_ups = LookUps::of(2);
        assert_eq!(directory.workers_within("x/y", &mut look_ups), 0b100);
        assert_eq!(directory.workers_within(&deep, &mut look_ups), 0b110, "it may be both");
        assert_eq!(look_ups.places_left, 0);
        assert_eq!(directory.workers_within("x/y", &mut look_ups), 0b110, "nothing is looked at any more");
    }

    #[test]
    fn side_by_side_it_names_whom_it_names_one_by_one() {
        let directory = Directory::new(3);
        for number in 0..200 {
            directory.add(&format!("one/{number}/+"), number % 3);
            directory.add(&format!("one/+/{number}"), 1);
        }
        directory.add("exact", 2);
        directory.add("all/+", 0);
        // More places than each of several names may look at: `{a,+}^8`.
        for bits in 0..1_u32 << 8 {
            let levels: Vec<_> = (0..8).map(|at| if bits & 1 << at == 0 { "a" } else { "+" }).collect();
            directory.add(&levels.join("/"), 2);
        }
        let deep = ["a"; 8].join("/");
        let mut topics = vec!["exact", "nobody", "all/x", deep.as_str(), "one/1/2", "one/3/300"];
        for _ in 0..2 {
            let found = directory.workers_together(&topics, &mut LookUps::of(100));
            let expected: Vec<_> = topics.iter().map(|topic| directory.workers(topic)).collect();
            assert_eq!(found[..topics.len()], expected);
            topics.reverse();
        }
        let mut look_ups = LookUps::of(1);
        look_ups.places_left = 1;
        let found = directory.workers_together(&["one/0/2", "one/1/2"], &mut look_ups);
        assert_eq!(found[..2], [0b111, 0b111], "what may be is named when there are no places left");
    }

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
