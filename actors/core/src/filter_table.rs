//! Something for each of very many topic filters, found by one look-up. Pure.
//!
//! A hash table that grows moves all that it holds, and hashes it again: with 100,000 filters, or long ones, everybody
//! would wait for whoever adds the next one. So a table that is no longer small is many, each of which grows by itself.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::hash_table::{self, Entry};
use hashbrown::{DefaultHashBuilder, HashTable};

/// Filters, and what they take, of a table that is one piece.
const SMALL_MAX: usize = 512;
/// Their bytes: with longer ones it is fewer.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Parts of a table that is not small.
const PARTS: usize = 256;
/// Room that a part keeps, however little it holds.
const KEPT_CAPACITY: usize = 32;

type Part<V> = HashTable<(Arc<str>, V)>;

#[derive(Debug)]
enum Parts<V> {
    Small(Part<V>),
    Many(Box<[Part<V>; PARTS]>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FilterTable<V> {
    hasher: DefaultHashBuilder,
    parts: Parts<V>,
    len: usize,
    /// Bytes of its filters, as long as it is small.
    small_bytes: usize,
    /// The most that was moved by one change.
    #[cfg(test)]
    moved_max: usize,
}

impl<V> Default for FilterTable<V> {
    fn default() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            parts: Parts::Small(HashTable::new()),
            len: 0,
            small_bytes: 0,
            #[cfg(test)]
            moved_max: 0,
        }
    }
}

fn part_of(hash: u64) -> usize {
    // Other bits than those by which a part finds its places.
    (hash >> 40) as usize % PARTS
}

