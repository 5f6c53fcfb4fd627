//! What is due at a moment, for sessions that are online and for those that are not, and the future that waits for it.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use actix::fut::ActorFuture;
use actix::prelude::*;
use micro_mq_core::timers::Timer;
use tokio::time::{Sleep, sleep};

use super::actor::Sessions;
use crate::clock;

/// Runs behind the mailbox: sees to what is due, and sleeps until something is.
pub(super) struct WhatIsDue {
    sleep: Pin<Box<Sleep>>,
    /// Until when it sleeps.
    until: Option<Instant>,
}

impl WhatIsDue {
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(sleep(Duration::ZERO)), until: None }
    }
}

impl ActorFuture<Sessions> for WhatIsDue {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        sessions: &mut Sessions,
        _ctx: &mut Context<Sessions>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        sessions.worker.state().note_alarm(task.waker());
        loop {
            let next = sessions.worker.state().timers.next_due();
            let Some(due) = next else { return Poll::Pending };
            if self.until != next {
                self.sleep.as_mut().reset(due.into());
                self.until = next;
            }
            ready!(self.sleep.as_mut().poll(task));
            self.until = None;
            sessions.see_to_what_is_due();
        }
    }
}

impl Sessions {
    fn see_to_what_is_due(&mut self) {
        let now = clock::now();
        let due = self.worker.state().timers.take_due(now);
        for timer in due {
            match timer {
                Timer::KeepAlive(key, epoch) => self.worker.state().keep_alive_due(key, epoch, now),
                Timer::Offline(key, epoch) => self.worker.state().offline_due(key, epoch, now),
                Timer::Grant(key, epoch) => self.worker.state().grant_due(key, epoch, now),
                Timer::Refused(key, epoch) => self.worker.state().wake(key, epoch),
                Timer::Waiting => {
                    let late = self.worker.wills_in_doubt.borrow_mut().take_late(now);
                    late.into_iter().for_each(|admit| self.turn_away(admit));
                }
                Timer::LinesLeftOut => self.worker.node.client_lines.look(now),
                Timer::Changes => {
                    self.worker.state().record_settled();
                    self.worker.keep_changes();
                }
            }
        }
    }
}
