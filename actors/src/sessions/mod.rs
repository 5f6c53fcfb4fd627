//! Sessions: what outlives a network connection, and the actor at their home.

mod actor;
mod due;
mod full_disk;
mod keeping;
mod looking;
mod notices;
mod restoring;
mod takeover;
mod wills;
mod withdrawal;

pub use actor::Sessions;
pub(crate) use notices::carry_out;
