//! Routing batches to the sessions of one worker, a bounded piece at a time: look up, deliver, answer the publisher.

use std::sync::Arc;
use std::time::Instant;

use crate::ids::{GroupKey, SessionKey};
use crate::matching::{LookAhead, Matches, Trie};
use crate::message::Batch;
use crate::routing::{Current, RoutingProgress, Stage};
use crate::session::{FrameCache, Storing};
use hashbrown::{HashMap, HashSet};
use mqtt_codec::ReasonCode;

use crate::routing::{Answer, Handoff, Route};
use crate::worker::WorkerState;

/// Places of the tree of wildcards that cost about as much to look at as a delivery to make.
const PLACES_PER_DELIVERY: usize = 8;
/// Bytes of a topic name that cost about as much to hash and to compare as a place to look at.
const BYTES_PER_PLACE: usize = 128;
/// A message may cost so many deliveries that those behind it are not looked up with it for nothing.
const DELIVERIES_PER_NAME: usize = 4;
/// What matched is kept for the next message, up to so many subscribers.
const SPARE_SUBSCRIBERS: usize = 4096;
const SPARE_MATCHES: usize = 8;

/// Whether a batch is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    MoreToDo,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Router {
    /// That of the batch that is being routed at this moment.
    pub(super) position: Option<RoutingProgress>,
    /// Those of the run that is being delivered, item by item.
    pub(super) frames: Vec<FrameCache>,
    look_ahead: LookAhead,
    spare: Vec<(Matches, Vec<Storing>)>,
    /// By worker, what its members were chosen for, by group.
    pub(super) handoffs: Vec<Vec<Handoff>>,
    /// Members offline that are to give back what they hold of groups.
    pub(super) reclaims: HashMap<SessionKey, Box<HashSet<GroupKey>>>,
    /// By worker, groups whose messages wait for room there.
    pub(super) held_up: Vec<HashSet<GroupKey>>,
    /// Groups whose messages can be given out now.
    pub(super) to_give_out: Vec<GroupKey>,
    /// Groups whose members offline are to be asked for what they hold.
    pub(super) to_call_back: Vec<GroupKey>,
    /// Groups whose members are to pay for what waits there at the cost of those who have left.
    pub(super) to_charge_others: Vec<GroupKey>,
}

impl Router {
    /// Of a node with so many workers.
    pub(super) fn new(workers: usize) -> Self {
        let handoffs = (0..workers).map(|_| Vec::new()).collect();
        let held_up = (0..workers).map(|_| HashSet::new()).collect();
        Self {
            position: None,
            frames: Vec::new(),
            look_ahead: LookAhead::default(),
            spare: Vec::new(),
            handoffs,
            reclaims: HashMap::new(),
            held_up,
            to_give_out: Vec::new(),
            to_call_back: Vec::new(),
            to_charge_others: Vec::new(),
        }
    }

    /// Takes a batch.
    pub(super) fn begin(&mut self, route: Route) -> Current {
        let mut current = Current::at(RoutingProgress {
            batch: route.batch,
            home: route.home,
            item: 0,
            run: 1,
            withheld: false,
            room: Some(route.room),
            opened: route.opened,
        });
        (current.matches, current.stored) = self.spare.pop().unwrap_or_default();
        current.passage = route.passage;
        current
    }

    /// What goes on when a turn of `broken` panicked: what was on its way to other actors, and the batch that was being
    /// routed, behind the run that was being routed. Whoever published that run and waits for its acknowledgements
    /// gets none: its network connection is closed, so that it sends again.
    pub(super) fn after_panic(broken: &mut Self, worker: &mut WorkerState) -> (Self, Option<Current>) {
        let mut router = Self::new(worker.node.workers());
        std::mem::swap(&mut router.handoffs, &mut broken.handoffs);
        std::mem::swap(&mut router.reclaims, &mut broken.reclaims);
        router.look_at_groups_again(&mut worker.groups);
        let current = broken.position.take().map(|mut position| {
            for item in position.item..position.item + position.run {
                position.withheld |= position.home && is_told_of_failure(worker, &position.batch, item);
            }
            position.item += position.run;
            if let Some(opened) = &mut position.opened {
                opened.fail_before(position.item);
            }
            Current::at(position)
        });
        (router, current)
    }

