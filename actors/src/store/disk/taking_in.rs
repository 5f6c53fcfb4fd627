//! How records of the log become parts of the checkpoint: what they need of it is read, part by part, and what they change is
//! written, so that nothing is held meanwhile and nothing is looked at that stays as it is.

use std::cell::RefCell;

use micro_mq_core::homes::{Homes, Shard};
use micro_mq_core::kept_shard::{KeptShards, LoadError, Parts};
use micro_mq_core::records::DecodeError;
use micro_mq_store::{CheckpointError, CheckpointReader, Checkpoints, Position as LogPosition, Write};

/// Why records could not be taken into the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// It could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log has a record that is none.
    #[error("the log says what this version does not know")]
    Record(#[from] DecodeError),
    /// The checkpoint does not hold what it should.
    #[error(transparent)]
    Part(#[from] LoadError),
}

/// The checkpoint as it was before.
#[derive(Debug, Clone, Copy)]
struct Before<'a> {
    reader: &'a CheckpointReader,
    /// Why something of it could not be read.
    failure: &'a RefCell<Option<CheckpointError>>,
}

impl Before<'_> {
    fn note<T: Default>(self, read: Result<T, CheckpointError>) -> T {
        read.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            T::default()
        })
    }
}

impl Parts for Before<'_> {
    fn part(&self, shard: Shard, key: &[u8]) -> Option<Vec<u8>> {
        self.note(self.reader.get(shard.0, key))
    }

    fn between(&self, shard: Shard, before: &[u8], behind: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.note(self.reader.between(shard.0, before, behind))
    }
}

/// Takes entries into the checkpoint, which then has all up to `applied`.
pub(super) fn take_in<'a>(
    checkpoints: &mut Checkpoints,
    homes: &Homes,
    applied: LogPosition,
    entries: impl Iterator<Item = &'a [u8]>,
) -> Result<(), TakeInError> {
    let (reader, failure) = (checkpoints.reader()?, RefCell::default());
    let mut shards = KeptShards::over(homes.clone(), Before { reader: &reader, failure: &failure });
    for entry in entries {
        shards.apply(entry)?;
    }
    let changes = shards.take_changes();
    if let Some(error) = failure.take() {
        return Err(error.into());
    }
    let changes = changes?;
    drop(shards);
    drop(reader);
    let writes = changes.iter().map(|(shard, (key, part))| match part {
        Some(part) => Write::Put(shard.0, key, part),
        None => Write::Remove(shard.0, key),
    });
    Ok(checkpoints.commit(applied, writes)?)
}
