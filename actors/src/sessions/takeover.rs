//! Takes network connections in: one that holds the session gives way first, then the session ends or goes on, and the
//! CONNECT is answered.

use std::rc::Rc;
use std::sync::Arc;

use micro_mq_core::admission::{Refused, Terms};
use micro_mq_core::completion::Conditions;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::session::{Grant, Session};
use mqtt_codec::Connect;

use super::actor::{Sessions, turn_away_at_the_door};
use crate::clock;
use crate::connection::{Connection, Newcomer};
use crate::messages::Judged;
use crate::permit::ConnectionPermit;
use crate::transport::Transport;

/// A network connection that nothing speaks against any more.
pub(super) struct Admission {
    pub(super) transport: Transport,
    pub(super) connect: Box<Connect>,
    pub(super) rest: Vec<u8>,
    pub(super) bytes_received: u64,
    pub(super) judged: Judged,
    pub(super) grant: Option<Arc<Grant>>,
    pub(super) permit: ConnectionPermit,
    pub(super) terms: Terms,
}

impl Sessions {
    /// Takes a network connection in, at once or, if another one holds its session, when that has given way
    /// [MQTT-3.1.4-3].
    pub(super) fn take_over(&mut self, found: Option<SessionKey>, admission: Admission) {
        match found {
            Some(key) if self.worker.state().ask_to_give_way(key, self.waiting.contains_key(&key)) => {
                self.waiting.entry(key).or_default().push_back(admission);
            }
            found => self.take_in(found, admission),
        }
    }

    /// Ends or resumes the session that a network connection asks for, which nobody holds, and answers its CONNECT.
    fn take_in(&mut self, found: Option<SessionKey>, admission: Admission) {
        let now = clock::now();
        let worker = Rc::clone(&self.worker);
        let Admission { transport, connect, rest, judged, grant, permit, .. } = admission;
        let user_name = judged.identity.user_name.as_deref();
        // It may have waited for another network connection to give way.
        let judged_anew = worker.standing(&judged, now).judge(judged.revision, grant.as_deref());
        let is_stopping = worker.state().stopping.then_some(Refused::Stopping);
        if let Some(refused) = judged_anew.err().or(is_stopping) {
            return turn_away_at_the_door(&worker, refused, &connect, transport, permit);
        }
        let was_kept = found.is_some_and(|key| worker.is_kept(key)) || !worker.is_restored();
        let existing = found.and_then(|key| worker.state().end_or_keep(key, connect.clean_start, now));
        if !worker.is_restored() {
            worker.note_outdated(&connect.client_identifier);
        }
        let (key, epoch) = worker.state().take_in(existing, &connect, admission.terms, user_name, now);
        let conditions = Conditions::default();
        let is_durable = worker.state().sessions.get(key).is_some_and(Session::is_durable);
        if was_kept || is_durable {
            worker.gate(&conditions);
        }
        if grant.is_some() {
            worker.state().set_grant(key, epoch, grant, now);
        }
        if let Some(id) = judged.certificate
            && let Some(online) =
                worker.state().sessions.get_mut(key).and_then(|session| session.online.as_mut())
        {
            online.rare.get_or_insert_default().certificate = Some(Box::new(id.to_bytes()));
        }
        let carrier = (transport.kind(), || transport.peer_address());
        worker.tell_connected(&connect, existing.is_some(), carrier, user_name, now);
        let newcomer = Newcomer {
            key,
            epoch,
            transport,
            rest,
            bytes_received: admission.bytes_received,
            permit,
            connect,
            kept: conditions.of(0),
        };
        Connection::start_on(Rc::clone(&worker), newcomer);
        worker.state().tell_groups(key);
    }
}
