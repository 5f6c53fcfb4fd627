//! Network connections that end because of who they are: what they were let in by is over, or their provider has withdrawn
//! it. The client is told 0x87, its will is published, its session stays.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_rt::task::yield_now;
use auth_actor::{Permissions, Withdrawn};
use micro_mq_core::admission::Standing;
use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::session::{Grant, Online, Session, Validity};
use micro_mq_core::timers::Timer;
use mqtt_codec::ReasonCode;

use super::messages::Judged;
use crate::clock;
use crate::worker::Worker;

/// Sessions looked at before others have their turn.
const LOOKED_AT_ONCE: usize = 1024;

/// As the core knows it.
pub(crate) fn held_grant(grant: Arc<auth_actor::Grant>) -> Arc<Grant> {
    Arc::new(Grant {
        uid: grant.uid,
        end: grant.expires_at.map(tokio::time::Instant::into_std),
        origin: grant,
    })
}

/// Until when verdicts that came just now may be remembered; none: as long as the rules are in force.
pub(crate) fn remembered_until(permissions: &Permissions) -> Option<Instant> {
    permissions.time_to_live.and_then(|time| clock::now().checked_add(time))
}

/// As its provider knows it.
pub(crate) fn given_grant(grant: &Arc<Grant>) -> Option<Arc<auth_actor::Grant>> {
    grant.origin()
}

impl Worker {
    /// How things stand for somebody who was let in.
    pub(super) fn standing(&self, judged: &Judged, now: Instant) -> Standing {
        let is_withdrawn = self.node.withdrawals.is_withdrawn_since(judged.rounds, &judged.identity);
        Standing { revision: self.node.policy.revision(), is_withdrawn, now }
    }

    /// Notes what a network connection and its will are allowed by from now on.
    pub(crate) fn set_grant(&self, key: SessionKey, epoch: Epoch, grant: Option<Arc<Grant>>, now: Instant) {
        self.see_to_grant(key, epoch, now, |session| session.set_grant(grant, now));
    }

    /// A timer of a network connection's grant is due.
    pub(super) fn grant_due(&self, key: SessionKey, epoch: Epoch, now: Instant) {
        let due = |online: &mut Online| online.grant_due(now);
        self.see_to_grant(key, epoch, now, |session| session.online.as_mut().map_or(Validity::GoesOn, due));
    }

    fn see_to_grant(
        &self,
        key: SessionKey,
        epoch: Epoch,
        now: Instant,
        judge: impl FnOnce(&mut Session) -> Validity,
    ) {
        let mut state = self.state();
        let Some(session) = state.sessions.get_mut(key).filter(|session| session.epoch == epoch) else {
            return;
        };
        match judge(session) {
            Validity::Over => {
                let Some(online) = &mut session.online else { return };
                self.counters.grants_expired.add(1);
                online.end(ReasonCode::NotAuthorized);
            }
            Validity::LookAt(due) => state.set_timer(now, due, Timer::Grant(key, epoch)),
            Validity::GoesOn => {}
        }
    }

    /// Closes all network connections that a provider has withdrawn, in pieces. There is no index of users and grants, which
    /// would cost every connection its place there: all sessions are looked at once for all notices that came together.
    pub(super) async fn end_withdrawn(self: Rc<Self>, round: Arc<Withdrawn>) {
        let mut from = 0;
        loop {
            let mut state = self.state();
            if from >= state.sessions.places() {
                return;
            }
            for session in state.sessions.in_places(from, LOOKED_AT_ONCE) {
                let Some(online) = &session.online else { continue };
                let uid = online.grant().map(|grant| grant.uid);
                // One that ends already may have been counted.
                if online.requests.ending.is_some() || !round.concerns(session.user_name(), uid) {
                    continue;
                }
                if let Some(online) = &mut session.online {
                    self.counters.connections_withdrawn.add(1);
                    online.end(ReasonCode::NotAuthorized);
                }
            }
            drop(state);
            from += LOOKED_AT_ONCE;
            yield_now().await;
        }
    }
}
