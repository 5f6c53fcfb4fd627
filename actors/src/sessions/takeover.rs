//! Takes network connections in: one that holds the session gives way first, then the session ends or goes on, and the
//! CONNECT is answered.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use micro_mq_core::admission::{self, Refused, Terms, maximum_packet_size};
use micro_mq_core::completion::Conditions;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::session::{Grant, Session};
use micro_mq_core::timers::Timer;
use mqtt_codec::{Connect, Packet};

use super::actor::{Sessions, turn_away_at_the_door};
use super::messages::Judged;
use crate::clock;
use crate::connection::transport::Transport;
use crate::connection::{Connection, ConnectionPermit, Newcomer};

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
            Some(key) if self.is_to_give_way(key) => {
                self.waiting.entry(key).or_default().push_back(admission);
            }
            found => self.take_in(found, admission),
        }
    }

    /// Asks the network connection that holds a session to part from it. False if there is none.
    fn is_to_give_way(&self, key: SessionKey) -> bool {
        let mut state = self.worker.state();
        let Some(online) = state.sessions.get_mut(key).and_then(|session| session.online.as_mut()) else {
            return false;
        };
        if self.waiting.contains_key(&key) {
            return true;
        }
        self.worker.counters.takeovers.add(1);
        // One that is gone says so when it is dropped.
        online.requests.gives_way = true;
        online.wake();
        true
    }

    /// Ends or resumes the session that a network connection asks for, which nobody holds, and answers its CONNECT.
    fn take_in(&mut self, found: Option<SessionKey>, admission: Admission) {
        let now = clock::now();
        let worker = Rc::clone(&self.worker);
        let Admission { transport, connect, rest, judged, grant, permit, .. } = admission;
        let Terms { mut answer, expiry_interval, keep_alive, will, place } = admission.terms;
        let version = connect.version;
        let user_name = judged.identity.user_name.as_deref();
        // It may have waited for another network connection to give way.
        let judged_anew = worker.standing(&judged, now).judge(judged.revision, grant.as_deref());
        let is_stopping = worker.state().stopping.then_some(Refused::Stopping);
        if let Some(refused) = judged_anew.err().or(is_stopping) {
            return turn_away_at_the_door(&worker, refused, &connect, transport, permit);
        }
        let was_kept = found.is_some_and(|key| worker.is_kept(key)) || !worker.is_restored();
        let existing = found.and_then(|key| self.end_or_keep(key, connect.clean_start, now));
        if !worker.is_restored() {
            worker.note_outdated(&connect.client_identifier);
        }
        match existing {
            // It goes on in its own place, and needs none beside it.
            Some(_) => drop(place),
            None => place.keep(),
        }
        answer.session_present = existing.is_some();
        let answer = Packet::ConnAck(answer);
        let node = &worker.node;
        let mut online = admission::begin(&connect, keep_alive, &node.settings, node.started, now);
        let patience = online.patience();
        let mut state = worker.state();
        online.outbox.append_with(&mut state.pool, |out| {
            let encoded = mqtt_codec::encode(&answer, version, maximum_packet_size(&connect), out);
            debug_assert!(encoded.is_ok(), "its size was judged");
        });
        let conditions = Conditions::default();
        let key = {
            let sessions = &mut state.sessions;
            let session = match existing.and_then(|key| sessions.get_mut(key).map(|session| session.key)) {
                Some(key) => sessions.get_mut(key).expect("it was just found"),
                None => sessions.create(&connect.client_identifier, version),
            };
            let names_before = if existing.is_some() { session.names_bytes() } else { 0 };
            admission::hold(session, online, expiry_interval, user_name, will);
            worker.node.session_places.rename(names_before, session.names_bytes());
            session.key
        };
        state.record_connected(key);
        let epoch = state.sessions.get(key).map_or(0, |session| session.epoch);
        let is_kept = was_kept || state.sessions.get(key).is_some_and(Session::is_durable);
        worker.counters.held.online.add(1);
        if keep_alive > 0 {
            state.set_timer(now, now + patience, Timer::KeepAlive(key, epoch));
        }
        drop(state);
        if is_kept {
            worker.gate(&conditions);
        }
        if grant.is_some() {
            worker.set_grant(key, epoch, grant, now);
        }
        worker.counters.packets_sent.add(1);
        worker.counters.connects_accepted.add(1);
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

    /// Ends the session that there is if a clean start is asked for. Returns the one that goes on: none if it was ended now,
    /// or by what was due of it.
    fn end_or_keep(&self, key: SessionKey, clean_start: bool, now: Instant) -> Option<SessionKey> {
        let worker = &self.worker;
        self.end_absence(key, now);
        // Without an expiry it ended with its network connection.
        if !worker.state().sessions.contains(key) {
            return None;
        }
        if !clean_start {
            return Some(key);
        }
        // Ended before its time: a delayed will is published [MQTT-3.1.3-9].
        if let Some(session) = worker.state().sessions.get_mut(key) {
            let will_due = session.absence().will_due;
            session.absence().will_due = will_due.or(session.will.is_some().then_some(now));
        }
        worker.state().end_session(key);
        None
    }

    /// Deals with what is due of a session that is offline, before it goes on or ends.
    fn end_absence(&self, key: SessionKey, now: Instant) {
        // A delayed will is cancelled by the resumption that follows, one without delay is published now.
        self.worker.state().settle_parting(key, now);
        // What was due before counts, though its tick did not come yet [MQTT-3.1.3-9] [MQTT-4.1.0-2].
        let is_due = |session: &&Session| session.next_due().is_some_and(|due| due <= now);
        let due = self.worker.state().sessions.get(key).filter(is_due).map(|session| session.epoch);
        if let Some(epoch) = due {
            self.worker.state().offline_due(key, epoch, now);
        }
    }
}
