//! Setting out: which workers have a match, the place among all publishes, and then to all destinations.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use mqtt_codec::ReasonCode;

use super::Worker;
use super::destinations::SettingOut;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::matching::{LookUps, NAMES_TOGETHER};
use micro_mq_core::message::{Batch, Item, Payload, Publication};
use micro_mq_core::session::Will;

/// Items whose topic names are looked up together.
const ITEMS_TOGETHER: usize = 64;

impl Worker {
    /// Routes a batch to all destinations. A publisher that can be held up gives its `waker`: if one of them has no room,
    /// the batch comes back untouched, and the waker is called when there is room.
    ///
    /// # Errors
    /// The batch, when there is no room.
    pub fn route(&self, mut batch: Batch, waker: Option<&Waker>) -> Result<(), Box<Batch>> {
        let workers = self.look_up(&mut batch);
        let mut out = SettingOut { worker: self, workers, first_stamp: None };
        if let Some(waker) = waker
            && !out.has_room(&batch, waker)
        {
            return Err(Box::new(batch));
        }
        let order = &self.node.order;
        let is_retained = batch.items().iter().any(Item::is_kept);
        // To the end: a subscription finds all of this done, or comes before all of it.
        let stamping = is_retained.then(|| order.stamping());
        if let Some(stamping) = &stamping {
            out.first_stamp = Some(batch.stamp_each(stamping));
            // Anew: a subscriber whose filter came in between asks for retained messages up to an earlier stamp.
            out.workers |= self.look_up(&mut batch);
        } else {
            batch.stamp = order.stamp();
        }
        out.send(&Arc::new(batch));
        Ok(())
    }

    /// Notes in each item the workers with a match. Returns all of those.
    fn look_up(&self, batch: &mut Batch) -> u64 {
        let own = 1u64 << self.id;
        if self.node.peers.len() == 1 {
            // There is nobody else, and nothing to look up.
            batch.items_mut().iter_mut().filter(|item| item.is_routed()).for_each(|item| item.workers = own);
            return own;
        }
        let mut targets = 0;
        let mut look_ups = LookUps::of(batch.items().len());
        let mut from = 0;
        while from < batch.items().len() {
            let names = Names::of(batch, from);
            let workers = self.node.directory.workers_together(&names.names[..names.len], &mut look_ups);
            let (of_items, items) = (names.of_items, names.items);
            for (item, name) in batch.items_mut()[from..][..items].iter_mut().zip(of_items) {
                if item.is_routed() {
                    item.workers = workers[usize::from(name)];
                    targets |= item.workers;
                }
            }
            from += items;
        }
        targets
    }

    /// A panic lost a batch before it set out: its retained publishes have no places any more.
    pub(crate) fn forget_admitted(&self, batch: &Batch) {
        let kept = batch.items().iter().enumerate().filter(|(_, item)| item.is_kept());
        self.node.retained_messages.with_store(|store| {
            kept.for_each(|(index, _)| store.forget_admitted(batch.topic(index)));
        });
    }

    /// Publishes that were read are not routed: their network connection is over, and what keeps publishes may have no room
    /// for very long. Who published QoS 1 or 2 has no acknowledgement, and sends again.
    pub(crate) fn give_up(&self, publisher: SessionKey, batch: &Batch) {
        self.forget_admitted(batch);
        let given_up = batch.items().iter().filter(|item| item.is_routed());
        self.counters.publishes_given_up.add(given_up.clone().count() as u64);
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(publisher) else { return };
        for ack in given_up.filter_map(|item| item.ack).filter(|ack| ack.exactly_once) {
            session.incoming.remove(ack.packet_identifier);
        }
    }

    /// One publish of a batch is refused that was accepted, and has not set out: nothing is held for it any more.
    pub(crate) fn refuse_admitted(&self, publisher: SessionKey, batch: &mut Batch, index: usize) {
        let item = &batch.items()[index];
        if item.is_kept() {
            self.node.retained_messages.with_store(|store| store.forget_admitted(batch.topic(index)));
        }
        if let Some(ack) = item.ack.filter(|ack| ack.exactly_once)
            && let Some(session) = self.sessions.borrow_mut().get_mut(publisher)
        {
            session.incoming.remove(ack.packet_identifier);
        }
        batch.refuse(index, ReasonCode::NotAuthorized);
    }

    /// Sends the publishes of a client on their way that it was held up with when it went, unless the rules have changed
    /// since, and nobody is there to be told what they deny: then none of them is acknowledged.
    pub(crate) fn route_what_was_left(&self, publisher: SessionKey, mut batch: Batch) {
        let in_force = self.node.policy.in_force();
        if batch.revision == in_force.revision || !in_force.policy.authorizes {
            // Taken from the client already, and a QoS 2 message is not routed when it is sent again: one batch per
            // network connection may overshoot the limit between workers.
            let routed = self.route(batch, None);
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

    /// Publishes a will message as the session's client would have; one that was allowed by earlier rules only once it is
    /// by those in force.
    pub fn publish_will(&self, publisher: SessionKey, client_hash: u64, will: Box<Will>, now: Instant) {
        if self.is_will_in_force(&will, now) {
            self.route_will(publisher, client_hash, &will, now);
        } else {
            self.doubt_will(publisher, client_hash, will);
        }
    }

    /// Publishes a will message that is allowed.
    pub(crate) fn route_will(&self, publisher: SessionKey, client_hash: u64, will: &Will, now: Instant) {
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
        let routed = self.route(batch, None);
        debug_assert!(routed.is_ok());
    }
}

/// The next items of a batch, and the topic names that are looked up together for them. Most publishers send many
/// messages to one topic name: those in a row share it.
struct Names<'a> {
    names: [&'a str; NAMES_TOGETHER],
    len: usize,
    /// Which of the names each item has.
    of_items: [u8; ITEMS_TOGETHER],
    items: usize,
}

impl<'a> Names<'a> {
    fn of(batch: &'a Batch, from: usize) -> Self {
        let mut names = Self { names: [""; NAMES_TOGETHER], len: 0, of_items: [0; ITEMS_TOGETHER], items: 0 };
        for (index, item) in batch.items().iter().enumerate().skip(from).take(ITEMS_TOGETHER) {
            if item.is_routed() {
                let topic = batch.topic(index);
                if names.len == 0 || names.names[names.len - 1] != topic {
                    if names.len == NAMES_TOGETHER {
                        break;
                    }
                    names.names[names.len] = topic;
                    names.len += 1;
                }
                names.of_items[names.items] = (names.len - 1) as u8;
            }
            names.items += 1;
        }
        names
    }
}
