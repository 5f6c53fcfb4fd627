//! What waits until all members have read a record.

use std::collections::BTreeMap;

/// See the module. Whatever waits has the offset of a record.
#[derive(Debug)]
pub struct Barrier<T> {
    waiting: BTreeMap<u64, Vec<T>>,
}

impl<T> Default for Barrier<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<T> Barrier<T> {
    /// Waits until all have read this offset.
    pub fn wait(&mut self, offset: u64, waiting: T) {
        self.waiting.entry(offset).or_default().push(waiting);
    }

    /// All have read up to here. Returns who waited for that, in order.
    pub fn passed(&mut self, offset: u64) -> Vec<T> {
        let later = match offset.checked_add(1) {
            Some(next) => self.waiting.split_off(&next),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.waiting, later).into_values().flatten().collect()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Nobody waits any more. Returns who did.
    pub fn clear(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_values().flatten().collect()
    }
}
