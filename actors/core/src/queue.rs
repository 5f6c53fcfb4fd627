//! Messages that wait for a session, within limits of number and bytes.

use mqtt_codec::QoS;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ids::GroupKey;
use crate::kept::Kept;
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
}

/// First in, first out.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Queued>,
    bytes: usize,
    /// How many were ever appended.
    appended: u64,
    /// When the first of them expires, or an earlier moment.
    earliest_expiry: Option<Instant>,
    swept_at: Option<Instant>,
}

/// How often a full queue is searched for messages that have expired.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

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

    /// Appends.
    pub fn push(&mut self, queued: Queued, kept: &Kept) {
        self.count(&queued, kept);
        self.appended += 1;
        self.waiting.push_back(queued);
    }

    fn count(&mut self, queued: &Queued, kept: &Kept) {
        kept.enter(&queued.message);
        kept.wait_n(1, queued.message.is_own());
        self.bytes += queued.message.queued_bytes();
        let expiry = queued.message.publication().expires_at;
        self.earliest_expiry = [self.earliest_expiry, expiry].into_iter().flatten().min();
    }

    /// Names the present end, for what is to come ahead of all that is appended from now on.
    pub fn end(&self) -> u64 {
        self.appended
    }

    /// Puts a message ahead of all that was appended since `end`, and behind everything else. False if too many others
    /// would have to move for it.
    pub fn insert(&mut self, end: u64, queued: Queued, kept: &Kept) -> bool {
        const MOVED_MAX: usize = 512;
        let behind = (self.appended - end).min(self.waiting.len() as u64) as usize;
        let ahead = self.waiting.len() - behind;
        if ahead.min(behind) > MOVED_MAX {
            return false;
        }
        self.count(&queued, kept);
        self.waiting.insert(ahead, queued);
        true
    }

    /// The message that waits longest.
    #[inline]
    pub fn front(&self) -> Option<&Queued> {
        self.waiting.front()
    }

    /// Takes the message that waits longest.
    pub fn pop(&mut self, kept: &Kept) -> Option<Queued> {
        let queued = self.waiting.pop_front()?;
        kept.leave(&queued.message);
        kept.end_n(1, u64::from(queued.message.is_own()));
        self.bytes -= queued.message.queued_bytes();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(queued)
    }

    /// Takes out what has expired; looks for it only if there may be any, and not too often.
    pub fn take_expired(&mut self, now: Instant, kept: &Kept) -> Vec<Queued> {
        let may_hold_any = self.earliest_expiry.is_some_and(|expiry| expiry <= now);
        let swept_lately = self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_INTERVAL);
        if !may_hold_any || swept_lately {
            return Vec::new();
        }
        self.swept_at = Some(now);
        let expired = self.extract(kept, |waiting| waiting.message.publication().is_expired(now));
        let left = self.waiting.iter().filter_map(|waiting| waiting.message.publication().expires_at);
        self.earliest_expiry = left.min();
        expired
    }

    /// Those waiting, in order.
    #[cfg(feature = "simulation")]
    pub fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.waiting.iter()
    }

    /// Whether what is counted is there.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        let bytes: usize = self.waiting.iter().map(|queued| queued.message.queued_bytes()).sum();
        match self.bytes == bytes {
            true => Ok(()),
            false => Err(format!("{} bytes are counted in a queue of {bytes}", self.bytes)),
        }
    }

    /// Takes out all that `wanted` says, in order.
    pub fn extract(&mut self, kept: &Kept, mut wanted: impl FnMut(&Queued) -> bool) -> Vec<Queued> {
        let mut out = Vec::new();
        let mut left = VecDeque::with_capacity(self.waiting.len());
        for queued in std::mem::take(&mut self.waiting) {
            if wanted(&queued) {
                kept.leave(&queued.message);
                self.bytes -= queued.message.queued_bytes();
                out.push(queued);
            } else {
                left.push_back(queued);
            }
        }
        let own = out.iter().filter(|queued| queued.message.is_own()).count();
        kept.end_n(out.len() as u64, own as u64);
        // One that is empty now holds no memory.
        self.waiting = if left.is_empty() { VecDeque::new() } else { left };
        out
    }
}
