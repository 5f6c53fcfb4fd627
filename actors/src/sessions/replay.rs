//! Retained messages on their way to a new subscription: fetched a piece at a time, at the pace of the reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::subscriptions::Subscription;

/// One subscription whose retained messages are not all sent.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its topic filter.
    pub filter: Arc<str>,
    /// Options and identifier it was made with.
    pub subscription: Subscription,
    /// The topic name behind which the next piece begins.
    pub after: Option<Arc<str>>,
}

/// Those that are left, in the order subscribed, one per topic filter. A client may have 100,000 of them, and change
/// thousands at once: each is found without a search.
#[derive(Debug, Default)]
pub struct Pending {
    /// The first one is in force; of the others, those whose number is in `latest`.
    order: VecDeque<(u64, Replay)>,
    latest: HashMap<Arc<str>, u64>,
    next: u64,
}

impl Pending {
    /// Appends one, in place of an earlier one for the same filter.
    pub fn push_back(&mut self, replay: Replay) {
        self.next += 1;
        self.latest.insert(Arc::clone(&replay.filter), self.next);
        self.order.push_back((self.next, replay));
        self.forget_outdated();
    }

    /// Removes that of a filter, if there is one.
    pub fn remove(&mut self, filter: &str) {
        if self.latest.remove(filter).is_some() {
            self.forget_outdated();
        }
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
        let (_, replay) = self.order.pop_front()?;
        self.latest.remove(&replay.filter);
        self.forget_outdated();
        Some(replay)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Replay> {
        self.order.iter().filter(|(number, replay)| self.is_latest(*number, replay)).map(|(_, replay)| replay)
    }

    fn is_latest(&self, number: u64, replay: &Replay) -> bool {
        self.latest.get(&replay.filter) == Some(&number)
    }

    /// What was replaced or removed leaves when it comes first, or when it is most of all.
    fn forget_outdated(&mut self) {
        while let Some((number, replay)) = self.order.front()
            && !self.is_latest(*number, replay)
        {
            self.order.pop_front();
        }
        const OUTDATED_MAX: usize = 64;
        if self.order.len() > 2 * self.latest.len() + OUTDATED_MAX {
            let latest = &self.latest;
            self.order.retain(|(number, replay)| latest.get(&replay.filter) == Some(number));
        }
    }
}

/// All of a session's. Part of its state: what a lost network connection interrupts goes on with the next.
#[derive(Debug, Default)]
pub struct Replays {
    /// In the order subscribed; the first is the one being fetched.
    pub pending: Pending,
    /// Whether the retained actor was asked for the next piece and has not answered.
    pub asked: bool,
    /// The next message found no room beside what waits for the client: it is fetched again when nothing does.
    pub needs_all_room: bool,
    /// SUBSCRIBEs that wait for their first piece.
    pub first_asked: u32,
    /// Topic names of retained publishes that the client was sent meanwhile, with their stamps: an older retained
    /// message that arrives behind is skipped.
    seen: HashMap<Box<str>, u64>,
}

impl Replays {
    /// The client was sent a retained publish. Only what arrives while a piece is on its way can be newer than it.
    pub fn note(&mut self, topic: &str, stamp: u64) {
        if self.is_fetching() {
            self.seen.insert(topic.into(), stamp);
        }
    }

    fn is_fetching(&self) -> bool {
        self.asked || self.first_asked > 0
    }

    /// A piece was dealt with: what comes later is asked for later, and newer.
    pub fn forget_seen(&mut self) {
        if !self.is_fetching() {
            self.seen = HashMap::default();
        }
    }

    /// Whether the client already has something newer under this topic name.
    pub fn is_outdated(&self, topic: &str, stamp: u64) -> bool {
        self.seen.get(topic).is_some_and(|newest| *newest > stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::options;
    use mqtt_codec::QoS;

    fn replay(filter: &str) -> Replay {
        let subscription = Subscription { options: options(QoS::AtMostOnce), identifier: 0 };
        Replay { filter: filter.into(), subscription, after: None }
    }

    fn filters(pending: &Pending) -> Vec<&str> {
        pending.iter().map(|replay| &*replay.filter).collect()
    }

    #[test]
    fn one_per_filter_in_the_order_subscribed_last() {
        let mut pending = Pending::default();
        ["a", "b", "a", "c"].iter().for_each(|filter| pending.push_back(replay(filter)));
        assert_eq!(filters(&pending), ["b", "a", "c"]);
        pending.remove("b");
        pending.remove("x");
        assert_eq!(pending.front().map(|replay| &*replay.filter), Some("a"));
        assert_eq!(pending.pop_front().map(|replay| replay.filter), Some("a".into()));
        assert_eq!(filters(&pending), ["c"]);
    }

    #[test]
    fn what_is_replaced_does_not_pile_up() {
        let mut pending = Pending::default();
        pending.push_back(replay("first"));
        (0..10_000).for_each(|_| pending.push_back(replay("again")));
        assert_eq!(filters(&pending), ["first", "again"]);
        assert!(pending.order.len() < 100);
    }
}
