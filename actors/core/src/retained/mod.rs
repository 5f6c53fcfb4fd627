//! Retained messages: one per topic name [MQTT-3.3.1-5], in one store of the node.

mod charges;
mod messages;
mod order;
mod store;
#[cfg(test)]
mod tests;
mod underway;

pub use charges::{Amount, Full, RetainedLimits};
pub use messages::RetainedMessages;
pub use store::{EXAMINED_MAX, Piece, Rest, RetainedStore};
pub use underway::{RetainedPassage, RetainedUnderway, Through};
