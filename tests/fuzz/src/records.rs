//! Bytes as an entry of the log: what can be read is written the same way, and applied it leaves a state that adds up,
//! that applying it again does not change, and that a checkpoint gives back, also one that took in record by record.

use std::collections::BTreeMap;
use std::ops::Bound;

use micro_mq_core::homes::{Homes, Shard};
use micro_mq_core::kept_shard::{Applied, KeptParts, KeptShard, KeptShards, Parts};
use micro_mq_core::records::{Entry, Position, Record, records_of};

/// More than a record of so many bytes can ever need.
const BYTES_PER_BYTE: u64 = 4096;

/// Runs one input.
///
/// # Panics
/// When something is wrong with the records.
pub fn run(input: &[u8]) {
    let memory = allocation_counter::measure(|| read_and_apply(input));
    assert!(
        memory.bytes_max <= BYTES_PER_BYTE * (64 + input.len() as u64),
        "{} bytes at a time",
        memory.bytes_max
    );
    if let Ok(records) = records_of(input).collect::<Result<Vec<_>, _>>() {
        take_in_one_by_one(&records);
    }
}

/// What a checkpoint has, by shard and key.
type Stored = BTreeMap<(Shard, Vec<u8>), Vec<u8>>;

#[derive(Clone, Copy)]
struct Before<'a>(&'a Stored);

impl Parts for Before<'_> {
    fn part(&self, shard: Shard, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(&(shard, key.to_vec())).cloned()
    }

    fn between(&self, shard: Shard, before: &[u8], behind: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let bound = |key: &[u8]| Bound::Excluded((shard, key.to_vec()));
        let parts = self.0.range((bound(before), bound(behind)));
        parts.map(|((_, key), part)| (key.clone(), part.clone())).collect()
    }
}

fn take_in(stored: &mut Stored, entry: &Entry, homes: &Homes) {
    let mut shards = KeptShards::over(homes.clone(), Before(stored));
    shards.apply(entry.bytes()).expect("it was read");
    for (shard, (key, part)) in shards.take_changes().expect("what was written can be read") {
        match part {
            Some(part) => _ = stored.insert((shard, key), part),
            None => _ = stored.remove(&(shard, key)),
        }
    }
}

/// What a checkpoint reads of itself for one record after the other makes the same as what it makes of all at once.
fn take_in_one_by_one(records: &[(Position, Record<'_>)]) {
    let homes = Homes::new(&[1; 16], 3);
    let (mut by_one, mut at_once) = (Stored::new(), Stored::new());
    let Some((first, _)) = records.first() else { return };
    let mut all = Entry::at(*first);
    for (at, record) in records {
        all.push(record, &homes);
        let mut one = Entry::at(*at);
        one.push(record, &homes);
        take_in(&mut by_one, &one, &homes);
    }
    take_in(&mut at_once, &all, &homes);
    assert_eq!(by_one, at_once);
}

fn read_and_apply(input: &[u8]) {
    let homes = Homes::new(&[1; 16], 3);
    let mut shards = KeptShards::new(homes.clone());
    let Ok(records) = records_of(input).collect::<Result<Vec<_>, _>>() else {
        // What cannot be read as a whole changes nothing.
        assert!(shards.apply(input).is_err() && shards.iter().next().is_none());
        return;
    };
    if let Some((first, _)) = records.first() {
        let mut entry = Entry::at(*first);
        records.iter().for_each(|(_, record)| _ = entry.push(record, &homes));
        assert_eq!(entry.bytes(), input, "there is one way to write it");
    }
    let applied = shards.apply(input).expect("it was read");
    let waiting: u64 = shards.iter().map(|(_, shard)| shard.waiting()).sum();
    assert_eq!(applied.matched, applied.settled() + waiting);
    assert_eq!(shards.apply(input), Ok(Applied::default()), "it was applied");
    let kept: Vec<_> = shards.iter().map(|(shard, _)| shard).collect();
    for shard in kept {
        let kept = shards.get_mut(shard).expect("it is there");
        kept.check().expect("it agrees");
        let parts: Vec<_> = kept.take_changes();
        let parts = parts.iter().filter_map(|(key, part)| Some((key.as_slice(), part.as_deref()?)));
        let loaded = KeptShard::of_parts(shard, homes.clone(), KeptParts::read(parts).expect("parts"))
            .expect("a checkpoint");
        loaded.check().expect("it agrees");
        assert!(loaded.sessions().eq(kept.sessions()), "sessions that were loaded are others");
        assert!(loaded.retained().eq(kept.retained()), "retained messages that were loaded are others");
        assert_eq!((loaded.waiting(), loaded.applied()), (kept.waiting(), kept.applied()));
    }
}
