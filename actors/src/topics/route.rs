//! Getting messages to the sessions of one worker.
//!
//! **The one exception to "everything is a message"**: the router appends to the outboxes and queues of its own
//! worker's sessions directly, and wakes each network connection once per run. One mailbox message per subscriber in
//! its place costs about twice the CPU of a bulk fan-out.

use std::rc::Rc;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use mqtt_codec::{PacketType, ProtocolVersion, ReasonCode, encode_ack, matches};
use tokio::time::Instant;

use super::messages::{Chosen, Route};
use super::shared::GroupKey;
use super::trie::{Matches, Subscriber, Trie};
use crate::message::{Batch, Publication, StoredMessage};
use crate::sessions::{Desk, Identifiers, Offered, SessionKey, Wanted};
use crate::worker::Worker;

/// Places of the tree of wildcards that cost about as much to look at as a delivery to make.
const PLACES_PER_DELIVERY: usize = 8;
/// What matched is kept for the next message, up to so many subscribers.
const SPARE_SUBSCRIBERS: usize = 4096;
const SPARE_MATCHES: usize = 8;

/// Whether a batch is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    MoreToDo,
}

/// How far one item of a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is looked up.
    Begin,
    /// The look-up has begun.
    LookUp,
    /// `matches` hold what matches it.
    Deliver,
}

/// A batch that is being routed, and how far it is.
#[derive(Debug)]
pub(super) struct Current {
    batch: Arc<Batch>,
    home: bool,
    item: usize,
    stage: Stage,
    matches: Matches,
    next_subscriber: usize,
    next_group: usize,
    stored: Option<Arc<StoredMessage>>,
    /// For each item so far: whether this worker has a match.
    matched: Vec<bool>,
    /// The publisher is not answered: its network connection is closed, and it will send again.
    withheld: bool,
}

impl Current {
    fn at(position: Position) -> Self {
        Self {
            matched: vec![false; position.item],
            batch: position.batch,
            home: position.home,
            item: position.item,
            stage: Stage::Begin,
            matches: Matches::default(),
            next_subscriber: 0,
            next_group: 0,
            stored: None,
            withheld: position.withheld,
        }
    }

    /// Whether an item is looked up or delivered in part: that holds memory.
    pub(super) fn is_within_item(&self) -> bool {
        self.stage != Stage::Begin
    }

    /// A subscription is gone: nothing that was looked up before is delivered through it any more [MQTT-3.10.4-2].
    /// Returns how many subscribers had to be looked at.
    pub(super) fn withdraw(&mut self, filter: &str, gone: &Subscriber) -> usize {
        if !self.is_within_item() || !matches(filter, self.batch.topic(self.item)) {
            return 0;
        }
        let done = if self.stage == Stage::Deliver { self.next_subscriber } else { 0 };
        let subscribers = &mut self.matches.subscribers;
        let left = subscribers.get(done..).unwrap_or_default();
        let looked_at = left.len();
        if let Some(at) = left.iter().position(|subscriber| subscriber == gone) {
            subscribers.remove(done + at);
        }
        looked_at
    }

    /// The trie is another one: what was looked up in part is looked up anew.
    pub(super) fn look_up_anew(&mut self) {
        if self.stage == Stage::LookUp {
            self.stage = Stage::Begin;
        }
    }
}

/// How far a batch is, in case that routing it panics.
#[derive(Debug)]
struct Position {
    batch: Arc<Batch>,
    home: bool,
    item: usize,
    withheld: bool,
}

/// See the module.
pub(super) struct Router {
    pub(super) worker: Rc<Worker>,
    /// That of the batch that is being routed at this moment.
    position: Option<Position>,
    spare: Vec<Matches>,
    pub(super) handoffs: Vec<Vec<Chosen>>,
    /// Members offline that are to give back what they hold of groups.
    pub(super) reclaims: HashMap<SessionKey, Vec<GroupKey>>,
    /// Groups whose messages wait for room at another worker.
    pub(super) held_up: HashSet<GroupKey>,
    /// Groups whose messages can be given out now.
    pub(super) to_give_out: Vec<GroupKey>,
}

/// How a subscription wants a message [MQTT-3.3.1-12, MQTT-3.3.1-13].
fn wanted(subscriber: &Subscriber, publication: &Publication<'_>) -> Wanted {
    Wanted {
        qos: subscriber.options.qos,
        retain: publication.retain && subscriber.options.retain_as_published,
        identifiers: one(subscriber.identifier),
        group: None,
    }
}

pub(super) fn one(identifier: u32) -> Identifiers {
    if identifier == 0 { Identifiers::None } else { Identifiers::One(identifier) }
}

impl Router {
    pub(super) fn new(worker: Rc<Worker>) -> Self {
        let handoffs = worker.node.peers.iter().map(|_| Vec::new()).collect();
        Self {
            worker,
            position: None,
            spare: Vec::new(),
            handoffs,
            reclaims: HashMap::new(),
            held_up: HashSet::new(),
            to_give_out: Vec::new(),
        }
    }

