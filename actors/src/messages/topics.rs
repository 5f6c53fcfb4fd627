//! What a topic trie is asked.

use actix::prelude::*;
use micro_mq_core::routing::ToTrie;

/// Work for a topic trie, which is done in turns.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ForTrie(pub ToTrie);

/// What a topic trie says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrieObservation {
    /// Topic filters held.
    pub filters: usize,
    /// Shared groups whose home is here.
    pub groups: usize,
}

/// Asks for a [`TrieObservation`]; answered behind everything sent before.
#[derive(Debug, Message)]
#[rtype(result = "TrieObservation")]
pub struct ObserveTrie;
