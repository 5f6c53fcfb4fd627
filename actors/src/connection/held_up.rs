//! A batch that finds no room, at a worker with a match or at a keeper: its client is not read before it has set out.
//!
//! So whether the client is still there is not seen by reading. It is looked at now and then, and one that is gone has its
//! batch wait for as long as one that is there has a publish wait: then its network connection ends, and its will goes out.

use std::task::Context as TaskContext;
use std::time::{Duration, Instant};

use micro_mq_core::message::Batch;
use micro_mq_core::protocol::{Ending, patience};
use micro_mq_core::timers::Timer;
use mqtt_codec::ReasonCode;

use super::actor::Connection;
use super::context::ConnectionContext;

/// Between two looks at whether the client is there.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the client is still there. It outlasts the batch that it is for, so that many in a row set one timer.
#[derive(Debug)]
pub(super) struct Watch {
    looks_at: Instant,
    /// The client is gone, and its batch waits no longer than until then.
    ends_at: Option<Instant>,
}

impl Connection {
    pub(super) fn route_what_was_held_up(
        &mut self,
        context: &ConnectionContext,
        task: &TaskContext<'_>,
        now: Instant,
    ) -> bool {
        let Some(rare) = &mut self.rare else { return true };
        if !std::mem::take(&mut rare.held_up) {
            rare.watch.take_if(|watch| watch.looks_at <= now);
            return true;
        }
        let batch = {
            let sessions = &mut self.worker.state().sessions;
            sessions.get_mut(self.key).and_then(|session| session.online.as_mut()?.take_held_up())
        };
        let Some(mut batch) = batch else { return true };
        let set_out = match self.is_judged(context, &mut batch, now) {
            true => self.set_out(*batch, task, now),
            false => Err(batch),
        };
        if self.rare.as_ref().is_some_and(|rare| rare.ending.is_some()) {
            task.waker().wake_by_ref();
        }
        match set_out {
            Ok(()) => {
                if let Some(watch) = &mut self.rare().watch {
                    watch.ends_at = None;
                }
                true
            }
            Err(batch) => {
                self.hold_up(batch, now);
                false
            }
        }
    }

    /// The session keeps a batch that finds no room.
    pub(super) fn hold_up(&mut self, batch: Box<Batch>, now: Instant) {
        {
            let sessions = &mut self.worker.state().sessions;
            if let Some(online) = sessions.get_mut(self.key).and_then(|session| session.online.as_mut()) {
                online.rare.get_or_insert_default().held_up = Some(batch);
            }
        }
        self.rare().held_up = true;
        if self.rare().watch.is_none() {
            self.rare().watch = Some(Watch { looks_at: now + PAUSE, ends_at: None });
            self.wake_at(now + PAUSE, now);
        }
    }

    /// Looks whether the client is still there whose batch is held up. Returns how its network connection ends if it has been
    /// gone for long.
    pub(super) fn look_for_end(&mut self, now: Instant) -> Option<Ending> {
        let is_over = self.transport.is_over();
        let patience = patience(&self.worker.node.settings);
        let watch = self.rare.as_mut()?.watch.as_mut()?;
        if is_over && *watch.ends_at.get_or_insert(now + patience) <= now {
            return Some(Ending::because(ReasonCode::Success));
        }
        if watch.looks_at <= now {
            watch.looks_at = watch.ends_at.map_or(now + PAUSE, |ends_at| ends_at.min(now + PAUSE));
            let next = watch.looks_at;
            self.wake_at(next, now);
        }
        None
    }

    fn wake_at(&self, at: Instant, now: Instant) {
        self.worker.state().set_timer(now, at, Timer::Refused(self.key, self.epoch));
    }
}
