//! Which address of the service is asked: those that answer, in turns. One that does not is left out for a second, then
//! two, up to thirty, or until its watch is heard again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::Channel;

/// How long an address is left out that does not answer for the first time, and at most.
const EJECTION_MIN: Duration = Duration::from_secs(1);
const EJECTION_MAX: Duration = Duration::from_secs(30);
/// Answers in a row that come too late before that: one may have waited for its turn.
const LATE_MAX: u32 = 2;

#[derive(Debug, Default)]
struct Health {
    late: u32,
    /// How long it was left out the last time; none since it answered.
    ejection: Duration,
    left_out_until: Option<Instant>,
}

#[derive(Debug)]
struct Target {
    channel: Channel,
    health: Mutex<Health>,
}

impl Target {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn eject(&self, why: &str) {
        let mut health = self.health();
        let ejection = (health.ejection * 2).clamp(EJECTION_MIN, EJECTION_MAX);
        if health.left_out_until.is_none() {
            tracing::warn!(why, seconds = ejection.as_secs(), "an address of the auth service is left out");
        }
        *health = Health { late: 0, ejection, left_out_until: Some(Instant::now() + ejection) };
    }
}

#[derive(Debug)]
pub(super) struct Picker {
    targets: Vec<Target>,
    next: AtomicUsize,
}

impl Picker {
    pub(super) fn new(channels: Vec<Channel>) -> Self {
        let target = |channel| Target { channel, health: Mutex::default() };
        Self { targets: channels.into_iter().map(target).collect(), next: AtomicUsize::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// The next that is not left out; none if all are.
    pub(super) fn pick(&self) -> Option<Picked<'_>> {
        let now = Instant::now();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            (0..self.targets.len()).map(|place| &self.targets[(first + place) % self.targets.len()]);
        let is_in = |target: &&Target| target.health().left_out_until.is_none_or(|until| until <= now);
        in_turn.into_iter().find(is_in).map(Picked)
    }

    /// One is heard, whatever was before.
    pub(super) fn is_heard(&self, place: usize) {
        Picked(&self.targets[place]).answered();
    }

    /// One is heard no more.
    pub(super) fn is_lost(&self, place: usize) {
        self.targets[place].eject("it is heard no more");
    }
}

/// An address that is asked.
#[derive(Debug)]
pub(super) struct Picked<'a>(&'a Target);

impl Picked<'_> {
    pub(super) fn channel(&self) -> Channel {
        self.0.channel.clone()
    }

    pub(super) fn answered(&self) {
        *self.0.health() = Health::default();
    }

    pub(super) fn failed(&self, why: &str) {
        self.0.eject(why);
    }

    pub(super) fn is_late(&self) {
        let late = {
            let mut health = self.0.health();
            health.late += 1;
            health.late
        };
        if late >= LATE_MAX {
            self.0.eject("its answers come too late");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::transport::Endpoint;

    fn picker(targets: usize) -> Picker {
        let channel = |_| Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Picker::new((0..targets).map(channel).collect())
    }

    fn place(picker: &Picker) -> Option<usize> {
        let picked = picker.pick()?;
        picker.targets.iter().position(|target| std::ptr::eq(target, picked.0))
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn who_does_not_answer_is_left_out_for_longer_and_longer() {
        let picker = picker(2);
        assert_eq!([place(&picker), place(&picker), place(&picker)], [Some(0), Some(1), Some(0)]);
        picker.targets[0].eject("test");
        assert_eq!([place(&picker), place(&picker)], [Some(1), Some(1)]);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert!((0..2).any(|_| place(&picker) == Some(0)), "after {seconds} s");
            picker.targets[0].eject("test");
        }
        picker.is_heard(0);
        assert!((0..2).any(|_| place(&picker) == Some(0)));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn one_late_answer_is_borne_and_without_any_address_nobody_is_asked() {
        let picker = picker(1);
        picker.pick().expect("it is there").is_late();
        picker.pick().expect("it is still there").is_late();
        assert!(picker.pick().is_none());
    }
}
