//! Records that are kept together or not at all: what one turn of a worker decided.

use std::sync::OnceLock;

use super::record::{Position, Record};
use super::wire::{DecodeError, Reader, Writer, digits};
use crate::homes::{Homes, Shard, ShardSet};

/// Bytes of records that lie together; a longer record lies by itself.
const PART_BYTES: usize = 64 * 1024;

/// Records that stand behind one another, and the shards that they concern. A client may change very much while those
/// before it are on their way to the disk: the bytes lie in parts, so that nobody waits for a whole that is copied as it
/// grows.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    parts: Vec<Vec<u8>>,
    /// All of it, where that is several parts and somebody has asked.
    whole: OnceLock<Vec<u8>>,
    shards: ShardSet,
    first: Position,
    count: u64,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.first, self.count, &self.shards) == (other.first, other.count, &other.shards)
            && self.bytes() == other.bytes()
    }
}

impl Eq for Entry {}

impl Entry {
    /// Without a record; the first one will stand at this position.
    pub fn at(first: Position) -> Self {
        Self { first, ..Self::default() }
    }

    /// Appends a record. Answers where it stands.
    pub fn push(&mut self, record: &Record<'_>, homes: &Homes) -> Position {
        let at = self.next_position();
        let is_first = self.count == 0;
        self.count += 1;
        self.whole = OnceLock::new();
        let part = self.part_for(record.long_bytes());
        if is_first {
            Writer(part).number(at.0);
        }
        append(part, |bytes| record.encode(at, bytes));
        self.shards.extend(record.shards(homes));
        at
    }

    /// The part that a record of about so many bytes is appended to.
    fn part_for(&mut self, bytes: usize) -> &mut Vec<u8> {
        if self.parts.last().is_none_or(|last| last.len() + bytes > PART_BYTES) {
            // With room for what the record is, and for a few more that are short.
            let room = if bytes > 0 { bytes + 256 } else { 0 };
            self.parts.push(Vec::with_capacity(room));
        }
        self.parts.last_mut().expect("there is one now")
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

    /// What the log keeps of it. Where it lies in several parts that takes a copy of all, once: it is asked for by threads
    /// that nobody waits for.
    pub fn bytes(&self) -> &[u8] {
        match self.parts.as_slice() {
            [] => &[],
            [only] => only,
            several => self.whole.get_or_init(|| several.concat()),
        }
    }

    /// How many bytes that are.
    pub fn bytes_len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// The shards that it concerns, in their order.
    pub fn shards(&self) -> impl Iterator<Item = Shard> {
        self.shards.iter()
    }
}

/// Appends bytes behind their number, which is known only when they are there.
fn append(to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = to.len();
    to.push(0);
    write(to);
    let end = to.len();
    let (digits, count) = digits((end - begin - 1) as u64);
    if count > 1 {
        to.resize(end + count - 1, 0);
        to.copy_within(begin + 1..end, begin + count);
    }
    to[begin..begin + count].copy_from_slice(&digits[..count]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Of;

    /// Many records, and long ones, lie in parts: none is longer than one may be, but for one long record that it ends
    /// with. All are read as they were written.
    #[test]
    fn records_lie_in_parts() {
        let homes = Homes::new(&[1; 16], 1);
        let lengths = [10, 100_000, 20_000, 30_000, 40_000, 70_000, 5].into_iter().chain([1000; 500]);
        let filters: Vec<String> = lengths.map(|bytes| "x".repeat(bytes)).collect();
        let of = Of { client: "client", epoch: 7 };
        let record = |filter| Record::Unsubscribed(of, vec![filter]);
        let mut entry = Entry::at(Position(8));
        for filter in &filters {
            entry.push(&record(filter), &homes);
        }
        let longest = entry.parts.iter().map(Vec::len).max();
        assert!((100_000..100_100).contains(&longest.unwrap()), "{longest:?}");
        let is_long = |part: &&Vec<u8>| part.len() > PART_BYTES;
        assert_eq!(entry.parts.iter().filter(is_long).count(), 2);
        assert!(entry.parts.len() > 10);
        assert_eq!(entry.bytes_len(), entry.bytes().len());
        let read: Vec<_> = records_of(entry.bytes()).map(Result::unwrap).collect();
        let expected = (8..).map(Position).zip(filters.iter().map(|filter| record(filter)));
        assert!(read.into_iter().eq(expected));
    }
}
