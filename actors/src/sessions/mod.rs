//! Sessions: what outlives a network connection, and the actor at their home.

mod actor;
mod due;
mod grants;
mod keeping;
mod messages;
mod notices;
mod restoring;
mod store;
mod takeover;
mod wills;

pub use actor::Sessions;
pub(crate) use grants::{given_grant, held_grant, remembered_until};
pub use keeping::KeepChanges;
pub use messages::*;
pub(crate) use notices::carry_out;
pub use restoring::{Restoration, Restoring};
pub(crate) use store::start_store;
#[cfg(feature = "simulation")]
pub(crate) use store::start_store_here;
pub use store::{
    Answer, Cursor, DiskBackend, DiskError, Durability, Fatal, Home, MemoryBackend, NoBackend, Piece,
    SessionBackend, SessionStore, StoreError, TakeInError,
};
pub use wills::WillsInDoubt;
