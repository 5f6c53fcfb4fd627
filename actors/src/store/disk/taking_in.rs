//! How records of the log become parts of the checkpoint: of each session that they name its parts are read, changed and
//! written, so that nothing of it is held meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use micro_mq_core::homes::{Homes, Shard};
use micro_mq_core::kept_shard::{APPLIED_KEY, KeptParts, KeptShard, LoadError, before_client, client_of};
use micro_mq_core::records::{DecodeError, Position, Record, records_of};
use micro_mq_store::{CheckpointError, Checkpoints, Position as LogPosition, Write};

/// Bytes that are read at a time; those of most sessions are fewer.
const READ_BYTES: usize = 4096;

/// Why records could not be taken into the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// It could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log has a record that is none.
    #[error("the log says what this version does not know")]
    Record(#[from] DecodeError),
    /// The log has a record of what is not kept on the disk.
    #[error("the log has a record at {0:?} of what this version does not keep")]
    Kind(Position),
    /// The checkpoint does not hold what it should.
    #[error(transparent)]
    Part(#[from] LoadError),
}

/// Takes entries into the checkpoint, which then has all up to `applied`.
pub(super) fn take_in<'a>(
    checkpoints: &mut Checkpoints,
    homes: &Homes,
    applied: LogPosition,
    entries: impl Iterator<Item = &'a [u8]>,
) -> Result<(), TakeInError> {
    let mut by_shard = BTreeMap::<Shard, Vec<(Position, Record<'a>)>>::new();
    for read in entries.flat_map(records_of) {
        let (at, record) = read?;
        let client = record.client().ok_or(TakeInError::Kind(at))?;
        by_shard.entry(homes.shard_of(client)).or_default().push((at, record));
    }
    let mut blobs = Vec::new();
    for (shard, records) in &by_shard {
        let mut kept = load_named(checkpoints, *shard, homes, records)?;
        records.iter().for_each(|(at, record)| _ = kept.apply(*at, record));
        blobs.extend(kept.take_changes().into_iter().map(|(key, part)| (shard.0, key, part)));
    }
    let writes = blobs.iter().map(|(shard, key, part)| match part {
        Some(part) => Write::Put(*shard, key, part),
        None => Write::Remove(*shard, key),
    });
    Ok(checkpoints.commit(applied, writes)?)
}

/// Those sessions of a shard that records name.
fn load_named(
    checkpoints: &mut Checkpoints,
    shard: Shard,
    homes: &Homes,
    records: &[(Position, Record<'_>)],
) -> Result<KeptShard, TakeInError> {
    let clients: BTreeSet<&str> = records.iter().filter_map(|(_, record)| record.client()).collect();
    let mut parts = checkpoints.load(shard.0, None, 1)?.blobs;
    parts.retain(|(key, _)| key == APPLIED_KEY);
    for client in clients {
        let mut after = before_client(client);
        loop {
            let piece = checkpoints.load(shard.0, Some(&after), READ_BYTES)?;
            let read = piece.blobs.len();
            parts.extend(piece.blobs.into_iter().take_while(|(key, _)| client_of(key) == Some(client)));
            match parts.last() {
                Some((last, _))
                    if read > 0 && piece.more && client_of(last) == Some(client) && *last > after =>
                {
                    after.clone_from(last);
                }
                _ => break,
            }
        }
    }
    let parts = parts.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
    Ok(KeptShard::of_parts(shard, homes.clone(), KeptParts::read(parts)?)?)
}
