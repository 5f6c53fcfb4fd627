//! Sending a batch on its way: to what is retained, to every worker with a match, and to the publisher's own.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::{Peer, Worker};
use crate::clock;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::matching::{LookUps, NAMES_TOGETHER};
use micro_mq_core::message::{Batch, Payload, Publication, StoredMessage};
use micro_mq_core::protocol::Limit;
use micro_mq_core::session::Will;

use crate::metrics::ActorKind;
use crate::topics::{Answer, Route};

/// Items whose topic names are looked up together.
const ITEMS_TOGETHER: usize = 64;

impl Worker {
    /// Routes a batch. A publisher that can be held up gives its `waker`: if a worker with a match has no room, the
    /// batch comes back untouched, and the waker is called when there is room.
    ///
    /// # Errors
    /// The batch, when there is no room.
    pub fn route(&self, mut batch: Batch, waker: Option<&Waker>) -> Result<(), Box<Batch>> {
        let own = 1u64 << self.id;
        let mut targets = self.look_up(&mut batch);
        let retained = batch.items().iter().filter(|item| item.is_kept()).count();
        if let Some(waker) = waker
            && !self.has_room(targets, waker)
        {
            return Err(Box::new(batch));
        }
        let order = &self.node.order;
        // To the end: a subscription finds all of this done, or comes before all of it.
        let stamping = (retained > 0).then(|| order.stamping());
        let mut first_stamp = 0;
        if let Some(stamping) = &stamping {
            first_stamp = batch.stamp_each(stamping);
            self.keep_retained(&batch, retained);
            // Anew: a subscriber whose filter came in between asks for retained messages up to an earlier stamp.
            targets |= self.look_up(&mut batch);
        } else {
            batch.stamp = order.stamp();
        }
        let passage =
            |peer: &Peer| stamping.as_ref().map(|_| Box::new(peer.retained_underway.enter(first_stamp)));
        let local = targets & own != 0;
        let batch = Arc::new(batch);
        for (worker, peer) in self.node.peers.iter().enumerate() {
            let bit = 1u64 << worker;
            if bit == own || targets & bit == 0 {
                continue;
            }
            let room = peer.inbound.enter(batch.weight(worker as u16, false));
            let sent_at = peer.stats.of(ActorKind::TopicTrie).send();
            let passage = passage(peer);
            let route = Route { batch: Arc::clone(&batch), home: false, sent_at, room, passage };
            self.departures.borrow_mut().add(worker, route);
        }
        if local {
            let room = self.peer().inbound.enter(batch.weight(self.id, true));
            let sent_at = self.stats(ActorKind::TopicTrie).send();
            let passage = passage(self.peer());
            self.peer().trie.do_send(Route { batch, home: true, sent_at, room, passage });
        } else {
            self.answer_for_others(&batch);
        }
        Ok(())
    }

    /// Nobody of this worker wants any of a batch: it is counted, and answered in its turn. That needs no room here, and
    /// holds nothing of the batch, so a publisher to other workers is not held up by this one.
    fn answer_for_others(&self, batch: &Batch) {
        let is_answered = batch.publisher.is_some() && batch.items().iter().any(|item| item.ack.is_some());
        let mut acks = Vec::with_capacity(if is_answered { batch.items().len() } else { 0 });
        let (mut published, mut unmatched) = (0, 0);
        for item in batch.items() {
            if item.is_routed() {
                published += 1;
                unmatched += u64::from(item.workers == 0);
            }
            if let Some(ack) = item.ack {
                acks.push((ack, item.workers != 0));
            }
        }
        self.ledger.published.add(published);
        self.ledger.unmatched.add(unmatched);
        if batch.publisher.is_none() {
            self.ledger.own.published.add(published);
            self.ledger.own.unmatched.add(unmatched);
        }
        if let Some(publisher) = batch.publisher
            && !acks.is_empty()
        {
            let (client, epoch) = (batch.publisher_hash, batch.epoch);
            let sent_at = self.stats(ActorKind::TopicTrie).send();
            self.peer().trie.do_send(Answer { client, publisher, epoch, acks, sent_at });
        }
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

    fn has_room(&self, targets: u64, waker: &Waker) -> bool {
        let mut room = true;
        for (worker, peer) in self.node.peers.iter().enumerate() {
            if targets & (1 << worker) != 0 {
                room &= peer.inbound.has_room_or_wake(waker);
            }
        }
        if !room {
            self.counters.between_workers_full.add(1);
        }
        room
    }

    /// Kept before it is routed: whoever subscribes behind the routing finds it. What was not admitted, since nobody could
    /// be told of a limit any more, is routed all the same and counted.
    fn keep_retained(&self, batch: &Batch, count: usize) {
        let kept = batch.items().iter().enumerate().filter(|(_, item)| item.is_kept());
        let messages: Vec<_> =
            kept.map(|(index, _)| Arc::new(StoredMessage::new(&batch.publication(index)))).collect();
        debug_assert_eq!(messages.len(), count);
        let kept = &self.node.retained_messages;
        if batch.admitted {
            return kept.keep(messages);
        }
        let now = clock::now();
        for full in messages.into_iter().filter_map(|message| kept.keep_or_remove(message, now).err()) {
            Limit::from(full).counter(&self.counters).add(1);
        }
    }

    /// A panic lost a batch before it set out: its retained publishes have no places any more.
    pub(crate) fn forget_admitted(&self, batch: &Batch) {
        let kept = batch.items().iter().enumerate().filter(|(_, item)| item.is_kept());
        self.node.retained_messages.with_store(|store| {
            kept.for_each(|(index, _)| store.forget_admitted(batch.topic(index)));
        });
    }

    /// Publishes a will message as the session's client would have; one that was allowed by earlier rules only once it is
    /// by those in force.
    pub fn publish_will(&self, publisher: SessionKey, client_hash: u64, will: Box<Will>, now: Instant) {
        if self.is_will_in_force(&will) {
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
