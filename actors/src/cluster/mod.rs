//! A node of a cluster: what its workers send to the other nodes, by Kafka, and learn from them.
//!
//! [`Cluster`] is what the workers have of it, and waits for nothing. Behind it work threads of their own: the forwarder
//! ([`forwarder`]), which produces all records; the reader ([`reader`]), which reads `routes`, keeps the view of what other
//! nodes have a match for, and says that this one lives; and the consumer ([`consumer`]) of what other nodes send here.
//! Invariant: nothing that asks Kafka is on the path of a PUBLISH.

mod consumer;
mod figures;
mod forwarder;
mod handle;
mod kafka;
mod options;
mod queue;
mod reader;
mod status;
mod threads;

pub use handle::{Cluster, Host};
pub use kafka::ClusterError;
pub use options::{ClusterOptions, KafkaOptions};
pub use status::{ClusterStatus, MemberStatus};
pub use threads::ClusterThreads;
