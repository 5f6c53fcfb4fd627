//! What the auth actor answered this network connection.
//!
//! A verdict counts under the revision of the rules that it was asked for under, and under no other; where there was no
//! answer, the packet that waited for it is refused, and whatever comes next is asked for again.

use std::collections::HashMap;

use super::permission::{Action, Authorized, Verdicts, Wishes};

/// Topic names remembered; at this number all are forgotten and asked for again.
const REMEMBERED_MAX: usize = 256;
/// Bytes of those topic names: at this number as well. One may have 65,535.
const REMEMBERED_BYTES_MAX: usize = 64 * 1024;

/// What is known of a topic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be published to.
    Allowed,
    /// It may not.
    Denied,
    /// There was no answer, which allows nothing.
    Unanswered,
}

/// None allocated before the first question.
#[derive(Debug, Default)]
pub(super) struct Authorizations(Option<Box<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Verdicts given under another revision do not count.
    revision: u64,
    publish: HashMap<Box<str>, bool>,
    publish_bytes: usize,
    /// The answer that the packet which is stepped again waited for, as far as it is not in `publish`.
    fresh: Option<Authorized>,
}

impl Authorizations {
    pub(super) fn answer(&mut self, authorized: Authorized) {
        let known = self.0.get_or_insert_default();
        match (&authorized.verdicts, &*authorized.wishes) {
            (Some(Verdicts { answer, revision }), [(Action::Publish, topic)]) => {
                known.fresh = None;
                if known.revision != *revision
                    || known.publish.len() >= REMEMBERED_MAX
                    || known.publish_bytes >= REMEMBERED_BYTES_MAX
                {
                    known.publish.clear();
                    known.publish_bytes = 0;
                    known.revision = *revision;
                }
                known.publish_bytes += topic.len();
                known.publish.insert(topic.as_str().into(), answer == &[true]);
            }
            _ => known.fresh = Some(authorized),
        }
    }

    /// Whether publishing to a topic name is allowed, if that is known. That there was no answer is said once.
    pub(super) fn publish(&mut self, topic: &str, revision: u64) -> Option<Verdict> {
        let known = self.0.as_mut()?;
        if let Some(fresh) = known.fresh.take()
            && fresh.verdicts.is_none()
            && is_about(&fresh.wishes, Action::Publish, [topic].into_iter())
        {
            return Some(Verdict::Unanswered);
        }
        if known.revision != revision {
            return None;
        }
        let is_allowed = *known.publish.get(topic)?;
        Some(if is_allowed { Verdict::Allowed } else { Verdict::Denied })
    }

    /// The verdicts on the topic filters of the packet that is stepped again, if they were asked for; fewer than there
    /// are filters if there was no answer.
    pub(super) fn subscribe<'a>(
        &mut self,
        filters: impl ExactSizeIterator<Item = &'a str>,
        revision: u64,
    ) -> Option<Vec<bool>> {
        let fresh = self.0.as_mut()?.fresh.take()?;
        if !is_about(&fresh.wishes, Action::Subscribe, filters) {
            return None;
        }
        match fresh.verdicts {
            None => Some(Vec::new()),
            Some(given) => (given.revision == revision).then_some(given.answer),
        }
    }
}

/// Whether it was these that were asked for.
fn is_about<'a>(wishes: &Wishes, action: Action, mut topics: impl ExactSizeIterator<Item = &'a str>) -> bool {
    wishes.len() == topics.len()
        && wishes.iter().all(|(of, topic)| *of == action && topics.next() == Some(topic.as_str()))
}
