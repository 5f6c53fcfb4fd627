//! Topic names drawn at random for each message, and drawn again by whoever has to check where it went.

use crate::{
    random::mix,
    wire::{digits, put_digits},
};

/// A run draws the same numbers every time.
const SEED: u64 = 0x6D71_7474_2D62_656E;

/// Two numbers below `bound` for each message, written as two topic levels of fixed width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn {
    bound: u32,
    width: usize,
}

impl Drawn {
    /// Numbers from 0 to `bound` - 1; `bound` is above 0.
    pub(crate) fn new(bound: u32) -> Self {
        Self { bound, width: digits(bound - 1) }
    }

    /// The numbers of this message.
    pub(crate) fn numbers(self, publisher: u32, sequence: u32) -> [u32; 2] {
        let drawn = mix(SEED.wrapping_add(u64::from(publisher) << 32 | u64::from(sequence)));
        [drawn >> 32, drawn & u64::from(u32::MAX)].map(|half| ((half * u64::from(self.bound)) >> 32) as u32)
    }

    /// The two levels with zeros for digits.
    pub(crate) fn template(self) -> String {
        let zeros = "0".repeat(self.width);
        format!("{zeros}/{zeros}")
    }

    /// Writes the numbers of this message over the two levels at the start of `bytes`.
    pub(super) fn patch(self, bytes: &mut [u8], publisher: u32, sequence: u32) {
        let [first, second] = self.numbers(publisher, sequence);
        put_digits(&mut bytes[..self.width], first);
        put_digits(&mut bytes[self.width + 1..][..self.width], second);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_drawn_evenly_and_hardly_twice() {
        let drawn = Drawn::new(50_000);
        let pairs: Vec<_> = (0..10_000).map(|sequence| drawn.numbers(3, sequence)).collect();
        let distinct: HashSet<_> = pairs.iter().collect();
        assert!(distinct.len() > 9_990, "{} distinct names of 10,000", distinct.len());
        for half in 0..2 {
            let low = pairs.iter().filter(|pair| pair[half] < 25_000).count();
            assert!((4_800..5_200).contains(&low), "{low} of 10,000 in the lower half");
            assert!(pairs.iter().all(|pair| pair[half] < 50_000));
        }
        assert_ne!(drawn.numbers(0, 1), drawn.numbers(1, 0));
    }

    #[test]
    fn both_levels_are_written() {
        let drawn = Drawn::new(1000);
        let mut bytes = drawn.template().into_bytes();
        assert_eq!(bytes, b"000/000");
        drawn.patch(&mut bytes, 5, 6);
        let [first, second] = drawn.numbers(5, 6);
        assert_eq!(String::from_utf8_lossy(&bytes), format!("{first:03}/{second:03}"));
    }
}
