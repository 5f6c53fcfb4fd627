//! The tables of a node that is one of several.

use serde::Deserialize;

/// Whether, and as whom, the node is part of a cluster. Table `[cluster]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Whether it is. Default false.
    pub enabled: bool,
    /// Its name, which no other node has; must be set where it is part of one. Default "".
    pub node: String,
    /// The partition of the topic `slots` that it reads, 0 to 63; -1: the next that no other node has. Default -1.
    pub slot: i16,
    /// Bytes of publishes that may be on their way to other nodes: half of it is for QoS 1 and 2 alone, and no client has
    /// more than an eighth. Default 67108864 (64 MiB).
    pub forward_bytes_max: usize,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { enabled: false, node: String::new(), slot: -1, forward_bytes_max: 64 * 1024 * 1024 }
    }
}

/// How Kafka is reached, which the nodes of a cluster tell each other by. Table `[kafka]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port` of some brokers, with commas between them. Default "127.0.0.1:9092".
    pub brokers: String,
    /// What the names of topics begin with: nodes with the same prefix are one cluster. Default "micromq".
    pub prefix: String,
    /// Whether topics that are missing are created. Default true.
    pub create_topics: bool,
    /// Replicas of topics that are created; 0: three, or as many as there are brokers. Default 0.
    pub replication: u16,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            prefix: "micromq".to_owned(),
            create_topics: true,
            replication: 0,
        }
    }
}
