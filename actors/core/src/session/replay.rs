//! Retained messages on their way to a new subscription: fetched a piece at a time, at the pace of the reader.
//!
//! A subscription begins at one moment ([`Moment`]). What was retained then comes first, topic name by topic name; what is
//! published behind it waits in the session's queue until the replay has passed its topic name.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use mqtt_codec::matches;

use crate::filter_table::FilterTable;
use crate::message::Publication;
use crate::moment::Moment;
use crate::subscriptions::Subscription;

/// With more replays than this a message is not compared with each, but waits for all of them.
const COMPARED_MAX: usize = 16;

/// One subscription whose retained messages are not all sent.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its topic filter.
    pub filter: Arc<str>,
    /// Options and identifier it was made with.
    pub subscription: Subscription,
    /// The topic name behind which the next piece begins.
    pub after: Option<Arc<str>>,
    /// When it was made: what is retained since then comes by itself.
    pub since: Moment,
    /// Where what is retained belongs among what waits for the client.
    pub turn: ReplayPlace,
}

/// Where what is retained for a subscription belongs among what waits for its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayPlace {
    /// The last place in the session's queues when the subscription began: it comes ahead of all that waits behind it.
    pub place: u64,
    /// Whether the client subscribes anew to what it had. What waits then may be what the retained messages replaced.
    pub renews: bool,
}

impl Replay {
    /// Whether a message with this place was published behind the subscription's moment, and what was retained for its
    /// topic name is still to be sent.
    fn is_before(&self, publication: &Publication<'_>, place: u64) -> bool {
        publication.stamp > self.since.stamp()
            && place > self.turn.place
            && self.after.as_deref().is_none_or(|after| publication.topic > after)
            && matches(&self.filter, publication.topic)
    }

    /// Whether the other one is the same, and as far.
    pub fn is(&self, other: &Self) -> bool {
        self.filter == other.filter && self.after == other.after && self.since == other.since
    }
}

/// Those that are left, in the order subscribed. A client may have 100,000 of them, and change thousands at once: each is
/// found without a search. There is one per topic filter, but for those whose SUBACK is still to be sent: each SUBSCRIBE
/// is answered with what is retained.
#[derive(Debug, Default)]
pub struct PendingReplays {
    /// The first one is in force; of the others, those whose number is in `latest`, and those not yet answered.
    order: VecDeque<(u64, Replay)>,
    latest: FilterTable<u64>,
    next: u64,
    /// Those with lower numbers belong to SUBSCRIBEs that are answered.
    answered: u64,
}

impl PendingReplays {
    /// How many there are, at least.
    fn len(&self) -> usize {
        self.latest.len()
    }

    /// Appends one, in place of an earlier one for the same filter. Returns its number.
    pub fn push_back(&mut self, replay: Replay) -> u64 {
        self.next += 1;
        self.latest.insert(Arc::clone(&replay.filter), self.next);
        self.order.push_back((self.next, replay));
        self.forget_outdated();
        self.next
    }

    /// Removes that of a filter, if there is one.
    pub fn remove(&mut self, filter: &str) {
        if self.latest.remove(filter).is_some() {
            self.forget_outdated();
        }
    }

    /// The SUBSCRIBE with these is answered, as those before it are.
    pub fn answer(&mut self, replays: &Range<u64>) {
        self.answered = self.answered.max(replays.end);
        self.forget_outdated();
    }

    /// No answer is to be sent any more.
    pub(crate) fn answer_all(&mut self) {
        self.answered = self.next + 1;
        self.forget_outdated();
    }

    /// Whether the first one is one of these.
    pub(crate) fn begins_with(&self, replays: &Range<u64>) -> bool {
        self.order.front().is_some_and(|(number, _)| replays.contains(number))
    }

    /// The first ones, at most so many, of those with a number below `end`.
    pub fn first(&self, count: usize, end: u64) -> Vec<Replay> {
        let in_force = self.order.iter().take_while(|(number, _)| *number < end);
        in_force
            .filter(|(number, replay)| self.is_in_force(*number, replay))
            .map(|(_, replay)| replay.clone())
            .take(count)
            .collect()
    }

    /// Those whose SUBSCRIBE is answered have lower numbers.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// The first one.
    pub fn front(&self) -> Option<&Replay> {
        self.order.front().map(|(_, replay)| replay)
    }

    /// The first one, to go on from another topic name.
    pub fn front_mut(&mut self) -> Option<&mut Replay> {
        self.order.front_mut().map(|(_, replay)| replay)
    }

