//! The thread that writes the log.
//!
//! Whatever waits in the lanes becomes one group, and the next one goes when the last one is on the disk: so there are
//! as many groups as the disk takes, and each is as large as it has to be.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::error::Fatal;
use crate::lanes::{Kept, Lacks, Lanes, Ticket};
use crate::options::Durability;
use crate::segment::GROUP_HEAD;
use crate::segments::{Errand, ROOM_PAUSE};
use crate::writer::{Segment, Writer};
use crate::{Position, lanes::Piece};

/// Bytes of entries in a group, but for the last piece.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// What a group's memory may take while it is empty.
const SPARE_BYTES_MAX: usize = 2 * GROUP_BYTES_MAX;
/// How long what is written may not be on the disk, where that is not waited for.
const SYNC_PAUSE: Duration = Duration::from_secs(1);
/// How long what is kept may not be written, where not even that is waited for.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// Who hears of a lane what is kept; on the thread of the log, which is not to be held up.
pub type Listener = Box<dyn FnMut(Kept) + Send>;

/// How far the log is.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// The last entry on the disk.
    pub(crate) synced: AtomicU64,
    /// The last entry that need not be kept any more.
    pub(crate) applied: AtomicU64,
}

/// Makes groups of what the lanes hold.
pub(crate) struct Groups {
    writer: Writer,
    lanes: Arc<Lanes>,
    /// By lane, with the ticket of the last entry that was taken from it.
    listeners: Vec<(Ticket, Listener)>,
    durability: Durability,
    steps: Arc<Steps>,
    errands: mpsc::Sender<Errand>,
    prepared: mpsc::Receiver<Segment>,
    /// The size of the segment that was asked for and is not there.
    asked_for: Option<u64>,
    group: Vec<u8>,
    entries: u32,
    /// Bytes and number of the entries of the group that were told before they are written.
    told: (usize, u32),
    /// Who is to be told of the group.
    to_tell: Vec<(usize, Kept)>,
    /// Where the next group begins to take.
    next_lane: usize,
    /// When what was taken is to be written.
    write_at: Option<Instant>,
    /// When what was written is to be on the disk.
    sync_at: Option<Instant>,
}

impl Groups {
    pub(crate) fn new(
        writer: Writer,
        lanes: Arc<Lanes>,
        listeners: Vec<Listener>,
        durability: Durability,
        steps: Arc<Steps>,
        errands: mpsc::Sender<Errand>,
        prepared: mpsc::Receiver<Segment>,
    ) -> Self {
        Self {
            writer,
            lanes,
            listeners: listeners.into_iter().map(|listener| (0, listener)).collect(),
            durability,
            steps,
            errands,
            prepared,
            asked_for: None,
            group: vec![0; GROUP_HEAD],
            entries: 0,
            told: (0, 0),
            to_tell: Vec::new(),
            next_lane: 0,
            write_at: None,
            sync_at: None,
        }
    }

