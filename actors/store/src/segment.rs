//! What a segment holds: a head, and behind it groups, each of which is there whole or not at all.
//!
//! Head and groups begin at multiples of [`BLOCK`], so that nothing written later shares a page, or a sector, with what
//! is kept already. Numbers are little endian.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Position, Shard};

/// What head and groups are multiples of, in bytes: the page of the operating system and the sector of today's disks.
pub(crate) const BLOCK: usize = 4096;

/// The format that is written, and the newest one that is read.
pub(crate) const FORMAT: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"mqlog\r\n\0";
const SEGMENT_BYTES: usize = 48;
const GROUP_MAGIC: u64 = 0x7075_6f72_6771_6d0a;
/// Bytes of a group before its entries.
pub(crate) const GROUP_HEAD: usize = 56;
/// Bytes that an entry takes beside its own and its shards.
pub(crate) const ENTRY_HEAD: usize = 6;
const SHARD_BYTES: usize = size_of::<Shard>();

/// So many bytes, filled up to whole blocks.
pub(crate) fn blocks(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn short(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// The segments of a log are numbered without a gap.
    pub(crate) number: u64,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Drawn by lot, and told nobody. Checksums of groups begin with it, so that what a file held before it was this
    /// segment fits nowhere in it, nor what a client writes into a message to look like a group.
    pub(crate) secret: u64,
}

/// Why a head is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadFault {
    Damaged,
    /// Of a later version of this program.
    Newer(u32),
}

impl SegmentHead {
    pub(crate) fn new(number: u64, size: u64) -> Self {
        Self { number, size, secret: RandomState::new().hash_one(number) }
    }

    /// The first block of the file.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut head = Vec::with_capacity(BLOCK);
        head.extend_from_slice(&SEGMENT_MAGIC);
        head.extend_from_slice(&FORMAT.to_le_bytes());
        head.extend_from_slice(&0_u32.to_le_bytes());
        head.extend_from_slice(&self.number.to_le_bytes());
        head.extend_from_slice(&self.size.to_le_bytes());
        head.extend_from_slice(&self.secret.to_le_bytes());
        let sum = xxh3_64_with_seed(&head, 0);
        head.extend_from_slice(&sum.to_le_bytes());
        head.resize(BLOCK, 0);
        head
    }

    pub(crate) fn decode(head: &[u8]) -> Result<Self, HeadFault> {
        let sum = SEGMENT_BYTES - 8;
        if head[..8] != SEGMENT_MAGIC || number(head, sum) != xxh3_64_with_seed(&head[..sum], 0) {
            return Err(HeadFault::Damaged);
        }
        match short(head, 8) {
            FORMAT => Ok(Self { number: number(head, 16), size: number(head, 24), secret: number(head, 32) }),
            format => Err(HeadFault::Newer(format)),
        }
    }
}

/// The head of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHead {
    /// That of its first entry.
    pub(crate) first: Position,
    /// How far the log was on the disk when the group was written.
    pub(crate) synced: Position,
    /// How many it has, one at least.
    pub(crate) entries: u32,
    /// Bytes of its entries.
    pub(crate) bytes: u32,
    sum: u64,
}

impl GroupHead {
    pub(crate) fn last(&self) -> Position {
        self.first + u64::from(self.entries) - 1
    }

    /// Blocks that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        blocks(GROUP_HEAD + self.bytes as usize)
    }

    /// Reads what may be the head of a group of this segment; whether it is one, [`Self::fits`] says.
    pub(crate) fn decode(head: &[u8], segment: &SegmentHead) -> Option<Self> {
        let is_one = number(head, 0) == GROUP_MAGIC && number(head, 16) == segment.number;
        is_one.then(|| Self {
            sum: number(head, 8),
            first: number(head, 24),
            synced: number(head, 32),
            entries: short(head, 40),
            bytes: short(head, 44),
        })
    }

    /// Whether these are its bytes, from its first one, as they were written.
    pub(crate) fn fits(&self, group: &[u8], segment: &SegmentHead) -> bool {
        let end = GROUP_HEAD + self.bytes as usize;
        self.entries > 0 && group.len() >= end && sum(&group[..end], segment) == self.sum
    }
}

/// Over all that is behind it.
fn sum(group: &[u8], segment: &SegmentHead) -> u64 {
    xxh3_64_with_seed(&group[16..], segment.secret)
}

/// Completes a group, which begins with [`GROUP_HEAD`] bytes of room.
pub(crate) fn seal(
    group: &mut Vec<u8>,
    segment: &SegmentHead,
    first: Position,
    synced: Position,
    entries: u32,
) {
    let bytes = (group.len() - GROUP_HEAD) as u32;
    group[0..8].copy_from_slice(&GROUP_MAGIC.to_le_bytes());
    group[16..24].copy_from_slice(&segment.number.to_le_bytes());
    group[24..32].copy_from_slice(&first.to_le_bytes());
    group[32..40].copy_from_slice(&synced.to_le_bytes());
    group[40..44].copy_from_slice(&entries.to_le_bytes());
    group[44..48].copy_from_slice(&bytes.to_le_bytes());
    group[48..56].fill(0);
    let sum = sum(group, segment);
    group[8..16].copy_from_slice(&sum.to_le_bytes());
    group.resize(blocks(group.len()), 0);
}

/// Appends an entry to those of a group.
pub(crate) fn append_entry(entries: &mut Vec<u8>, shards: &[Shard], bytes: &[u8]) {
    entries.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    entries.extend_from_slice(&(shards.len() as u16).to_le_bytes());
    shards.iter().for_each(|shard| entries.extend_from_slice(&shard.to_le_bytes()));
    entries.extend_from_slice(bytes);
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub position: Position,
    shards: &'a [u8],
    /// What it says.
    pub bytes: &'a [u8],
}

impl Entry<'_> {
    /// The shards that it belongs to.
    pub fn shards(&self) -> impl Iterator<Item = Shard> {
        self.shards.chunks_exact(SHARD_BYTES).map(|shard| Shard::from_le_bytes([shard[0], shard[1]]))
    }
}

/// The entries of a whole group; none if they do not add up to it.
pub(crate) fn entries<'a>(head: &GroupHead, group: &'a [u8]) -> Option<Vec<Entry<'a>>> {
    let mut rest = &group[GROUP_HEAD..GROUP_HEAD + head.bytes as usize];
    let mut found = Vec::new();
    for position in head.first..=head.last() {
        let (entry_head, behind) = rest.split_at_checked(ENTRY_HEAD)?;
        let shards = usize::from(u16::from_le_bytes([entry_head[4], entry_head[5]])) * SHARD_BYTES;
        let (shards, behind) = behind.split_at_checked(shards)?;
        let (bytes, behind) = behind.split_at_checked(short(entry_head, 0) as usize)?;
        found.push(Entry { position, shards, bytes });
        rest = behind;
    }
    rest.is_empty().then_some(found)
}
