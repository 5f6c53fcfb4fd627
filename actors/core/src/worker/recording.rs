//! What is recorded of durable sessions.

use std::sync::Arc;
use std::time::Instant;

use super::state::WorkerState;
use crate::ids::SessionKey;
use crate::message::{Batch, StoredMessage};
use crate::protocol::Granted;
use crate::records::{Body, Connected, Of, Parted, Record, Retained, Subscribed, Will};
use crate::session::Session;
use crate::timers::Timer;

/// A session as records of its present network connection name it.
fn of(session: &Session) -> Of<'_> {
    Of { client: session.client_identifier(), epoch: session.epoch }
}

fn will_of(session: &Session) -> Option<Will<'_>> {
    session.will.as_ref().map(|will| Will {
        body: Body {
            topic: &will.topic,
            properties: &will.properties,
            payload: &will.payload,
            qos: will.qos,
        },
        retain: will.retain,
        delay_seconds: will.delay_seconds,
        expiry_seconds: will.expiry_seconds,
    })
}

impl WorkerState {
    /// Records that a network connection holds a durable session, or that one is not durable any more.
    pub fn record_connected(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.is_durable() && !session.is_recorded {
            return;
        }
        if session.is_durable() {
            session.epoch = self.changes.next_position().epoch();
        }
        let begins = !session.is_recorded;
        session.is_recorded = session.is_durable();
        session.keeps_messages = session.is_recorded && self.copies.is_on;
        let way = &self.node.ways[usize::from(self.id)];
        match (begins, session.is_recorded) {
            (true, true) => way.note_recorded(),
            (false, false) => way.forget_recorded(),
            _ => {}
        }
        let client = session.client_identifier();
        let record = match session.is_durable() {
            false => Record::Ended(client),
            true => Record::Connected(Connected {
                client,
                user_name: session.user_name(),
                version: session.version,
                expiry_interval: session.expiry_interval,
                begins,
                will: will_of(session),
            }),
        };
        let (_, is_first) = self.changes.push(&record, &self.node.homes);
        self.send_records(is_first);
    }

    /// Records that the network connection of a durable session has ended.
    pub(super) fn record_parted(&mut self, key: SessionKey, at: Instant) {
        let Some(session) = self.sessions.get(key).filter(|session| session.is_recorded) else { return };
        let (of, at) = (of(session), self.node.wall_clock(at));
        let (expiry_interval, leaves_will) = (session.expiry_interval, session.will.is_some());
        let record = Record::Parted(Parted { of, at, expiry_interval, leaves_will });
        let (_, is_first) = self.changes.push(&record, &self.node.homes);
        self.send_records(is_first);
    }

    /// Records that the will of a session that goes on is published.
    pub(super) fn record_will_over(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key).filter(|session| session.is_recorded) else { return };
        let (_, is_first) = self.changes.push(&Record::WillOver(of(session)), &self.node.homes);
        self.send_records(is_first);
    }

    /// Records that what may be kept of a client is over.
    pub fn record_ended(&mut self, client_identifier: &str) {
        let (_, is_first) = self.changes.push(&Record::Ended(client_identifier), &self.node.homes);
        self.send_records(is_first);
    }

    /// Records subscriptions that were granted to a session.
    pub fn record_subscribed(&mut self, key: SessionKey, granted: &[Granted]) {
        let Some(session) = self.sessions.get(key).filter(|session| session.is_recorded) else { return };
        let subscribed = granted.iter().map(|Granted { filter, subscription, .. }| Subscribed {
            filter,
            options: subscription.options,
            identifier: subscription.identifier,
            // Retained messages that have not been sent when the process ends are not sent by the next one.
            replays: false,
        });
        let record = Record::Subscribed(of(session), subscribed.collect());
        let (_, is_first) = self.changes.push(&record, &self.node.homes);
        self.send_records(is_first);
    }

    /// Records that a session has no subscriptions to these topic filters any more.
    pub fn record_unsubscribed(&mut self, key: SessionKey, filters: &[Arc<str>]) {
        let Some(session) = self.sessions.get(key).filter(|session| session.is_recorded) else { return };
        let filters = filters.iter().map(|filter| &**filter).collect();
        let (_, is_first) = self.changes.push(&Record::Unsubscribed(of(session), filters), &self.node.homes);
        self.send_records(is_first);
    }

    /// Records publishes that are retained; each is acknowledged when that is kept.
    pub(super) fn record_retained(&mut self, batch: &Batch) {
        let mut is_to_be_sent = false;
        for index in (0..batch.items().len()).filter(|index| batch.items()[*index].is_kept()) {
            let publication = batch.publication(index);
            let expires_at = publication.expires_at.map(|at| self.node.wall_clock(at));
            let body = Body {
                topic: publication.topic,
                properties: publication.properties,
                payload: publication.payload.as_slice(),
                qos: publication.qos,
            };
            let message = (body, expires_at, publication.publisher_hash);
            let message = (!publication.payload.is_empty()).then_some(message);
            let retained = Retained { topic: publication.topic, stamp: publication.stamp, message };
            let (_, is_first) = self.changes.push(&Record::Retained(retained), &self.node.homes);
            self.send_records(is_first);
            if let Some(condition) = batch.open(index) {
                is_to_be_sent |= self.changes.gate_one(condition);
            }
        }
        if is_to_be_sent {
            self.send_changes();
        }
    }

    /// Records that there was no room to retain a message, nor is what it was to replace.
    pub(super) fn record_not_retained(&mut self, message: &StoredMessage) {
        let publication = message.publication();
        let retained = Retained { topic: publication.topic, stamp: publication.stamp, message: None };
        let (_, is_first) = self.changes.push(&Record::Retained(retained), &self.node.homes);
        self.send_records(is_first);
    }

    pub(super) fn send_records(&mut self, is_first: bool) {
        if is_first {
            self.set_timer_next(Timer::Changes);
        }
    }
}
