//! What others are to do for a worker.

use std::ops::Range;

use crate::ids::SessionKey;
use crate::message::Batch;
use crate::routing::{Reply, ToTrie};
use crate::session::Will;

/// Something that a worker leaves to be done, in the order in which it asks for it.
#[derive(Debug)]
pub enum Errand {
    /// The topic trie of a worker is sent this.
    ToTrie(u16, ToTrie),
    /// A change of subscriptions is in force here: who waits for it is told, with the numbers of the subscriptions whose
    /// retained messages are to be sent.
    InForce(Reply, Range<u64>),
    /// A defect lost a change of subscriptions: who waits for it is told.
    Lost(Reply),
    /// A will is due. It is published ([`WorkerState::route_will`](super::WorkerState::route_will)) if the rules in force
    /// allow it.
    WillDue {
        /// Whose it is.
        publisher: SessionKey,
        /// The hash of its client identifier.
        publisher_hash: u64,
        /// The will.
        will: Box<Will>,
    },
    /// Publishes that a client was held up with when it went set out, unless the rules have changed since.
    LeftBehind(SessionKey, Box<Batch>),
    /// The topic trie of this worker was made anew after a panic: all sessions actors are told.
    TrieMadeAnew,
}
