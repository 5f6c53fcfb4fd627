//! The cluster, as one of its nodes sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The cluster, as the node that answers sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// The name of the node that answers.
    pub node: String,
    /// Its slot; null while it is no member.
    pub slot: Option<u8>,
    /// Which of its lives this is; null while it is no member.
    pub incarnation: Option<u64>,
    /// Whether it knows what other nodes have a match for; if not, QoS 1 and 2 wait.
    pub fresh: bool,
    /// The offset of the last record of `routes` that it has applied; null before the first.
    pub applied: Option<u64>,
    /// Topic filters with a subscriber at this node.
    pub own_routes: u64,
    /// Topic filters with a subscriber at other nodes, once for each of those.
    pub routes: u64,
    /// Bytes of publishes on their way to other nodes.
    pub forward_bytes: u64,
    /// What is wrong with Kafka; null if nothing.
    pub kafka_trouble: Option<String>,
    /// All members, the one that answers included.
    pub members: Vec<Member>,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its name.
    pub node: String,
    /// Its slot.
    pub slot: u8,
    /// Which of its lives this is.
    pub incarnation: u64,
    /// Where other nodes reach it; empty: nowhere.
    pub address: String,
    /// The offset of the last record of `routes` that it says it has applied; null before it said any.
    pub applied: Option<u64>,
    /// Whether it has shown in the last 5 seconds that it lives.
    pub alive: bool,
    /// How far its clock is ahead of that of the node that answers, in milliseconds, less what its word took to be read;
    /// null before it said any.
    pub clock_skew_ms: Option<i64>,
}
