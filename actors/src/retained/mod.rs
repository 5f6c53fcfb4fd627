//! Retained messages: one per topic name [MQTT-3.3.1-5], in one store of the node.

mod actor;
mod charges;
mod messages;
mod moment;
mod order;
mod store;
#[cfg(test)]
mod tests;
mod underway;

pub use actor::{ObserveRetained, Query, Retained, RetainedObservation};
pub use charges::{Amount, Full, RetainedLimits};
pub use messages::RetainedMessages;
pub use moment::{Moment, PublishOrder, Stamping};
pub use store::{Piece, Rest, RetainedStore};
pub use underway::{RetainedPassage, RetainedUnderway};
