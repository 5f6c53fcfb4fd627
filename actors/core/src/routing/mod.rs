//! What a topic trie has to do: whose turn it is, and how far a batch is on its way to those who want it.

mod current;
mod lanes;
mod owner;

pub use current::{Current, Position, Stage};
pub use lanes::{Epoch, Lanes, Ticket};
pub use owner::Owner;
