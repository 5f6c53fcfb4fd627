//! Links between the nodes of a cluster: what they tell each other directly, and not by way of a log.
//!
//! Every node listens on its cluster port and dials the others, so between two nodes there are two network connections;
//! on each only whoever dialed tells something. What is told is bytes, at most once, and in order as long as a connection
//! lasts: whoever needs an answer asks again when [`Event::Up`] says that the other one is back. A node shows that it
//! belongs to the cluster by a certificate (both ways), or, on loopback alone, by a key that is never sent.

mod frame;
mod greeting;

mod options;
mod queue;

mod stream;

mod accept;
mod dial;

mod links;
#[cfg(test)]
mod tests;

pub use frame::FrameError;
pub use greeting::Disagreement;
pub use links::Links;
pub use options::{Event, LinksOptions, LinksOptionsError, Security};
pub use queue::{LinkStatus, NotSent};
