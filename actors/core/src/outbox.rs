//! The bytes that wait to be written to one network connection.
//!
//! Short frames are copied to the end of a buffer, long payloads are linked in by reference. An empty outbox holds no
//! memory. It knows how many QoS 0 messages it holds, and at its end how many of them were written whole, since only
//! those are delivered.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

use crate::pool::BufferPool;

/// A buffer beyond this size is closed and the next one begun, so that a reader who is always behind gives memory back
/// piece by piece.
const CHUNK_BYTES: usize = 64 * 1024;
/// What a new buffer has room for.
const BUFFER_BYTES_MIN: usize = 256;
/// How many pieces one system call writes.
pub const SLICES_PER_WRITE: usize = 16;
/// Fixed header type bits of a PUBLISH, and of its QoS.
const PUBLISH: u8 = 3;

#[derive(Debug)]
enum Data {
    /// Frames, and at most one head at the end whose payload follows as the next chunk.
    Frames(Vec<u8>),
    /// The payload of the head before it.
    Payload(Bytes),
}

#[derive(Debug)]
struct Chunk {
    data: Data,
    /// QoS 0 messages that are written when this chunk is.
    qos0: ChunkQos0,
}

/// Numbers of QoS 0 messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Qos0 {
    /// All.
    pub all: u32,
    /// Those of them that are the node's own, `$SYS`.
    pub own: u32,
}

/// The same of one chunk: of the smallest packets, of 5 bytes, it has no more.
#[derive(Debug, Clone, Copy, Default)]
struct ChunkQos0 {
    all: u16,
    own: u16,
}

impl Qos0 {
    fn add(&mut self, chunk: ChunkQos0) {
        self.all += u32::from(chunk.all);
        self.own += u32::from(chunk.own);
    }

    fn less(self, other: Self) -> Self {
        Self { all: self.all - other.all, own: self.own - other.own }
    }
}

/// What became of the QoS 0 messages of an outbox that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Written whole.
    pub written: Qos0,
    /// Not.
    pub lost: Qos0,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Frames(bytes) => bytes,
            Data::Payload(bytes) => bytes,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Written first; only there once there is more than `tail`.
    closed: Option<Box<VecDeque<Chunk>>>,
    tail: Vec<u8>,
    tail_qos0: ChunkQos0,
    /// QoS 0 messages in all of it.
    qos0: Qos0,
    /// How much of the first chunk is written already.
    written: u32,
    /// Bytes waiting.
    waiting: usize,
}

