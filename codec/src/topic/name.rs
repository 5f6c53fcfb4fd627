//! Topic names: what a message is published to.

use super::scan::holds_wildcard;
use super::{TopicError, opaque_string, validate_extent};

/// A valid topic name: 1 to 65535 bytes without wildcards and NUL [MQTT-4.7.3-1] [MQTT-3.3.2-2].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Box<str>);

opaque_string!(TopicName);

impl TopicName {
    /// Keeps a copy of a valid topic name.
    ///
    /// # Errors
    /// What [`validate_topic_name`] finds.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        validate_topic_name(text)?;
        Ok(Self(text.into()))
    }
}

/// Judges a topic name.
///
/// # Errors
/// Empty, longer than 65535 bytes, NUL, or a wildcard.
pub fn validate_topic_name(text: &str) -> Result<(), TopicError> {
    validate_extent(text)?;
    if holds_wildcard(text) {
        return Err(TopicError::WildcardInName);
    }
    Ok(())
}
