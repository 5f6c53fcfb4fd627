//! Looks into the folder of a node that does not run, and changes nothing: what is kept there, shard by shard, as the next
//! start would find it. All of it is read, so whatever a start would refuse is refused here.

use std::collections::BTreeMap;
use std::path::Path;

use micro_mq_core::homes::{Homes, SHARDS, Shard};
use micro_mq_core::kept_shard::{KeptParts, KeptShard};
use micro_mq_core::records::{Position, Record, records_of};
use micro_mq_store::{CheckpointView, Files, Folder, Journal, LogSummary, Position as LogPosition};

use super::{CHECKPOINT, DiskError};

/// Bytes of the checkpoint that are read at a time.
const READ_BYTES: usize = 4 << 20;

/// What is kept of one shard, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptThere {
    /// Sessions.
    pub sessions: u64,
    /// Those of them whose clients were online at last.
    pub online: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Their wills.
    pub wills: u64,
    /// Messages that wait for them, counted for each, and in shared groups.
    pub waiting: u64,
    /// Retained messages.
    pub retained: u64,
}

impl KeptThere {
    fn of(shard: &KeptShard) -> Self {
        let mut kept =
            Self { waiting: shard.waiting(), retained: shard.retained().count() as u64, ..Self::default() };
        for (_, session) in shard.sessions() {
            kept.sessions += 1;
            kept.online += u64::from(session.parted.is_none());
            kept.subscriptions += session.subscriptions.len() as u64;
            kept.wills += u64::from(session.will.is_some());
        }
        kept
    }

    fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.online += other.online;
        self.subscriptions += other.subscriptions;
        self.wills += other.wills;
        self.waiting += other.waiting;
        self.retained += other.retained;
    }
}

/// What a folder keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its log.
    pub log: LogSummary,
    /// The format of its checkpoint.
    pub checkpoint_format: u64,
    /// The last entry of the log that is in its checkpoint.
    pub applied: LogPosition,
    /// By shard, where anything is kept.
    pub shards: Vec<(u16, KeptThere)>,
    /// Of all of them.
    pub all: KeptThere,
}

/// Looks into a folder. `progress` is told how many shards of how many are read, and what was found in them.
///
/// # Errors
/// When there is none, when a process uses it, or when a start would refuse it.
pub fn inspect(
    folder: &Path,
    progress: &mut dyn FnMut(u16, u16, &KeptThere),
) -> Result<Inspection, DiskError> {
    let folder = Folder::take_existing(folder)?;
    let mut checkpoint = CheckpointView::open(&folder.path().join(CHECKPOINT))?;
    let homes = Homes::new(checkpoint.hash_key(), 1);
    let (mut entries, mut unknown) = (Vec::new(), None);
    let mut visit = |entry: micro_mq_store::Entry<'_>| match records_of(entry.bytes).find_map(Result::err) {
        None => entries.push(entry.bytes.to_vec()),
        Some(error) => unknown = unknown.take().or(Some((entry.position, error))),
    };
    let log = Journal::look(&Files::read_only(folder.path()), checkpoint.applied(), &mut visit)?;
    if let Some((position, error)) = unknown {
        return Err(DiskError::Entry(position, error));
    }
    let mut behind = BTreeMap::<Shard, Vec<(Position, Record<'_>)>>::new();
    for (at, record) in entries.iter().flat_map(|entry| records_of(entry)).flatten() {
        for shard in record.shards(&homes).iter() {
            behind.entry(shard).or_default().push((at, record.clone()));
        }
    }
    let mut inspection = Inspection {
        log,
        checkpoint_format: checkpoint.format(),
        applied: checkpoint.applied(),
        shards: Vec::new(),
        all: KeptThere::default(),
    };
    for shard in (0..SHARDS).map(Shard) {
        let records = behind.remove(&shard).unwrap_or_default();
        let kept = load(&mut checkpoint, shard, &homes, &records)?;
        kept.check().map_err(|wrong| DiskError::Shard(shard.0, wrong))?;
        let kept = KeptThere::of(&kept);
        inspection.all.add(&kept);
        if kept != KeptThere::default() {
            inspection.shards.push((shard.0, kept));
        }
        progress(shard.0 + 1, SHARDS, &inspection.all);
    }
    Ok(inspection)
}

/// What the checkpoint and the log behind it make of a shard.
fn load(
    checkpoint: &mut CheckpointView,
    shard: Shard,
    homes: &Homes,
    records: &[(Position, Record<'_>)],
) -> Result<KeptShard, DiskError> {
    let mut parts: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let after = parts.last().map(|(key, _)| key.as_slice());
        let piece = checkpoint.load(shard.0, after, READ_BYTES)?;
        parts.extend(piece.blobs);
        if !piece.more {
            break;
        }
    }
    let parts = parts.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
    let read = KeptParts::read(parts).and_then(|parts| KeptShard::of_parts(shard, homes.clone(), parts));
    let mut kept = read.map_err(super::TakeInError::Part)?;
    records.iter().for_each(|(at, record)| _ = kept.apply(*at, record));
    Ok(kept)
}
