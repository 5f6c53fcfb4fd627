//! Topics: what is subscribed to and what is retained.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::page::Order;

/// A topic name or topic filter that somebody is subscribed to, or that has a retained message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Topic {
    /// Topic name or topic filter, without `$share/NAME/`.
    pub topic: String,
    /// Whether it has a wildcard.
    pub wildcard: bool,
    /// Subscriptions to exactly this, shared ones included.
    pub subscriptions: u64,
    /// Shared ones among them.
    pub shared_subscriptions: u64,
    /// Whether it has a retained message.
    pub retained: bool,
}

/// What topics are sorted by; those that are equal there by the topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the field of that name
pub enum TopicSort {
    #[default]
    Topic,
    Subscriptions,
    SharedSubscriptions,
}

/// Which topics are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TopicsQuery {
    /// Rows at most, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// Where to go on: `next` of the page before, with the same parameters.
    pub cursor: Option<String>,
    /// What it is sorted by. Default `topic`.
    #[param(inline)]
    pub sort: Option<TopicSort>,
    /// Whether the smallest or the largest comes first. Default `asc`.
    #[param(inline)]
    pub order: Option<Order>,
    /// How the topic begins.
    pub prefix: Option<String>,
    /// Whether it has a wildcard.
    pub wildcard: Option<bool>,
    /// Whether it has a retained message.
    pub retained: Option<bool>,
    /// Whether the node's own topics, which begin with `$SYS`, are among them. Default false.
    pub own: Option<bool>,
}

/// A level of the tree of topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicTreeNode {
    /// The topic up to and with this level.
    pub topic: String,
    /// This level.
    pub level: String,
    /// Whether there are levels below.
    pub has_children: bool,
    /// Subscriptions to exactly this.
    pub subscriptions: u64,
    /// Subscriptions to this and to all below.
    pub subscriptions_below: u64,
    /// Retained messages of this and of all below.
    pub retained_below: u64,
}

/// Which level of the tree is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TopicTreeQuery {
    /// Rows at most, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// Where to go on: `next` of the page before, with the same parameters.
    pub cursor: Option<String>,
    /// The topic whose next level is wanted. Default: the first level of all.
    pub parent: Option<String>,
    /// Whether the node's own topics, which begin with `$SYS`, are among them. Default false.
    pub own: Option<bool>,
}
