//! What is to be seen of a cluster from one of its nodes.

use super::options::ClusterOptions;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// This node's name.
    pub node: String,
    /// Its slot, once it is a member.
    pub slot: Option<u8>,
    /// Which of its lives this is: the offset of its hello.
    pub incarnation: Option<u64>,
    /// Whether it knows what other nodes have a match for.
    pub fresh: bool,
    /// The offset of the last record of `routes` that it has applied.
    pub applied: Option<u64>,
    /// Topic filters with a subscriber here.
    pub own_routes: usize,
    /// Topic filters with a subscriber on other nodes, once for each of those.
    pub routes: usize,
    /// Bytes on their way to other nodes.
    pub window_bytes: usize,
    /// What is wrong with Kafka; none if nothing.
    pub kafka_trouble: Option<String>,
    /// All members, this node included.
    pub members: Vec<MemberStatus>,
}

/// A member, as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its name.
    pub node: String,
    /// Its slot.
    pub slot: u8,
    /// Which of its lives.
    pub incarnation: u64,
    /// Where other nodes reach it.
    pub address: String,
    /// The offset of the last record of `routes` that it has said it has applied.
    pub applied: Option<u64>,
    /// Whether it has shown lately that it lives.
    pub alive: bool,
    /// How far its clock is from this node's, in milliseconds, less what its tick took to be read.
    pub clock_skew_ms: Option<i64>,
}

impl ClusterStatus {
    pub(super) fn of(options: &ClusterOptions) -> Self {
        Self {
            node: options.node.clone(),
            slot: None,
            incarnation: None,
            fresh: false,
            applied: None,
            own_routes: 0,
            routes: 0,
            window_bytes: 0,
            kafka_trouble: None,
            members: Vec::new(),
        }
    }
}
