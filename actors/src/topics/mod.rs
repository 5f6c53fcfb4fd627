//! The topic trie actors: when each has its turn.

mod actor;

pub use actor::TopicTrie;
