//! Shared subscriptions: `$share/{share name}/{topic filter}`.

use std::fmt;

use super::{TOPIC_BYTES_MAX, TopicError, TopicFilter};

const PREFIX: &str = "$share/";

/// A topic filter whose messages are shared out among the subscribers with the same share name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedFilter {
    /// At least one character, none of `/`, `+`, `#` [MQTT-4.8.2-1] [MQTT-4.8.2-2].
    pub share_name: String,
    /// The topic filter behind the share name.
    pub filter: TopicFilter,
}

impl fmt::Display for SharedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.share_name, self.filter)
    }
}

/// What stands in a SUBSCRIBE or UNSUBSCRIBE: a topic filter, shared or not. `Display` gives it as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubscriptionFilter {
    /// A subscription of one session.
    Plain(TopicFilter),
    /// A subscription shared by several sessions.
    Shared(SharedFilter),
}

impl SubscriptionFilter {
    /// Reads a filter; the prefix `$share/` decides which kind it is.
    ///
    /// ```
    /// use mqtt_codec::{SubscriptionFilter, TopicError};
    ///
    /// let filter = SubscriptionFilter::parse("$share/meters/power/+")?;
    /// assert_eq!(filter.share_name(), Some("meters"));
    /// assert_eq!(filter.topic_filter().as_str(), "power/+");
    /// assert_eq!(SubscriptionFilter::parse("$share//power"), Err(TopicError::EmptyShareName));
    /// # Ok::<(), TopicError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the topic filter or the share name.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let Some(shared) = text.strip_prefix(PREFIX) else {
            return Ok(Self::Plain(TopicFilter::new(text)?));
        };
        if text.len() > TOPIC_BYTES_MAX {
            return Err(TopicError::TooLong { bytes: text.len() });
        }
        let (share_name, filter) = match shared.split_once('/') {
            Some((share_name, filter)) => (share_name, Some(filter)),
            None => (shared, None),
        };
        if share_name.is_empty() {
            return Err(TopicError::EmptyShareName);
        }
        if share_name.contains(['+', '#']) {
            return Err(TopicError::InvalidShareName);
        }
        if share_name.contains('\0') {
            return Err(TopicError::NulCharacter);
        }
        match filter {
            None | Some("") => Err(TopicError::ShareNameWithoutFilter),
            Some(filter) => Ok(Self::Shared(SharedFilter {
                share_name: share_name.to_owned(),
                filter: TopicFilter::new(filter)?,
            })),
        }
    }

    /// The topic filter, without `$share/` and share name.
    pub fn topic_filter(&self) -> &TopicFilter {
        match self {
            Self::Plain(filter) | Self::Shared(SharedFilter { filter, .. }) => filter,
        }
    }

    /// The share name of a shared subscription.
    pub fn share_name(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Shared(shared) => Some(&shared.share_name),
        }
    }
}

impl fmt::Display for SubscriptionFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(filter) => filter.fmt(f),
            Self::Shared(shared) => shared.fmt(f),
        }
    }
}

impl std::str::FromStr for SubscriptionFilter {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}
