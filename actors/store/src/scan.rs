//! Reads a log from its beginning, finds where it ends, and judges what does not belong to it.
//!
//! What was being written when the power went may be there in part: that is the torn tail, which nobody was told of, and
//! which is cut. All else that cannot be read is damage, and is said. Which of both it is, what stands behind it tells:
//! a group names the position up to which the log was on the disk when it was written, and up to there nothing can be
//! torn.

use std::collections::VecDeque;
use std::io;

use tracing::{info, warn};

use crate::Position;
use crate::error::OpenError;
use crate::segment::{BLOCK, Entry, FORMAT, GroupHead, HeadFault, SegmentHead, entries};
use crate::storage::{SegmentFile, Storage};
use crate::writer::{Segment, Writer, prepare, segment_name, segment_number};

/// What a log is that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSummary {
    /// The newest format that any of it may have.
    pub format: u32,
    /// Its files.
    pub files: usize,
    /// What those take on the disk.
    pub bytes: u64,
    /// Its last entry.
    pub last: Position,
    /// Whether it ends in what was being written: the next start cuts that.
    pub is_torn: bool,
}

/// Where a group is.
#[derive(Debug, Clone, Copy)]
struct GroupLocation {
    /// Which of the segments.
    segment: usize,
    offset: u64,
}

/// A log that is read.
pub(crate) struct Scan<'a> {
    storage: &'a dyn Storage,
    segments: Vec<Segment>,
    /// What the checkpoint has; only what is behind it is told.
    applied: Position,
    /// Of the last entry that was found.
    last: Option<Position>,
    /// By segment, the last entry in it or before it.
    lasts: Vec<Position>,
    /// Where the next group should be, once there is none at the place where it should be.
    end: Option<GroupLocation>,
    /// Whole groups behind the end.
    strays: Vec<GroupLocation>,
    /// Groups that may not be on the disk though they can be read, each with its last entry.
    doubtful: VecDeque<(GroupLocation, Position)>,
    buffer: Vec<u8>,
}

