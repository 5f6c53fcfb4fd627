//! The backend that keeps sessions on the disk: every entry goes through the log of the node, and a checkpoint takes in
//! what the log holds, once a second.
//!
//! An entry is one of the log. It is answered when that is kept; the checkpoint has it later, and is where sessions
//! are loaded from. At the start what the log has beyond the checkpoint is taken in first.

mod checkpointer;
mod inspection;
mod intake;
mod taking_in;

use std::io;
use std::path::Path;
use std::sync::Arc;

use micro_mq_core::homes::{Homes, SHARDS, Shard, drawn_key};
use micro_mq_core::kept_shard::{KeptParts, before_client, client_of};
use micro_mq_core::records::{DecodeError, Entry, records_of};
use micro_mq_store::{
    Blob, CheckpointError, Checkpoints, Durability, Fatal, Files, Folder, FolderError, Journal,
    JournalOptions, Kept, OpenError, Position as LogPosition, Storage,
};
use parking_lot::Mutex;

use super::backend::{Answer, Cursor, Home, IsFull, Piece, SessionBackend, StoreError};
use checkpointer::{COMMIT_BYTES, Checkpointer, start_checkpointer};
pub use inspection::{Inspection, KeptThere, inspect};
use intake::{Intake, Unanswered};
pub use taking_in::TakeInError;
use taking_in::take_in;

/// Bytes of a piece, unless one session has more.
const PIECE_BYTES: usize = 256 * 1024;
/// The file of the checkpoint.
const CHECKPOINT: &str = "checkpoint.redb";

