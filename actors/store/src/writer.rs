//! Writes groups, one behind the other, into segments that have their place on the disk beforehand.

use std::collections::VecDeque;
use std::io;

use tracing::warn;

use crate::Position;
use crate::segment::{BLOCK, GROUP_HEAD, SegmentHead, blocks, seal};
use crate::storage::{SegmentFile, Storage};

/// How the file of a segment is named.
pub(crate) fn segment_name(number: u64) -> String {
    format!("log-{number:016x}")
}

/// The number in the name of a segment.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// How a file is named that is to become a segment.
const PREPARED: &str = "log-next";

/// Makes a segment, which is there whole when it has its name. What the file of one that was given back holds is taken.
pub(crate) fn prepare(storage: &dyn Storage, head: SegmentHead) -> io::Result<Segment> {
    let file = storage.create(PREPARED, head.size)?;
    file.write_at(&head.encode(), 0)?;
    file.sync()?;
    storage.rename(PREPARED, &segment_name(head.number))?;
    Ok(Segment { head, file })
}

/// Gives a segment back: its file becomes the next one, unless there is such a file, or it has another size. One that is
/// gone already is gone for good when this returns.
pub(crate) fn give_back(storage: &dyn Storage, number: u64, size: u64) -> io::Result<()> {
    let (name, names) = (segment_name(number), storage.list()?);
    let is_there = names.contains(&name);
    let is_wanted = is_there && !names.iter().any(|name| name == PREPARED);
    if is_wanted && storage.open(&name)?.size()? == size {
        storage.rename(&name, PREPARED)
    } else {
        storage.remove(&name)
    }
}

/// Takes up no room for a segment that there is not enough of.
pub(crate) fn discard_prepared(storage: &dyn Storage) {
    if let Err(error) = storage.remove(PREPARED) {
        warn!(%error, file = storage.describe(PREPARED), "a file that is not needed could not be removed");
    }
}

/// A segment that can be written to.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) head: SegmentHead,
    pub(crate) file: Box<dyn SegmentFile>,
}

/// What is written, and to where. It knows no thread: whoever has it prepares the segments that it wants.
#[derive(Debug)]
pub(crate) struct Writer {
    current: Segment,
    /// Where the next group goes.
    offset: u64,
    next: Option<Segment>,
    /// Full segments, each with the last position in it or before it.
    full: VecDeque<(u64, Position)>,
    /// Of the last entry that was written, and of the last one on the disk.
    written: Position,
    synced: Position,
    /// Bytes of a segment, unless a group needs more.
    segment_bytes: u64,
}

impl Writer {
    pub(crate) fn new(
        current: Segment,
        offset: u64,
        full: VecDeque<(u64, Position)>,
        written: Position,
        segment_bytes: u64,
    ) -> Self {
        Self { current, offset, next: None, full, written, synced: written, segment_bytes }
    }

    pub(crate) fn written(&self) -> Position {
        self.written
    }

    pub(crate) fn synced(&self) -> Position {
        self.synced
    }

    /// The segment that is to be prepared, for a group of so many bytes of entries to come.
    pub(crate) fn wanted(&self, bytes: usize) -> Option<SegmentHead> {
        let least = (BLOCK + blocks(GROUP_HEAD + bytes)) as u64;
        let size = self.segment_bytes.max(least);
        let is_there = self.next.as_ref().is_some_and(|next| next.head.size >= least);
        (!is_there).then(|| SegmentHead::new(self.current.head.number + 1, size))
    }

    /// The segment that was wanted.
    pub(crate) fn prepared(&mut self, segment: Segment) {
        debug_assert_eq!(segment.head.number, self.current.head.number + 1);
        self.next = Some(segment);
    }

    /// Whether a group of so many bytes of entries has its place on the disk.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let size = blocks(GROUP_HEAD + bytes) as u64;
        let fits = |segment: &Segment, offset: u64| segment.head.size - offset >= size;
        fits(&self.current, self.offset) || self.next.as_ref().is_some_and(|next| fits(next, BLOCK as u64))
    }

    /// Writes a group, which begins with [`GROUP_HEAD`] bytes of room, and for which there is room.
    ///
    /// # Errors
    /// With `StorageFull` it may be tried again; behind any other nobody knows what is on the disk.
    pub(crate) fn write(&mut self, group: &mut Vec<u8>, entries: u32) -> io::Result<()> {
        let unsealed = group.len();
        if self.current.head.size - self.offset < blocks(unsealed) as u64 {
            self.rotate()?;
        }
        seal(group, &self.current.head, self.written + 1, self.synced, entries);
        let outcome = self.current.file.write_at(group, self.offset);
        if outcome.is_ok() {
            self.offset += group.len() as u64;
            self.written += u64::from(entries);
        } else {
            group.truncate(unsealed);
        }
        outcome
    }

    /// Goes on in the next segment. What the last one holds is on the disk before.
    fn rotate(&mut self) -> io::Result<()> {
        if self.synced < self.written {
            // Of what is only now found to have no room a part may be lost, whatever the reason.
            self.sync().map_err(io::Error::other)?;
        }
        let Some(next) = self.next.take() else { return Err(io::ErrorKind::StorageFull.into()) };
        let full = std::mem::replace(&mut self.current, next);
        self.full.push_back((full.head.number, self.written));
        self.offset = BLOCK as u64;
        Ok(())
    }

    /// Returns when all that was written is on the disk.
    ///
    /// # Errors
    /// What the operating system says; then nobody knows what is there, and nothing may be written any more.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.current.file.sync()?;
        self.synced = self.written;
        Ok(())
    }

    /// The segments that nobody needs who has applied all entries up to this position.
    pub(crate) fn release(&mut self, applied: Position) -> Vec<u64> {
        let needless = self.full.iter().take_while(|(_, last)| *last <= applied).count();
        self.full.drain(..needless).map(|(number, _)| number).collect()
    }
}
