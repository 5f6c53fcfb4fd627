//! Retained messages: a new subscriber gets the last acknowledged one, or a later one.

use super::verdict::Fault;

/// What a publish with RETAIN 1 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is kept in place of the former one.
    Set,
    /// Its payload is empty: nothing is kept any more.
    Cleared,
}

/// The changes of one topic name, in order; its publisher has at most one of them in flight.
#[derive(Debug, Default)]
pub(super) struct Retained {
    changes: Vec<Change>,
    /// How many of them were acknowledged.
    acknowledged: usize,
}

/// What a new subscriber saw of one topic name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// So many changes were acknowledged as it sent its SUBSCRIBE.
    pub acknowledged: usize,
    /// The message that it got, by its number.
    pub message: Option<u32>,
}

impl Retained {
    /// A change was sent, with this number.
    pub(super) fn sent(&mut self, sequence: u32, change: Change) {
        if sequence as usize == self.changes.len() {
            self.changes.push(change);
        }
    }

    /// It was acknowledged.
    pub(super) fn acknowledge(&mut self, sequence: u32) {
        self.acknowledged = self.acknowledged.max(sequence as usize + 1);
    }

    /// See [`Seen::acknowledged`].
    pub(super) const fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Whether a subscriber has to get a message now: nothing that was or is being done clears it.
    pub(super) fn has_message(&self, acknowledged: usize) -> bool {
        acknowledged > 0 && self.changes[acknowledged - 1..].iter().all(|change| *change == Change::Set)
    }

    /// What is wrong with what a subscriber saw, as the end of a sentence.
    pub(super) fn judge(&self, seen: Seen) -> Option<(Fault, &'static str)> {
        let Seen { acknowledged, message } = seen;
        match message {
            Some(sequence) if self.changes.get(sequence as usize) != Some(&Change::Set) => {
                Some((Fault::Conduct, "which nobody set"))
            }
            Some(sequence) if (sequence as usize + 1) < acknowledged => {
                let cleared = self.changes[sequence as usize..acknowledged].contains(&Change::Cleared);
                Some((Fault::Retained, if cleared { "which was cleared" } else { "which was replaced" }))
            }
            None if self.has_message(acknowledged) => Some((Fault::Retained, "none")),
            _ => None,
        }
    }
}
