//! Numbers of nodes by a hash of what they are found by. Pure.
//!
//! A place holds 32 bits of the hash beside the number, and the upper bits of these are where it belongs: eight places
//! lie in one cache line, a look at the nodes themselves is only taken where the bits agree, and neither growing nor
//! closing a gap looks at any. A table of the usual kind needs two cache lines for each step, its control bytes and its
//! bucket, and the nodes when it grows.

/// No node: number 0 is the root, which is nobody's child.
const EMPTY: u64 = 0;
const LEAST_PLACES: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct ChildTable {
    /// A power of two of them, at most two thirds of them taken.
    places: Vec<u64>,
    used: usize,
}

fn hash_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

impl ChildTable {
    pub(super) fn new() -> Self {
        Self { places: vec![EMPTY; LEAST_PLACES], used: 0 }
    }

    /// Where it belongs: it stands there or behind it, with no empty place in between.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.places.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn first_empty(&self, hash: u32) -> usize {
        let mut at = self.home(hash);
        while self.places[at] != EMPTY {
            at = self.next(at);
        }
        at
    }

    /// The node with this hash that `is_it`.
    #[expect(
        clippy::inline_always,
        reason = "once per level of a look-up; left to the compiler, it depends on what else is in the crate"
    )]
    #[inline(always)]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let entry = self.places[at];
            if hash_of(entry) == hash && entry != EMPTY && is_it(entry as u32) {
                return Some(entry as u32);
            }
            if entry == EMPTY {
                return None;
            }
            at = self.next(at);
        }
    }

    /// What is read first to find a node with this hash: to have it read before it is needed.
    pub(super) fn touch(&self, hash: u32) -> u64 {
        self.places[self.home(hash)]
    }

    /// Adds a node that is not there yet.
    pub(super) fn insert(&mut self, hash: u32, node: u32) {
        self.used += 1;
        if self.used * 3 > self.places.len() * 2 {
            let more = vec![EMPTY; self.places.len() * 2];
            for entry in std::mem::replace(&mut self.places, more) {
                if entry != EMPTY {
                    let at = self.first_empty(hash_of(entry));
                    self.places[at] = entry;
                }
            }
        }
        let at = self.first_empty(hash);
        self.places[at] = (u64::from(hash) << 32) | u64::from(node);
    }

    /// Removes a node that is there.
    pub(super) fn remove(&mut self, hash: u32, node: u32) {
        let mut gap = self.home(hash);
        while self.places[gap] as u32 != node {
            if self.places[gap] == EMPTY {
                return;
            }
            gap = self.next(gap);
        }
        self.used -= 1;
        // What stands behind it moves up, unless it would come to stand before its home.
        let (mut at, last) = (gap, self.places.len() - 1);
        loop {
            at = self.next(at);
            let entry = self.places[at];
            if entry == EMPTY {
                break;
            }
            let from_home = at.wrapping_sub(self.home(hash_of(entry))) & last;
            if from_home >= at.wrapping_sub(gap) & last {
                self.places[gap] = entry;
                gap = at;
            }
        }
        self.places[gap] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    /// Few different ones, at both ends of the table: long runs that reach beyond its end.
    fn hash(index: u32) -> u32 {
        ((index / 4 * 7) << 29) + index % 4
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((1..60_u32, 0..8_u32, any::<bool>()), 1..200)) {
            let mut table = ChildTable::new();
            let mut model = BTreeMap::new();
            for (node, index, add) in steps {
                match model.entry(node) {
                    Entry::Vacant(place) if add => table.insert(*place.insert(hash(index)), node),
                    Entry::Occupied(place) if !add => table.remove(place.remove(), node),
                    Entry::Vacant(_) | Entry::Occupied(_) => {}
                }
                for node in 1..60 {
                    let mut found =
                        (0..8).map(hash).filter(|hash| table.find(*hash, |other| other == node).is_some());
                    prop_assert_eq!(found.next(), model.get(&node).copied());
                    prop_assert_eq!(found.next(), None);
                }
            }
            prop_assert_eq!(table.used, model.len());
            prop_assert_eq!(table.places.iter().filter(|entry| **entry != EMPTY).count(), model.len());
        }
    }
}
