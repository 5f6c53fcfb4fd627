//! Subscriptions.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::page::Order;

/// One subscription of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Whose it is.
    pub client_identifier: String,
    /// The node that has the session.
    pub node: String,
    /// Topic filter as the client wrote it, `$share/NAME/` included.
    pub filter: String,
    /// Share name; null unless it is a shared subscription.
    pub share: Option<String>,
    /// The highest QoS of what is sent to it.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether the client does not get what it publishes itself.
    pub no_local: bool,
    /// Whether RETAIN is sent on as it was published.
    pub retain_as_published: bool,
    /// Subscription identifier; null if it has none.
    pub identifier: Option<u32>,
    /// Whether the session is online.
    pub online: bool,
}

/// What subscriptions are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the field of that name
pub enum SubscriptionSort {
    #[default]
    ClientIdentifier,
    Filter,
    Qos,
}

/// Which subscriptions are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionsQuery {
    /// Rows at most, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// Where to go on: `next` of the page before, with the same parameters.
    pub cursor: Option<String>,
    /// What it is sorted by; what is equal there by client identifier and filter. Default `client_identifier`.
    #[param(inline)]
    pub sort: Option<SubscriptionSort>,
    /// Whether the smallest or the largest comes first. Default `asc`.
    #[param(inline)]
    pub order: Option<Order>,
    /// Client identifiers: one of these.
    pub client_identifier: Vec<String>,
    /// How the client identifier begins.
    pub client_prefix: Option<String>,
    /// Topic filters, as clients wrote them: one of these.
    pub filter: Vec<String>,
    /// How the topic filter begins.
    pub prefix: Option<String>,
    /// A topic name: subscriptions that match it, by wildcards too. Who would get what is published there.
    pub matches: Option<String>,
    /// Share names: one of these.
    pub share: Vec<String>,
    /// QoS: one of these.
    pub qos: Vec<u8>,
    /// Whether it is a shared subscription.
    pub shared: Option<bool>,
    /// Whether the session is online.
    pub online: Option<bool>,
}