impl<V> FilterTable<V> {
    /// How many filters it holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn part(&self, hash: u64) -> &Part<V> {
        match &self.parts {
            Parts::Small(part) => part,
            Parts::Many(parts) => &parts[part_of(hash)],
        }
    }

    fn part_mut(&mut self, hash: u64) -> &mut Part<V> {
        match &mut self.parts {
            Parts::Small(part) => part,
            Parts::Many(parts) => &mut parts[part_of(hash)],
        }
    }

    /// What a filter has.
    #[inline]
    pub(crate) fn get(&self, filter: &str) -> Option<&V> {
        if self.len == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(filter);
        self.part(hash).find(hash, |(own, _)| **own == *filter).map(|(_, value)| value)
    }

    /// What a filter has, to change it.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut V> {
        let hash = self.hasher.hash_one(filter);
        self.part_mut(hash).find_mut(hash, |(own, _)| **own == *filter).map(|(_, value)| value)
    }

    /// What a filter has; if it has nothing, what `new` makes for it.
    pub(crate) fn get_or_insert_with(&mut self, filter: &Arc<str>, new: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one(&**filter);
        self.divide_if_large();
        #[cfg(test)]
        self.note_moved(hash);
        let Self { hasher, parts, len, small_bytes, .. } = self;
        let part = match parts {
            Parts::Small(part) => part,
            Parts::Many(parts) => &mut parts[part_of(hash)],
        };
        match part.entry(hash, |(own, _)| **own == **filter, |(own, _)| hasher.hash_one(&**own)) {
            Entry::Occupied(held) => &mut held.into_mut().1,
            Entry::Vacant(place) => {
                *len += 1;
                *small_bytes += filter.len();
                &mut place.insert((Arc::clone(filter), new())).into_mut().1
            }
        }
    }

    /// Gives a filter something. Returns what it had.
    pub(crate) fn insert(&mut self, filter: Arc<str>, value: V) -> Option<V> {
        let mut value = Some(value);
        let held = self.get_or_insert_with(&filter, || value.take().expect("it is made once"));
        value.map(|value| std::mem::replace(held, value))
    }

    /// Takes a filter out.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<(Arc<str>, V)> {
        let Self { hasher, parts, len, small_bytes, .. } = self;
        let hash = hasher.hash_one(filter);
        let part = match parts {
            Parts::Small(part) => part,
            Parts::Many(parts) => &mut parts[part_of(hash)],
        };
        let held = part.find_entry(hash, |(own, _)| **own == *filter).ok()?;
        let (removed, _) = held.remove();
        // A burst of filters leaves no memory behind.
        if part.capacity() > KEPT_CAPACITY && part.len() < part.capacity() / 8 {
            part.shrink_to(part.len(), |(own, _)| hasher.hash_one(&**own));
        }
        *len -= 1;
        *small_bytes -= filter.len();
        if *len == 0 {
            *parts = Parts::Small(HashTable::new());
        }
        Some(removed)
    }

    /// In how many pieces it can be looked at.
    pub(crate) fn pieces(&self) -> usize {
        match &self.parts {
            Parts::Small(_) => 1,
            Parts::Many(parts) => parts.len(),
        }
    }

    /// One of its pieces, in no order: some hundred filters at most, or few long ones, as long as it did not grow at one
    /// place alone.
    pub(crate) fn piece(&self, piece: usize) -> impl Iterator<Item = (&Arc<str>, &V)> {
        let part = match &self.parts {
            Parts::Small(part) => (piece == 0).then_some(part),
            Parts::Many(parts) => parts.get(piece),
        };
        part.into_iter().flat_map(hash_table::HashTable::iter).map(|(filter, value)| (filter, value))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        let parts = match &self.parts {
            Parts::Small(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts.as_slice(),
        };
        parts.iter().flat_map(hash_table::HashTable::iter).map(|(filter, value)| (filter, value))
    }

    fn divide_if_large(&mut self) {
        let Parts::Small(small) = &mut self.parts else { return };
        if self.len < SMALL_MAX && self.small_bytes < SMALL_BYTES_MAX {
            return;
        }
        let mut parts: Box<[Part<V>; PARTS]> = Box::new(std::array::from_fn(|_| HashTable::new()));
        for (filter, value) in small.drain() {
            let hash = self.hasher.hash_one(&*filter);
            let rehash = |(own, _): &(Arc<str>, V)| self.hasher.hash_one(&**own);
            parts[part_of(hash)].insert_unique(hash, (filter, value), rehash);
        }
        self.parts = Parts::Many(parts);
    }

    #[cfg(test)]
    fn note_moved(&mut self, hash: u64) {
        let part = self.part(hash);
        let moved = if part.len() == part.capacity() { part.len() } else { 0 };
        self.moved_max = self.moved_max.max(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn name(number: usize) -> Arc<str> {
        number.to_string().into()
    }

    /// Whoever adds one moves few of the others, however many there are.
    #[test]
    fn it_grows_a_part_at_a_time() {
        let mut table = FilterTable::default();
        (0..100_000).for_each(|number| assert_eq!(table.insert(name(number), number), None));
        assert!(table.moved_max <= 1024, "{}", table.moved_max);
        assert_eq!(table.len(), 100_000);
        assert!((0..100_000).all(|number| table.get(&name(number)) == Some(&number)));
        assert!((0..100_000).all(|number| table.remove(&name(number)) == Some((name(number), number))));
        assert!(table.len() == 0 && matches!(table.parts, Parts::Small(_)));
    }

    /// Of long filters fewer are moved.
    #[test]
    fn long_ones_are_few_in_a_part() {
        let mut table = FilterTable::default();
        let long = |number: usize| -> Arc<str> { format!("{number}{}", "x".repeat(60_000)).into() };
        (0..500).for_each(|number| assert_eq!(table.insert(long(number), number), None));
        assert!(table.moved_max <= 32, "{}", table.moved_max);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(steps in proptest::collection::vec((0..900usize, any::<bool>()), 0..3000)) {
            let (mut table, mut model) = (FilterTable::default(), BTreeMap::new());
            for (step, (number, adds)) in steps.into_iter().enumerate() {
                if adds {
                    prop_assert_eq!(table.insert(name(number), step), model.insert(name(number), step));
                } else {
                    prop_assert_eq!(table.remove(&name(number)), model.remove_entry(&name(number)));
                }
                prop_assert_eq!(table.len(), model.len());
            }
            let held: BTreeMap<_, _> = table.iter().map(|(name, step)| (Arc::clone(name), *step)).collect();
            prop_assert_eq!(held, model);
        }
    }
}
