//! What a node keeps on its disk: a log, whose entries are there whole or not at all, and checkpoints that make it short.
//!
//! Entries and blobs are bytes; what they say is known elsewhere. Each belongs to shards, so that whoever reads them
//! back takes its own. There are no actors and no runtime here, but threads and files.

mod options;
mod storage;

mod segment;

mod error;
mod lanes;
mod writer;

mod scan;
mod segments;

mod groups;

mod overlay;

mod checkpoints;
mod folder;
mod journal;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use checkpoints::{
    Blob, CheckpointError, CheckpointReader, CheckpointView, Checkpoints, HashKey, Piece, Write,
};
pub use error::{Fatal, OpenError};
pub use folder::{Folder, FolderError};
pub use groups::Listener;
pub use journal::{Journal, Opened};
pub use lanes::{FullListener, Kept, Lane, Ticket};
pub use options::{Durability, JournalOptions};
pub use scan::LogSummary;
pub use segment::Entry;
pub use storage::{Files, SegmentFile, Storage};

/// The number of an entry in the log: the first has 1, each has one more than the one before, over restarts.
pub type Position = u64;

/// One of the parts that what is kept is divided into.
pub type Shard = u16;
