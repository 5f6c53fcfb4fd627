//! Network connections whose time is over: the client is silent for too long, or what it was let in by counts no more.

use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::ReasonCode;

use super::state::WorkerState;
use crate::ids::{Epoch, SessionKey};
use crate::session::{Grant, Session, Silence, Validity};
use crate::timers::Timer;

impl WorkerState {
    /// It is to be seen whether a client is silent for too long [MQTT-3.1.2-22].
    pub fn keep_alive_due(&mut self, key: SessionKey, epoch: Epoch, now: Instant) {
        let session = self.sessions.get_mut(key).filter(|session| session.epoch == epoch);
        let Some(online) = session.and_then(|session| session.online.as_mut()) else { return };
        match online.judge_silence(self.node.started, now) {
            Silence::TooLong => {
                self.counters.keep_alive_timeouts.add(1);
                online.end(ReasonCode::KeepAliveTimeout);
            }
            Silence::Within(time) => self.set_timer(now, now + time, Timer::KeepAlive(key, epoch)),
        }
    }

    /// Notes what a network connection and its will are allowed by from now on.
    pub fn set_grant(&mut self, key: SessionKey, epoch: Epoch, grant: Option<Arc<Grant>>, now: Instant) {
        self.see_to_grant(key, epoch, now, |session| session.set_grant(grant, now));
    }

    /// A timer of a network connection's grant is due.
    pub fn grant_due(&mut self, key: SessionKey, epoch: Epoch, now: Instant) {
        self.see_to_grant(key, epoch, now, |session| {
            session.online.as_mut().map_or(Validity::GoesOn, |online| online.grant_due(now))
        });
    }

    fn see_to_grant(
        &mut self,
        key: SessionKey,
        epoch: Epoch,
        now: Instant,
        judge: impl FnOnce(&mut Session) -> Validity,
    ) {
        let session = self.sessions.get_mut(key).filter(|session| session.epoch == epoch);
        let Some(session) = session else { return };
        match judge(session) {
            Validity::Over => {
                let Some(online) = &mut session.online else { return };
                self.counters.grants_expired.add(1);
                online.end(ReasonCode::NotAuthorized);
            }
            Validity::LookAt(due) => self.set_timer(now, due, Timer::Grant(key, epoch)),
            Validity::GoesOn => {}
        }
    }
}
