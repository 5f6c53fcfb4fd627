//! What changes of durable sessions, on its way to the session store: one batch of a worker at a time.

use std::sync::Arc;

use crate::subscriptions::Subscription;

/// A change of one durable session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionChange {
    /// Whose session.
    pub client_identifier: Arc<str>,
    /// What changed.
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It exists, or its session expiry interval (seconds) is another.
    Exists {
        /// In seconds.
        expiry_interval: u32,
    },
    /// It has this subscription, in place of an earlier one to the same filter.
    Subscribed(Arc<str>, Subscription),
    /// It has no subscription to this filter any more.
    Unsubscribed(Arc<str>),
    /// It ended.
    Ended,
}

/// How far a store has come: each batch that it keeps has a later one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Where the changes of one worker's sessions are.
#[derive(Debug, Default)]
pub struct Changes {
    /// Not sent yet, in the order in which they happened.
    waiting: Vec<SessionChange>,
    /// A batch is with the store.
    is_under_way: bool,
    /// The batch that was sent last was not kept, and is sent again in a while.
    waits_for_store: bool,
    /// Nothing was kept since.
    is_failing: bool,
    /// As far as the store has kept what was sent.
    kept: Position,
}

impl Changes {
    /// Notes a change. Returns whether somebody has to see to it that it is sent.
    pub fn push(&mut self, client_identifier: &str, change: Change) -> bool {
        let is_first = self.waiting.is_empty() && !self.is_under_way && !self.waits_for_store;
        self.waiting.push(SessionChange { client_identifier: client_identifier.into(), change });
        is_first
    }

    /// It is time to send what waits. Returns whether something is to be sent now: then [`next_batch`](Self::next_batch)
    /// gives it.
    pub fn begin(&mut self) -> bool {
        self.waits_for_store = false;
        if self.waiting.is_empty() || self.is_under_way {
            return false;
        }
        self.is_under_way = true;
        true
    }

    /// What is to be sent next, when the batch before is kept.
    pub fn next_batch(&mut self) -> Option<Arc<[SessionChange]>> {
        self.is_under_way = !self.waiting.is_empty();
        self.is_under_way.then(|| std::mem::take(&mut self.waiting).into())
    }

    /// A batch was kept. Returns whether it is the first since one was not.
    pub fn note_kept(&mut self, position: Position) -> bool {
        debug_assert!(position > self.kept, "what was sent later is kept later");
        self.kept = position;
        std::mem::take(&mut self.is_failing)
    }

    /// A batch was not kept: it is sent again, before what changed since. Returns whether it is the first of which that is
    /// so.
    pub fn put_back(&mut self, batch: &[SessionChange]) -> bool {
        self.waiting.splice(..0, batch.iter().cloned());
        (self.is_under_way, self.waits_for_store) = (false, true);
        !std::mem::replace(&mut self.is_failing, true)
    }

    /// What was not sent.
    #[cfg(test)]
    pub(crate) fn into_waiting(self) -> Vec<SessionChange> {
        self.waiting
    }

    /// Whether a batch is with the store.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(batch: &[SessionChange]) -> Vec<&str> {
        batch.iter().map(|change| &*change.client_identifier).collect()
    }

    /// One batch at a time, and what was not kept goes before what changed since.
    #[test]
    fn what_was_not_kept_goes_first() {
        let mut changes = Changes::default();
        assert!(!changes.begin(), "there is nothing");
        assert!(changes.push("a", Change::Ended) && !changes.push("b", Change::Ended));
        assert!(changes.begin() && !changes.begin());
        let batch = changes.next_batch().unwrap();
        assert_eq!(texts(&batch), ["a", "b"]);
        assert!(!changes.push("c", Change::Ended), "whoever waits for the store sends it");
        assert!(changes.put_back(&batch) && !changes.is_under_way());
        assert!(!changes.push("d", Change::Ended), "it is sent when the store is tried again");
        assert!(changes.begin());
        assert_eq!(texts(&changes.next_batch().unwrap()), ["a", "b", "c", "d"]);
        assert!(changes.note_kept(Position(1)) && !changes.note_kept(Position(2)));
        assert!(changes.next_batch().is_none() && !changes.is_under_way());
    }
}
