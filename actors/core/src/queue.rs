//! Messages that wait for a session, within limits of number and bytes.

use mqtt_codec::QoS;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ids::{CopyId, GroupKey};
use crate::kept::Kept;
use crate::line::Line;
use crate::message::StoredMessage;

/// The subscription identifiers a message is sent with [MQTT-3.3.4-3, MQTT-3.3.4-4].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Identifiers {
    /// None of the subscriptions has one.
    #[default]
    None,
    /// That of one subscription.
    One(u32),
    /// Those of several that were merged into one copy.
    Many(Box<[u32]>),
}

impl Identifiers {
    /// As the encoder wants them.
    #[inline]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(identifier) => std::slice::from_ref(identifier),
            Self::Many(identifiers) => identifiers,
        }
    }
}

/// One copy of a message that waits for a session.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The message, shared with other sessions.
    pub message: Arc<StoredMessage>,
    /// QoS it is sent with.
    pub qos: QoS,
    /// RETAIN it is sent with.
    pub retain: bool,
    /// Subscription identifiers it is sent with.
    pub identifiers: Identifiers,
    /// The shared subscription it came through.
    pub group: Option<GroupKey>,
    /// Whether it was retained when a subscription began, and comes for that.
    pub replayed: bool,
    /// What records call it, if it outlives the process.
    pub recorded: CopyId,
}

/// First in, first out, but for what was retained when a subscription began.
#[derive(Debug, Default)]
pub struct Queue {
    /// By rising places.
    waiting: Line<(u64, Queued)>,
    bytes: usize,
    /// Those among them that were retained when a subscription began: by topic name and place. None if there are none.
    replayed: Option<Box<Replayed>>,
    /// When the first of them expires, or an earlier moment.
    earliest_expiry: Option<Instant>,
    swept_at: Option<Instant>,
    /// How far it is searched for messages that have expired; none if it is not.
    sweep: Option<Box<Sweep>>,
}

/// See [`Queue::take_expired`].
#[derive(Debug, Default)]
struct Sweep {
    /// So many at the beginning are looked at.
    ahead: usize,
    /// When the first of those expires that are left, and of those that came meanwhile.
    earliest: Option<Instant>,
}

/// How often a full queue is searched for messages that have expired.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How many are looked at for each message that finds the queue full: about what a delivery costs.
const SWEPT_AT_ONCE: usize = 16;

impl Queue {
    /// Messages waiting.
    #[inline]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is waiting.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of the messages waiting.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends, at a place that is not before any other.
    pub fn push(&mut self, place: u64, queued: Queued, kept: &Kept) {
        debug_assert!(self.waiting.back().is_none_or(|(last, _)| *last <= place));
        self.count(&queued, kept);
        self.waiting.push_back((place, queued));
    }

    fn count(&mut self, queued: &Queued, kept: &Kept) {
        kept.enter(&queued.message);
        kept.wait_n(1, queued.message.is_own());
        self.bytes += queued.message.queued_bytes();
        let expiry = queued.message.publication().expires_at;
        if expiry.is_some() {
            self.earliest_expiry = earlier(self.earliest_expiry, expiry);
            if let Some(sweep) = &mut self.sweep {
                sweep.earliest = earlier(sweep.earliest, expiry);
            }
        }
    }

    /// Puts what was retained behind all with this place or one before, and ahead of everything else. False if too many
    /// others would have to move for it.
    pub fn insert(&mut self, place: u64, queued: Queued, kept: &Kept) -> bool {
        const MOVED_MAX: usize = 512;
        let ahead = self.waiting.partition_point(|(other, _)| *other <= place);
        if ahead.min(self.waiting.len() - ahead) > MOVED_MAX {
            return false;
        }
        self.count(&queued, kept);
        if queued.replayed {
            self.replayed.get_or_insert_default().add(queued.message.topic(), place);
        }
        self.waiting.insert(ahead, (place, queued));
        true
    }

