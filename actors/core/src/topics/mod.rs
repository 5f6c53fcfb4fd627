//! What the topic trie of one worker decides: which sessions want a topic name, whose turn it is, and getting messages
//! to them.
//!
//! What one client asks for is done in the order received, and clients take turns ([`Lanes`](crate::routing::Lanes)), a
//! bounded piece at a time: whoever asks for very much, be it a fan-out to very many, filters that are slow to look up or
//! thousands of changes, makes neither other clients wait nor the worker's connections.
//! Invariant: the directory names this worker for a filter before a `Subscribe` or `Join` is answered.

mod dispatch;
mod endings;
mod fan_out;
mod handoff;
mod leaving;
mod member_desk;
mod recovery;
mod router;
mod subscribing;
#[cfg(test)]
mod tests;
mod turn;

pub use turn::{Topics, Watch};
