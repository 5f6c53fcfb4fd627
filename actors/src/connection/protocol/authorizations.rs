//! What the auth actor answered this network connection.

use std::collections::HashMap;

use auth_actor::Action;

/// Topic names remembered; at this number all are forgotten and asked for again.
const REMEMBERED_MAX: usize = 256;
/// Bytes of those topic names: at this number as well. One may have 65,535.
const REMEMBERED_BYTES_MAX: usize = 64 * 1024;

/// None allocated before the first question.
#[derive(Debug, Default)]
pub(super) struct Authorizations(Option<Box<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Answers given under another revision do not count.
    revision: u64,
    publish: HashMap<Box<str>, bool>,
    publish_bytes: usize,
    /// The answers to the packet that is stepped again.
    fresh: Vec<bool>,
}

impl Authorizations {
    pub(super) fn answer(&mut self, questions: Vec<(Action, String)>, answers: Vec<bool>, revision: u64) {
        let known = self.0.get_or_insert_default();
        if known.revision != revision
            || known.publish.len() >= REMEMBERED_MAX
            || known.publish_bytes >= REMEMBERED_BYTES_MAX
        {
            known.publish.clear();
            known.publish_bytes = 0;
            known.revision = revision;
        }
        for ((action, topic), answer) in questions.into_iter().zip(&answers) {
            if action == Action::Publish {
                known.publish_bytes += topic.len();
                known.publish.insert(topic.into_boxed_str(), *answer);
            }
        }
        known.fresh = answers;
    }

    /// Whether publishing to a topic name is allowed, if that is known.
    pub(super) fn publish(&mut self, topic: &str, revision: u64) -> Option<bool> {
        let known = self.0.as_mut()?;
        // Asked a moment ago: it counts even if permissions changed in between.
        let fresh = std::mem::take(&mut known.fresh);
        if known.revision != revision && fresh.is_empty() {
            return None;
        }
        known.publish.get(topic).copied()
    }

    /// The answers to the questions of the packet that is stepped again.
    pub(super) fn take_fresh(&mut self) -> Option<Vec<bool>> {
        let fresh = std::mem::take(&mut self.0.as_mut()?.fresh);
        (!fresh.is_empty()).then_some(fresh)
    }
}
