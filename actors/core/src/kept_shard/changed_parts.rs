//! Which parts of a shard are other than its last checkpoint has them.

use std::collections::BTreeMap;

use super::key::Key;

/// Each with whether the last checkpoint has it.
#[derive(Debug, Default)]
pub(super) struct Changed(pub(super) BTreeMap<Key, bool>);

impl Changed {
    /// Whether a part is other than the last checkpoint has it, or was.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// A part changes, begins or ends; `is_there` says whether it was there until now.
    pub(super) fn touch(&mut self, key: Key, is_there: bool) {
        self.0.entry(key).or_insert(is_there);
    }
}
