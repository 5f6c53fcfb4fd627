//! What becomes due on one worker: one timer wheel in place of a timer per connection.
//!
//! An entry is never cancelled: whoever it is for looks, when it is due, whether it still means anything, and sets the
//! next one. Pure: the present moment is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::sessions::{Epoch, SessionKey};

/// How exactly time is kept.
pub const TICK: Duration = Duration::from_millis(100);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// To see whether a client is silent for too long [MQTT-3.1.2-22].
    KeepAlive(SessionKey, Epoch),
    /// To see whether an offline session's will is due or its expiry has passed.
    Offline(SessionKey),
}

/// See the module.
#[derive(Debug)]
pub struct Timers {
    began: Instant,
    due: BTreeMap<u64, Vec<Timer>>,
}

impl Timers {
    /// Nothing due.
    pub fn new(now: Instant) -> Self {
        Self { began: now, due: BTreeMap::new() }
    }

    /// Sets a timer; it is due at the first tick at or after `at`.
    pub fn set(&mut self, at: Instant, timer: Timer) {
        let ticks = at.saturating_duration_since(self.began).as_nanos().div_ceil(TICK.as_nanos());
        self.due.entry(u64::try_from(ticks).unwrap_or(u64::MAX)).or_default().push(timer);
    }

    /// Takes out what is due, and nothing else.
    pub fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let elapsed = now.saturating_duration_since(self.began).as_nanos() / TICK.as_nanos();
        let tick = u64::try_from(elapsed).unwrap_or(u64::MAX);
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
        timers.set(start + Duration::from_millis(1234), Timer::Offline(key));
        assert!(timers.take_due(start + Duration::from_millis(1233)).is_empty());
        assert_eq!(timers.take_due(start + Duration::from_millis(1300)), [Timer::Offline(key)]);
        assert!(timers.take_due(start + Duration::from_secs(10)).is_empty());
    }
}
