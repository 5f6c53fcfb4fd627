//! What a client did wrong, and what it is told.

use mqtt_codec::{DecodeError, ReasonCode};

use super::effects::Ending;

/// Ends the network connection. The text is for the client's DISCONNECT and for the log; it never holds a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What a 5.0 client is told.
    pub reason: ReasonCode,
    /// What was wrong, with the clause where there is one.
    pub text: String,
}

impl Violation {
    /// For this reason.
    pub fn new(reason: ReasonCode, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        Self { reason: error.reason_code(), text: error.to_string() }
    }
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Self {
        Self { reason_string: Some(violation.text), ..Self::because(violation.reason) }
    }
}
