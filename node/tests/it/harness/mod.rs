//! A whole node in this process, and clients that speak to it packet by packet. Every wait has a deadline.

mod client;
mod node;
mod packets;

pub(crate) use client::Client;
pub(crate) use node::{HOMES_KEY, TestNode, on_node, on_nodes, settings, time_of_day};
pub(crate) use packets::{
    connect, durable, filter, identifier, numbered, options, publish, subscribe_packet, user_properties, will,
};

use std::time::Duration;

/// For each wait: far above what a slow machine takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
