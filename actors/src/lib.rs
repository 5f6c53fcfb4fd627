//! The actors of a Micro MQ node, and what carries out what `micro-mq-core` decides.
//!
//! A node has one thread per worker and one for control. On a worker live the [`connection`] actors, one
//! [`topics::TopicTrie`] and one [`sessions::Sessions`]; on the control thread [`retained::Retained`] and
//! [`metrics::Metrics`]. The auth actor has a thread of its own, and so has the backend of the
//! [`sessions::SessionStore`]. [`Node::start`] starts all of it. Nothing in here reads files, the environment or signals.

mod admin;
mod clock;
pub mod connection;
pub mod metrics;
mod node;
pub mod retained;
pub mod sessions;
mod shutdown;
#[cfg(feature = "simulation")]
pub mod simulation;
mod supervision;
mod throttle;
pub mod topics;
pub mod worker;

pub use admin::{AdminHandle, ClientLedger, NodeLedger, Readiness, Unanswered};
pub use connection::transport::{AllowedOrigins, OriginError, PacketsPerFrame, WebSocketOptions};
pub use connection::{Listener, ListenerKind};
pub use node::{BindError, Node, NodeOptions, RunningNode, StartError, bind_errors, workers};
pub use shutdown::ShutdownReport;
pub use supervision::Place;
pub use throttle::Throttle;
