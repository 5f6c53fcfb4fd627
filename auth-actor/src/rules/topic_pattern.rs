//! Patterns of rules for others who judge by them.

use mqtt_codec::topic::TopicError;

use super::Names;
use super::pattern::{Level, Part, Pattern, Unusable, covers, overlaps};

/// A topic filter in which `%c` stands for a client identifier and `%u` for a user name; also beside other text, and
/// always within one level. A name that could change the meaning of the filter (empty, with `/`, `+` or `#`, or making the
/// topic begin with `$`) stands for nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct TopicPattern(Pattern);

impl TopicPattern {
    /// Reads one; `%` before any other letter stands for itself.
    ///
    /// # Errors
    /// It is no topic filter.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        Pattern::parse(text).map(Self)
    }

    /// The first level, if that is the same text for all clients.
    pub fn first_level(&self) -> Option<&str> {
        match self.0.first_level() {
            Some(Level::Text(parts)) => match parts.as_slice() {
                [Part::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it matches every topic name that a topic filter, given by its levels, matches. A name that cannot stand in it
    /// makes it match nothing: for rules that allow.
    pub fn covers(&self, client_identifier: &str, user_name: Option<&str>, levels: &[&str]) -> bool {
        let names = Names { client_identifier, user_name };
        self.0.resolve(names, Unusable::NoMatch).is_some_and(|pattern| covers(&pattern, names, levels))
    }

    /// Whether it matches any topic name that a topic filter matches. A name that cannot stand in it makes it match
    /// everything below: for rules that deny.
    pub fn overlaps(&self, client_identifier: &str, user_name: Option<&str>, levels: &[&str]) -> bool {
        let names = Names { client_identifier, user_name };
        self.0
            .resolve(names, Unusable::MatchAllBelow)
            .is_some_and(|pattern| overlaps(&pattern, names, levels))
    }
}
