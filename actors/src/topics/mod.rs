//! Topic tries: which sessions of a worker want a message, and getting it to them.

mod actor;
mod current;
mod deliver;
mod dispatch;
mod handoff;
mod lanes;
mod messages;
mod owner;
mod route;
#[cfg(test)]
mod tests;

pub use actor::TopicTrie;
pub use messages::*;
pub use owner::Owner;