    /// Takes a batch.
    pub(super) fn begin(&mut self, route: Route) -> Current {
        let mut current =
            Current::at(Position { batch: route.batch, home: route.home, item: 0, withheld: false });
        current.matches = self.spare.pop().unwrap_or_default();
        current
    }

    /// What goes on when a turn of `broken` panicked: what was on its way to other actors, and the batch that was being
    /// routed, behind the item that was being routed. Whoever published that item and waits for its acknowledgement
    /// gets none: its network connection is closed, so that it sends again.
    pub(super) fn after_panic(broken: &mut Self) -> (Self, Option<Current>) {
        let mut router = Self::new(Rc::clone(&broken.worker));
        std::mem::swap(&mut router.handoffs, &mut broken.handoffs);
        std::mem::swap(&mut router.reclaims, &mut broken.reclaims);
        // Whatever waits in groups is looked at again.
        router.to_give_out = router.worker.groups.borrow().iter().map(|group| group.key).collect();
        let current = broken.position.take().map(|mut position| {
            position.withheld |= position.home && router.is_told_of_failure(&position.batch, position.item);
            position.item += 1;
            Current::at(position)
        });
        (router, current)
    }

    fn is_told_of_failure(&self, batch: &Batch, item: usize) -> bool {
        let Some(ack) = batch.items().get(item).and_then(|item| item.ack) else { return false };
        let (Some(publisher), None) = (batch.publisher, ack.settled) else { return false };
        let mut sessions = self.worker.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(publisher) else { return false };
        if ack.exactly_once {
            // What is sent again is to be routed.
            session.incoming.remove(ack.packet_identifier);
        }
        if let Some(online) = session.online.as_ref().filter(|_| session.epoch == batch.epoch) {
            crate::sessions::close(online, ReasonCode::ImplementationSpecificError);
        }
        true
    }

    /// Routes on, at most `budget` deliveries.
    pub(super) fn go_on(
        &mut self,
        current: &mut Current,
        trie: &Trie,
        budget: &mut usize,
        now: Instant,
    ) -> Progress {
        let own = 1u64 << self.worker.id;
        self.position = Some(Position {
            batch: Arc::clone(&current.batch),
            home: current.home,
            item: current.item,
            withheld: current.withheld,
        });
        while current.item < current.batch.items().len() {
            if *budget == 0 {
                return Progress::MoreToDo;
            }
            if let Some(position) = &mut self.position {
                position.item = current.item;
            }
            let item = &current.batch.items()[current.item];
            if item.is_routed() && item.workers & own != 0 {
                if !self.look_up(current, trie, budget) || !self.deliver(current, budget, now) {
                    return Progress::MoreToDo;
                }
                current.matched.push(!current.matches.is_empty());
            } else {
                current.matched.push(false);
            }
            current.item += 1;
            current.stage = Stage::Begin;
        }
        self.position = None;
        self.finish(current);
        Progress::Done
    }

    /// The piece of work is over: a panic from now on has nothing to do with it.
    pub(super) fn rest(&mut self) {
        self.position = None;
    }

    /// Looks up what matches an item. Returns whether all of it is found.
    fn look_up(&self, current: &mut Current, trie: &Trie, budget: &mut usize) -> bool {
        if current.stage == Stage::Deliver {
            return true;
        }
        let topic = current.batch.topic(current.item);
        if current.stage == Stage::Begin {
            trie.begin(topic, &mut current.matches);
            current.stage = Stage::LookUp;
        }
        // Some places of the tree cost about as much as a delivery.
        let mut places = *budget * PLACES_PER_DELIVERY;
        let is_through = trie.go_on(topic, &mut current.matches, &mut places);
        // What is left in part is gone.
        *budget = if is_through { (places / PLACES_PER_DELIVERY).min(*budget - 1) } else { 0 };
        if !is_through {
            return false;
        }
        current.stage = Stage::Deliver;
        current.next_subscriber = 0;
        current.next_group = 0;
        current.stored = None;
        let subscribers = &mut current.matches.subscribers;
        if subscribers.is_empty() {
            return true;
        }
        if self.worker.node.settings.mqtt.merge_overlapping_subscriptions {
            // Copies of one session side by side; deliver() merges them.
            subscribers.sort_by_key(|subscriber| subscriber.session);
        }
        let publisher = current.batch.publisher;
        if publisher.is_some() {
            // No local: not to the client that published it [MQTT-3.8.3-3].
            subscribers
                .retain(|subscriber| !(subscriber.options.no_local && Some(subscriber.session) == publisher));
        }
        true
    }

