//! Setting out: which workers have a match, the place among all publishes, and then to all destinations.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use mqtt_codec::ReasonCode;

use super::destinations::SettingOut;
use super::errand::Errand;
use super::state::WorkerState;
use crate::completion::Conditions;
use crate::ids::{SessionKey, client_hash};
use crate::message::{Batch, Item, Payload, Publication};
use crate::rules::Rules;
use crate::session::Will;

impl WorkerState {
    /// Routes a batch to all destinations. A publisher that can be held up gives its `waker`: if one of them has no room,
    /// the batch comes back untouched, and the waker is called when there is room.
    ///
    /// # Errors
    /// The batch, when there is no room.
    pub fn route(&mut self, mut batch: Batch, waker: Option<&Waker>, now: Instant) -> Result<(), Box<Batch>> {
        let workers = self.look_up(&mut batch);
        let mut out = SettingOut { workers, first_stamp: None, now };
        if let Some(waker) = waker
            && !out.has_room(self, &batch, waker)
        {
            return Err(Box::new(batch));
        }
        if self.copies.is_on {
            self.record_received(&mut batch);
            if let Some(waker) = waker
                && !self.may_be_recorded_elsewhere(&batch, workers, waker)
            {
                return Err(Box::new(batch));
            }
        }
        let is_retained = batch.items().iter().any(Item::is_kept);
        let node = is_retained.then(|| Arc::clone(&self.node));
        // To the end: a subscription finds all of this done, or comes before all of it.
        let stamping = node.as_ref().map(|node| node.order.stamping());
        if let Some(stamping) = &stamping {
            out.first_stamp = Some(batch.stamp_each(stamping));
            // Anew: a subscriber whose filter came in between asks for retained messages up to an earlier stamp.
            out.workers |= self.look_up(&mut batch);
        } else {
            batch.stamp = self.node.order.stamp();
        }
        out.send(self, &Arc::new(batch));
        Ok(())
    }

    /// A panic lost a batch before it set out: its retained publishes have no places any more.
    pub fn forget_admitted(&self, batch: &Batch) {
        let kept = batch.items().iter().enumerate().filter(|(_, item)| item.is_kept());
        self.node.retained_messages.with_store(|store| {
            kept.for_each(|(index, _)| store.forget_admitted(batch.topic(index)));
        });
    }

    /// Publishes that were read are not routed: their network connection is over, and what keeps publishes may have no room
    /// for very long. Who published QoS 1 or 2 has no acknowledgement, and sends again.
    pub fn give_up(&mut self, publisher: SessionKey, batch: &Batch) {
        self.forget_admitted(batch);
        let given_up = batch.items().iter().filter(|item| item.is_routed());
        self.counters.publishes_given_up.add(given_up.clone().count() as u64);
        let Some(session) = self.sessions.get_mut(publisher) else { return };
        for ack in given_up.filter_map(|item| item.ack).filter(|ack| ack.exactly_once) {
            session.incoming.remove(ack.packet_identifier);
        }
        if batch.received.is_some() {
            for ack in batch.items().iter().filter_map(|item| item.ack).filter(|ack| ack.exactly_once) {
                self.record_forgotten(publisher, ack.packet_identifier, &Conditions::default());
            }
        }
    }

    /// One publish of a batch is refused that was accepted, and has not set out: nothing is held for it any more.
    pub fn refuse_admitted(&mut self, publisher: SessionKey, batch: &mut Batch, index: usize) {
        let item = &batch.items()[index];
        if item.is_kept() {
            self.node.retained_messages.with_store(|store| store.forget_admitted(batch.topic(index)));
        }
        if let Some(ack) = item.ack.filter(|ack| ack.exactly_once)
            && let Some(session) = self.sessions.get_mut(publisher)
        {
            session.incoming.remove(ack.packet_identifier);
            if batch.received.is_some() {
                self.record_forgotten(publisher, ack.packet_identifier, &Conditions::default());
            }
        }
        batch.refuse(index, ReasonCode::NotAuthorized);
    }

    /// Sends the publishes of a client on their way that it was held up with when it went. If the rules have changed since
    /// they are given up, as nobody is there to be told what those deny: none of them is acknowledged.
    pub fn settle_what_was_left(
        &mut self,
        publisher: SessionKey,
        mut batch: Batch,
        rules: Rules,
        now: Instant,
    ) {
        if rules.allow_still(batch.revision, None, now) {
            // Taken from the client already, and a QoS 2 message is not routed when it is sent again: one batch per
            // network connection may overshoot the limit between workers.
            let routed = self.route(batch, None, now);
            debug_assert!(routed.is_ok());
            return;
        }
        for index in 0..batch.items().len() {
            if batch.items()[index].is_routed() {
                self.counters.publishes_not_authorized.add(1);
                self.refuse_admitted(publisher, &mut batch, index);
            }
        }
        self.recycle(batch);
    }

    /// A will message is due, to be published as the session's client would have: one that was allowed by earlier rules
    /// only once it is by those in force.
    pub(super) fn publish_will(&mut self, publisher: SessionKey, publisher_hash: u64, will: Box<Will>) {
        self.errands.push(Errand::WillDue { publisher, publisher_hash, will });
    }

    /// Publishes, as at a lost connection, the wills of all clients, those that are delayed included: the node shuts down.
    /// Of sessions that were restored, and of which nothing can be recorded yet, the next node does.
    pub fn publish_all_wills(&mut self) {
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if session.is_recorded && !self.changes.has_begun() {
                continue;
            }
            let publisher_hash = client_hash(session.client_identifier());
            if let Some(will) = session.replace_will(None) {
                self.record_will_over(key);
                self.publish_will(key, publisher_hash, will);
            }
        }
    }

    /// Publishes a will message that is allowed.
    pub fn route_will(&mut self, publisher: SessionKey, client_hash: u64, will: &Will, now: Instant) {
        let mut batch = self.batch();
        batch.publisher = Some(publisher);
        batch.publisher_hash = client_hash;
        let lifetime = will.expiry_seconds.map(|seconds| std::time::Duration::from_secs(seconds.into()));
        batch.push(
            &Publication {
                topic: &will.topic,
                properties: &will.properties,
                payload: Payload::Short(&will.payload),
                qos: will.qos,
                retain: will.retain,
                expires_at: lifetime.map(|lifetime| now + lifetime),
                publisher: Some(publisher),
                publisher_hash: client_hash,
                stamp: 0,
            },
            None,
        );
        self.counters.wills_published.add(1);
        // Wills are bounded by the number of sessions: they may overshoot the limit between workers.
        let routed = self.route(batch, None, now);
        debug_assert!(routed.is_ok());
    }
}