/// Why what a folder keeps cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The folder itself.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// An entry of its log.
    #[error("entry {0} of the log says what this version does not know")]
    Entry(LogPosition, #[source] DecodeError),
    /// What is kept of a shard does not agree.
    #[error("what is kept of shard {0} does not agree: {1}")]
    Shard(u16, String),
    /// What its log has beyond its checkpoint.
    #[error("what the log has cannot be taken into the checkpoint")]
    TakeIn(#[from] TakeInError),
    /// There is no thread left.
    #[error("a thread of the session store could not be started")]
    Thread(#[source] io::Error),
}

/// See the module. Whoever drops it waits until all is written.
#[derive(Debug)]
pub struct DiskBackend {
    // In the order in which they end.
    journal: Arc<Mutex<Option<Journal>>>,
    checkpointer: Checkpointer,
    checkpoints: Arc<Mutex<Checkpoints>>,
    intake: Arc<Intake>,
    hash_key: [u8; 16],
    _folder: Folder,
}

impl DiskBackend {
    /// Opens what a folder keeps, or makes it. `fatal` is told when the log cannot be written any more: nobody knows then
    /// what is on the disk, and the process has to end.
    ///
    /// # Errors
    /// When another process uses the folder, or what it keeps cannot be read, is damaged or of a later version.
    pub fn open(
        folder: &Path,
        durability: Durability,
        fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> Result<Self, DiskError> {
        Self::open_on(folder, durability, |folder| Arc::new(Files::new(folder)), fatal)
    }

    /// The same, with another log than that of the folder's files.
    fn open_on(
        folder: &Path,
        durability: Durability,
        storage: impl FnOnce(&Path) -> Arc<dyn Storage>,
        fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> Result<Self, DiskError> {
        let folder = Folder::take(folder)?;
        let mut checkpoints = Checkpoints::open(&folder.path().join(CHECKPOINT), drawn_key)?;
        let hash_key = *checkpoints.hash_key();
        // Which worker is home to what is asked when something is loaded.
        let homes = Homes::new(&hash_key, 1);
        let (mut entries, mut unknown) = (Vec::new(), None);
        let mut visit = |entry: micro_mq_store::Entry<'_>| match records_of(entry.bytes).find_map(Result::err)
        {
            None => entries.push((entry.position, entry.bytes.to_vec())),
            Some(error) => unknown = unknown.take().or(Some((entry.position, error))),
        };
        let options = JournalOptions { durability, ..JournalOptions::default() };
        let log = Journal::open(storage(folder.path()), options, checkpoints.applied(), &mut visit)?;
        if let Some((position, error)) = unknown {
            return Err(DiskError::Entry(position, error));
        }
        take_in_pieces(&mut checkpoints, &homes, log.last(), &entries)?;
        drop(entries);
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        let journal = Arc::<Mutex<Option<Journal>>>::default();
        let checkpointer = start_checkpointer(&checkpoints, &journal, homes).map_err(DiskError::Thread)?;
        let unanswered = Arc::<Unanswered>::default();
        let listener = {
            let (unanswered, notes) = (Arc::clone(&unanswered), checkpointer.notes());
            Box::new(move |kept: Kept| {
                notes.tell(kept);
                unanswered.answer_up_to(kept);
            })
        };
        let started = log.start(vec![listener], fatal).map_err(DiskError::Thread)?;
        let intake = Arc::new(Intake::new(started.lane(0), checkpointer.notes(), unanswered));
        started.release(checkpoints.lock().applied());
        *journal.lock() = Some(started);
        Ok(Self { journal, checkpointer, checkpoints, intake, hash_key, _folder: folder })
    }

    /// By which names are spread over shards, as long as the folder is there.
    pub fn hash_key(&self) -> [u8; 16] {
        self.hash_key
    }
}

/// Takes entries into the checkpoint, which then has all up to `last`, by as many commits as bound the memory of one.
fn take_in_pieces(
    checkpoints: &mut Checkpoints,
    homes: &Homes,
    last: LogPosition,
    mut entries: &[(LogPosition, Vec<u8>)],
) -> Result<(), TakeInError> {
    loop {
        let mut bytes = 0;
        let fits = |(_, entry): &&(LogPosition, Vec<u8>)| {
            bytes += entry.len();
            bytes <= COMMIT_BYTES
        };
        let count = entries.iter().take_while(fits).count().max(1).min(entries.len());
        let (piece, rest) = entries.split_at(count);
        let applied = rest.first().map_or(last, |(position, _)| position - 1);
        take_in(checkpoints, homes, applied, piece.iter().map(|(_, entry)| entry.as_slice()))?;
        if rest.is_empty() {
            return Ok(());
        }
        entries = rest;
    }
}

/// What came last is kept, and the checkpoint has it.
impl Drop for DiskBackend {
    fn drop(&mut self) {
        let journal = self.journal.lock().take();
        self.checkpointer.end(journal.map_or(0, Journal::close));
    }
}

impl SessionBackend for DiskBackend {
    fn outlives_process(&self) -> bool {
        true
    }

    fn is_full(&self) -> IsFull {
        let lane = self.intake.lane().clone();
        Box::new(move || lane.is_disk_full())
    }

    fn tell_of_full_disk(&mut self, tell: Box<dyn Fn(bool) + Send + Sync>) {
        self.intake.lane().listen_to_full_disk(tell);
    }

    fn append(&mut self, entry: Arc<Entry>, answer: Answer) {
        self.intake.push(entry, answer);
    }

    fn load(&mut self, home: &Home, after: Option<&Cursor>) -> Result<Piece, StoreError> {
        let mut piece = Piece::default();
        let first = after.map_or(0, |after| after.shard.0);
        for shard in (first..SHARDS).map(Shard).filter(|shard| home.is_of(*shard)) {
            let behind = after.filter(|after| after.shard == shard).map_or(&[][..], |after| &after.key);
            let unreadable = |error| StoreError::Unavailable(io::Error::other(error));
            let (kept, rest) = self.load_from(shard, behind).map_err(unreadable)?;
            piece.highest = piece.highest.max(kept.applied);
            if !kept.is_empty() || rest.is_some() {
                let next = (shard.0 + 1..SHARDS).map(Shard).find(|shard| home.is_of(*shard));
                let rest = rest.map(|key| Cursor { shard, key });
                let rest = rest.or(next.map(|shard| Cursor { shard, key: Vec::new() }));
                return Ok(Piece { shard, kept, rest, ..piece });
            }
        }
        Ok(piece)
    }
}

impl DiskBackend {
    /// The next parts of a shard behind a key, sessions whole, and behind which key there are more.
    fn load_from(&self, shard: Shard, behind: &[u8]) -> Result<(KeptParts, Option<Vec<u8>>), TakeInError> {
        let mut checkpoints = self.checkpoints.lock();
        let (mut parts, mut after) = (Vec::<Blob>::new(), behind.to_vec());
        let rest = loop {
            let read = checkpoints.load(shard.0, Some(&after), PIECE_BYTES)?;
            parts.extend(read.blobs);
            let Some((last, _)) = parts.last().filter(|_| read.more) else { break None };
            after.clone_from(last);
            // What was read last of a client may not be all: it comes with the next piece, or is read on if it is alone.
            let Some(client) = client_of(&after) else { break Some(after) };
            let whole = parts.iter().take_while(|(key, _)| client_of(key) != Some(client)).count();
            if whole > 0 {
                parts.truncate(whole);
                break Some(before_client(client));
            }
        };
        let parts = parts.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
        Ok((KeptParts::read(parts)?, rest))
    }
}

#[cfg(test)]
mod tests;
