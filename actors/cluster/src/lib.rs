//! What decides in a cluster of Micro MQ nodes: the records that they write for each other, who is a member, what other
//! nodes have a match for, and when a subscription holds for all of them. Pure: no socket, no thread, no clock.
//!
//! Nodes tell each other by two topics of Kafka. `routes`, one compacted partition that all of them read, has a [`hello`]
//! of each node, its [`tick`]s, and its routes: the topic filters that have a subscriber there. `slots` has a partition
//! for each node, with the publishes that others send to it. The offset of a record of `routes` orders everything.
//!
//! [`hello`]: routes_log::Record::Hello
//! [`tick`]: routes_log::Record::Tick

pub mod routes_log;
pub mod slot_log;

pub mod members;
pub mod own_routes;
pub mod view;
pub mod window;

pub mod barrier;

#[cfg(test)]
mod tests;
