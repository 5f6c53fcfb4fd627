//! What becomes due on one worker, by ticks, in place of a timer per connection.
//!
//! An entry is never cancelled: whoever it is for looks, when it is due, whether it still means anything, and sets the
//! next one. Pure: the present moment is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{Epoch, SessionKey};

/// How exactly time is kept.
pub const TICK: Duration = Duration::from_millis(100);
const TICK_NANOS: u64 = TICK.as_nanos() as u64;
/// Ten minutes: as long as an entry stays that means nothing any more, however far away it was set.
const TICKS_AHEAD_MAX: u64 = 6000;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// To see whether a client is silent for too long [MQTT-3.1.2-22].
    KeepAlive(SessionKey, Epoch),
    /// To see whether an offline session's will is due or its expiry has passed.
    Offline(SessionKey, Epoch),
    /// To see whether what a network connection was let in by is over.
    Grant(SessionKey, Epoch),
    /// To close a client that is not read since a limit refused its publish.
    Refused(SessionKey, Epoch),
    /// To turn away a CONNECT that has waited for a will of its client to be judged for as long as it may.
    Waiting,
    /// To say of how many clients no line was written in a second.
    LinesLeftOut,
    /// To send the changes of durable sessions to the session store.
    Changes,
}

/// See the module.
#[derive(Debug)]
pub struct Timers {
    began: Instant,
    due: BTreeMap<u64, Vec<Timer>>,
    /// The tick at which what is due was taken out last.
    latest: u64,
}

impl Timers {
    /// Nothing due.
    pub fn new(now: Instant) -> Self {
        Self { began: now, due: BTreeMap::new(), latest: 0 }
    }

    /// Sets a timer; it is due at the first tick at or after `at`. One of a session, which is set anew when it is due too
    /// early, is due in ten minutes if that is sooner. Returns whether nothing else is due before.
    pub fn set(&mut self, now: Instant, at: Instant, timer: Timer) -> bool {
        let mut tick = self.nanos(at).div_ceil(TICK_NANOS);
        if matches!(timer, Timer::KeepAlive(..) | Timer::Offline(..)) {
            tick = tick.min(self.nanos(now) / TICK_NANOS + TICKS_AHEAD_MAX);
        }
        self.set_at(tick, timer)
    }

    /// Sets a timer for the tick behind the one at which what is due was taken out last; if that is over, it is due at
    /// once. Returns whether nothing else is due before.
    pub fn set_next(&mut self, timer: Timer) -> bool {
        self.set_at(self.latest + 1, timer)
    }

    fn set_at(&mut self, tick: u64, timer: Timer) -> bool {
        let is_first = self.due.first_key_value().is_none_or(|(first, _)| tick < *first);
        self.due.entry(tick).or_default().push(timer);
        is_first
    }

    /// When something is due next; none if there is nothing.
    pub fn next_due(&self) -> Option<Instant> {
        let (tick, _) = self.due.first_key_value()?;
        Some(self.began + Duration::from_nanos(tick * TICK_NANOS))
    }

    /// Takes out what is due, and nothing else.
    pub fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let tick = self.nanos(now) / TICK_NANOS;
        self.latest = tick;
        let mut due = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= tick) {
            due.append(&mut first.remove());
        }
        due
    }

    /// From the beginning to a moment, in nanoseconds: enough for some hundred years.
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_not_before_its_time_and_within_a_tick_after() {
        let start = crate::testing::now();
        let mut timers = Timers::new(start);
        let key = SessionKey { index: 1, generation: 1, worker: 0 };
        assert_eq!(timers.next_due(), None);
        assert!(timers.set(start, start + Duration::from_millis(1234), Timer::Offline(key, 1)));
        assert!(
            !timers.set(start, start + Duration::from_millis(1250), Timer::Offline(key, 2)),
            "the same tick"
        );
        assert_eq!(timers.next_due(), Some(start + Duration::from_millis(1300)));
        assert!(timers.take_due(start + Duration::from_millis(1233)).is_empty());
        let due = timers.take_due(start + Duration::from_millis(1300));
        assert_eq!(due, [Timer::Offline(key, 1), Timer::Offline(key, 2)]);
        assert!(timers.take_due(start + Duration::from_secs(10)).is_empty());
    }

    /// A client that comes and goes sets a timer each time, a week away: they must not pile up for a week.
    #[test]
    fn far_ones_are_due_early() {
        let start = crate::testing::now();
        let mut timers = Timers::new(start);
        let key = SessionKey { index: 1, generation: 1, worker: 0 };
        let (week, minute) = (Duration::from_secs(604_800), Duration::from_secs(60));
        assert!(timers.take_due(start + minute).is_empty());
        timers.set(start + minute, start + week, Timer::Offline(key, 1));
        timers.set(start + minute, start + week, Timer::Refused(key, 1));
        assert!(timers.take_due(start + 10 * minute).is_empty());
        assert_eq!(timers.take_due(start + 11 * minute), [Timer::Offline(key, 1)]);
        assert_eq!(timers.take_due(start + week), [Timer::Refused(key, 1)], "nobody sets it anew");
        assert!(timers.due.is_empty());
    }

    /// What is due at a tick comes with it, in the order of the ticks; what was due before `began` comes at once.
    #[test]
    fn in_the_order_of_time() {
        let start = crate::testing::now();
        let at = |ticks: u32| start + ticks * TICK;
        let mut timers = Timers::new(start);
        let timer = |index| Timer::KeepAlive(SessionKey { index, generation: 1, worker: 0 }, 7);
        for (ticks, index) in [(3, 3), (1, 1), (2, 2), (3, 33), (9, 9), (0, 0)] {
            timers.set(start, at(ticks), timer(index));
        }
        assert_eq!(timers.take_due(at(0)), [timer(0)]);
        assert_eq!(timers.take_due(at(3)), [timer(1), timer(2), timer(3), timer(33)]);
        // Late: due at once.
        assert!(timers.set(at(3), at(1), timer(4)), "nothing is due before");
        assert_eq!(timers.take_due(at(3)), [timer(4)]);
        assert!(timers.take_due(at(8)).is_empty());
        assert_eq!(timers.take_due(at(9)), [timer(9)]);
    }

    /// What is set for the next tick is due at once where time went on since the last one, and a tick later otherwise.
    #[test]
    fn once_a_tick() {
        let start = crate::testing::now();
        let mut timers = Timers::new(start);
        assert!(timers.set_next(Timer::Changes));
        assert_eq!(timers.take_due(start + 50 * TICK), [Timer::Changes]);
        timers.set_next(Timer::Changes);
        assert!(timers.take_due(start + 50 * TICK).is_empty());
        assert_eq!(timers.next_due(), Some(start + 51 * TICK));
    }
}
