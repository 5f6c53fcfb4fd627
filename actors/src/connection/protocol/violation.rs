//! What a client did wrong, and what it is told.

use mqtt_codec::{DecodeError, ReasonCode};

use crate::connection::effects::Ending;

/// Ends the network connection. The text is for the client's DISCONNECT and for the log; it never holds a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub reason: ReasonCode,
    pub text: String,
}

impl Violation {
    pub(crate) fn new(reason: ReasonCode, text: impl Into<String>) -> Self {
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