    /// Routes on, at most `budget` deliveries.
    pub(super) fn go_on(
        &mut self,
        worker: &mut WorkerState,
        current: &mut Current,
        trie: &Trie,
        budget: &mut usize,
        now: Instant,
    ) -> Progress {
        self.position = Some(RoutingProgress {
            batch: Arc::clone(&current.batch),
            home: current.home,
            item: current.item,
            run: current.run,
            withheld: current.withheld,
            room: current.room.take(),
            opened: current.opened.take(),
        });
        let progress = self.go_on_with_runs(worker, current, trie, budget, now);
        if let Some(position) = &mut self.position {
            current.room = position.room.take();
            current.opened = position.opened.take();
        }
        if progress == Progress::Done {
            self.rest();
            self.finish(worker, current);
        }
        progress
    }

    fn go_on_with_runs(
        &mut self,
        worker: &mut WorkerState,
        current: &mut Current,
        trie: &Trie,
        budget: &mut usize,
        now: Instant,
    ) -> Progress {
        let own = worker.bit();
        self.look_ahead.forget();
        while current.item < current.batch.items().len() {
            if *budget == 0 {
                return Progress::MoreToDo;
            }
            let item = &current.batch.items()[current.item];
            let is_for_this = item.is_routed() && item.workers & own != 0;
            if current.stage == Stage::Begin {
                current.run =
                    if is_for_this && !current.batch.comes_again() { current.run_length(own) } else { 1 };
            }
            if let Some(position) = &mut self.position {
                (position.item, position.run) = (current.item, current.run);
            }
            let mut has_match = false;
            if is_for_this {
                if !self.look_up(worker, current, trie, budget) || !self.deliver(worker, current, budget, now)
                {
                    return Progress::MoreToDo;
                }
                // What came again and was given out before had its match then.
                has_match = !current.matches.is_empty() || current.batch.comes_again();
            }
            current.item += current.run;
            if let Some(opened) = self.position.as_mut().and_then(|position| position.opened.as_mut()) {
                opened.close_before(current.item);
            }
            current.matched.resize(current.item, has_match);
            current.stage = Stage::Begin;
        }
        Progress::Done
    }

    /// The piece of work is over: a panic from now on has nothing to do with it.
    pub(super) fn rest(&mut self) {
        self.position = None;
    }

    /// Looks up what matches a run. Returns whether all of it is found.
    fn look_up(
        &mut self,
        worker: &WorkerState,
        current: &mut Current,
        trie: &Trie,
        budget: &mut usize,
    ) -> bool {
        if current.stage == Stage::Deliver {
            return true;
        }
        let (batch, item, matches) = (&current.batch, current.item, &mut current.matches);
        // Some places of the tree cost about as much as a delivery.
        let mut places = *budget * PLACES_PER_DELIVERY;
        let mut is_through = false;
        if current.stage == Stage::Begin {
            let room = *budget / DELIVERIES_PER_NAME;
            let own = worker.bit();
            match self.look_ahead.take((batch, item, own), trie, room, matches) {
                Some(looked_at) => {
                    is_through = true;
                    places = places.saturating_sub(looked_at);
                }
                None => trie.begin(batch.topic(item), matches),
            }
            current.stage = Stage::LookUp;
        }
        is_through = is_through || trie.go_on(batch.topic(item), matches, &mut places);
        places = places.saturating_sub(batch.topic(item).len() / BYTES_PER_PLACE);
        // What is left in part is gone.
        *budget = if is_through { (places / PLACES_PER_DELIVERY).min(*budget - 1) } else { 0 };
        if !is_through {
            return false;
        }
        current.stage = Stage::Deliver;
        current.next_subscriber = 0;
        current.next_of_run = 0;
        current.next_group = 0;
        let subscribers = &mut current.matches.subscribers;
        // Those of one session side by side: their copies of a message are merged, or sent one behind the other.
        subscribers.sort_by_key(|subscriber| subscriber.session);
        let has_several = subscribers.windows(2).any(|pair| pair[0].session == pair[1].session);
        if has_several && !worker.node.settings.mqtt.merge_overlapping_subscriptions {
            // All copies of a message before any of the next one [MQTT-4.6.0-6].
            current.run = 1;
            if let Some(position) = &mut self.position {
                position.run = 1;
            }
        }
        current.store_anew();
        let stamp = current.batch.publication(current.item).stamp;
        if stamp <= worker.newest_subscription.stamp() {
            // What is older than a subscription comes through it as a retained message, if at all.
            current.run = 1;
            if let Some(position) = &mut self.position {
                position.run = 1;
            }
            current.matches.subscribers.retain(|subscriber| subscriber.since.stamp() < stamp);
        }
        if current.batch.is_from_elsewhere() {
            // Which node's members get what is for a shared subscription is decided where it is published.
            current.matches.groups.clear();
        }
        if current.batch.comes_again()
            && let Some(origin) = current.batch.origin(current.item)
        {
            current.matches.subscribers.retain(|subscriber| !worker.has_seen(subscriber.session, origin));
            current.matches.groups.retain(|group| !worker.has_seen_in_group(*group, origin));
        }
        let subscribers = &mut current.matches.subscribers;
        let publisher = current.batch.publisher;
        if publisher.is_some() {
            // No local: not to the client that published it [MQTT-3.8.3-3].
            subscribers
                .retain(|subscriber| !(subscriber.options.no_local && Some(subscriber.session) == publisher));
        }
        true
    }

