//! Bytes as an entry of the log: what can be read is written the same way, and applied it leaves a state that adds up,
//! that applying it again does not change, and that a checkpoint gives back.

use micro_mq_core::homes::Homes;
use micro_mq_core::kept_shard::{Applied, KeptParts, KeptShard, KeptShards};
use micro_mq_core::records::{Entry, records_of};

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
        let loaded = KeptShard::of_parts(shard, homes.clone(), KeptParts::read(parts).expect("parts")).expect("a checkpoint");
        loaded.check().expect("it agrees");
        assert!(loaded.sessions().eq(kept.sessions()), "sessions that were loaded are others");
        assert!(loaded.retained().eq(kept.retained()), "retained messages that were loaded are others");
        assert_eq!((loaded.waiting(), loaded.applied()), (kept.waiting(), kept.applied()));
    }
}
