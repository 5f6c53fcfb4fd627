//! Health, metrics and ledger over HTTP/1.1, on a thread of its own: it answers even while the workers do not.
//!
//! Everything is bounded: network connections, bytes of a request's head, the time for it, for an answer, and for a
//! network connection as a whole. Bodies of requests are never read.

mod host;
mod routes;
mod server;
mod source;

pub(crate) use server::CONNECTIONS_MAX;
pub use server::{AdminListener, AdminServer};
pub use source::{AdminError, AdminSource, Answer};
