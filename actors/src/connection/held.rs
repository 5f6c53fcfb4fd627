//! A client of 3.x whose publish a limit refused, and which cannot be told: it is not read, so that nothing is
//! acknowledged. When there is room within `refused_publish_timeout_ms` the publish goes through, otherwise the network
//! connection ends, and the client knows that it was not acknowledged.

use std::time::Instant;

use micro_mq_core::pressure::WaitlistPlace;
use micro_mq_core::protocol::{Ending, Limit, patience};
use micro_mq_core::timers::Timer;
use tracing::debug;

use super::actor::Connection;

/// See the module.
#[derive(Debug)]
pub(super) struct Held {
    limit: Limit,
    closes_at: Instant,
    /// Its place among those who wait for room; none if there can never be any for this publish.
    place: Option<WaitlistPlace>,
    /// The publish is to be stepped once more.
    tries: bool,
}

impl Connection {
    /// Whether the client is not read because a limit refused its publish.
    pub(super) fn is_held(&self) -> bool {
        self.rare.as_ref().and_then(|rare| rare.held.as_ref()).is_some_and(|held| !held.tries)
    }

    /// Whether the next packet is one that was refused before.
    pub(super) fn was_refused(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.held.is_some())
    }

    /// At the beginning of a turn: ends the network connection when it was held for too long, and has the publish tried
    /// again when room was made.
    pub(super) fn look_after_held(&mut self, now: Instant) -> Option<Ending> {
        let (worker, key) = (&self.worker, self.key);
        let held = self.rare.as_mut()?.held.as_mut()?;
        if held.closes_at <= now {
            worker.counters.publishers_held_closed.add(1);
            return Some(Ending::because(held.limit.reason()));
        }
        if held.place.as_ref().is_some_and(WaitlistPlace::was_called) {
            // A new place before the look, so that no room is missed that is made behind it.
            held.place = worker.waker_of(key).map(|waker| worker.node.waitlist.wait(&waker));
            held.tries = true;
        }
        None
    }

    /// Packets were stepped through, until a limit refused a publish if there is one. `some` were not refused.
    pub(super) fn note_refusal(&mut self, limit: Option<Limit>, some: bool, now: Instant) {
        if some && let Some(rare) = &mut self.rare {
            rare.held = None;
        }
        let Some(limit) = limit else { return };
        if let Some(held) = &mut self.rare().held {
            held.tries = false;
            return;
        }
        debug!(?limit, session = ?self.key, "a client is not read: its publish is beyond a limit");
        let worker = &self.worker;
        worker.counters.publishers_held.add(1);
        let closes_at = now + patience(&worker.node.settings);
        worker.set_timer(now, closes_at, Timer::Refused(self.key, self.epoch));
        let waker = worker.waker_of(self.key).filter(|_| limit.may_pass());
        let place = waker.as_ref().map(|waker| worker.node.waitlist.wait(waker));
        if let Some(waker) = &waker {
            // Room may have come between the refusal and the place.
            waker.wake_by_ref();
        }
        let tries = place.is_some();
        self.rare().held = Some(Box::new(Held { limit, closes_at, place, tries }));
    }
}
