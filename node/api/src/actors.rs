//! The actors of a node.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The actors of one kind on one thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// The node that has them.
    pub node: String,
    /// The worker whose thread they live on; null: that of no worker.
    pub worker: Option<u16>,
    /// Their kind.
    pub kind: String,
    /// How many live.
    pub live: u64,
    /// Messages sent to them and not handled.
    pub waiting: u64,
    /// Messages they handled.
    pub handled: u64,
    /// How often one was started anew after a panic.
    pub restarts: u64,
    /// The time from sending to handling that half of the messages sampled stay below, in seconds; null without any.
    pub waiting_p50_seconds: Option<f64>,
    /// That 99 of 100 stay below.
    pub waiting_p99_seconds: Option<f64>,
    /// The time of handling that half of the messages sampled stay below, in seconds; null without any.
    pub handling_p50_seconds: Option<f64>,
    /// That 99 of 100 stay below.
    pub handling_p99_seconds: Option<f64>,
}

/// Which actors are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActorsQuery {
    /// Kinds: one of these.
    pub kind: Vec<String>,
}
