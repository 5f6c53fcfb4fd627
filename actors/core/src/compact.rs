//! Moments and counts in few bytes, for what every idle connection keeps.

use std::time::{Duration, Instant};

/// A moment to the millisecond, rounded up, in four bytes. They are used up after seven weeks and begin anew, so it tells
/// how long ago it is, if that is less than three weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent(u32);

impl Recent {
    /// `now`, on the clock of a node that started then.
    #[inline]
    pub fn new(started: Instant, now: Instant) -> Self {
        Self(milliseconds(now.saturating_duration_since(started) + Duration::from_nanos(999_999)))
    }

    /// How long ago it is; never longer than it is in truth.
    #[inline]
    pub fn elapsed(self, started: Instant, now: Instant) -> Duration {
        let now = milliseconds(now.saturating_duration_since(started));
        // Negative within the same millisecond.
        Duration::from_millis((now.wrapping_sub(self.0) as i32).max(0) as u64)
    }
}

fn milliseconds(duration: Duration) -> u32 {
    (duration.as_secs() as u32).wrapping_mul(1000).wrapping_add(duration.subsec_millis())
}

/// A moment to the tenth of a second, in four bytes, which last for 13 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(u32);

impl Since {
    /// `now`, on the clock of a node that started then.
    pub fn new(started: Instant, now: Instant) -> Self {
        Self(tenths(started, now))
    }

    /// How long ago it is.
    pub fn elapsed(self, started: Instant, now: Instant) -> Duration {
        Duration::from_millis(u64::from(tenths(started, now).saturating_sub(self.0)) * 100)
    }
}

fn tenths(started: Instant, now: Instant) -> u32 {
    u32::try_from(now.saturating_duration_since(started).as_millis() / 100).unwrap_or(u32::MAX)
}

/// A count of bytes up to 256 TiB, in six bytes that stand anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByteCount([u16; 3]);

impl ByteCount {
    /// The count.
    #[inline]
    pub fn get(self) -> u64 {
        u64::from(self.0[0]) | u64::from(self.0[1]) << 16 | u64::from(self.0[2]) << 32
    }

    /// Adds so many.
    #[inline]
    pub fn add(&mut self, bytes: u64) {
        let sum = self.get().wrapping_add(bytes);
        self.0 = [sum as u16, (sum >> 16) as u16, (sum >> 32) as u16];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_moments_are_told_though_their_bytes_begin_anew() {
        let started = crate::testing::now();
        let week = Duration::from_secs(7 * 24 * 3600);
        for at in [Duration::ZERO, Duration::from_micros(1), Duration::from_millis(7), 7 * week, 8 * week] {
            let then = started + at;
            let moment = Recent::new(started, then);
            for later in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(1500), 2 * week] {
                let told = moment.elapsed(started, then + later);
                assert!(told <= later && told + Duration::from_millis(2) > later, "{told:?} for {later:?}");
            }
            assert_eq!(moment.elapsed(started, then), Duration::ZERO);
        }
    }

    #[test]
    fn long_moments_are_told_to_the_tenth_of_a_second() {
        let started = crate::testing::now();
        let moment = Since::new(started, started + Duration::from_millis(250));
        let year = Duration::from_secs(365 * 24 * 3600);
        assert_eq!(moment.elapsed(started, started + year), year - Duration::from_millis(200));
    }

    #[test]
    fn bytes_are_counted_beyond_four_gibibytes() {
        let mut count = ByteCount::default();
        for bytes in [1, 65_535, u64::from(u32::MAX), 1 << 40] {
            let before = count.get();
            count.add(bytes);
            assert_eq!(count.get(), before + bytes);
        }
    }
}
