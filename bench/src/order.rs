//! Loss, duplicates and order of one stream: the messages of one publisher as one subscriber sees them.

use std::collections::BTreeMap;

use serde::Serialize;

/// Follows the sequence numbers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The next sequence number when nothing goes wrong.
    next: u32,
    /// Ranges passed over, first to one past the last.
    missing: BTreeMap<u32, u32>,
}

/// What one delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The expected one.
    InOrder,
    /// Messages before it are missing, so many.
    Skipped(u32),
    /// One of those that were missing.
    Late,
    /// It was here before.
    Duplicate,
}

/// Sums over all streams of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Published and never delivered.
    pub lost: u64,
    /// Delivered again.
    pub duplicated: u64,
    /// Delivered after a later one.
    pub out_of_order: u64,
}

impl Faults {
    /// Nothing lost, duplicated or out of order.
    pub(crate) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

impl Stream {
    /// Takes the next delivery.
    pub(crate) fn arrived(&mut self, sequence: u32) -> Arrival {
        if sequence == self.next {
            self.next += 1;
            return Arrival::InOrder;
        }
        if sequence > self.next {
            let skipped = sequence - self.next;
            self.missing.insert(self.next, sequence);
            self.next = sequence.saturating_add(1);
            return Arrival::Skipped(skipped);
        }
        if self.take_missing(sequence) { Arrival::Late } else { Arrival::Duplicate }
    }

    /// Messages that were published, `published` in all, and did not arrive.
    pub(crate) fn lost(&self, published: u32) -> u64 {
        let tail = u64::from(published.saturating_sub(self.next));
        tail + self.missing.iter().map(|(from, to)| u64::from(to - from)).sum::<u64>()
    }

    /// Forgets what is missing of the `published` messages so far, and returns how many those were.
    pub(crate) fn settle(&mut self, published: u32) -> u64 {
        let missed = self.lost(published);
        *self = Self { next: published.max(self.next), missing: BTreeMap::new() };
        missed
    }

    fn take_missing(&mut self, sequence: u32) -> bool {
        let missing = &mut self.missing;
        let Some((&from, &to)) = missing.range(..=sequence).next_back() else { return false };
        if sequence >= to {
            return false;
        }
        missing.remove(&from);
        if from < sequence {
            missing.insert(from, sequence);
        }
        if sequence + 1 < to {
            missing.insert(sequence + 1, to);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sequences: &[u32], last: Arrival, lost_of_ten: u64) {
        let mut stream = Stream::default();
        let arrivals: Vec<_> = sequences.iter().map(|&sequence| stream.arrived(sequence)).collect();
        assert_eq!(arrivals.last(), Some(&last));
        assert_eq!(stream.lost(10), lost_of_ten);
    }

    #[test]
    fn arrivals() {
        check(&[0, 1, 2], Arrival::InOrder, 7);
        check(&[0, 1, 1], Arrival::Duplicate, 8);
        check(&[0, 5], Arrival::Skipped(4), 8);
        check(&[0, 5, 3], Arrival::Late, 7);
        check(&[0, 5, 3, 3], Arrival::Duplicate, 7);
        check(&[0, 5, 3, 1, 2, 4, 6], Arrival::InOrder, 3);
        check(&[3, 0], Arrival::Late, 8);
        check(&[3, 2, 2], Arrival::Duplicate, 8);
    }
}
