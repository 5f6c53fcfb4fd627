//! Which parts of a shard are other than its last checkpoint has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::records::{CopyId, Position, Publisher};

/// A part of a shard that a checkpoint has by itself, in the order in which it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Applied,
    Message(Position),
    Session(Arc<str>),
    Subscription(Arc<str>, Arc<str>),
    Copy(Arc<str>, CopyId),
    Waiting(Arc<str>, Position),
    Retained(Arc<str>),
    Seen(Publisher),
}

/// Each with whether the last checkpoint has it.
#[derive(Debug, Default)]
pub(super) struct Changed(pub(super) BTreeMap<Key, bool>);

impl Changed {
    /// A part changes, begins or ends; `is_there` says whether it was there until now.
    pub(super) fn touch(&mut self, key: Key, is_there: bool) {
        self.0.entry(key).or_insert(is_there);
    }
}
