//! A line of the log that is written once a second at most, however often there is reason to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long after one line the next may follow.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Mutex<Option<Instant>>,
    left_out: AtomicU64,
}

impl Throttle {
    /// Whether the line may be written now; if so, how many were left out since the last one, if any were.
    pub fn admit(&self, now: Instant) -> Option<Option<u64>> {
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            self.left_out.fetch_add(1, Relaxed);
            return None;
        }
        *last = Some(now);
        let left_out = self.left_out.swap(0, Relaxed);
        Some((left_out > 0).then_some(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_and_what_was_left_out() {
        let (throttle, begin) = (Throttle::default(), micro_mq_core::testing::now());
        assert_eq!(throttle.admit(begin), Some(None));
        for milliseconds in [0, 1, 999] {
            assert_eq!(throttle.admit(begin + Duration::from_millis(milliseconds)), None);
        }
        assert_eq!(throttle.admit(begin + PAUSE), Some(Some(3)));
        assert_eq!(throttle.admit(begin + PAUSE), None);
        assert_eq!(throttle.admit(begin + 3 * PAUSE), Some(Some(1)));
    }
}
