//! A client of 3.x whose publish a limit refused, and which cannot be told: it is not read, so that nothing is
//! acknowledged. When there is room within `refused_publish_timeout_ms` the publish goes through, otherwise the network
//! connection ends, and the client knows that it was not acknowledged.

use std::rc::Rc;
use std::time::{Duration, Instant};

use micro_mq_core::pressure::WaitlistPlace;
use micro_mq_core::protocol::{Ending, Limit, Remedy, patience};
use micro_mq_core::timers::Timer;
use tracing::debug;

use super::actor::Connection;

/// Between no answer and the next question.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct HeldPublish {
    limit: Limit,
    closes_at: Instant,
    /// Its place among those who wait for room, if that is what it waits for.
    place: Option<WaitlistPlace>,
    /// When it is to be asked for again.
    asks_at: Option<Instant>,
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
            held.place = worker.state().waker_of(key).map(|waker| worker.node.waitlist.wait(&waker));
            held.tries = true;
        }
        if held.asks_at.is_some_and(|at| at <= now) {
            held.asks_at = None;
            held.tries = true;
        }
        None
    }

    /// Packets were stepped through, until a limit refused a publish if there is one. `some` were not refused.
    pub(super) fn note_refusal(&mut self, limit: Option<Limit>, some: bool, now: Instant) {
        if some && let Some(rare) = &mut self.rare {
            rare.held = None;
        }
        if let Some(limit) = limit {
            self.hold(limit, now);
        }
    }

    /// Whether a publish had no answer, and it is too soon to ask again.
    pub(super) fn waits_to_ask(&self) -> bool {
        let held = self.rare.as_ref().and_then(|rare| rare.held.as_ref());
        held.is_some_and(|held| held.limit == Limit::Answer && !held.tries)
    }

    /// What had no answer has one.
    pub(super) fn forget_unanswered(&mut self) {
        if let Some(rare) = &mut self.rare
            && rare.held.as_ref().is_some_and(|held| held.limit == Limit::Answer)
        {
            rare.held = None;
        }
    }

    /// Does not read the client until there is room at a limit, or it has waited for that long enough.
    pub(super) fn hold(&mut self, limit: Limit, now: Instant) {
        let worker = Rc::clone(&self.worker);
        let wakes_at = |at| worker.state().set_timer(now, at, Timer::Refused(self.key, self.epoch));
        let before = self.rare.as_mut().and_then(|rare| rare.held.take());
        let closes_at = before.as_ref().map_or_else(
            || {
                debug!(?limit, session = ?self.key, "a client is not read: its publish is beyond a limit");
                worker.counters.publishers_held.add(1);
                let closes_at = now + patience(&worker.node.settings);
                wakes_at(closes_at);
                closes_at
            },
            |before| before.closes_at,
        );
        let mut held = HeldPublish { limit, closes_at, place: None, asks_at: None, tries: false };
        match limit.remedy() {
            Remedy::None => {}
            Remedy::Room => {
                held.place = before.and_then(|before| before.place);
                if held.place.is_none()
                    && let Some(waker) = worker.state().waker_of(self.key)
                {
                    held.place = Some(worker.node.waitlist.wait(&waker));
                    // Room may have come between the refusal and the place.
                    held.tries = true;
                    waker.wake();
                }
            }
            Remedy::Question => {
                held.asks_at = Some(now + PAUSE);
                wakes_at(now + PAUSE);
            }
        }
        self.rare().held = Some(Box::new(held));
    }
}
