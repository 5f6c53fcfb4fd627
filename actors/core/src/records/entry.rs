//! Records that are kept together or not at all: what one turn of a worker decided.

use super::record::{Position, Record};
use super::wire::{DecodeError, Reader, Writer, digits};
use crate::homes::{Homes, Shard, ShardSet};

/// Records that stand behind one another, and the shards that they concern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    shards: ShardSet,
    first: Position,
    count: u64,
}

impl Entry {
    /// Without a record; the first one will stand at this position.
    pub fn at(first: Position) -> Self {
        Self { first, ..Self::default() }
    }

    /// Appends a record. Answers where it stands.
    pub fn push(&mut self, record: &Record<'_>, homes: &Homes) -> Position {
        let at = self.next_position();
        if self.count == 0 {
            Writer(&mut self.bytes).number(at.0);
        }
        self.count += 1;
        self.append(|bytes| record.encode(at, bytes));
        self.shards.extend(record.shards(homes));
        at
    }

    /// Appends bytes behind their number, which is known only when they are there.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        self.bytes.push(0);
        write(&mut self.bytes);
        let end = self.bytes.len();
        let (digits, count) = digits((end - begin - 1) as u64);
        if count > 1 {
            self.bytes.resize(end + count - 1, 0);
            self.bytes.copy_within(begin + 1..end, begin + count);
        }
        self.bytes[begin..begin + count].copy_from_slice(&digits[..count]);
    }

    /// Where the next record will stand.
    pub fn next_position(&self) -> Position {
        Position(self.first.0 + self.count)
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What the log keeps of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The shards that it concerns, in their order.
    pub fn shards(&self) -> impl Iterator<Item = Shard> {
        self.shards.iter()
    }
}

/// The records of an entry, one at least, each with its position. Behind one that cannot be read there is none.
pub fn records_of<'a>(bytes: &'a [u8]) -> impl Iterator<Item = Result<(Position, Record<'a>), DecodeError>> {
    let mut reader = Reader(bytes);
    let mut next = reader.number();
    if reader.0.is_empty() {
        // A position alone is no entry.
        next = next.and(Err(DecodeError::Truncated));
    }
    std::iter::from_fn(move || {
        if next.is_ok() && reader.0.is_empty() {
            return None;
        }
        let ended = Err(DecodeError::Truncated);
        let read = std::mem::replace(&mut next, ended).and_then(|at| {
            let record = Record::decode(reader.bytes()?, Position(at))?;
            next = at.checked_add(1).ok_or(DecodeError::Varint);
            Ok((Position(at), record))
        });
        if read.is_err() {
            // Nothing behind it is looked at.
            (reader, next) = (Reader(&[]), Ok(0));
        }
        Some(read)
    })
}
