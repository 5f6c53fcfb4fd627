//! What a simulated node has to live with.

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions {
    /// The auth actor is asked although it allows everything: packets wait for its answer.
    pub asks: bool,
    /// Workers take turns in an order that this draws, stand still now and then, and are told late of what clients sent;
    /// without it all go on in the order in which they are woken.
    pub interleaved_by: Option<u64>,
}
