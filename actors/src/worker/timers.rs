//! What becomes due on one worker: one timer wheel in place of a timer per connection.
//!
//! An entry is never cancelled: whoever it is for looks, when it is due, whether it still means anything, and sets the
//! next one. Pure: the present moment is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::sessions::{Epoch, SessionKey};

/// How exactly time is kept.
pub const TICK: Duration = Duration::from_millis(100);
/// Ten minutes: as long as an entry stays that means nothing any more, however far away it was set.
const TICKS_AHEAD_MAX: u64 = 6000;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// To see whether a client is silent for too long [MQTT-3.1.2-22].
    KeepAlive(SessionKey, Epoch),
    /// To see whether an offline session's will is due or its expiry has passed.
    Offline(SessionKey, Epoch),
    /// To close a client that is not read since a limit refused its publish.
    Refused(SessionKey, Epoch),
}

/// See the module.
#[derive(Debug)]
pub struct Timers {
    began: Instant,
    due: BTreeMap<u64, Vec<Timer>>,
    /// The tick that what is due was taken out at last.
    latest: u64,
}

impl Timers {
    /// Nothing due.
    pub fn new(now: Instant) -> Self {
        Self { began: now, due: BTreeMap::new(), latest: 0 }
    }

    /// Sets a timer; it is due at the first tick at or after `at`, or in ten minutes if that is sooner.
    pub fn set(&mut self, at: Instant, timer: Timer) {
        let ticks = at.saturating_duration_since(self.began).as_nanos().div_ceil(TICK.as_nanos());
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).min(self.latest + TICKS_AHEAD_MAX);
        self.due.entry(ticks).or_default().push(timer);
    }

    /// Takes out what is due, and nothing else.
    pub fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let elapsed = now.saturating_duration_since(self.began).as_nanos() / TICK.as_nanos();
        let tick = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.latest = tick;
        let mut due = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= tick) {
            due.append(&mut first.remove());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_not_before_its_time_and_within_a_tick_after() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let key = SessionKey { index: 1, generation: 1, worker: 0 };
        timers.set(start + Duration::from_millis(1234), Timer::Offline(key, 1));
        assert!(timers.take_due(start + Duration::from_millis(1233)).is_empty());
        assert_eq!(timers.take_due(start + Duration::from_millis(1300)), [Timer::Offline(key, 1)]);
        assert!(timers.take_due(start + Duration::from_secs(10)).is_empty());
    }

    /// A client that comes and goes sets a timer each time, a week away: they must not pile up for a week.
    #[test]
    fn far_ones_are_due_early() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let key = SessionKey { index: 1, generation: 1, worker: 0 };
        let (week, minute) = (Duration::from_secs(604_800), Duration::from_secs(60));
        assert!(timers.take_due(start + minute).is_empty());
        timers.set(start + week, Timer::Offline(key, 1));
        assert!(timers.take_due(start + 10 * minute).is_empty());
        assert_eq!(timers.take_due(start + 11 * minute), [Timer::Offline(key, 1)]);
        assert!(timers.due.is_empty());
    }

    /// What is due at a tick comes with it, in the order of the ticks; what was due before `began` comes at once.
    #[test]
    fn in_the_order_of_time() {
        let start = Instant::now();
        let at = |ticks: u32| start + ticks * TICK;
        let mut timers = Timers::new(start);
        let timer = |index| Timer::KeepAlive(SessionKey { index, generation: 1, worker: 0 }, 7);
        for (ticks, index) in [(3, 3), (1, 1), (2, 2), (3, 33), (9, 9), (0, 0)] {
            timers.set(at(ticks), timer(index));
        }
        assert_eq!(timers.take_due(at(0)), [timer(0)]);
        assert_eq!(timers.take_due(at(3)), [timer(1), timer(2), timer(3), timer(33)]);
        // Late: due at once.
        timers.set(at(1), timer(4));
        assert_eq!(timers.take_due(at(3)), [timer(4)]);
        assert!(timers.take_due(at(8)).is_empty());
        assert_eq!(timers.take_due(at(9)), [timer(9)]);
    }
}
