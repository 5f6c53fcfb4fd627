//! What every kind of actor counts: how many live, how much is waiting, how long waiting and handling take.
//!
//! The clock is read for one message in [`SAMPLE`]; the counters are exact.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One message in this many has its times measured.
pub const SAMPLE: u64 = 64;
/// Durations are sorted by their power of two, in nanoseconds.
const BUCKETS: usize = 40;

/// The kinds of actors of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ActorKind {
    /// One per network connection; a message is a turn.
    Connection,
    /// One per worker.
    TopicTrie,
    /// One per worker.
    Sessions,
    /// One.
    Retained,
    /// One.
    SessionStore,
    /// One.
    Auth,
    /// One.
    Metrics,
}

impl ActorKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Connection,
        Self::TopicTrie,
        Self::Sessions,
        Self::Retained,
        Self::SessionStore,
        Self::Auth,
        Self::Metrics,
    ];

    /// Whether each worker has its own.
    pub const fn is_of_worker(self) -> bool {
        matches!(self, Self::Connection | Self::TopicTrie | Self::Sessions)
    }

    /// As logs and metrics name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::TopicTrie => "topic_trie",
            Self::Sessions => "sessions",
            Self::Retained => "retained",
            Self::SessionStore => "session_store",
            Self::Auth => "auth",
            Self::Metrics => "metrics",
        }
    }
}

/// How often each duration occurred, by powers of two.
#[derive(Debug)]
pub struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    fn record(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1);
        let bucket = (nanoseconds.ilog2() as usize).min(BUCKETS - 1);
        self.0[bucket].fetch_add(1, Relaxed);
    }

    /// The counts at this moment.
    pub fn counts(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Relaxed)).collect()
    }
}

/// The upper bound of the bucket in which a quantile of these counts lies.
pub fn quantile(counts: &[u64], quantile: f64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = (total as f64 * quantile).ceil() as u64;
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return Some(Duration::from_nanos(1 << (bucket + 1)));
        }
    }
    None
}

/// The figures of one kind of actor on one thread.
#[derive(Debug, Default)]
pub struct ActorStats {
    /// Actors started and not ended.
    live: AtomicU64,
    /// Messages sent to them.
    sent: AtomicU64,
    /// Messages they handled.
    handled: AtomicU64,
    /// Times one was started anew after a panic.
    restarts: AtomicU64,
    waiting: Histogram,
    handling: Histogram,
}

/// A copy of the figures.
#[derive(Debug, Clone, Default)]
pub struct ActorFigures {
    /// Actors started and not ended.
    pub live: u64,
    /// Messages sent to them.
    pub sent: u64,
    /// Messages they handled.
    pub handled: u64,
    /// Times one was started anew after a panic.
    pub restarts: u64,
    /// Time from sending to handling, sampled.
    pub waiting: Vec<u64>,
    /// Time of handling, sampled.
    pub handling: Vec<u64>,
}

impl ActorFigures {
    /// Messages sent and not handled.
    pub fn queued(&self) -> u64 {
        self.sent.saturating_sub(self.handled)
    }

    /// Adds the figures of another thread.
    pub fn add(&mut self, other: &Self) {
        self.live += other.live;
        self.sent += other.sent;
        self.handled += other.handled;
        self.restarts += other.restarts;
        add_counts(&mut self.waiting, &other.waiting);
        add_counts(&mut self.handling, &other.handling);
    }
}

fn add_counts(sum: &mut Vec<u64>, other: &[u64]) {
    sum.resize(sum.len().max(other.len()), 0);
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

impl ActorStats {
    /// An actor was started.
    pub fn started(&self) {
        self.live.fetch_add(1, Relaxed);
    }

    /// An actor ended.
    pub fn ended(&self) {
        self.live.fetch_sub(1, Relaxed);
    }

    /// An actor was started in place of one that panicked.
    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// What the actor had not handled, nobody will.
    pub(crate) fn forget_waiting(&self) {
        self.handled.store(self.sent.load(Relaxed), Relaxed);
    }

    /// A message is sent. Returns the moment for those that are sampled.
    #[inline]
    pub fn send(&self) -> Option<Instant> {
        let sent = self.sent.fetch_add(1, Relaxed);
        sent.is_multiple_of(SAMPLE).then(crate::clock::now)
    }

    /// A message is about to be handled. Returns the moment for those that are sampled.
    #[inline]
    pub fn handle(&self, sent_at: Option<Instant>) -> Option<Instant> {
        let sent_at = sent_at?;
        let now = crate::clock::now();
        self.waiting.record(now.saturating_duration_since(sent_at));
        Some(now)
    }

    /// A message was handled.
    #[inline]
    pub fn handled(&self, began: Option<Instant>) {
        self.handled.fetch_add(1, Relaxed);
        if let Some(began) = began {
            self.handling.record(crate::clock::now().saturating_duration_since(began));
        }
    }

    /// The figures at this moment.
    pub fn figures(&self) -> ActorFigures {
        ActorFigures {
            live: self.live.load(Relaxed),
            sent: self.sent.load(Relaxed),
            handled: self.handled.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            waiting: self.waiting.counts(),
            handling: self.handling.counts(),
        }
    }
}

/// The figures of all kinds of actors on one thread.
#[derive(Debug, Default)]
pub struct WorkerStats([ActorStats; ActorKind::ALL.len()]);

impl WorkerStats {
    /// Those of one kind.
    #[inline]
    pub fn of(&self, kind: ActorKind) -> &ActorStats {
        &self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_in_the_right_power_of_two() {
        let histogram = Histogram::default();
        for _ in 0..98 {
            histogram.record(Duration::from_nanos(1000));
        }
        histogram.record(Duration::from_millis(1));
        histogram.record(Duration::from_millis(1));
        let counts = histogram.counts();
        assert_eq!(quantile(&counts, 0.5), Some(Duration::from_nanos(1024)));
        assert_eq!(quantile(&counts, 0.99), Some(Duration::from_nanos(1 << 20)));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn one_message_in_64_is_timed_and_all_are_counted() {
        let stats = ActorStats::default();
        let timed = (0..640).filter(|_| stats.send().is_some()).count();
        assert_eq!(timed, 10);
        stats.handled(None);
        assert_eq!(stats.figures().queued(), 639);
    }
}