    /// Everything is routed: count what matched nobody, answer the publisher, make room for others.
    fn finish(&mut self, worker: &mut WorkerState, current: &mut Current) {
        let own = worker.bit();
        if current.home {
            let others = !own;
            for (item, matched) in current.batch.items().iter().zip(&current.matched) {
                if item.is_routed() {
                    worker.ledger.published.add(1);
                    worker.ledger.unmatched.add(u64::from(!matched && item.workers & others == 0));
                }
            }
            if current.batch.publisher.is_none() {
                let items = current.batch.items().iter().zip(&current.matched);
                let unmatched = items.filter(|(item, matched)| !**matched && item.workers & others == 0);
                worker.ledger.own.unmatched.add(unmatched.count() as u64);
                worker.ledger.own.published.add(current.matched.len() as u64);
            }
            if let Some(publisher) = current.batch.publisher {
                let items = current.batch.items().iter().zip(&current.matched).enumerate();
                let acks = items.filter_map(|(index, (item, matched))| {
                    Some((index, item.ack?, *matched || item.workers & others != 0))
                });
                let completion = current.batch.completion();
                match current.withheld {
                    true => worker.leave_unanswered(publisher, acks, completion),
                    false => worker.answer(publisher, current.batch.epoch, acks, completion),
                }
            }
        }
        drop(current.room.take());
        if self.spare.len() < SPARE_MATCHES && current.matches.subscribers.capacity() <= SPARE_SUBSCRIBERS {
            current.forget_stored();
            self.spare.push((std::mem::take(&mut current.matches), std::mem::take(&mut current.stored)));
        }
        if let Some(batch) = Arc::get_mut(&mut current.batch) {
            worker.recycle(std::mem::take(batch));
        }
    }

    /// Answers publishes that nobody of this worker is concerned with.
    pub(super) fn answer(worker: &mut WorkerState, answer: Answer) {
        let Answer { publisher, epoch, acks, open, .. } = answer;
        let (completion, items) = open.unzip();
        let items = items.unwrap_or_default();
        // Where nothing is open nobody asks for the item.
        let item = |index: usize| items.get(index).map_or(index, |item| *item as usize);
        let acks = acks.into_iter().enumerate().map(|(at, (ack, has_match))| (item(at), ack, has_match));
        worker.answer(publisher, epoch, acks, completion.as_ref());
    }
}

/// Whether a panic lost a publish whose publisher has to be told: its network connection is closed, so that it sends again.
fn is_told_of_failure(worker: &mut WorkerState, batch: &Batch, item: usize) -> bool {
    let Some(ack) = batch.items().get(item).and_then(|item| item.ack) else { return false };
    let (Some(publisher), None) = (batch.publisher, ack.settled) else { return false };
    let Some(session) = worker.sessions.get_mut(publisher) else { return false };
    if ack.exactly_once {
        // What is sent again is to be routed.
        session.incoming.remove(ack.packet_identifier);
    }
    if let Some(online) = session.online.as_mut().filter(|_| session.epoch == batch.epoch) {
        online.end(ReasonCode::ImplementationSpecificError);
    }
    true
}
