//! Where a batch goes, each place with its bound. The next one is an entry of [`DESTINATIONS`].

use std::sync::Arc;
use std::task::Waker;

use micro_mq_core::message::{Batch, Item, StoredMessage};
use micro_mq_core::protocol::Limit;

use super::keepers::have_room_or_wake;
use super::{Peer, Worker};
use crate::clock;
use crate::metrics::ActorKind;
use crate::topics::{Answer, Route};

/// Where all batches go, in the order in which they do: what has to be done before publishes are acknowledged is open
/// before the trie that answers has them, and what is published is kept before anybody is told of it.
const DESTINATIONS: [&dyn Destination; 3] = [&ToKeepers, &ToRetained, &ToTries];

/// A place where batches go.
trait Destination {
    /// Whether there is room for a batch of one who can be held up; if not, `waker` is called when there is. One batch may
    /// overshoot the bound.
    fn has_room(&self, out: &SettingOut<'_>, batch: &Batch, waker: &Waker) -> bool;

    /// Takes a batch, that of one who cannot be held up beyond the bound.
    fn take(&self, out: &SettingOut<'_>, batch: &Arc<Batch>);
}

/// What is known of a batch that sets out from a worker.
pub(super) struct SettingOut<'a> {
    pub(super) worker: &'a Worker,
    /// The workers with a match, a bit each.
    pub(super) workers: u64,
    /// The first stamp of its publishes, if some are retained.
    pub(super) first_stamp: Option<u64>,
}

impl SettingOut<'_> {
    /// Whether all destinations have room; the first that has none calls `waker` when it has.
    #[inline]
    pub(super) fn has_room(&self, batch: &Batch, waker: &Waker) -> bool {
        DESTINATIONS.iter().all(|destination| destination.has_room(self, batch, waker))
    }

    /// A batch on its way to a worker.
    #[inline]
    fn route(&self, batch: &Arc<Batch>, id: u16, peer: &Peer) -> Route {
        let home = id == self.worker.id;
        let room = peer.inbound.enter(batch.weight(id, home));
        let sent_at = peer.stats.of(ActorKind::TopicTrie).send();
        let passage = self.first_stamp.map(|first| Box::new(peer.retained_underway.enter(first)));
        Route { batch: Arc::clone(batch), home, sent_at, room, passage }
    }

    /// Sends a batch to all destinations.
    #[inline]
    pub(super) fn send(&self, batch: &Arc<Batch>) {
        DESTINATIONS.iter().for_each(|destination| destination.take(self, batch));
    }
}

/// Those who keep what clients are promised. Each has a bound of its own.
struct ToKeepers;

impl Destination for ToKeepers {
    #[inline]
    fn has_room(&self, out: &SettingOut<'_>, _: &Batch, waker: &Waker) -> bool {
        let has_room = have_room_or_wake(&out.worker.node.keepers, waker);
        if !has_room {
            out.worker.counters.keepers_full.add(1);
        }
        has_room
    }

    #[inline]
    fn take(&self, out: &SettingOut<'_>, batch: &Arc<Batch>) {
        out.worker.node.keepers.iter().for_each(|keeper| keeper.publish(batch));
    }
}

/// The retained messages. What there is no room for was refused when it came in ([`Limit`]).
struct ToRetained;

impl Destination for ToRetained {
    #[inline]
    fn has_room(&self, _: &SettingOut<'_>, _: &Batch, _: &Waker) -> bool {
        true
    }

    #[inline]
    fn take(&self, out: &SettingOut<'_>, batch: &Arc<Batch>) {
        if out.first_stamp.is_some() {
            out.worker.keep_retained(batch);
        }
    }
}

/// The topic tries of the workers with a match, and that of the publisher's own, which answers. Each has its
/// [`Inbound`](super::Inbound).
struct ToTries;

impl Destination for ToTries {
    #[inline]
    fn has_room(&self, out: &SettingOut<'_>, _: &Batch, waker: &Waker) -> bool {
        let mut room = true;
        for (id, peer) in out.worker.node.peers.iter().enumerate() {
            if out.workers & (1 << id) != 0 {
                room &= peer.inbound.has_room_or_wake(waker);
            }
        }
        if !room {
            out.worker.counters.between_workers_full.add(1);
        }
        room
    }

    #[inline]
    fn take(&self, out: &SettingOut<'_>, batch: &Arc<Batch>) {
        let worker = out.worker;
        let own = 1u64 << worker.id;
        for (id, peer) in worker.node.peers.iter().enumerate() {
            let bit = 1u64 << id;
            if bit != own && out.workers & bit != 0 {
                worker.departures.borrow_mut().add(id, out.route(batch, id as u16, peer));
            }
        }
        if out.workers & own != 0 {
            worker.peer().trie.do_send(out.route(batch, worker.id, worker.peer()));
        } else {
            worker.answer_for_others(batch);
        }
    }
}

impl Worker {
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
            let open = batch.completion().map(|completion| {
                let items = batch.items().iter().zip(0..).filter(|(item, _)| item.ack.is_some());
                (completion.clone(), items.map(|(_, index)| index).collect())
            });
            self.peer().trie.do_send(Answer { client, publisher, epoch, acks, open, sent_at });
        }
    }

    /// Kept before it is routed: whoever subscribes behind the routing finds it. What was not admitted, since nobody could
    /// be told of a limit any more, is routed all the same and counted.
    fn keep_retained(&self, batch: &Batch) {
        let kept = batch.items().iter().enumerate().filter(|(_, item)| Item::is_kept(item));
        let messages: Vec<_> =
            kept.map(|(index, _)| Arc::new(StoredMessage::new(&batch.publication(index)))).collect();
        let kept = &self.node.retained_messages;
        if batch.admitted {
            return kept.keep(messages);
        }
        let now = clock::now();
        for full in messages.into_iter().filter_map(|message| kept.keep_or_remove(message, now).err()) {
            Limit::from(full).counter(&self.counters).add(1);
        }
    }
}
