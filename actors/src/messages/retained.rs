//! What the retained actor is asked.

use std::sync::Arc;

use actix::prelude::*;
use micro_mq_core::retained::Piece;

/// Asks for the next messages of several topic filters, in this order; what does not fit is left for another time.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Piece>")]
pub struct Query {
    /// Topic filters, and the topic names behind which to go on.
    pub filters: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// Messages at most.
    pub messages_max: usize,
    /// Bytes at most, one message apart.
    pub bytes_max: usize,
}

/// What the retained actor says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetainedObservation {
    /// Messages kept.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Asks for a [`RetainedObservation`]; answered behind everything sent before.
#[derive(Debug, Message)]
#[rtype(result = "RetainedObservation")]
pub struct ObserveRetained;
