//! What a client needs permission for, and the verdicts on it.

use std::time::Instant;

/// What a client wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publish to a topic name.
    Publish,
    /// Subscribe to a topic filter.
    Subscribe,
}

/// What a packet asks permission for: topic names to publish to, topic filters to subscribe to, without `$share/` and
/// share name.
pub type Wishes = Vec<(Action, String)>;

/// What was said to wishes.
#[derive(Debug)]
pub struct Verdicts {
    /// One for each wish, in order.
    pub answer: Vec<bool>,
    /// The rules by which it was said. Under any others it does not count.
    pub revision: u64,
    /// Until when one may be remembered beside; none: as long as those rules are in force. It serves the packet that waits
    /// for it in any case.
    pub until: Option<Instant>,
}

/// The answer to the question that a packet waits for.
#[derive(Debug)]
pub struct Authorized {
    /// What was asked for.
    pub wishes: Wishes,
    /// None if there was no answer.
    pub verdicts: Option<Verdicts>,
}
