//! Topic tries: which sessions of a worker want a message, and getting it to them.

mod actor;
mod changes;
mod deliver;
mod dispatch;
mod endings;
mod handoff;
mod messages;
mod recovery;
mod route;
#[cfg(test)]
mod tests;

pub use actor::TopicTrie;
pub use messages::*;
