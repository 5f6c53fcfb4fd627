//! Shared subscriptions.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::page::Order;

/// A shared subscription: a share name and a topic filter, and the sessions that share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// `$share/NAME/FILTER`, as its members wrote it.
    pub full_filter: String,
    /// Share name.
    pub share: String,
    /// Topic filter inside it.
    pub filter: String,
    /// The node that has it.
    pub node: String,
    /// The worker that picks its members.
    pub worker: u16,
    /// Its members.
    pub members: u64,
    /// Those that are online.
    pub members_online: u64,
    /// Messages that wait in it, since no member can take them.
    pub queued: u64,
    /// Bytes of those.
    pub queued_bytes: u64,
}

/// What groups are sorted by; those that are equal there by their full filters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the field of that name
pub enum GroupSort {
    #[default]
    FullFilter,
    Members,
    MembersOnline,
    Queued,
    QueuedBytes,
}

/// Which groups are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GroupsQuery {
    /// Rows at most, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// Where to go on: `next` of the page before, with the same parameters.
    pub cursor: Option<String>,
    /// What it is sorted by. Default `full_filter`.
    #[param(inline)]
    pub sort: Option<GroupSort>,
    /// Whether the smallest or the largest comes first. Default `asc`.
    #[param(inline)]
    pub order: Option<Order>,
    /// Share names: one of these.
    pub share: Vec<String>,
    /// How the topic filter inside it begins.
    pub prefix: Option<String>,
    /// At least so many messages wait in it.
    pub queued_min: Option<u64>,
}