    /// The copy of a message at a place.
    pub fn at_mut(&mut self, place: u64, message: &Arc<StoredMessage>) -> Option<&mut Queued> {
        let first = self.waiting.partition_point(|(other, _)| *other < place);
        let is_there =
            |(other, queued): &(u64, Queued)| *other == place && Arc::ptr_eq(&queued.message, message);
        let at = (first..self.waiting.len())
            .take_while(|at| self.waiting.at(*at).is_some_and(|(other, _)| *other == place))
            .find(|at| self.waiting.at(*at).is_some_and(is_there))?;
        self.waiting.at_mut(at).map(|(_, queued)| queued)
    }

    /// The message that waits longest, and its place.
    pub fn front(&self) -> Option<(u64, &Queued)> {
        self.waiting.front().map(|(place, queued)| (*place, queued))
    }

    /// Whether something that was retained for this topic name waits before a place.
    pub fn replays_before(&self, topic: &str, place: u64) -> bool {
        self.replayed.as_ref().is_some_and(|replayed| replayed.is_any_before(topic, place))
    }

    /// The place of the last message of a topic name that is not younger than a stamp and waits behind a place. Of those
    /// that came last only so many are looked at.
    pub fn last_until(&self, topic: &str, stamp: u64, place: u64) -> Option<u64> {
        const LOOKED_AT_MAX: usize = 256;
        let latest = self.waiting.iter().rev().take(LOOKED_AT_MAX).take_while(|(other, _)| *other > place);
        let mut of_topic = latest.filter(|(_, queued)| queued.message.topic() == topic);
        of_topic.find(|(_, queued)| queued.message.publication().stamp <= stamp).map(|(other, _)| *other)
    }

    /// Whether anything that was retained waits.
    pub fn replays_any(&self) -> bool {
        self.replayed.is_some()
    }

    fn forget_replayed(&mut self, place: u64, queued: &Queued) {
        if queued.replayed
            && let Some(replayed) = &mut self.replayed
            && replayed.remove(queued.message.topic(), place)
        {
            self.replayed = None;
        }
    }

    /// Takes the message that waits longest.
    pub fn pop(&mut self, kept: &Kept) -> Option<Queued> {
        let (place, queued) = self.waiting.pop_front()?;
        self.take_out(place, &queued, kept);
        Some(queued)
    }

    /// Takes the message that was appended last, unless something retained waits behind it.
    pub fn pop_last(&mut self, kept: &Kept) -> Option<Queued> {
        self.waiting.back().filter(|(_, last)| !last.replayed)?;
        let (place, queued) = self.waiting.pop_back()?;
        self.take_out(place, &queued, kept);
        Some(queued)
    }

    fn take_out(&mut self, place: u64, queued: &Queued, kept: &Kept) {
        kept.leave(&queued.message);
        kept.end_n(1, u64::from(queued.message.is_own()));
        self.bytes -= queued.message.queued_bytes();
        self.forget_replayed(place, queued);
        if let Some(sweep) = &mut self.sweep {
            sweep.ahead = sweep.ahead.saturating_sub(1);
        }
    }

