//! The topic trie actors: which sessions of a worker want a message, and getting it to them.

mod actor;
mod messages;

pub use actor::TopicTrie;
pub use messages::*;
#[cfg(feature = "panics")]
pub use micro_mq_core::topics::InjectPanic;
