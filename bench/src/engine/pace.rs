//! A fixed schedule: which publisher's message is due when.

/// Message `k` of a phase is due `k` intervals after its start and belongs to publisher `k` modulo their number.
#[derive(Debug)]
pub(crate) struct Pace {
    start: u64,
    interval: f64,
    publishers: u32,
    /// Engines that publishers were dealt out to: the numbers of this one's are so far apart.
    engines: u32,
    /// The next message to fall due.
    cursor: u64,
    /// One past the last message.
    end: u64,
}

impl Pace {
    /// `rate` messages per second over all publishers of one of the `engines`, `messages` in all, from `start` nanoseconds on.
    pub(crate) fn new(start: u64, rate: f64, publishers: u32, engines: u32, messages: u64) -> Self {
        Self { start, interval: 1e9 / rate, publishers, engines, cursor: 0, end: messages }
    }

    /// When a publisher's message of this phase is due, in nanoseconds. Latencies are counted from here, so that
    /// a generator or broker that falls behind shows instead of hiding (no coordinated omission).
    pub(crate) fn due(&self, message: u32, publisher: u32) -> u64 {
        self.at(u64::from(message) * u64::from(self.publishers) + u64::from(publisher / self.engines))
    }

    /// The place among the engine's publishers of that of the next message, if that is due by `now`, once for each message.
    pub(crate) fn next_due(&mut self, now: u64) -> Option<u32> {
        let due = self.cursor < self.end && self.at(self.cursor) <= now;
        due.then(|| {
            let publisher = (self.cursor % u64::from(self.publishers)) as u32;
            self.cursor += 1;
            publisher
        })
    }

    /// Nanoseconds until the next message is due; `None` after the last.
    pub(crate) fn until_next(&self, now: u64) -> Option<u64> {
        (self.cursor < self.end).then(|| self.at(self.cursor).saturating_sub(now))
    }

    fn at(&self, message: u64) -> u64 {
        self.start + (message as f64 * self.interval) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fall_due_in_turn() {
        let mut pace = Pace::new(1_000, 1e6, 2, 1, 3);
        assert_eq!(pace.until_next(500), Some(500));
        assert_eq!(pace.next_due(999), None);
        let due: Vec<_> = std::iter::from_fn(|| pace.next_due(10_000)).collect();
        assert_eq!(due, [0, 1, 0]);
        assert_eq!(pace.until_next(10_000), None);
        assert_eq!((pace.due(0, 1), pace.due(1, 0)), (2_000, 3_000));
        let third = Pace::new(0, 1e6, 2, 3, 4);
        assert_eq!((third.due(0, 2), third.due(0, 5), third.due(1, 2)), (0, 1_000, 2_000));
    }
}