    /// Runs until nobody appends any more, or the log cannot be written.
    pub(crate) fn run(mut self, fatal: impl FnOnce(Fatal)) {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.serve()));
        let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("the thread of the log panicked")));
        if let Err(error) = outcome {
            fatal(Fatal(error));
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let ends = self.lanes.ends.load(SeqCst);
            if self.takes() {
                self.take();
            }
            self.look_after_segments();
            self.tell_early();
            let now = Instant::now();
            let is_due = self.entries > 0 && (ends || self.write_at.is_none_or(|at| at <= now));
            if is_due && self.writer.has_room(self.entry_bytes()) && self.write()? {
                continue;
            }
            if ends && self.entries > 0 && self.lanes.is_disk_full() {
                return self.end_without_room();
            }
            if self.sync_at.is_some_and(|at| ends || at <= now) {
                self.sync()?;
                continue;
            }
            if ends && self.entries == 0 {
                return Ok(());
            }
            let until = [self.write_at, self.sync_at].into_iter().flatten().filter(|at| *at > now).min();
            match until {
                Some(until) => thread::park_timeout(until - now),
                None => thread::park(),
            }
        }
    }

    /// Nobody appends any more, and the disk has no room for all that was taken: what was told of it has its place, and the
    /// rest nobody was told of.
    fn end_without_room(&mut self) -> io::Result<()> {
        let (bytes, entries) = self.told;
        warn!(entries = self.entries - entries, "there is no room on the disk for what came last");
        if entries > 0 {
            self.group.truncate(GROUP_HEAD + bytes);
            self.entries = entries;
            self.to_tell.clear();
            if !self.writer.has_room(bytes) || !self.write()? {
                warn!(entries, "nor for what was told to be kept");
            }
        }
        self.sync()
    }

    /// Whether what the lanes hold joins the group: where it is answered before it is written, only as long as that has its
    /// place on the disk.
    fn takes(&self) -> bool {
        let is_early = self.durability == Durability::Deferred;
        self.entries == 0 || is_early && self.entry_bytes() < GROUP_BYTES_MAX && self.to_tell.is_empty()
    }

    fn entry_bytes(&self) -> usize {
        self.group.len() - GROUP_HEAD
    }

    /// Takes what the lanes hold, in turns, so that none waits for ever behind another.
    fn take(&mut self) {
        let (lanes, mut emptied) = (self.lanes.len(), 0);
        while emptied < lanes && self.entry_bytes() < GROUP_BYTES_MAX {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % lanes;
            match self.lanes.take(lane) {
                Some(piece) => {
                    emptied = 0;
                    self.add(lane, piece);
                }
                None => emptied += 1,
            }
        }
        if self.durability == Durability::Deferred && self.entries > 0 {
            let full = self.entry_bytes() >= GROUP_BYTES_MAX;
            let at = *self.write_at.get_or_insert_with(|| Instant::now() + WRITE_PAUSE);
            self.write_at = (!full).then_some(at);
        }
    }

    /// Tells of what is not written yet, where that is not waited for, once it has its place on the disk.
    fn tell_early(&mut self) {
        if self.durability == Durability::Deferred && self.writer.has_room(self.entry_bytes()) {
            self.told = (self.entry_bytes(), self.entries);
            self.tell();
        }
    }

    fn add(&mut self, lane: usize, piece: Piece) {
        self.group.extend_from_slice(&piece.bytes);
        self.entries += piece.entries;
        self.lanes.reuse(lane, piece.bytes);
        let ticket = &mut self.listeners[lane].0;
        *ticket += u64::from(piece.entries);
        let kept = Kept { ticket: *ticket, position: self.writer.written() + Position::from(self.entries) };
        match self.to_tell.iter_mut().find(|(told, _)| *told == lane) {
            Some((_, earlier)) => *earlier = kept,
            None => self.to_tell.push((lane, kept)),
        }
    }

    /// Returns whether the group was written; there may be no room for it, though it has its place: then it is to be tried
    /// again in a while.
    fn write(&mut self) -> io::Result<bool> {
        if let Err(error) = self.writer.write(&mut self.group, self.entries) {
            if error.kind() != io::ErrorKind::StorageFull {
                return Err(error);
            }
            // A file system that promises no room for what is overwritten.
            if self.lanes.note_full(Lacks::Write) {
                warn!(%error, "there is no room for the log: what has to be kept is not taken");
            }
            self.write_at = Some(Instant::now() + ROOM_PAUSE);
            return Ok(false);
        }
        if self.lanes.note_room(Lacks::Write) {
            info!("there is room for the log again");
        }
        self.group.truncate(GROUP_HEAD);
        self.group.shrink_to(SPARE_BYTES_MAX);
        (self.entries, self.write_at, self.told) = (0, None, (0, 0));
        match self.durability {
            Durability::Fsync => self.sync()?,
            Durability::Written | Durability::Deferred => {
                self.sync_at.get_or_insert_with(|| Instant::now() + SYNC_PAUSE);
            }
        }
        self.tell();
        Ok(true)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writer.sync()?;
        self.steps.synced.store(self.writer.synced(), SeqCst);
        self.sync_at = None;
        Ok(())
    }

    fn tell(&mut self) {
        for (lane, kept) in self.to_tell.drain(..) {
            (self.listeners[lane].1)(kept);
        }
    }

    fn look_after_segments(&mut self) {
        for segment in self.prepared.try_iter() {
            if self.asked_for.is_some_and(|size| segment.head.size >= size) {
                self.asked_for = None;
            }
            self.writer.prepared(segment);
        }
        let bytes = self.entry_bytes();
        let bytes = if self.writer.has_room(bytes) { 0 } else { bytes };
        let wanted = self.writer.wanted(bytes);
        if let Some(head) = wanted.filter(|head| self.asked_for.is_none_or(|size| size < head.size)) {
            self.asked_for = Some(head.size);
            self.ask(Errand::Prepare(head));
        }
        let applied = self.steps.applied.load(SeqCst);
        for number in self.writer.release(applied) {
            self.ask(Errand::GiveBack(number));
        }
    }

    fn ask(&self, errand: Errand) {
        if self.errands.send(errand).is_err() {
            warn!("nobody makes segments of the log any more");
        }
    }
}