impl<'a> Scan<'a> {
    /// Opens all segments.
    pub(crate) fn new(storage: &'a dyn Storage, applied: Position) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Unreadable { file: storage.describe(""), source };
        let names = storage.list().map_err(unreadable)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
            return Err(OpenError::Missing { file: storage.describe(&segment_name(pair[0] + 1)) });
        }
        let segments =
            numbers.iter().map(|number| open_segment(storage, *number)).collect::<Result<_, _>>()?;
        Ok(Self {
            storage,
            segments,
            applied,
            last: None,
            lasts: Vec::new(),
            end: None,
            strays: Vec::new(),
            doubtful: VecDeque::new(),
            buffer: Vec::new(),
        })
    }

    /// Tells every entry behind the checkpoint, in order, and readies the log for what comes behind it.
    pub(crate) fn run(
        mut self,
        segment_bytes: u64,
        visit: &mut dyn FnMut(Entry<'_>),
    ) -> Result<Writer, OpenError> {
        self.read(visit)?;
        self.cut()?;
        self.write_again()?;
        self.into_writer(segment_bytes)
    }

    /// The same, and leaves the log as it is.
    pub(crate) fn look(mut self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<LogSummary, OpenError> {
        self.read(visit)?;
        let is_torn = match self.end {
            Some(end) => !self.strays.is_empty() || self.is_torn(end)?,
            None => false,
        };
        let bytes = self.segments.iter().map(|segment| segment.head.size).sum();
        let last = self.last.unwrap_or(self.applied);
        Ok(LogSummary { format: FORMAT, files: self.segments.len(), bytes, last, is_torn })
    }

    fn read(&mut self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<(), OpenError> {
        for segment in 0..self.segments.len() {
            self.read_segment(segment, visit)?;
            self.lasts.push(self.last.unwrap_or(self.applied));
        }
        let last = self.last.unwrap_or(0);
        if last < self.applied && (last > 0 || self.segments.is_empty()) {
            return Err(OpenError::Short { folder: self.storage.describe(""), last, applied: self.applied });
        }
        Ok(())
    }

    fn unreadable(&self, segment: usize) -> impl Fn(io::Error) -> OpenError + use<> {
        let file = self.file(segment);
        move |source| OpenError::Unreadable { file: file.clone(), source }
    }

    fn file(&self, segment: usize) -> String {
        self.storage.describe(&segment_name(self.segments[segment].head.number))
    }

    /// Reads the groups of a segment as far as one follows the other, and looks for others behind.
    fn read_segment(&mut self, segment: usize, visit: &mut dyn FnMut(Entry<'_>)) -> Result<(), OpenError> {
        let size = self.segments[segment].head.size;
        let mut place = GroupLocation { segment, offset: BLOCK as u64 };
        while place.offset + BLOCK as u64 <= size {
            let found = self.group_at(place)?;
            let begins = place.offset == BLOCK as u64 && self.strays.is_empty();
            let goes_on = self.end.is_none_or(|end| begins && end.segment + 1 == segment);
            match found {
                Some(head) if goes_on && self.follows(&head)? => {
                    self.end = None;
                    self.tell(place, &head, visit)?;
                    place.offset += head.size() as u64;
                    continue;
                }
                Some(head) => self.judge(place, &head)?,
                None => {}
            }
            self.end.get_or_insert(place);
            place.offset += BLOCK as u64;
        }
        if self.end.is_none() {
            self.end = Some(place);
        }
        Ok(())
    }

    /// The group that begins here, whole; its bytes are in the buffer.
    fn group_at(&mut self, place: GroupLocation) -> Result<Option<GroupHead>, OpenError> {
        let unreadable = self.unreadable(place.segment);
        let Segment { head: segment, file } = &self.segments[place.segment];
        self.buffer.resize(BLOCK, 0);
        file.read_at(&mut self.buffer, place.offset).map_err(&unreadable)?;
        let Some(head) = GroupHead::decode(&self.buffer, segment) else { return Ok(None) };
        if place.offset + head.size() as u64 > segment.size {
            return Ok(None);
        }
        self.buffer.resize(head.size(), 0);
        file.read_at(&mut self.buffer, place.offset).map_err(&unreadable)?;
        Ok(head.fits(&self.buffer, segment).then_some(head))
    }

    /// Whether a group is the next one.
    fn follows(&self, head: &GroupHead) -> Result<bool, OpenError> {
        match self.last {
            Some(last) => Ok(head.first == last + 1),
            // The first of all.
            None if head.first <= self.applied + 1 => Ok(true),
            None => Err(OpenError::Gap {
                folder: self.storage.describe(""),
                first: head.first,
                applied: self.applied,
            }),
        }
    }

    fn tell(
        &mut self,
        place: GroupLocation,
        head: &GroupHead,
        visit: &mut dyn FnMut(Entry<'_>),
    ) -> Result<(), OpenError> {
        let Some(entries) = entries(head, &self.buffer) else {
            return Err(OpenError::Damaged { file: self.file(place.segment), offset: place.offset });
        };
        entries.into_iter().filter(|entry| entry.position > self.applied).for_each(visit);
        self.last = Some(head.last());
        while self.doubtful.front().is_some_and(|(_, last)| *last <= head.synced) {
            self.doubtful.pop_front();
        }
        self.doubtful.push_back((place, head.last()));
        Ok(())
    }

    /// A whole group stands where none should be: either it was written before the one that is missing was on the disk,
    /// or what is missing is lost.
    fn judge(&mut self, place: GroupLocation, head: &GroupHead) -> Result<(), OpenError> {
        let missing = self.last.map_or(self.applied, |last| last) + 1;
        let hole = self.end.unwrap_or(place);
        if head.synced >= missing || head.first <= missing {
            return Err(OpenError::Damaged { file: self.file(hole.segment), offset: hole.offset });
        }
        self.strays.push(place);
        Ok(())
    }

    /// Removes what stands behind the end.
    fn cut(&mut self) -> Result<(), OpenError> {
        let Some(end) = self.end else { return Ok(()) };
        if self.strays.is_empty() && !self.is_torn(end)? {
            return Ok(());
        }
        let (file, offset) = (self.file(end.segment), end.offset);
        warn!(
            file,
            offset,
            groups = self.strays.len(),
            "the log ends in what was being written; that is cut"
        );
        // From behind, so that what is left is whole if this is cut short as well.
        while self.segments.len() > end.segment + 1
            && self.strays.iter().any(|stray| stray.segment > end.segment)
        {
            let last = self.segments.len() - 1;
            let name = segment_name(self.segments[last].head.number);
            self.storage.remove(&name).map_err(self.unreadable(last))?;
            self.segments.pop();
        }
        self.strays.push(end);
        let unreadable = self.unreadable(end.segment);
        let here = &self.segments[end.segment].file;
        for stray in self.strays.iter().rev().filter(|stray| stray.segment == end.segment) {
            if stray.offset < self.segments[end.segment].head.size {
                here.write_at(&[0; BLOCK], stray.offset).map_err(&unreadable)?;
            }
        }
        here.sync().map_err(unreadable)
    }

    /// Whether a group was begun where the log ends.
    fn is_torn(&mut self, end: GroupLocation) -> Result<bool, OpenError> {
        let Segment { head, file } = &self.segments[end.segment];
        if end.offset + BLOCK as u64 > head.size {
            return Ok(false);
        }
        self.buffer.resize(BLOCK, 0);
        file.read_at(&mut self.buffer, end.offset).map_err(self.unreadable(end.segment))?;
        Ok(GroupHead::decode(&self.buffer, head).is_some())
    }

    /// Writes what may not be on the disk once more: what can be read may stand in memory alone, and an operating system
    /// that failed to write it once takes it for written.
    fn write_again(&mut self) -> Result<(), OpenError> {
        while let Some((place, _)) = self.doubtful.pop_front() {
            if self.group_at(place)?.is_none() {
                return Err(OpenError::Damaged { file: self.file(place.segment), offset: place.offset });
            }
            let file = &self.segments[place.segment].file;
            file.write_at(&self.buffer, place.offset)
                .and_then(|()| file.sync())
                .map_err(self.unreadable(place.segment))?;
        }
        Ok(())
    }

    fn into_writer(mut self, segment_bytes: u64) -> Result<Writer, OpenError> {
        let Some(end) = self.end else {
            let first = SegmentHead::new(1, segment_bytes);
            let prepared = prepare(self.storage, first);
            let segment = prepared
                .map_err(|source| OpenError::Unreadable { file: self.storage.describe(""), source })?;
            return Ok(Writer::new(segment, BLOCK as u64, VecDeque::new(), self.applied, segment_bytes));
        };
        let mut behind = self.segments.split_off(end.segment + 1).into_iter();
        let last = self.last.unwrap_or(self.applied);
        let lasts = self.lasts.iter().copied();
        let full = self.segments.iter().map(|segment| segment.head.number).zip(lasts);
        let full = full.take(end.segment).collect();
        info!(segments = self.segments.len(), last, applied = self.applied, "the log is read");
        let Some(current) = self.segments.pop() else { unreachable!("the log ends in a segment") };
        let mut writer = Writer::new(current, end.offset, full, last, segment_bytes);
        if let Some(next) = behind.next() {
            writer.prepared(next);
        }
        Ok(writer)
    }
}

fn open_segment(storage: &dyn Storage, number: u64) -> Result<Segment, OpenError> {
    let name = segment_name(number);
    let unreadable = |source| OpenError::Unreadable { file: storage.describe(&name), source };
    let file: Box<dyn SegmentFile> = storage.open(&name).map_err(unreadable)?;
    let size = file.size().map_err(unreadable)?;
    let mut block = vec![0; BLOCK];
    let damaged = || OpenError::Damaged { file: storage.describe(&name), offset: 0 };
    if size < BLOCK as u64 {
        return Err(damaged());
    }
    file.read_at(&mut block, 0).map_err(unreadable)?;
    match SegmentHead::decode(&block) {
        Ok(head) if head.number == number && head.size == size => Ok(Segment { head, file }),
        Ok(_) | Err(HeadFault::Damaged) => Err(damaged()),
        Err(HeadFault::Newer(format)) => Err(OpenError::Newer { file: storage.describe(&name), format }),
    }
}
