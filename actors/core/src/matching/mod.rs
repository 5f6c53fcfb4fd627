//! Who wants a topic name: the subscriptions of one worker, and which workers have any.

mod directory;
mod look_ahead;
mod path_trie;
#[cfg(test)]
mod tests;
mod trie;

pub use directory::{Directory, LookUps, NAMES_TOGETHER, WORKERS_MAX};
pub use look_ahead::LookAhead;
pub use trie::{Matches, Subscriber, Trie};