impl Outbox {
    /// Bytes waiting to be written.
    #[inline]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting
    }

    /// Whether everything is written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// QoS 0 messages that wait here.
    #[inline]
    pub(crate) fn waiting_qos0(&self) -> u32 {
        self.qos0.all
    }

    /// Lets `encode` append whole frames.
    #[inline]
    pub fn append_with(&mut self, pool: &mut BufferPool, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.tail.capacity() == 0 {
            self.tail = buffer(pool);
        } else if self.tail.len() >= CHUNK_BYTES {
            self.close_tail(pool);
        }
        let before = self.tail.len();
        encode(&mut self.tail);
        self.waiting += self.tail.len() - before;
    }

    /// Links in the payload of the head that was appended last.
    pub(crate) fn append_payload(&mut self, pool: &mut BufferPool, payload: Bytes) {
        self.close_tail(pool);
        self.waiting += payload.len();
        let chunk = Chunk { data: Data::Payload(payload), qos0: ChunkQos0::default() };
        self.closed.get_or_insert_default().push_back(chunk);
    }

    /// Notes that the frame appended last (with its payload) was a QoS 0 message, the node's own if `own`.
    #[inline]
    pub(crate) fn note_qos0(&mut self, own: bool) {
        self.qos0.all += 1;
        let chunk = match self.closed.as_mut().and_then(|closed| closed.back_mut()) {
            Some(last) if self.tail.is_empty() => &mut last.qos0,
            _ => &mut self.tail_qos0,
        };
        chunk.all += 1;
        if own {
            chunk.own += 1;
            self.qos0.own += 1;
        }
    }

    fn close_tail(&mut self, pool: &mut BufferPool) {
        if self.tail.is_empty() {
            return;
        }
        let data = Data::Frames(std::mem::replace(&mut self.tail, buffer(pool)));
        let chunk = Chunk { data, qos0: std::mem::take(&mut self.tail_qos0) };
        self.closed.get_or_insert_default().push_back(chunk);
    }

    /// The first bytes to write: fills `slices` and says how many there are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_PER_WRITE]) -> usize {
        let mut count = 0;
        let mut skip = self.written as usize;
        let closed = self.closed.iter().flat_map(|closed| closed.iter().map(Chunk::bytes));
        for bytes in closed.chain([self.tail.as_slice()]).take(SLICES_PER_WRITE) {
            if skip < bytes.len() {
                slices[count] = IoSlice::new(&bytes[skip..]);
                count += 1;
            }
            skip = 0;
        }
        count
    }

    /// Notes that the first `n` bytes are written; answers how many QoS 0 messages that completed.
    pub fn advance(&mut self, pool: &mut BufferPool, n: usize) -> Qos0 {
        debug_assert!(n <= self.waiting);
        self.waiting -= n;
        let mut written = self.written as usize + n;
        let mut delivered = Qos0::default();
        if let Some(closed) = &mut self.closed {
            while let Some(first) = closed.front() {
                if written < first.bytes().len() {
                    break;
                }
                written -= first.bytes().len();
                delivered.add(first.qos0);
                if let Some(Chunk { data: Data::Frames(buffer), .. }) = closed.pop_front() {
                    pool.give(buffer);
                }
            }
            if closed.is_empty() {
                self.closed = None;
            }
        }
        if self.closed.is_none() && written == self.tail.len() {
            delivered.add(std::mem::take(&mut self.tail_qos0));
            written = 0;
            pool.give(std::mem::take(&mut self.tail));
        }
        // Part of one chunk, which is no larger than two packets.
        self.written = written as u32;
        self.qos0 = self.qos0.less(delivered);
        delivered
    }

    /// Whether what is counted is there.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        let chunks = self.closed.iter().flat_map(|closed| closed.iter());
        let (mut bytes, mut qos0) = (self.tail.len(), Qos0::default());
        qos0.add(self.tail_qos0);
        for chunk in chunks {
            bytes += chunk.bytes().len();
            qos0.add(chunk.qos0);
        }
        let (found, counted) = ((bytes - self.written as usize, qos0), (self.waiting, self.qos0));
        match found == counted {
            true => Ok(()),
            false => Err(format!("{found:?} bytes and QoS 0 messages wait, {counted:?} are counted")),
        }
    }

    /// Ends it: of the QoS 0 messages not yet counted as written, which were written whole, and which were not.
    pub fn finish(self) -> Ended {
        let first = match self.closed.as_ref().and_then(|closed| closed.front()) {
            Some(Chunk { data: Data::Payload(_), .. }) => &[],
            Some(chunk) => chunk.bytes(),
            None => self.tail.as_slice(),
        };
        let written = whole_qos0_frames(first, self.written as usize);
        let written = Qos0 { all: written.all.min(self.qos0.all), own: written.own.min(self.qos0.own) };
        Ended { written, lost: self.qos0.less(written) }
    }
}

fn buffer(pool: &mut BufferPool) -> Vec<u8> {
    pool.take().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES_MIN))
}

/// How many QoS 0 PUBLISH packets among `frames` end within the first `written` bytes.
fn whole_qos0_frames(frames: &[u8], written: usize) -> Qos0 {
    let (mut at, mut count) = (0, Qos0::default());
    while at < written {
        let Some(frame_bytes) = frame_bytes(&frames[at..]) else { break };
        let frame = &frames[at..][..frame_bytes.min(frames.len() - at)];
        at += frame_bytes;
        if at > written {
            break;
        }
        if frame[0] >> 4 == PUBLISH && frame[0] & 0b0110 == 0 {
            count.all += 1;
            count.own += u32::from(is_own(frame));
        }
    }
    count
}

/// Whether a PUBLISH is the node's own: no client may publish to its topic names, and they stand in every packet.
fn is_own(frame: &[u8]) -> bool {
    let header_bytes = 2 + frame[1..].iter().take_while(|byte| **byte & 0x80 != 0).count();
    frame.get(header_bytes + 2..).is_some_and(|topic| topic.starts_with(b"$SYS/"))
}

/// The length of the packet at the beginning of bytes that this node encoded itself; none if its fixed header is not whole.
pub fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (index, byte) in bytes.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(2 + index + remaining);
        }
    }
    None
}

#[cfg(test)]
mod tests;
