//! Topic filters: what a subscription asks for.

use super::scan::{SHORT_BYTES, holds_wildcard, is_wildcard, wildcards_from};
use super::{TopicError, matches, opaque_string, validate_extent};

/// A valid topic filter: 1 to 65535 bytes, `+` and `#` where they may stand [MQTT-4.7.1-1] [MQTT-4.7.1-2].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Box<str>);

opaque_string!(TopicFilter);

impl TopicFilter {
    /// Keeps a copy of a valid topic filter. `$share/...` is taken literally here; see
    /// [`SubscriptionFilter`](crate::SubscriptionFilter).
    ///
    /// # Errors
    /// What [`validate_topic_filter`] finds.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        validate_topic_filter(text)?;
        Ok(Self(text.into()))
    }

    /// Whether a message with this topic name is wanted; see [`matches()`].
    pub fn matches(&self, topic_name: &str) -> bool {
        matches(&self.0, topic_name)
    }

    /// Whether it holds `+` or `#`.
    pub fn has_wildcard(&self) -> bool {
        holds_wildcard(&self.0)
    }

    /// The parts between the slashes, empty ones included: `/a` has the levels `""` and `"a"`.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// Judges a topic filter.
///
/// # Errors
/// Empty, longer than 65535 bytes, NUL, or a wildcard that does not stand alone in its level; `#` has to be the
/// last level as well.
pub fn validate_topic_filter(text: &str) -> Result<(), TopicError> {
    validate_extent(text)?;
    let bytes = text.as_bytes();
    if bytes.len() >= SHORT_BYTES {
        return validate_wildcards_of_long(bytes);
    }
    for (at, byte) in bytes.iter().enumerate() {
        if is_wildcard(*byte) {
            validate_wildcard(bytes, at)?;
        }
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn validate_wildcards_of_long(bytes: &[u8]) -> Result<(), TopicError> {
    let mut from = 0;
    while let Some(at) = wildcards_from(bytes, from) {
        validate_wildcard(bytes, at)?;
        from = at + 1;
    }
    Ok(())
}

/// Whether the wildcard at a place is one that may stand there.
#[inline]
fn validate_wildcard(bytes: &[u8], at: usize) -> Result<(), TopicError> {
    let begins_level = at == 0 || bytes[at - 1] == b'/';
    if bytes[at] == b'#' {
        if !begins_level || at + 1 != bytes.len() {
            return Err(TopicError::MisplacedMultiLevelWildcard);
        }
    } else if !begins_level || !matches!(bytes.get(at + 1), None | Some(b'/')) {
        return Err(TopicError::MisplacedSingleLevelWildcard);
    }
    Ok(())
}