    /// Delivers one item to subscribers and groups. Returns whether all of them had it.
    fn deliver(&mut self, current: &mut Current, budget: &mut usize, now: Instant) -> bool {
        let worker = Rc::clone(&self.worker);
        let Current { batch, item, matches, next_subscriber, next_group, stored, .. } = current;
        let publication = batch.publication(*item);
        let merge = worker.node.settings.mqtt.merge_overlapping_subscriptions;
        {
            let mut sessions = worker.sessions.borrow_mut();
            // A connection may have used the frames since this item was begun.
            worker.frames.borrow_mut().forget();
            let (mut pool, mut frames) = (worker.pool.borrow_mut(), worker.frames.borrow_mut());
            let mut wakes = worker.wakes.borrow_mut();
            let mut desk = Desk {
                settings: &worker.node.settings,
                ledger: &worker.ledger,
                pool: &mut pool,
                frames: &mut frames,
                now,
            };
            while let Some(subscriber) = matches.subscribers.get(*next_subscriber) {
                if *budget == 0 {
                    return false;
                }
                *budget -= 1;
                let mut how = wanted(subscriber, &publication);
                let key = subscriber.session;
                *next_subscriber += 1;
                if merge {
                    let rest = &matches.subscribers[*next_subscriber..];
                    let same = rest.iter().take_while(|other| other.session == key).count();
                    merge_into(&mut how, &rest[..same], &publication);
                    *next_subscriber += same;
                }
                let Some(session) = sessions.get_mut(key) else { continue };
                desk.ledger.matched.add(1);
                let offered = session.offer(&publication, &how, stored, &mut desk);
                if offered == Offered::Sent {
                    wakes.touch(session.online.as_mut(), key);
                } else {
                    session.publish_load();
                }
            }
        }
        while let Some(group) = matches.groups.get(*next_group).copied() {
            if *budget == 0 {
                return false;
            }
            *next_group += 1;
            worker.ledger.matched.add(1);
            let cost = self.dispatch(group, &publication, stored, now);
            *budget = budget.saturating_sub(cost);
        }
        true
    }

    /// Everything is routed: count what matched nobody, answer the publisher, make room for others.
    fn finish(&mut self, current: &mut Current) {
        let worker = &self.worker;
        let own = 1u64 << worker.id;
        if current.home {
            let others = !own;
            for (item, matched) in current.batch.items().iter().zip(&current.matched) {
                if item.is_routed() {
                    worker.ledger.published.add(1);
                    worker.ledger.unmatched.add(u64::from(!matched && item.workers & others == 0));
                }
            }
            if !current.withheld {
                self.answer(current);
            }
        }
        worker.peer().inbound.leave(current.batch.weight(worker.id, current.home));
        if self.spare.len() < SPARE_MATCHES && current.matches.subscribers.capacity() <= SPARE_SUBSCRIBERS {
            self.spare.push(std::mem::take(&mut current.matches));
        }
        if let Some(batch) = Arc::get_mut(&mut current.batch) {
            worker.recycle(std::mem::take(batch));
        }
    }

    /// PUBACK and PUBREC, in the order of the publishes, now that every worker with a match has accepted them.
    fn answer(&self, current: &Current) {
        let batch = &current.batch;
        let Some(publisher) = batch.publisher else { return };
        let worker = &self.worker;
        let mut sessions = worker.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(publisher).filter(|session| session.epoch == batch.epoch) else {
            return;
        };
        let Some(online) = &mut session.online else { return };
        let others = !(1u64 << worker.id);
        let (mut pool, version) = (worker.pool.borrow_mut(), online.version);
        let mut answered = false;
        for (item, matched) in batch.items().iter().zip(&current.matched) {
            let Some(ack) = item.ack else { continue };
            let reason = ack.settled.unwrap_or(if *matched || item.workers & others != 0 {
                ReasonCode::Success
            } else {
                ReasonCode::NoMatchingSubscribers
            });
            let packet_type = if ack.exactly_once { PacketType::PubRec } else { PacketType::PubAck };
            online.outbox.append_with(&mut pool, |out| {
                encode_ack(packet_type, version, ack.packet_identifier, reason, out)
            });
            // A place in the receive maximum is free again, for QoS 2 only with PUBCOMP or a failing PUBREC. A 3.x
            // client knows no receive maximum and may send its PUBREL behind more publishes than are read.
            if !ack.exactly_once || reason.is_error() || version != ProtocolVersion::V5 {
                online.unanswered = online.unanswered.saturating_sub(1);
            }
            worker.counters.packets_sent.add(1);
            answered = true;
        }
        if answered {
            worker.wakes.borrow_mut().touch(session.online.as_mut(), publisher);
        }
    }
}

fn merge_into(how: &mut Wanted, others: &[Subscriber], publication: &Publication<'_>) {
    if others.is_empty() {
        return;
    }
    let mut identifiers = how.identifiers.as_slice().to_vec();
    for other in others {
        how.qos = how.qos.max(other.options.qos);
        how.retain |= publication.retain && other.options.retain_as_published;
        if other.identifier != 0 {
            identifiers.push(other.identifier);
        }
    }
    how.identifiers = match identifiers.as_slice() {
        [] => Identifiers::None,
        [identifier] => Identifiers::One(*identifier),
        _ => Identifiers::Many(identifiers.into()),
    };
}