    /// Takes out what has expired; looks for it only if there may be any, and not too often. It looks at the next few
    /// alone, the oldest first: with 100,000 that wait nobody is to wait until all of them are looked at.
    pub fn take_expired(&mut self, now: Instant, kept: &Kept) -> Vec<Queued> {
        let mut sweep = match self.sweep.take() {
            Some(sweep) => sweep,
            None => {
                let may_hold_any = self.earliest_expiry.is_some_and(|expiry| expiry <= now);
                let swept_lately =
                    self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_INTERVAL);
                if !may_hold_any || swept_lately {
                    return Vec::new();
                }
                self.swept_at = Some(now);
                Box::default()
            }
        };
        let among = sweep.ahead..sweep.ahead + SWEPT_AT_ONCE;
        let earliest = &mut sweep.earliest;
        let expired = self.extract(among.clone(), kept, |waiting| {
            let publication = waiting.message.publication();
            let is_expired = publication.is_expired(now);
            if !is_expired {
                *earliest = earlier(*earliest, publication.expires_at);
            }
            is_expired
        });
        sweep.ahead = among.end - expired.len();
        match sweep.ahead < self.len() {
            true => self.sweep = Some(sweep),
            false => self.earliest_expiry = sweep.earliest,
        }
        expired
    }

    /// Those waiting, in order.
    #[cfg(feature = "simulation")]
    pub fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.waiting.iter().map(|(_, queued)| queued)
    }

    /// Whether what is counted is there.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        let bytes: usize = self.iter().map(|queued| queued.message.queued_bytes()).sum();
        if self.bytes != bytes {
            return Err(format!("{} bytes are counted in a queue of {bytes}", self.bytes));
        }
        let replayed = self.iter().filter(|queued| queued.replayed).count();
        let noted = self.replayed.as_ref().map_or(0, |replayed| replayed.0.values().sum::<u32>());
        if noted as usize != replayed {
            return Err(format!("{noted} retained messages are noted in a queue of {replayed}"));
        }
        match self.waiting.iter().is_sorted_by_key(|(place, _)| *place) {
            true => Ok(()),
            false => Err("a queue is out of order".into()),
        }
    }

    /// Takes out all that `wanted` says, in order, of those at some positions. It costs as much as there are of these.
    pub(crate) fn extract(
        &mut self,
        among: Range<usize>,
        kept: &Kept,
        mut wanted: impl FnMut(&Queued) -> bool,
    ) -> Vec<Queued> {
        let taken = self.waiting.extract(among, |(_, queued)| wanted(queued));
        let mut own = 0;
        let out: Vec<_> = taken
            .into_iter()
            .map(|(place, queued)| {
                kept.leave(&queued.message);
                self.bytes -= queued.message.queued_bytes();
                self.forget_replayed(place, &queued);
                own += u64::from(queued.message.is_own());
                queued
            })
            .collect();
        kept.end_n(out.len() as u64, own);
        if let Some(sweep) = &mut self.sweep {
            sweep.ahead = sweep.ahead.saturating_sub(out.len());
        }
        out
    }

    /// The same of those behind a place, so many at a time. With them comes the place of the last one that was looked at;
    /// none if that is the last of all.
    pub fn extract_behind(
        &mut self,
        place: u64,
        most: usize,
        kept: &Kept,
        wanted: impl FnMut(&Queued) -> bool,
    ) -> (Vec<Queued>, Option<u64>) {
        let from = self.waiting.partition_point(|(other, _)| *other <= place);
        let last = self.waiting.at(from + most.max(1) - 1).map(|(place, _)| *place);
        // Those that have a place together stay together.
        let end = last.map_or(self.len(), |last| self.waiting.partition_point(|(other, _)| *other <= last));
        let is_through = end == self.len();
        (self.extract(from..end, kept, wanted), last.filter(|_| !is_through))
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

/// How many retained messages wait, by the hash of their topic name and by place. Two topic names with one hash wait for
/// each other's, which does no harm.
#[derive(Debug, Default)]
struct Replayed(BTreeMap<(u64, u64), u32>);

impl Replayed {
    fn hash(topic: &str) -> u64 {
        rustc_hash::FxBuildHasher.hash_one(topic)
    }

    fn add(&mut self, topic: &str, place: u64) {
        *self.0.entry((Self::hash(topic), place)).or_default() += 1;
    }

    /// Returns whether none is left.
    fn remove(&mut self, topic: &str, place: u64) -> bool {
        let at = (Self::hash(topic), place);
        if let Some(waiting) = self.0.get_mut(&at) {
            *waiting -= 1;
            if *waiting == 0 {
                self.0.remove(&at);
            }
        }
        self.0.is_empty()
    }

    fn is_any_before(&self, topic: &str, place: u64) -> bool {
        let topic = Self::hash(topic);
        self.0.range((topic, 0)..(topic, place)).next().is_some()
    }
}
