//! How threads hand entries to the log: a lane for each, in whose order they are kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::thread::Thread;

use parking_lot::{Mutex, MutexGuard};

use crate::segment::{ENTRY_HEAD, append_entry};
use crate::{Position, Shard};

/// How many entries a lane was given since the node began.
pub type Ticket = u64;

/// What a lane hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// All that the lane was given up to this ticket is kept.
    pub ticket: Ticket,
    /// The position of that entry; there is none behind it of this lane that is kept.
    pub position: Position,
}

/// Entries whose bytes lie in one piece of memory, beyond which another is begun.
const PIECE_BYTES: usize = 256 * 1024;

/// Entries in a row of one lane.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: u32,
}

/// What there may be no room for on the disk. Each is found by another thread, and by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lacks {
    /// A segment to come.
    Segment = 1,
    /// What is written into one that is there.
    Write = 2,
}

/// Is told whether there is no room on the disk; called from the threads that find out.
pub type FullListener = Box<dyn Fn(bool) + Send + Sync>;

/// Called once.
pub(crate) type Call = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    /// Bytes of all of them.
    bytes: usize,
    /// Entries that the lane was given.
    given: Ticket,
    /// Whoever waits for room.
    wait_for_room: Vec<Call>,
    /// An emptied piece of memory.
    spare: Vec<u8>,
}

/// What all lanes share with the thread of the log.
pub(crate) struct Lanes {
    lanes: Box<[Mutex<Waiting>]>,
    /// Bytes that one may have waiting.
    lane_bytes_max: usize,
    /// For what there is no room on the disk, a bit each.
    without_room: AtomicU8,
    full_listener: Mutex<Option<FullListener>>,
    /// Nobody appends any more.
    pub(crate) ends: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lanes").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl Lanes {
    pub(crate) fn new(lanes: usize, lane_bytes_max: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Mutex::default()).collect(),
            lane_bytes_max,
            without_room: AtomicU8::new(0),
            full_listener: Mutex::default(),
            ends: AtomicBool::new(false),
            thread: Mutex::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// The thread that takes what is appended.
    pub(crate) fn set_thread(&self, thread: Thread) {
        *self.thread.lock() = Some(thread);
    }

    /// Has the thread of the log look again.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    /// Takes the oldest piece of a lane.
    pub(crate) fn take(&self, lane: usize) -> Option<Piece> {
        let mut waiting = self.lanes[lane].lock();
        let piece = waiting.pieces.pop_front()?;
        waiting.bytes -= piece.bytes.len();
        self.tell_of_room(waiting);
        Some(piece)
    }

    /// Gives the memory of a piece back.
    pub(crate) fn reuse(&self, lane: usize, mut bytes: Vec<u8>) {
        if bytes.capacity() <= 2 * PIECE_BYTES {
            bytes.clear();
            self.lanes[lane].lock().spare = bytes;
        }
    }

    /// Notes that the disk has no room for this. Returns whether it had room for all until now.
    pub(crate) fn note_full(&self, lacks: Lacks) -> bool {
        let is_new = self.without_room.fetch_or(lacks as u8, SeqCst) == 0;
        if is_new {
            self.tell_listener();
        }
        is_new
    }

    /// Notes that the disk has room for this. Returns whether it has room for all only now.
    pub(crate) fn note_room(&self, lacks: Lacks) -> bool {
        let was = self.without_room.fetch_and(!(lacks as u8), SeqCst);
        let is_room = was == lacks as u8;
        if is_room {
            self.tell_listener();
            self.lanes.iter().for_each(|lane| self.tell_of_room(lane.lock()));
        }
        is_room
    }

    /// What it hears last is so.
    fn tell_listener(&self) {
        if let Some(listener) = &*self.full_listener.lock() {
            listener(self.is_disk_full());
        }
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.without_room.load(SeqCst) != 0
    }

    fn has_room(&self, waiting: &Waiting) -> bool {
        waiting.bytes < self.lane_bytes_max && !self.is_disk_full()
    }

    fn tell_of_room(&self, mut waiting: MutexGuard<'_, Waiting>) {
        if !waiting.wait_for_room.is_empty() && self.has_room(&waiting) {
            let calls = std::mem::take(&mut waiting.wait_for_room);
            drop(waiting);
            calls.into_iter().for_each(|call| call());
        }
    }
}

/// Where one thread appends to the log. It waits for nothing.
#[derive(Debug, Clone)]
pub struct Lane {
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) lane: usize,
}

impl Lane {
    /// Appends an entry, of less than 1 GiB. It is kept whole or not at all, behind all that this lane was given before.
    ///
    /// Whether there is room ([`Self::is_full`]) is asked before; what has to be kept may go beyond it.
    pub fn append(&self, shards: &[Shard], bytes: &[u8]) -> Ticket {
        let mut waiting = self.lanes.lanes[self.lane].lock();
        let size = ENTRY_HEAD + size_of_val(shards) + bytes.len();
        let fits = |piece: &Piece| piece.bytes.len() + size <= PIECE_BYTES;
        if !waiting.pieces.back().is_some_and(fits) {
            let spare = std::mem::take(&mut waiting.spare);
            waiting.pieces.push_back(Piece { bytes: spare, entries: 0 });
        }
        let was_idle = waiting.bytes == 0;
        if let Some(piece) = waiting.pieces.back_mut() {
            append_entry(&mut piece.bytes, shards, bytes);
            piece.entries += 1;
        }
        waiting.bytes += size;
        waiting.given += 1;
        let ticket = waiting.given;
        drop(waiting);
        if was_idle {
            self.lanes.wake();
        }
        ticket
    }

    /// Whether what a client wants to have kept is to be refused, or to wait: too much is on its way already, or the
    /// disk is full.
    pub fn is_full(&self) -> bool {
        !self.lanes.has_room(&self.lanes.lanes[self.lane].lock())
    }

    /// Whether there is no room on the disk.
    pub fn is_disk_full(&self) -> bool {
        self.lanes.is_disk_full()
    }

    /// Tells `listener` whether there is no room on the disk, now and whenever that changes.
    pub fn listen_to_full_disk(&self, listener: FullListener) {
        *self.lanes.full_listener.lock() = Some(listener);
        self.lanes.tell_listener();
    }

    /// Calls `call` once there is room: at once, or from the thread of the log.
    pub fn when_there_is_room(&self, call: impl FnOnce() + Send + 'static) {
        let mut waiting = self.lanes.lanes[self.lane].lock();
        waiting.wait_for_room.push(Box::new(call));
        self.lanes.tell_of_room(waiting);
    }
}
