//! The one order of all publishes of a node, in which new subscriptions have their place.
//!
//! A retained publish gets its stamp while it is kept and sent to every worker with a match, under one lock; whoever takes
//! the same lock knows that all of that is done for what is stamped by then. So a subscription begins
//! at one moment: what is stamped up to it comes to the subscriber as a retained message and in no other way, and what
//! is stamped behind it comes by itself, for the directory named the filter before.
//!
//! All other publishes are only told how many retained ones, and beginnings of subscriptions, were before them. That costs
//! them nothing, and is enough to see on which side of a subscription's moment they stand, though they may be on their way
//! between two workers at that moment, and acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// See the module.
#[derive(Debug, Default)]
pub struct PublishOrder {
    /// Retained publishes and moments so far.
    counted: AtomicU64,
    stamping: Mutex<()>,
}

/// Held while a batch with retained publishes is stamped and sent on its way.
#[derive(Debug)]
pub struct Stamping<'a> {
    counted: &'a AtomicU64,
    _stamping: MutexGuard<'a, ()>,
}

/// Retained publishes and moments have even stamps, the others stand in between.
#[inline]
fn behind(counted: u64) -> u64 {
    2 * counted + 1
}

impl PublishOrder {
    /// The stamp of publishes that are not retained, now.
    #[inline]
    pub fn stamp(&self) -> u64 {
        behind(self.counted.load(Ordering::Relaxed))
    }

    /// What was stamped by an earlier process, up to this, stands before all else.
    pub fn begin_behind(&self, stamp: u64) {
        let _stamping = self.stamping.lock();
        self.counted.fetch_max(stamp.div_ceil(2), Ordering::Relaxed);
    }

    /// Nobody else stamps retained publishes until this is dropped.
    pub fn stamping(&self) -> Stamping<'_> {
        Stamping { _stamping: self.stamping.lock(), counted: &self.counted }
    }

    /// The present moment, behind all that is stamped by now: retained publishes up to it are kept, and on their way to all
    /// workers with a match.
    pub fn now(&self) -> Moment {
        Moment::at(self.stamping().next_even())
    }
}

impl Stamping<'_> {
    /// The next stamp: of a retained publish, or of one between them.
    pub fn next(&self, is_retained: bool) -> u64 {
        if is_retained { self.next_even() } else { behind(self.counted.load(Ordering::Relaxed)) }
    }

    fn next_even(&self) -> u64 {
        // Only written under the lock.
        let counted = self.counted.load(Ordering::Relaxed) + 1;
        self.counted.store(counted, Ordering::Relaxed);
        2 * counted
    }
}

/// A moment in that order, small enough to stand in every subscription. What has this stamp or a lower one was published
/// before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    high: u16,
    low: u32,
}

impl Moment {
    /// Behind what has this stamp. Beyond 2^48, which a million retained publishes a second reach in four years, none is
    /// told from the last one.
    #[inline]
    pub fn at(stamp: u64) -> Self {
        let stamp = stamp.min((1 << 48) - 1);
        Self { high: (stamp >> 32) as u16, low: stamp as u32 }
    }

    /// The highest stamp of what was published before.
    #[inline]
    pub fn stamp(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retained_publishes_are_told_from_those_between_them() {
        let order = PublishOrder::default();
        let begin = order.now().stamp();
        let before = order.stamp();
        assert!(before > begin);
        let stamping = order.stamping();
        let (first, between, second) = (stamping.next(true), stamping.next(false), stamping.next(true));
        drop(stamping);
        assert!(before < first && first < between && between < second);
        let between = order.stamp();
        let now = order.now().stamp();
        assert!(second < between && between < now && now < order.stamp());
    }

    #[test]
    fn a_moment_keeps_its_stamp() {
        for stamp in [0, 1, 1 << 31, (1 << 33) + 5, (1 << 48) - 1] {
            assert_eq!(Moment::at(stamp).stamp(), stamp);
        }
        assert_eq!(Moment::at(u64::MAX).stamp(), (1 << 48) - 1);
    }
}
