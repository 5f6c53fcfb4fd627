//! What a topic trie does belongs to somebody, who takes turns with all others ([`Lanes`](super::lanes::Lanes)).

use crate::ids::GroupKey;
use crate::message::Batch;

/// What a piece of work belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The client whose identifier has this hash.
    Client(u64),
    /// A shared group: what waits in it, what comes back to it, and what its home has for members here.
    Group(GroupKey),
    /// What another worker asks for.
    Worker(u16),
    /// The node's own.
    Own,
}

impl Owner {
    /// Whose publishes a batch holds: the same for all network connections of a client.
    #[inline]
    pub fn of(batch: &Batch) -> Self {
        match batch.publisher {
            Some(_) => Self::Client(batch.publisher_hash),
            None => Self::Own,
        }
    }
}
