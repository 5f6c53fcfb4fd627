//! The backend that keeps sessions on the disk: every batch goes through the log of the node, and a checkpoint takes in
//! what the log holds, once a second.
//!
//! A batch is one entry of the log. It is answered when that is kept; the checkpoint has it later, and is where sessions
//! are loaded from. At the start what the log has beyond the checkpoint is taken in first.

mod checkpointer;
mod encoding;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};

use micro_mq_core::changes::{Position, SessionChange};
use micro_mq_core::homes::{Homes, SHARDS, Shard, drawn_key};
use micro_mq_store::{
    CheckpointError, Checkpoints, Durability, Fatal, Files, Folder, FolderError, Journal, JournalOptions,
    Kept, Lane, OpenError, Position as LogPosition,
};
use parking_lot::Mutex;

use super::backend::{Answer, Home, Piece, SessionBackend, StoreError};
use checkpointer::{Checkpointer, commit, start_checkpointer};
pub use encoding::EncodingError;
use encoding::{decode, encode};

/// Bytes of a piece of sessions, unless one session has more.
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
    Entry(LogPosition, #[source] EncodingError),
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
    lane: Lane,
    unanswered: Arc<Mutex<VecDeque<(u64, Answer)>>>,
    homes: Homes,
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
        let folder = Folder::take(folder)?;
        let mut checkpoints = Checkpoints::open(&folder.path().join(CHECKPOINT), drawn_key)?;
        let hash_key = *checkpoints.hash_key();
        // Which worker is home to what is asked when something is loaded.
        let homes = Homes::new(&hash_key, 1);
        let (mut changes, mut unknown) = (Vec::new(), None);
        let mut visit = |entry: micro_mq_store::Entry<'_>| match decode(entry.bytes) {
            Ok(batch) => changes.extend(batch),
            Err(error) => unknown = unknown.take().or(Some((entry.position, error))),
        };
        let options = JournalOptions { durability, ..JournalOptions::default() };
        let storage = Arc::new(Files::new(folder.path()));
        let log = Journal::open(storage, options, checkpoints.applied(), &mut visit)?;
        if let Some((position, error)) = unknown {
            return Err(DiskError::Entry(position, error));
        }
        commit(&mut checkpoints, &homes, log.last(), changes.iter())?;
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        let journal = Arc::<Mutex<Option<Journal>>>::default();
        let checkpointer =
            start_checkpointer(&checkpoints, &journal, homes.clone()).map_err(DiskError::Thread)?;
        let unanswered = Arc::<Mutex<VecDeque<(u64, Answer)>>>::default();
        let listener = {
            let (unanswered, told) = (Arc::clone(&unanswered), checkpointer.told());
            Box::new(move |kept: Kept| {
                told(kept);
                answer_up_to(&unanswered, kept);
            })
        };
        let started = log.start(vec![listener], fatal).map_err(DiskError::Thread)?;
        let lane = started.lane(0);
        started.release(checkpoints.lock().applied());
        *journal.lock() = Some(started);
        Ok(Self { journal, checkpointer, checkpoints, lane, unanswered, homes, hash_key, _folder: folder })
    }

    /// By which names are spread over shards, as long as the folder is there.
    pub fn hash_key(&self) -> [u8; 16] {
        self.hash_key
    }
}

fn answer_up_to(unanswered: &Mutex<VecDeque<(u64, Answer)>>, kept: Kept) {
    loop {
        let mut waiting = unanswered.lock();
        if waiting.front().is_none_or(|(ticket, _)| *ticket > kept.ticket) {
            return;
        }
        let first = waiting.pop_front();
        drop(waiting);
        if let Some((_, answer)) = first {
            answer.kept(Position(kept.position));
        }
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

    fn append(&mut self, changes: Arc<[SessionChange]>, answer: Answer) {
        self.checkpointer.wait_for_room();
        if self.lane.is_full() {
            let (room, told) = mpsc::channel::<()>();
            self.lane.when_there_is_room(move || drop(room));
            // It is told by the end of the other side.
            let _ = told.recv();
        }
        let mut shards: Vec<_> =
            changes.iter().map(|change| self.homes.shard_of(&change.client_identifier).0).collect();
        shards.sort_unstable();
        shards.dedup();
        let bytes = encode(&changes);
        // Locked before, so that nobody hears of what is not noted yet.
        let mut unanswered = self.unanswered.lock();
        let ticket = self.checkpointer.note(changes, || self.lane.append(&shards, &bytes));
        unanswered.push_back((ticket, answer));
    }

    fn load(&mut self, home: Home, after: Option<&str>) -> Result<Piece, StoreError> {
        let mut shard = after.map_or(0, |client| self.homes.shard_of(client).0);
        let mut behind = after.map(encoding::key_behind);
        while shard < SHARDS {
            if home.homes.home_of(Shard(shard)) == home.worker {
                let piece = self.load_from(shard, behind.take())?;
                if piece.rest.is_some() || !piece.sessions.is_empty() {
                    return Ok(piece);
                }
            }
            behind = None;
            shard += 1;
        }
        Ok(Piece::default())
    }
}

impl DiskBackend {
    /// The next whole sessions of a shard. The last of them names the rest, since other shards may follow.
    fn load_from(&self, shard: u16, mut behind: Option<Vec<u8>>) -> Result<Piece, StoreError> {
        let mut piece = Piece::default();
        loop {
            let unreadable = |error| StoreError::Unavailable(io::Error::other(error));
            let blobs =
                self.checkpoints.lock().load(shard, behind.as_deref(), PIECE_BYTES).map_err(unreadable)?;
            for (key, blob) in &blobs.blobs {
                encoding::fold(&mut piece.sessions, key, blob)
                    .map_err(|error| unreadable_blob(shard, error))?;
            }
            if blobs.more && piece.sessions.len() < 2 {
                behind = blobs.blobs.last().map(|(key, _)| key.clone());
                continue;
            }
            if blobs.more {
                // It may go on behind the piece.
                piece.sessions.pop();
            }
            piece.rest = piece.sessions.last().map(|(client_identifier, _)| Arc::clone(client_identifier));
            return Ok(piece);
        }
    }
}

fn unreadable_blob(shard: u16, error: EncodingError) -> StoreError {
    StoreError::Unavailable(io::Error::other(format!("shard {shard} of the checkpoint: {error}")))
}

#[cfg(test)]
mod tests;
