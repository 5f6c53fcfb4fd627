//! Nodes and where they listen.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A node of the cluster, or the only one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Whether it is the one that answers.
    pub own: bool,
    /// Whether it serves everybody.
    pub ready: bool,
    /// Why not; null if it does.
    pub reason: Option<String>,
    /// Since when it runs, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// For how long, in seconds.
    pub uptime_seconds: f64,
    /// Its workers.
    pub workers: u64,
    /// Network connections of clients.
    pub connections: u64,
    /// Network connections at most.
    pub connections_max: u64,
    /// Sessions, online and offline.
    pub sessions: u64,
    /// Those that a network connection holds.
    pub sessions_online: u64,
    /// Subscriptions, shared ones included.
    pub subscriptions: u64,
    /// Shared ones among them.
    pub shared_subscriptions: u64,
    /// Retained messages.
    pub retained_messages: u64,
    /// Bytes of those.
    pub retained_bytes: u64,
    /// Messages that wait for clients.
    pub queued: u64,
    /// Bytes of the messages that wait, and of wills.
    pub queued_bytes: u64,
    /// Messages published by clients since it started.
    pub published: u64,
    /// Messages that matched no subscription.
    pub unmatched: u64,
    /// Messages delivered to clients.
    pub delivered: u64,
    /// Messages dropped.
    pub dropped: u64,
    /// Messages published per second since the look before, as long as somebody looks more often than every 30 seconds;
    /// null at the first look.
    pub published_per_second: Option<f64>,
    /// Messages delivered per second, likewise.
    pub delivered_per_second: Option<f64>,
    /// Messages dropped per second, likewise.
    pub dropped_per_second: Option<f64>,
}

/// Which nodes are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodesQuery {
    /// Names: one of these.
    pub name: Vec<String>,
}

/// Where a node listens for clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listener {
    /// The node that has it.
    pub node: String,
    /// Its name in the configuration.
    pub name: String,
    /// Address and port.
    pub address: String,
}

/// Which listeners are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListenersQuery {
    /// Names: one of these.
    pub name: Vec<String>,
}
