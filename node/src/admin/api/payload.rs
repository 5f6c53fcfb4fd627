//! Payloads in JSON: as text, or in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use micro_mq_api::Publish;

/// The payload of a message that is to be published.
pub(super) fn decoded(message: &Publish) -> Result<Vec<u8>, String> {
    match (&message.payload, &message.payload_base64) {
        (Some(_), Some(_)) => Err("payload: is given twice, as text and in base64".to_owned()),
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| format!("payload_base64: is no base64: {error}"))
        }
        (None, None) => Ok(Vec::new()),
    }
}

/// A payload in base64 and, if it is UTF-8, as text.
pub(super) fn encoded(payload: &[u8]) -> (String, Option<String>) {
    (STANDARD.encode(payload), std::str::from_utf8(payload).ok().map(str::to_owned))
}
