//! Network connections that are taken in: one that holds the session gives way first, then the session ends or goes on, and
//! the CONNECT is answered.

use std::time::Instant;

use mqtt_codec::{Connect, Packet, encode};

use super::state::WorkerState;
use crate::admission::{self, Terms, maximum_packet_size};
use crate::ids::{Epoch, SessionKey};
use crate::session::Session;
use crate::timers::Timer;

impl WorkerState {
    /// Asks the network connection that holds a session to part from it [MQTT-3.1.4-3]. False if there is none. Who
    /// `is_asked` was asked before.
    pub fn ask_to_give_way(&mut self, key: SessionKey, is_asked: bool) -> bool {
        let session = self.sessions.get_mut(key);
        let Some(online) = session.and_then(|session| session.online.as_mut()) else { return false };
        if !is_asked {
            self.counters.takeovers.add(1);
            // One that is gone says so when it is dropped.
            online.requests.gives_way = true;
            online.wake();
        }
        true
    }

    /// Ends a session that nobody holds if a clean start is asked for. Returns the one that goes on: none if it was ended
    /// now, or by what was due of it.
    pub fn end_or_keep(&mut self, key: SessionKey, clean_start: bool, now: Instant) -> Option<SessionKey> {
        self.end_absence(key, now);
        // Without an expiry it ended with its network connection.
        let session = self.sessions.get_mut(key)?;
        if !clean_start {
            return Some(key);
        }
        // Ended before its time: a delayed will is published [MQTT-3.1.3-9].
        let will_due = session.absence().will_due;
        session.absence().will_due = will_due.or(session.will.is_some().then_some(now));
        self.end_session(key);
        None
    }

    /// Deals with what is due of a session that is offline, before it goes on or ends.
    fn end_absence(&mut self, key: SessionKey, now: Instant) {
        // A delayed will is cancelled by the resumption that follows, one without delay is published now.
        self.settle_parting(key, now);
        // What was due before counts, though its tick did not come yet [MQTT-3.1.3-9] [MQTT-4.1.0-2].
        let is_due = |session: &&Session| session.next_due().is_some_and(|due| due <= now);
        let due = self.sessions.get(key).filter(is_due).map(|session| session.epoch);
        if let Some(epoch) = due {
            self.offline_due(key, epoch, now);
        }
    }

    /// Lets a network connection have the session that goes on, or else a new one, and answers its CONNECT. Returns which
    /// it is, and which of its network connections this is.
    pub fn take_in(
        &mut self,
        existing: Option<SessionKey>,
        connect: &Connect,
        terms: Terms,
        user_name: Option<&str>,
        now: Instant,
    ) -> (SessionKey, Epoch) {
        let Terms { mut answer, expiry_interval, keep_alive, will, place } = terms;
        match existing {
            // It goes on in its own place, and needs none beside it.
            Some(_) => drop(place),
            None => place.keep(),
        }
        answer.session_present = existing.is_some();
        let answer = Packet::ConnAck(answer);
        let Self { node, sessions, pool, .. } = self;
        let mut online = admission::begin(connect, keep_alive, &node.settings, node.started, now);
        let patience = online.patience();
        online.outbox.append_with(pool, |out| {
            let encoded = encode(&answer, connect.version, maximum_packet_size(connect), out);
            debug_assert!(encoded.is_ok(), "its size was judged");
        });
        let session = match existing.filter(|key| sessions.contains(*key)) {
            Some(key) => sessions.get_mut(key).expect("it was just found"),
            None => sessions.create(&connect.client_identifier, connect.version),
        };
        let names_before = if existing.is_some() { session.names_bytes() } else { 0 };
        admission::hold(session, online, expiry_interval, user_name, will);
        node.session_places.rename(names_before, session.names_bytes());
        let key = session.key;
        self.record_connected(key);
        let epoch = self.sessions.get(key).map_or(0, |session| session.epoch);
        self.counters.gauges.online.add(1);
        self.counters.packets_sent.add(1);
        self.counters.connects_accepted.add(1);
        if keep_alive > 0 {
            self.set_timer(now, now + patience, Timer::KeepAlive(key, epoch));
        }
        (key, epoch)
    }
}
