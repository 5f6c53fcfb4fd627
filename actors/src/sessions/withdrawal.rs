//! Network connections that end because of who they are: what they were let in by is over, or their provider has withdrawn
//! it. The client is told 0x87, its will is published, its session stays.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_rt::task::yield_now;
use auth_actor::{CertificateId, Withdrawn};
use micro_mq_core::admission::Standing;
use mqtt_codec::ReasonCode;

use crate::messages::Judged;
use crate::worker::Worker;

/// Sessions looked at before others have their turn.
const LOOKED_AT_ONCE: usize = 1024;

impl Worker {
    /// How things stand for somebody who was let in.
    pub(super) fn standing(&self, judged: &Judged, now: Instant) -> Standing {
        let Judged { identity, certificate, rounds, .. } = judged;
        let is_withdrawn = self.node.withdrawals.is_withdrawn_since(*rounds, identity, *certificate);
        Standing { revision: self.node.policy.revision(), is_withdrawn, now }
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
                let certificate = online.certificate().map(|id| CertificateId::from_bytes(*id));
                // One that ends already may have been counted.
                if online.requests.ending.is_some() || !round.concerns(session.user_name(), uid, certificate)
                {
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
