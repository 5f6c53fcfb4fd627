//! Topic names, topic filters and shared subscriptions: one validation and one matching for every place
//! where a topic appears.

mod filter;
mod matching;
mod name;
mod scan;
mod shared;

pub use filter::{TopicFilter, validate_topic_filter};
pub use matching::matches;
pub use name::{TopicName, validate_topic_name};
pub use scan::{count_levels, holds_wildcard};
pub use shared::{SharedFilter, SubscriptionFilter};

/// Longest topic name or topic filter in bytes [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65535;

/// Why a string is not a topic name, a topic filter or a shared filter.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TopicError {
    /// It has no character.
    #[error("is empty [MQTT-4.7.3-1]")]
    Empty,
    /// It has more than 65535 bytes.
    #[error("has {bytes} bytes, more than 65535 [MQTT-4.7.3-3]")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It holds U+0000.
    #[error("holds the character U+0000 [MQTT-4.7.3-2]")]
    NulCharacter,
    /// A topic name holds `+` or `#`.
    #[error("topic name holds a wildcard [MQTT-3.3.2-2]")]
    WildcardInName,
    /// `#` is not the last character, or does not stand alone in its level.
    #[error("# is not alone in the last level [MQTT-4.7.1-1]")]
    MisplacedMultiLevelWildcard,
    /// `+` does not stand alone in its level.
    #[error("+ is not alone in its level [MQTT-4.7.1-2]")]
    MisplacedSingleLevelWildcard,
    /// The share name of a shared filter is empty.
    #[error("share name is empty [MQTT-4.8.2-1]")]
    EmptyShareName,
    /// The share name of a shared filter holds `/`, `+` or `#`.
    #[error("share name holds /, + or # [MQTT-4.8.2-2]")]
    InvalidShareName,
    /// A shared filter has nothing behind its share name.
    #[error("share name is not followed by / and a topic filter [MQTT-4.8.2-2]")]
    ShareNameWithoutFilter,
}

/// What every topic string must keep: some bytes, not too many, no NUL.
fn validate_extent(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { bytes: text.len() });
    }
    if text.as_bytes().contains(&0) {
        return Err(TopicError::NulCharacter);
    }
    Ok(())
}

/// The traits that an opaque validated string needs.
macro_rules! opaque_string {
    ($name:ident) => {
        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Equal, ordered and hashed as its text is, so a map can be asked with a `&str`.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::TopicError;

            fn from_str(text: &str) -> Result<Self, $crate::TopicError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(topic: $name) -> Self {
                topic.0.into()
            }
        }
    };
}
use opaque_string;
