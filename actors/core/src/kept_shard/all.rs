//! The shards of a node together, or of one of its workers.

use std::collections::BTreeMap;

use super::key::Key;
use super::parts::{AllHeld, Parts};
use super::stored::{Blob, LoadError};
use super::{Applied, KeptShard};
use crate::homes::{Homes, SHARDS, Shard, ShardSet};
use crate::records::{DecodeError, Position, Publish, Publisher, Record, records_of};

/// Those of which something is kept, or read.
#[derive(Debug)]
pub struct KeptShards<P = AllHeld> {
    homes: Homes,
    parts: P,
    shards: BTreeMap<Shard, KeptShard<P>>,
}

impl KeptShards {
    /// Nothing is kept yet.
    pub fn new(homes: Homes) -> Self {
        Self::over(homes, AllHeld)
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

impl<P: Parts + Clone> KeptShards<P> {
    /// As a checkpoint has them, whose parts these are.
    pub fn over(homes: Homes, parts: P) -> Self {
        Self { homes, parts, shards: BTreeMap::new() }
    }

    /// Applies an entry of the log: all of its records, each to the shards that it concerns.
    ///
    /// # Errors
    /// When one of them cannot be read: then none is applied.
    pub fn apply(&mut self, entry: &[u8]) -> Result<Applied, DecodeError> {
        let records = records_of(entry).collect::<Result<Vec<_>, _>>()?;
        let mut applied = Applied::default();
        for (at, record) in &records {
            match record {
                Record::Publish(publish) => self.publish(*at, publish, &mut applied),
                Record::PublisherGone(publisher) => {
                    self.hold_those_that_saw(*publisher);
                    self.shards.values_mut().for_each(|shard| applied += shard.apply(*at, record));
                }
                _ => {
                    for shard in record.shards(&self.homes).iter() {
                        applied += self.shard(shard).apply(*at, record);
                    }
                }
            }
        }
        Ok(applied)
    }

    /// Each copy is looked at once, however many shards it is that have one.
    fn publish(&mut self, at: Position, publish: &Publish<'_>, applied: &mut Applied) {
        let mut shards = ShardSet::default();
        publish.waits.iter().for_each(|group| shards.insert(self.homes.shard_of(group)));
        let of_copies = publish.copies.iter().map(|copied| self.homes.shard_of(&copied.client));
        let mut copies: Vec<_> = of_copies.inspect(|shard| shards.insert(*shard)).zip(0..).collect();
        copies.sort_unstable();
        for shard in shards.iter() {
            let begin = copies.partition_point(|(of, _)| *of < shard);
            let own = copies[begin..].iter().take_while(|(of, _)| *of == shard).map(|(_, copy)| *copy);
            *applied += self.shard(shard).apply_publish(at, publish, own);
        }
    }

    fn hold_those_that_saw(&mut self, publisher: Publisher) {
        let key = Key::Seen(publisher).encode();
        for shard in (0..if P::HOLDS_ALL { 0 } else { SHARDS }).map(Shard) {
            if !self.shards.contains_key(&shard) && self.parts.part(shard, &key).is_some() {
                self.shard(shard);
            }
        }
    }

    fn shard(&mut self, shard: Shard) -> &mut KeptShard<P> {
        let Self { homes, parts, shards } = self;
        shards.entry(shard).or_insert_with(|| KeptShard::over(shard, homes.clone(), parts.clone()))
    }

    /// What is other than a checkpoint has it that has all that was answered before ([`KeptShard::take_changes`]).
    ///
    /// # Errors
    /// When a part of it that was needed could not be understood.
    pub fn take_changes(&mut self) -> Result<Vec<(Shard, Blob)>, LoadError> {
        let mut changes = Vec::new();
        for (shard, kept) in &mut self.shards {
            if let Some(failure) = kept.failure() {
                return Err(failure.clone());
            }
            changes.extend(kept.take_changes().into_iter().map(|blob| (*shard, blob)));
        }
        Ok(changes)
    }
}
