//! Sets of sequence numbers, a bit each.

use std::ops::Range;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequences {
    words: Vec<u64>,
    /// No word before this one lacks a bit.
    full: usize,
}

impl Sequences {
    /// Adds one; false if it was there.
    pub(super) fn insert(&mut self, sequence: u32) -> bool {
        let (at, bit) = place(sequence);
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let fresh = self.words[at] & bit == 0;
        self.words[at] |= bit;
        while self.words.get(self.full) == Some(&u64::MAX) {
            self.full += 1;
        }
        fresh
    }

    /// Whether it is there.
    pub(super) fn contains(&self, sequence: u32) -> bool {
        let (at, bit) = place(sequence);
        self.words.get(at).is_some_and(|word| word & bit != 0)
    }

    /// The first that is not there.
    pub(super) fn first_absent(&self) -> u32 {
        let word = self.words.get(self.full).copied().unwrap_or(0);
        self.full as u32 * u64::BITS + word.trailing_ones()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Those of this set within `range` that `other` lacks, in order.
    pub(super) fn beyond<'a>(
        &'a self,
        other: &'a Self,
        range: Range<u32>,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let first = place(range.start).0;
        let last = place(range.end).0.min(self.words.len().saturating_sub(1));
        let words = self.words.get(first..=last).unwrap_or(&[]);
        let lacking = words.iter().enumerate().map(move |(index, word)| {
            let at = first + index;
            (at, word & !other.words.get(at).copied().unwrap_or(0))
        });
        lacking
            .filter(|(_, bits)| *bits != 0)
            .flat_map(|(at, bits)| {
                let base = at as u32 * u64::BITS;
                (0..u64::BITS).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| base + bit)
            })
            .filter(move |sequence| range.contains(sequence))
    }
}

const fn place(sequence: u32) -> (usize, u64) {
    ((sequence / u64::BITS) as usize, 1 << (sequence % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(sequences: impl IntoIterator<Item = u32>) -> Sequences {
        let mut set = Sequences::default();
        sequences.into_iter().for_each(|sequence| assert!(set.insert(sequence)));
        set
    }

    #[test]
    fn a_sequence_is_added_once() {
        let mut some = set([3, 64, 200]);
        assert!(!some.insert(64) && some.contains(64) && !some.contains(65) && !some.contains(9_999));
        some.clear();
        assert!(!some.contains(64));
    }

    #[test]
    fn the_first_absent_one_follows() {
        assert_eq!(set([]).first_absent(), 0);
        assert_eq!(set([1]).first_absent(), 0);
        assert_eq!(set(0..64).first_absent(), 64);
        assert_eq!(set((0..200).rev().filter(|it| *it != 130)).first_absent(), 130);
    }

    #[test]
    fn what_another_lacks_is_told_within_a_range() {
        let (wanted, heard) = (set(0..300), set([0, 5, 100, 299]));
        assert_eq!(wanted.beyond(&heard, 99..102).collect::<Vec<_>>(), [99, 101]);
        assert_eq!(wanted.beyond(&heard, 0..300).count(), 296);
        assert_eq!(wanted.beyond(&heard, 300..900).count(), 0);
        assert_eq!(set([]).beyond(&heard, 0..900).count(), 0);
        assert_eq!(wanted.beyond(&set([]), 7..7).count(), 0);
    }
}
