//! The session store: makes durable sessions last, by a backend on a thread of its own.
//!
//! Workers send it records of what changed, in entries that are answered when they last; at the start of a node each worker
//! gets its sessions back in pieces. No record tells of the messages, which live with the sessions themselves.

mod backend;
mod disk;
mod memory;
mod none;
mod restoration;
mod thread;

pub use backend::{Answer, Cursor, Home, IsFull, Piece, SessionBackend, StoreError};
pub use disk::{DiskBackend, DiskError, Inspection, KeptThere, TakeInError, inspect};
pub use memory::MemoryBackend;
#[cfg(feature = "simulation")]
pub(crate) use memory::piece_of;
pub use micro_mq_store::{Durability, Fatal, LogSummary};
pub use none::NoBackend;
pub use restoration::Restoration;
pub(crate) use restoration::{DONE, FAILED, Restoring};
pub(crate) use thread::start_store;
#[cfg(feature = "simulation")]
pub(crate) use thread::start_store_here;
pub use thread::{SessionStore, Trouble};