    /// Takes the first one.
    pub fn pop_front(&mut self) -> Option<Replay> {
        let (number, replay) = self.order.pop_front()?;
        if self.latest.get(&replay.filter) == Some(&number) {
            self.latest.remove(&replay.filter);
        }
        self.forget_outdated();
        Some(replay)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Replay> {
        self.order
            .iter()
            .filter(|(number, replay)| self.is_in_force(*number, replay))
            .map(|(_, replay)| replay)
    }

    fn is_in_force(&self, number: u64, replay: &Replay) -> bool {
        number >= self.answered || self.latest.get(&replay.filter) == Some(&number)
    }

    /// What was replaced or removed leaves when it comes first, or when it is most of all.
    fn forget_outdated(&mut self) {
        while let Some((number, replay)) = self.order.front()
            && !self.is_in_force(*number, replay)
        {
            self.order.pop_front();
        }
        const OUTDATED_MAX: usize = 64;
        if self.order.len() > 2 * self.latest.len() + OUTDATED_MAX
            && self.order.front().is_some_and(|(number, _)| *number < self.answered)
        {
            let (latest, answered) = (&self.latest, self.answered);
            self.order
                .retain(|(number, replay)| *number >= answered || latest.get(&replay.filter) == Some(number));
        }
    }
}

/// All of a session's. Part of its state: what a lost network connection interrupts goes on with the next.
#[derive(Debug, Default)]
pub struct Replays {
    /// In the order subscribed; the first ones are those being fetched.
    pub pending: PendingReplays,
    /// Whether the retained actor was asked for the next piece and has not answered.
    pub asked: bool,
    /// The next message found no room beside what waits for the client: it is fetched again when nothing does.
    pub needs_all_room: bool,
}

impl Replays {
    /// Whether a message has to wait at its place until something that was retained before it is fetched.
    pub fn hold(&self, publication: &Publication<'_>, place: u64) -> bool {
        if self.pending.len() > COMPARED_MAX {
            return self
                .pending
                .front()
                .is_some_and(|first| publication.stamp > first.since.stamp() && place > first.turn.place);
        }
        self.pending.iter().any(|replay| replay.is_before(publication, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{options, publication};
    use mqtt_codec::QoS;

    fn replay(filter: &str) -> Replay {
        let subscription = Subscription { options: options(QoS::AtMostOnce), identifier: 0 };
        Replay {
            filter: filter.into(),
            subscription,
            after: None,
            since: Moment::at(10),
            turn: ReplayPlace { place: 3, renews: false },
        }
    }

    fn filters(pending: &PendingReplays) -> Vec<&str> {
        pending.iter().map(|replay| &*replay.filter).collect()
    }

    fn answered(names: &[&str]) -> PendingReplays {
        let mut pending = PendingReplays::default();
        names.iter().for_each(|filter| {
            pending.push_back(replay(filter));
            pending.answer_all();
        });
        pending
    }

    #[test]
    fn one_per_filter_in_the_order_subscribed_last() {
        let mut pending = answered(&["a", "b", "a", "c"]);
        assert_eq!(filters(&pending), ["b", "a", "c"]);
        pending.remove("b");
        pending.remove("x");
        assert_eq!(pending.front().map(|replay| &*replay.filter), Some("a"));
        assert_eq!(pending.pop_front().map(|replay| replay.filter), Some("a".into()));
        assert_eq!(filters(&pending), ["c"]);
    }

    /// [MQTT-3.3.1-9] Each SUBSCRIBE is answered with what is retained, also those in a row.
    #[test]
    fn those_not_yet_answered_do_not_replace_each_other() {
        let mut pending = PendingReplays::default();
        let first = pending.push_back(replay("a"));
        pending.push_back(replay("a"));
        assert_eq!(filters(&pending), ["a", "a"]);
        assert_eq!(pending.first(9, first + 1).len(), 1);
        pending.answer(&(first..first + 1));
        assert_eq!(filters(&pending), ["a"]);
    }

    #[test]
    fn what_is_replaced_does_not_pile_up() {
        let mut pending = answered(&["first"]);
        for _ in 0..10_000 {
            pending.push_back(replay("again"));
            pending.answer_all();
        }
        assert_eq!(filters(&pending), ["first", "again"]);
        assert!(pending.order.len() < 100);
    }

    #[test]
    fn what_is_published_behind_waits_until_its_topic_name_is_passed() {
        let mut replays = Replays::default();
        replays.pending.push_back(replay("a/+"));
        let message = |topic, stamp| Publication { stamp, ..publication(topic, "x", QoS::AtMostOnce) };
        assert!(replays.hold(&message("a/m", 11), 4));
        assert!(!replays.hold(&message("a/m", 10), 4), "it was published before");
        assert!(!replays.hold(&message("a/m", 11), 3), "it waited before");
        assert!(!replays.hold(&message("b/m", 11), 4), "it does not match");
        replays.pending.front_mut().unwrap().after = Some("a/m".into());
        assert!(!replays.hold(&message("a/m", 11), 4));
        assert!(replays.hold(&message("a/n", 11), 4));
        (0..COMPARED_MAX).for_each(|number| _ = replays.pending.push_back(replay(&number.to_string())));
        assert!(replays.hold(&message("b/m", 11), 4), "there are too many to compare with");
        assert!(!replays.hold(&message("b/m", 10), 4));
        assert!(!replays.hold(&message("b/m", 11), 3));
    }
}
