//! The shards of a node together, or of one of its workers.

use std::collections::BTreeMap;

use super::{Applied, KeptShard};
use crate::homes::{Homes, Shard};
use crate::records::{DecodeError, Position, Record, records_of};

/// Those of which something is kept.
#[derive(Debug)]
pub struct KeptShards {
    homes: Homes,
    shards: BTreeMap<Shard, KeptShard>,
}

impl KeptShards {
    /// Nothing is kept yet.
    pub fn new(homes: Homes) -> Self {
        Self { homes, shards: BTreeMap::new() }
    }

    /// Applies an entry of the log: all of its records, each to the shards that it concerns.
    ///
    /// # Errors
    /// When one of them cannot be read: then none is applied.
    pub fn apply(&mut self, entry: &[u8]) -> Result<Applied, DecodeError> {
        let records = records_of(entry).collect::<Result<Vec<_>, _>>()?;
        let mut applied = Applied::default();
        for (at, record) in &records {
            if matches!(record, Record::PublisherGone(_)) {
                self.shards.values_mut().for_each(|shard| applied += shard.apply(*at, record));
            }
            for shard in record.shards(&self.homes).iter() {
                let kept = self.shards.entry(shard);
                let kept = kept.or_insert_with(|| KeptShard::new(shard, self.homes.clone()));
                applied += kept.apply(*at, record);
            }
        }
        Ok(applied)
    }

    /// Takes in a shard as a checkpoint has it.
    pub fn insert(&mut self, shard: KeptShard) {
        self.shards.insert(shard.shard, shard);
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (Shard, &KeptShard)> {
        self.shards.iter().map(|(shard, kept)| (*shard, kept))
    }

    /// One of them, if anything is kept of it.
    pub fn get_mut(&mut self, shard: Shard) -> Option<&mut KeptShard> {
        self.shards.get_mut(&shard)
    }

    /// The highest position that any of them knows.
    pub fn highest(&self) -> Position {
        self.shards.values().map(KeptShard::applied).max().unwrap_or_default()
    }
}
