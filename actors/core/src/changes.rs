//! What changes of durable sessions, on its way to the session store: one batch of a worker at a time.

use std::sync::Arc;

use crate::completion::{Condition, Conditions};
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

/// Changes that are sent together.
#[derive(Debug)]
pub struct Batch {
    /// In the order in which they happened.
    pub changes: Arc<[SessionChange]>,
    gates: Vec<Condition>,
}

impl Batch {
    /// It is kept: whoever waits for that is told.
    pub fn open_gates(self) {
        self.gates.into_iter().for_each(Condition::done);
    }
}

/// Where the changes of one worker's sessions are.
#[derive(Debug, Default)]
pub struct Changes {
    /// Not sent yet, in the order in which they happened.
    waiting: Vec<SessionChange>,
    /// A batch is with the store.
    is_under_way: bool,
    /// The batch that was sent last was not kept, and is sent again in a while.
    waits_for_store: bool,
    /// What is told to clients when those that wait are kept.
    gates: Vec<Condition>,
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

    /// Whoever is told of what was noted last waits until that is kept. Returns whether it is to be sent now.
    pub fn gate(&mut self, conditions: &Conditions) -> bool {
        if self.waiting.is_empty() && !self.is_under_way {
            return false;
        }
        self.gates.push(conditions.open(0, 1));
        !self.waits_for_store
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
    pub fn next_batch(&mut self) -> Option<Batch> {
        self.is_under_way = !self.waiting.is_empty();
        let changes = std::mem::take(&mut self.waiting).into();
        let batch = Batch { changes, gates: std::mem::take(&mut self.gates) };
        if self.is_under_way {
            Some(batch)
        } else {
            // Who waits for nothing new waited for the batch before.
            batch.open_gates();
            None
        }
    }

    /// A batch was kept. Returns whether it is the first since one was not.
    pub fn note_kept(&mut self, position: Position) -> bool {
        debug_assert!(position > self.kept, "what was sent later is kept later");
        self.kept = position;
        std::mem::take(&mut self.is_failing)
    }

    /// A batch was not kept: it is sent again, before what changed since. Returns whether it is the first of which that is
    /// so.
    pub fn put_back(&mut self, batch: Batch) -> bool {
        self.waiting.splice(..0, batch.changes.iter().cloned());
        self.gates.splice(..0, batch.gates);
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
    use crate::completion::State;

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.changes.iter().map(|change| &*change.client_identifier).collect()
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
        assert!(changes.put_back(batch) && !changes.is_under_way());
        assert!(!changes.push("d", Change::Ended), "it is sent when the store is tried again");
        assert!(changes.begin());
        assert_eq!(texts(&changes.next_batch().unwrap()), ["a", "b", "c", "d"]);
        assert!(changes.note_kept(Position(1)) && !changes.note_kept(Position(2)));
        assert!(changes.next_batch().is_none() && !changes.is_under_way());
    }

    /// Whoever waits hears when what was noted before is kept, be it with a batch that is under way already.
    #[test]
    fn gates_open_when_it_is_kept() {
        let mut changes = Changes::default();
        let (nothing, first, second) = (Conditions::default(), Conditions::default(), Conditions::default());
        assert!(!changes.gate(&nothing) && nothing.of(0).is_none());
        changes.push("a", Change::Ended);
        assert!(changes.gate(&first) && changes.begin());
        let batch = changes.next_batch().unwrap();
        changes.gate(&second);
        assert!(changes.put_back(batch));
        assert!(!changes.gate(&Conditions::default()), "it is sent again in a while");
        assert!(changes.begin());
        let batch = changes.next_batch().unwrap();
        let late = Conditions::default();
        changes.gate(&late);
        let state = |conditions: &Conditions| conditions.of(0).unwrap().state();
        assert_eq!([&first, &second, &late].map(state), [State::Open; 3]);
        batch.open_gates();
        assert_eq!([&first, &second, &late].map(state), [State::Done, State::Done, State::Open]);
        assert!(changes.next_batch().is_none());
        assert_eq!(state(&late), State::Done);
    }
}
