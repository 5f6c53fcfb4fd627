//! Where the durable state of each name belongs: its shard, and the worker that is the home of it.
//!
//! The shard is a keyed hash of the name, so it needs no index and nobody can aim at one, and it stays for as long as the
//! key does, whatever the number of workers. A home serves all shards that are the same modulo the workers, so that it
//! alone decides what becomes of them.

use siphasher::sip::SipHasher13;

/// Shards of a node.
pub const SHARDS: u16 = 256;

/// A part of what is kept: of the sessions, by client identifier, and of the shared groups, by their whole topic filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u16);

/// Some of all shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardSet([u64; SHARDS as usize / 64]);

impl ShardSet {
    /// One more.
    pub fn insert(&mut self, shard: Shard) {
        self.0[usize::from(shard.0 / 64)] |= 1 << (shard.0 % 64);
    }

    /// All of another one, too.
    pub fn extend(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, others)| *own |= others);
    }

    /// In their order.
    pub fn iter(self) -> impl Iterator<Item = Shard> {
        self.0.into_iter().zip(0..).flat_map(|(mut left, word)| {
            std::iter::from_fn(move || {
                let lowest = left.trailing_zeros() as u16;
                left &= left.checked_sub(1)?;
                Some(Shard(word * 64 + lowest))
            })
        })
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Homes {
    hasher: SipHasher13,
    workers: u16,
}

impl Homes {
    /// Among so many workers, from 1 to [`SHARDS`], by a key that nobody who names things knows.
    pub fn new(key: &[u8; 16], workers: usize) -> Self {
        debug_assert!((1..=usize::from(SHARDS)).contains(&workers));
        Self { hasher: SipHasher13::new_with_key(key), workers: workers as u16 }
    }

    /// What hashes are drawn from that are to be the same wherever the key is.
    pub fn seed(&self) -> u64 {
        self.hash_of("")
    }

    /// Among how many workers.
    pub fn workers(&self) -> usize {
        self.workers.into()
    }

    /// The hash of a name, the same for as long as the key is.
    pub fn hash_of(&self, name: &str) -> u64 {
        self.hasher.hash(name.as_bytes())
    }

    /// The shard of a client identifier, or of a shared group.
    pub fn shard_of(&self, name: &str) -> Shard {
        Shard((self.hash_of(name) % u64::from(SHARDS)) as u16)
    }

    /// The worker whose is a shard.
    pub fn home_of(&self, shard: Shard) -> u16 {
        shard.0 % self.workers
    }

    /// The worker that is home to the session of this client identifier.
    pub fn of_client(&self, client_identifier: &str) -> u16 {
        self.home_of(self.shard_of(client_identifier))
    }

    /// The worker that is home to a shared group, by its whole topic filter.
    pub fn of_group(&self, full_filter: &str) -> u16 {
        self.home_of(self.shard_of(full_filter))
    }
}

/// A new key. A simulated run is the same whenever it is run.
#[cfg(not(feature = "simulation"))]
pub fn drawn_key() -> [u8; 16] {
    use std::hash::{BuildHasher as _, RandomState};

    let half = || RandomState::new().hash_one(()).to_le_bytes();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&half());
    key[8..].copy_from_slice(&half());
    key
}

/// A new key: always this one, by which the clients of `tests/instructions` are spread over two workers as they were when its record was made.
#[cfg(feature = "simulation")]
pub fn drawn_key() -> [u8; 16] {
    2378_u128.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    const SAMPLES: [(&str, u16); 4] =
        [("", 220), ("client-1", 202), ("$share/g/a/+", 48), ("0123456789abcdef0123456789abcdef-é", 174)];

    /// What lies on a disk is found again by whatever version of the node: computed by another implementation.
    #[test]
    fn the_shard_of_a_name_stays() {
        let homes = Homes::new(&KEY, 4);
        let shards: Vec<u16> = SAMPLES.iter().map(|(name, _)| homes.shard_of(name).0).collect();
        assert_eq!(shards, SAMPLES.map(|(_, shard)| shard));
    }

    #[test]
    fn all_shards_and_all_workers_get_their_share() {
        for workers in [1, 2, 3, 64] {
            let homes = Homes::new(&KEY, workers);
            let mut of = vec![0; workers];
            (0..SHARDS).for_each(|shard| of[usize::from(homes.home_of(Shard(shard)))] += 1);
            assert!(of.iter().max().unwrap() - of.iter().min().unwrap() <= 1, "{of:?}");
        }
        let homes = Homes::new(&KEY, 4);
        let mut of = vec![0; usize::from(SHARDS)];
        (0..100_000).for_each(|number| of[usize::from(homes.shard_of(&format!("client-{number}")).0)] += 1);
        assert!(of.iter().all(|count| (290..500).contains(count)), "{of:?}");
    }

    #[test]
    fn a_client_identifier_has_one_home() {
        let homes = Homes::new(&drawn_key(), 4);
        let found: Vec<_> = (0..200).map(|number| homes.of_client(&format!("client-{number}"))).collect();
        assert_eq!(
            found,
            (0..200).map(|number| homes.of_client(&format!("client-{number}"))).collect::<Vec<_>>()
        );
        for worker in 0..4 {
            let share = found.iter().filter(|home| **home == worker).count();
            assert!((20..80).contains(&share), "worker {worker} is home to {share} of 200");
        }
        assert_eq!(Homes::new(&drawn_key(), 1).of_group("$share/any/body"), 0);
    }

    #[test]
    fn a_set_of_shards_has_each_once_in_order() {
        let mut set = ShardSet::default();
        assert_eq!(set.iter().next(), None);
        [255, 64, 0, 63, 64].into_iter().for_each(|shard| set.insert(Shard(shard)));
        let mut other = ShardSet::default();
        [1, 0].into_iter().for_each(|shard| other.insert(Shard(shard)));
        set.extend(other);
        assert_eq!(set.iter().map(|shard| shard.0).collect::<Vec<_>>(), [0, 1, 63, 64, 255]);
        let mut all = ShardSet::default();
        (0..SHARDS).for_each(|shard| all.insert(Shard(shard)));
        assert!(all.iter().eq((0..SHARDS).map(Shard)));
    }

    #[test]
    fn another_key_finds_other_homes() {
        let (one, other) = (Homes::new(&KEY, 4), Homes::new(&[7; 16], 4));
        let names = (0..200).map(|number| format!("client-{number}"));
        let moved = names.filter(|name| one.shard_of(name) != other.shard_of(name)).count();
        assert!(moved > 190, "{moved} of 200");
    }
}
