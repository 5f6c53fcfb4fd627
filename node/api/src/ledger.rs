//! What became of messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of clients' messages since the node started: matched + restored = delivered + queued + dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ledger {
    /// Publishes routed.
    pub published: u64,
    /// Publishes that matched no subscription.
    pub unmatched: u64,
    /// One per message and subscription that wants a copy of it.
    pub matched: u64,
    /// Came back with their sessions when the node started.
    pub restored: u64,
    /// QoS 0 written to the socket, QoS 1 and 2 acknowledged.
    pub delivered: u64,
    /// Waiting, those in flight included.
    pub queued: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Whether the sum holds; may be false while messages are on their way between actors.
    pub balanced: bool,
    /// The same of the node's own messages, `$SYS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub own: Option<Box<Ledger>>,
}
