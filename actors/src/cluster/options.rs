//! What a node of a cluster is told.

use std::fmt;
use std::sync::Arc;

use super::kafka::ClusterError;

/// See the module.
#[derive(Clone)]
pub struct ClusterOptions {
    /// The name of this node, which no other has.
    pub node: String,
    /// The slot that it asks for; none: the next one that is free.
    pub slot: Option<u8>,
    /// Where other nodes reach its cluster port; empty: nowhere.
    pub address: String,
    /// Bytes of publishes that may be on their way to other nodes.
    pub forward_bytes_max: usize,
    /// How Kafka is reached.
    pub kafka: KafkaOptions,
    /// Told when the node can be no member any more.
    pub end: Arc<dyn Fn(ClusterError) + Send + Sync>,
}

impl fmt::Debug for ClusterOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClusterOptions").field("node", &self.node).finish_non_exhaustive()
    }
}

/// How Kafka is reached.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// `HOST:PORT,...`
    pub brokers: String,
    /// What the names of the topics begin with.
    pub prefix: String,
    /// Whether topics that are missing are created.
    pub create_topics: bool,
    /// Replicas of those; 0: three, or as many as there are brokers.
    pub replication: u16,
    /// Largest packet of a client, in bytes.
    pub packet_bytes_max: usize,
}

impl KafkaOptions {
    /// The topic of routes.
    pub fn routes(&self) -> String {
        format!("{}.routes", self.prefix)
    }

    /// The topic with a partition for each node.
    pub fn slots(&self) -> String {
        format!("{}.slots", self.prefix)
    }
}
