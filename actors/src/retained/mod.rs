//! Retained messages: one per topic name [MQTT-3.3.1-5], in one store of the node.

mod actor;

pub use actor::Retained;
