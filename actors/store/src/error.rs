//! What is wrong with a log.

use std::io;

use crate::Position;
use crate::segment::FORMAT;

/// Why a log cannot be read. None of it is mended by reading it again, but for what the operating system says.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system says why.
    #[error("{file} cannot be read or written")]
    Unreadable {
        /// Which file, or folder.
        file: String,
        /// What it says.
        #[source]
        source: io::Error,
    },
    /// What was kept is not as it was written.
    #[error("{file} is damaged at byte {offset}")]
    Damaged {
        /// Which file.
        file: String,
        /// Where the group begins that is damaged, or 0 for the head of the file.
        offset: u64,
    },
    /// A file in the middle is not there.
    #[error("{file} is missing")]
    Missing {
        /// Which file.
        file: String,
    },
    /// A later version of this program wrote it.
    #[error("{file} has format {format}, and this version reads {FORMAT} at most")]
    Newer {
        /// Which file.
        file: String,
        /// Its format.
        format: u32,
    },
    /// Entries are missing between checkpoint and log.
    #[error("the log in {folder} begins with entry {first}, and the checkpoint ends with {applied}")]
    Gap {
        /// Which folder.
        folder: String,
        /// The first entry that is there.
        first: Position,
        /// The last one of the checkpoint.
        applied: Position,
    },
    /// Entries are missing that the checkpoint has applied.
    #[error("the log in {folder} ends with entry {last}, and the checkpoint has {applied} already")]
    Short {
        /// Which folder.
        folder: String,
        /// The last entry that is there.
        last: Position,
        /// The last one of the checkpoint.
        applied: Position,
    },
}

/// Why a log is not written any more. Nobody knows what is on the disk, so the process has to end: who reads the log
/// anew finds out.
#[derive(Debug, thiserror::Error)]
#[error("the log could not be written")]
pub struct Fatal(#[source] pub io::Error);
