//! Retained messages on their way to a new subscription: fetched a piece at a time, at the pace of the reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::subscriptions::Subscription;

/// Topic names that are remembered of what a client was sent while a piece was on its way to it, and their bytes. Beyond,
/// all of them are forgotten, and the pieces that they were remembered for are fetched anew.
const REMEMBERED_MAX: usize = 4096;
const REMEMBERED_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the topic names behind which replays go on whose turn has not come. A further one begins at its beginning.
const PLACES_BYTES_MAX: usize = 64 * 1024;

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
    /// Bytes of the topic names behind which those in `order` go on, but the first.
    places_bytes: usize,
}

fn place_bytes(replay: &Replay) -> usize {
    replay.after.as_ref().map_or(0, |after| after.len())
}

impl Pending {
    /// Whether one may be appended that goes on behind this topic name: with very many, the names are many bytes.
    pub fn has_room_for(&self, after: Option<&str>) -> bool {
        self.order.is_empty() || self.places_bytes + after.map_or(0, str::len) <= PLACES_BYTES_MAX
    }

    /// Appends one, in place of an earlier one for the same filter.
    pub fn push_back(&mut self, replay: Replay) {
        self.next += 1;
        self.places_bytes += if self.order.is_empty() { 0 } else { place_bytes(&replay) };
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
        let replay = self.take_first()?;
        self.latest.remove(&replay.filter);
        self.forget_outdated();
        Some(replay)
    }

    fn take_first(&mut self) -> Option<Replay> {
        let (_, replay) = self.order.pop_front()?;
        self.places_bytes -= self.front().map_or(0, place_bytes);
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
            self.take_first();
        }
        const OUTDATED_MAX: usize = 64;
        if self.order.len() > 2 * self.latest.len() + OUTDATED_MAX {
            let latest = &self.latest;
            self.order.retain(|(number, replay)| latest.get(&replay.filter) == Some(number));
            self.places_bytes = self.order.iter().skip(1).map(|(_, replay)| place_bytes(replay)).sum();
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
    seen: Seen,
}

/// Topic names of retained publishes that the client was sent while a piece was on its way, with their stamps: an older
/// retained message that arrives behind is skipped.
#[derive(Debug, Default)]
struct Seen {
    stamps: HashMap<Box<str>, u64>,
    bytes: usize,
    /// How many were noted, ever.
    noted: u64,
    /// So many of those were noted before names were forgotten for want of room; their newest stamp.
    forgotten: u64,
    newest_forgotten: u64,
}

/// When a piece was asked for: only what the client was sent since then can be newer than it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedAt(u64);

/// How a retained message stands to what the client was sent since it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The client has nothing newer under its topic name.
    Newest,
    /// It has.
    Outdated,
    /// Nobody remembers: it has to be fetched anew.
    InDoubt,
}

impl Replays {
    /// A piece is asked for.
    pub fn ask(&self) -> AskedAt {
        AskedAt(self.seen.noted)
    }

    /// The client was sent a retained publish. Only what arrives while a piece is on its way can be newer than it.
    pub fn note(&mut self, topic: &str, stamp: u64) {
        if !self.is_fetching() {
            return;
        }
        let seen = &mut self.seen;
        seen.noted += 1;
        if let Some(newest) = seen.stamps.get_mut(topic) {
            *newest = stamp.max(*newest);
            return;
        }
        if seen.stamps.len() >= REMEMBERED_MAX || seen.bytes + topic.len() > REMEMBERED_BYTES_MAX {
            let newest = seen.stamps.values().copied().max().unwrap_or_default();
            seen.newest_forgotten = seen.newest_forgotten.max(newest);
            seen.forgotten = seen.noted - 1;
            (seen.stamps, seen.bytes) = (HashMap::default(), 0);
        }
        seen.bytes += topic.len();
        seen.stamps.insert(topic.into(), stamp);
    }

    fn is_fetching(&self) -> bool {
        self.asked || self.first_asked > 0
    }

    /// A piece was dealt with: what comes later is asked for later, and newer.
    pub fn forget_seen(&mut self) {
        if !self.is_fetching() {
            self.seen = Seen::default();
        }
    }

    /// How a message of a piece stands to what the client was sent meanwhile.
    pub fn age(&self, topic: &str, stamp: u64, AskedAt(asked): AskedAt) -> Age {
        if self.seen.stamps.get(topic).is_some_and(|newest| *newest > stamp) {
            Age::Outdated
        } else if asked < self.seen.forgotten && stamp < self.seen.newest_forgotten {
            Age::InDoubt
        } else {
            Age::Newest
        }
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

    fn fetching() -> Replays {
        Replays { asked: true, ..Replays::default() }
    }

    #[test]
    fn what_the_client_has_newer_is_outdated() {
        let mut replays = fetching();
        let asked = replays.ask();
        replays.note("a", 5);
        assert_eq!(replays.age("a", 4, asked), Age::Outdated);
        assert_eq!(replays.age("a", 6, asked), Age::Newest);
        assert_eq!(replays.age("b", 4, asked), Age::Newest);
        replays.asked = false;
        replays.forget_seen();
        assert_eq!(replays.age("a", 4, replays.ask()), Age::Newest);
    }

    /// However many retained publishes a client is sent while its pieces are on their way, and however long their topic
    /// names: few are remembered, and what was asked for before is in doubt. What is asked for then is not.
    #[test]
    fn a_bounded_number_of_names_is_remembered() {
        for (count, padding) in [(50_000, 0), (500, 60_000)] {
            let (mut replays, padding) = (fetching(), "z".repeat(padding));
            let asked = replays.ask();
            for number in 1..=count {
                replays.note(&format!("{number}/{padding}"), 100 + number);
                assert!(replays.seen.stamps.len() <= REMEMBERED_MAX);
                assert!(replays.seen.bytes <= REMEMBERED_BYTES_MAX);
            }
            let first = format!("1/{padding}");
            assert_eq!(replays.age(&first, 50, asked), Age::InDoubt);
            // Newer than whatever was forgotten.
            assert_eq!(replays.age(&first, 100 + count, asked), Age::Newest);
            // As long as other pieces are on their way.
            assert_eq!(replays.age(&first, 50, replays.ask()), Age::Newest);
            assert_eq!(replays.age(&format!("{count}/{padding}"), 50, asked), Age::Outdated);
        }
    }

    #[test]
    fn the_places_of_those_that_wait_are_bounded() {
        let mut pending = Pending::default();
        let after: Arc<str> = "z".repeat(60_000).into();
        let mut held = 0;
        for number in 0..1000 {
            let after = pending.has_room_for(Some(&after)).then(|| Arc::clone(&after));
            held += usize::from(after.is_some());
            pending.push_back(Replay { after, ..replay(&number.to_string()) });
        }
        assert_eq!(held, 2, "the first, and one behind it");
        pending.pop_front();
        assert!(pending.has_room_for(Some(&after)), "the second is the first now");
        (1..1000).for_each(|number| pending.remove(&number.to_string()));
        assert_eq!((pending.order.len(), pending.places_bytes), (0, 0));
    }
}
