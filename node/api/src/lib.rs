//! What the admin API of a Micro MQ node is asked and answers: the types that its server and `micro-mq ctl` share, from
//! which its OpenAPI document is made.
//!
//! Times are seconds as fractions or milliseconds since 1970 (UTC), as the name of a field says; identifiers and topic
//! names are MQTT's.

mod actors;
mod changes;
mod cluster;
mod groups;
mod ledger;
mod nodes;
mod page;
mod problem;
mod retained;
mod sessions;
mod subscriptions;
mod topics;

pub use actors::{Actor, ActorsQuery};
pub use changes::{
    Concerned, DeleteRetained, KickClients, Publish, Published, RetainedPayload, Subscribe, Subscribed,
    Subscriber,
};
pub use cluster::{Cluster, Member};
pub use groups::{Group, GroupSort, GroupsQuery};
pub use ledger::Ledger;
pub use nodes::{Listener, ListenersQuery, Node, NodesQuery};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Order, Page};
pub use problem::Problem;
pub use retained::{RetainedMessage, RetainedQuery};
pub use sessions::{ClientsQuery, ProtocolVersion, Session, SessionSort, SessionsQuery, Will};
pub use subscriptions::{Subscription, SubscriptionSort, SubscriptionsQuery};
pub use topics::{Topic, TopicSort, TopicTreeNode, TopicTreeQuery, TopicsQuery};
