//! Where a batch goes, each place with its bound. The next one is an entry of [`DESTINATIONS`].

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::errand::Errand;
use super::keeper::have_room_or_wake;
use super::state::{NodeState, WorkerState};
use crate::message::{Batch, Item, StoredMessage};
use crate::protocol::Limit;
use crate::routing::{Answer, Route, ToTrie, Work};

/// Where all batches go, in the order in which they do: what has to be done before publishes are acknowledged is open
/// before the trie that answers has them, and what is published is kept before anybody is told of it.
const DESTINATIONS: [&dyn Destination; 4] = [&ToKeepers, &ToElsewhere, &ToRetained, &ToTries];

/// A place where batches go.
trait Destination {
    /// Whether there is room for a batch of one who can be held up; if not, `waker` is called when there is. One batch may
    /// overshoot the bound.
    fn has_room(&self, worker: &WorkerState, out: &SettingOut, batch: &Batch, waker: &Waker) -> bool;

    /// Takes a batch, that of one who cannot be held up beyond the bound.
    fn take(&self, worker: &mut WorkerState, out: &SettingOut, batch: &Arc<Batch>);
}

/// What is known of a batch that sets out from a worker.
pub(super) struct SettingOut {
    /// The workers with a match, a bit each.
    pub(super) workers: u64,
    /// The first stamp of its publishes, if some are retained.
    pub(super) first_stamp: Option<u64>,
    /// The present moment.
    pub(super) now: Instant,
}

impl SettingOut {
    /// Whether all destinations have room; the first that has none calls `waker` when it has.
    #[inline]
    pub(super) fn has_room(&self, worker: &WorkerState, batch: &Batch, waker: &Waker) -> bool {
        DESTINATIONS.iter().all(|destination| destination.has_room(worker, self, batch, waker))
    }

    /// A batch on its way to a worker.
    #[inline]
    fn route(&self, node: &NodeState, batch: &Arc<Batch>, id: u16, home: bool) -> Route {
        let way = &node.ways[usize::from(id)];
        let room = way.inbound.enter(batch.weight(id, home));
        let passage = self.first_stamp.map(|first| Box::new(way.retained_underway.enter(first)));
        let opened = match home {
            true => None,
            false => way.open(batch, 1 << id),
        };
        Route { batch: Arc::clone(batch), home, sent_at: None, room, passage, opened }
    }

    /// Sends a batch to all destinations.
    #[inline]
    pub(super) fn send(&self, worker: &mut WorkerState, batch: &Arc<Batch>) {
        DESTINATIONS.iter().for_each(|destination| destination.take(worker, self, batch));
    }
}

/// Those who keep what clients are promised. Each has a bound of its own.
struct ToKeepers;

impl Destination for ToKeepers {
    #[inline]
    fn has_room(&self, worker: &WorkerState, _: &SettingOut, _: &Batch, waker: &Waker) -> bool {
        let has_room = have_room_or_wake(&worker.node.keepers, waker);
        if !has_room {
            worker.counters.keepers_full.add(1);
        }
        has_room
    }

    #[inline]
    fn take(&self, worker: &mut WorkerState, _: &SettingOut, batch: &Arc<Batch>) {
        worker.node.keepers.iter().for_each(|keeper| keeper.publish(batch));
    }
}

/// The other nodes of the cluster. What is to be acknowledged waits for room there, and for as long as it is not known
/// what they have a match for.
struct ToElsewhere;

impl Destination for ToElsewhere {
    #[inline]
    fn has_room(&self, worker: &WorkerState, _: &SettingOut, batch: &Batch, waker: &Waker) -> bool {
        worker.node.elsewhere.as_ref().is_none_or(|elsewhere| elsewhere.may_set_out(batch, waker))
    }

    #[inline]
    fn take(&self, worker: &mut WorkerState, _: &SettingOut, batch: &Arc<Batch>) {
        if let Some(elsewhere) = &worker.node.elsewhere {
            elsewhere.publish(batch);
        }
    }
}

/// The retained messages. What there is no room for was refused when it came in ([`Limit`]).
struct ToRetained;

impl Destination for ToRetained {
    #[inline]
    fn has_room(&self, _: &WorkerState, _: &SettingOut, _: &Batch, _: &Waker) -> bool {
        true
    }

    #[inline]
    fn take(&self, worker: &mut WorkerState, out: &SettingOut, batch: &Arc<Batch>) {
        if out.first_stamp.is_some() {
            worker.keep_retained(batch, out.now);
        }
    }
}

/// The topic tries of the workers with a match, and that of the publisher's own, which answers. Each has its
/// [`Inbound`](crate::pressure::Inbound).
struct ToTries;

impl Destination for ToTries {
    #[inline]
    fn has_room(&self, worker: &WorkerState, out: &SettingOut, _: &Batch, waker: &Waker) -> bool {
        let mut room = true;
        for (id, way) in worker.node.ways.iter().enumerate() {
            if out.workers & (1 << id) != 0 {
                room &= way.inbound.has_room_or_wake(waker);
            }
        }
        if !room {
            worker.counters.between_workers_full.add(1);
        }
        room
    }

    #[inline]
    fn take(&self, worker: &mut WorkerState, out: &SettingOut, batch: &Arc<Batch>) {
        let own = worker.bit();
        let WorkerState { id: own_id, node, departures, errands, .. } = &mut *worker;
        for id in 0..node.workers() {
            let bit = 1u64 << id;
            if bit != own && out.workers & bit != 0 {
                departures.add(id, out.route(node, batch, id as u16, false));
            }
        }
        if out.workers & own != 0 {
            let route = Work::Route(out.route(node, batch, *own_id, true));
            errands.push(Errand::ToTrie(*own_id, ToTrie::Work(route)));
        } else {
            worker.answer_for_others(batch);
        }
    }
}

impl WorkerState {
    /// Nobody of this worker wants any of a batch: it is counted, and answered in its turn. That needs no room here, and
    /// holds nothing of the batch, so a publisher to other workers is not held up by this one.
    fn answer_for_others(&mut self, batch: &Batch) {
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
            let open = batch.completion().map(|completion| {
                let items = batch.items().iter().zip(0..).filter(|(item, _)| item.ack.is_some());
                (completion.clone(), items.map(|(_, index)| index).collect())
            });
            let answer = Answer { client, publisher, epoch, acks, open, sent_at: None };
            self.tell_trie(self.id, ToTrie::Work(Work::Answer(answer)));
        }
    }

    /// Kept before it is routed: whoever subscribes behind the routing finds it. What was not admitted, since nobody could
    /// be told of a limit any more, is routed all the same and counted.
    fn keep_retained(&mut self, batch: &Batch, now: Instant) {
        let kept = batch.items().iter().enumerate().filter(|(_, item)| Item::is_kept(item));
        let messages: Vec<_> =
            kept.map(|(index, _)| Arc::new(StoredMessage::new(&batch.publication(index)))).collect();
        if self.copies.is_on && batch.publisher.is_some() {
            self.record_retained(batch);
        }
        let kept = &self.node.retained_messages;
        if batch.admitted {
            return kept.keep(messages);
        }
        for message in messages {
            let topic = Arc::clone(&message);
            if let Err(full) = self.node.retained_messages.keep_or_remove(message, now) {
                Limit::from(full).counter(&self.counters).add(1);
                if self.copies.is_on && !topic.is_own() {
                    self.record_not_retained(&topic);
                }
            }
        }
    }
}
