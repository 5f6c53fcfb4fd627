//! What the auth actor answered this network connection.
//!
//! A verdict counts under the revision of the rules that it was asked for under, and under no other, and no longer than
//! until it ends; where there was no
//! answer, the packet that waited for it is refused, and whatever comes next is asked for again.

use std::collections::HashMap;
use std::time::Instant;

use super::permission::{Action, Authorized, Wishes};

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

impl Verdict {
    fn of(is_allowed: bool) -> Self {
        if is_allowed { Self::Allowed } else { Self::Denied }
    }
}

/// None allocated before the first question.
#[derive(Debug, Default)]
pub(super) struct Authorizations(Option<Box<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Verdicts given under another revision do not count.
    revision: u64,
    /// Each verdict, and until when it may be remembered if not until the rules change.
    publish: HashMap<Box<str>, (bool, Option<Instant>)>,
    publish_bytes: usize,
    /// The answer that the packet which is stepped again waited for, as far as it is not in `publish`.
    fresh: Option<Authorized>,
}

impl Authorizations {
    pub(super) fn answer(&mut self, authorized: Authorized) {
        let known = self.0.get_or_insert_default();
        match (&authorized.verdicts, &*authorized.wishes) {
            (Some(verdicts), [(Action::Publish, topic)]) => {
                if known.revision != verdicts.revision
                    || known.publish.len() >= REMEMBERED_MAX
                    || known.publish_bytes >= REMEMBERED_BYTES_MAX
                {
                    known.publish.clear();
                    known.publish_bytes = 0;
                    known.revision = verdicts.revision;
                }
                let remembered = (verdicts.answer == [true], verdicts.until);
                if known.publish.insert(topic.as_str().into(), remembered).is_none() {
                    known.publish_bytes += topic.len();
                }
                // However soon that ends, the packet that waits for it is served.
                known.fresh = verdicts.until.is_some().then_some(authorized);
            }
            _ => known.fresh = Some(authorized),
        }
    }

    /// Whether publishing to a topic name is allowed, if that is known. That there was no answer is said once.
    pub(super) fn publish(&mut self, topic: &str, revision: u64, now: Instant) -> Option<Verdict> {
        let known = self.0.as_mut()?;
        if let Some(fresh) = known.fresh.take()
            && is_about(&fresh.wishes, Action::Publish, [topic].into_iter())
        {
            match fresh.verdicts {
                None => return Some(Verdict::Unanswered),
                Some(given) if given.revision == revision => {
                    return Some(Verdict::of(given.answer == [true]));
                }
                Some(_) => {}
            }
        }
        if known.revision != revision {
            return None;
        }
        let (is_allowed, until) = *known.publish.get(topic)?;
        until.is_none_or(|until| now < until).then_some(Verdict::of(is_allowed))
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
