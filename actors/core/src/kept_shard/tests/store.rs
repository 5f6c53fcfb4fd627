//! Checkpoints of tests.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::history::{HOMES, SHARD};
use crate::homes::Shard;
use crate::kept_shard::{KeptParts, KeptShard, Parts};
use crate::records::{Position, Record};

/// What a checkpoint holds, by key.
pub(super) type Store = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn commit(shard: &mut KeptShard, store: &mut Store) {
    for (key, part) in shard.take_changes() {
        match part {
            Some(part) => _ = store.insert(key, part),
            None => assert!(store.remove(&key).is_some(), "a part was never there that is removed: {key:?}"),
        }
    }
}

pub(super) fn load(store: &Store) -> KeptShard {
    let parts = store.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
    let parts = KeptParts::read(parts).expect("parts of a checkpoint");
    KeptShard::of_parts(SHARD, HOMES.clone(), parts).expect("a checkpoint")
}

/// A checkpoint whose parts are read as they are needed.
#[derive(Clone, Copy)]
struct Stored<'a> {
    store: &'a Store,
    reads: &'a Cell<usize>,
}

impl Parts for Stored<'_> {
    fn part(&self, shard: Shard, key: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(shard, SHARD);
        self.reads.update(|reads| reads + 1);
        self.store.get(key).cloned()
    }

    fn between(&self, shard: Shard, before: &[u8], behind: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        assert_eq!(shard, SHARD);
        let range = (Bound::Excluded(before), Bound::Excluded(behind));
        let parts: Vec<_> =
            self.store.range::<[u8], _>(range).map(|(key, part)| (key.clone(), part.clone())).collect();
        self.reads.update(|reads| reads + 1 + parts.len());
        parts
    }
}

/// Takes records into a checkpoint. How many parts were read for that.
pub(super) fn take_in(store: &mut Store, records: &[(Position, Vec<u8>)]) -> usize {
    let reads = Cell::new(0);
    let mut shard = KeptShard::over(SHARD, HOMES.clone(), Stored { store, reads: &reads });
    for (at, bytes) in records {
        shard.apply(*at, &Record::decode(bytes, *at).unwrap());
    }
    assert_eq!(shard.failure(), None);
    for (key, part) in shard.take_changes() {
        match part {
            Some(part) => _ = store.insert(key, part),
            None => _ = store.remove(&key),
        }
    }
    reads.get()
}
