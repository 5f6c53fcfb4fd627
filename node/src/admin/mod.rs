//! Health, metrics, the admin API and the console over HTTP/1.1, on a thread of its own: it answers even while the workers do not.
//!
//! Everything is bounded: network connections, bytes of a request's head and body, the time for it, for an answer, and for
//! a network connection as a whole.

mod api;
mod extract;
mod host;
mod problem;
mod router;
mod server;
mod source;

pub use api::document;
pub(crate) use server::CONNECTIONS_MAX;
pub use server::{AdminListener, AdminServer};
pub use source::{AdminError, AdminSource, Answer};
