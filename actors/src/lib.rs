//! The actors of a Micro MQ node, and what carries out what `micro-mq-core` decides.
//!
//! A node has one thread per worker and one for control. On a worker live the [`connection`] actors, one
//! [`topics::TopicTrie`] and one [`sessions::Sessions`]; on the control thread [`retained::Retained`] and
//! [`metrics::Metrics`]. The auth actor has a thread of its own, and so has the backend of the
//! [`store::SessionStore`]. [`Node::start`] starts all of it. Nothing in here reads files, the environment or signals.

mod clock;
mod permit;
mod supervision;
mod throttle;
mod turns;

mod client_lines;
mod grants;
pub mod stats;
pub mod transport;

pub mod messages;
pub mod store;

pub mod cluster;

pub mod worker;

pub mod connection;
pub mod retained;
pub mod topics;

pub mod metrics;
pub mod sessions;
mod threads;

mod admin;

mod node;

mod shutdown;
#[cfg(feature = "simulation")]
pub mod simulation;

pub use admin::{AdminHandle, ClientLedger, NodeLedger, Readiness, Unanswered, dropped_by};
pub use connection::{Listener, ListenerKind};
pub use messages::CurrentAddress;
pub use node::{BindError, Node, NodeOptions, RunningNode, StartError, bind_errors, workers};
pub use shutdown::ShutdownReport;
pub use throttle::Throttle;
pub use transport::{AllowedOrigins, OriginError, PacketsPerFrame, Tls, WebSocketOptions};
