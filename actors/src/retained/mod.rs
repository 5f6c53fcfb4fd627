//! Retained messages: one per topic name [MQTT-3.3.1-5], kept by one actor of the node.

mod actor;
mod store;
#[cfg(test)]
mod tests;

pub use actor::{Keep, ObserveRetained, Query, Retained, RetainedObservation};
pub use store::{Piece, Rest, RetainedStore};
