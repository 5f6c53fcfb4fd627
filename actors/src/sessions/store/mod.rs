//! The session store: makes durable sessions last, by a backend on a thread of its own.
//!
//! Workers send it what changed, in batches that are answered when they last; at the start of a node each worker gets its
//! sessions back in pieces. The memory backend keeps who the sessions are and what they subscribe to for as long as the
//! process runs; their messages live with the sessions themselves.

mod backend;
mod disk;
mod memory;
mod thread;

pub use micro_mq_core::changes::{Change, Position, SessionChange};

pub use backend::{Answer, Home, Piece, SessionBackend, StoreError, StoredSession};
pub use disk::{DiskBackend, DiskError, EncodingError};
pub use memory::MemoryBackend;
pub use micro_mq_store::{Durability, Fatal};
pub use thread::SessionStore;
pub(crate) use thread::start_store;
#[cfg(feature = "simulation")]
pub(crate) use thread::start_store_here;
