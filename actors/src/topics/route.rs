//! Getting messages to the sessions of one worker.
//!
//! **The one exception to "everything is a message"**: the router appends to the outboxes and queues of its own
//! worker's sessions directly, and wakes each network connection once per run. One mailbox message per subscriber in
//! its place costs about twice the CPU of a bulk fan-out.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use mqtt_codec::{PacketType, ProtocolVersion, QoS, ReasonCode, encode_ack};
use tokio::time::Instant;

use super::messages::{Chosen, Handoff, Reclaim, Route};
use super::shared::{GivenBack, Group, GroupKey, Member};
use super::trie::{Matches, Subscriber, Trie};
use crate::ledger::DropReason;
use crate::message::{Batch, Publication, StoredMessage};
use crate::sessions::{Desk, Identifiers, Offered, Queued, SessionKey, Wanted};
use crate::worker::{Weight, Worker};

/// Places of the tree of wildcards that cost about as much to look at as a delivery to make.
const PLACES_PER_DELIVERY: usize = 8;
/// Members of a shared group that are looked at for one message before one of them gets it, full or not.
const MEMBERS_TRIED_MAX: usize = 8;

/// Whether a batch is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    MoreToDo,
}

/// The batch that is being routed, and how far it is.
#[derive(Debug)]
struct Current {
    batch: Arc<Batch>,
    home: bool,
    item: usize,
    /// Whether `matches` hold what matches `item`.
    collected: bool,
    next_subscriber: usize,
    next_group: usize,
    stored: Option<Arc<StoredMessage>>,
    /// For each item so far: whether this worker has a match.
    matched: Vec<bool>,
    /// The publisher is not answered: its network connection is closed, and it will send again.
    withheld: bool,
}

/// How far a batch is, in case that routing it panics.
#[derive(Debug)]
struct Position {
    batch: Arc<Batch>,
    home: bool,
    item: usize,
    withheld: bool,
}

/// What a member of a group has for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Full,
    Gone,
    /// It lives at a worker that has no room for messages on their way.
    Far,
}

/// See the module.
pub(super) struct Router {
    worker: Rc<Worker>,
    current: Option<Current>,
    position: Option<Position>,
    matches: Matches,
    matched: Vec<bool>,
    handoffs: Vec<Vec<Chosen>>,
    /// Messages of groups wait for room at another worker.
    held_up: bool,
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

fn one(identifier: u32) -> Identifiers {
    if identifier == 0 { Identifiers::None } else { Identifiers::One(identifier) }
}

impl Router {
    pub(super) fn new(worker: Rc<Worker>) -> Self {
        let handoffs = worker.node.peers.iter().map(|_| Vec::new()).collect();
        Self {
            worker,
            current: None,
            position: None,
            matches: Matches::default(),
            matched: Vec::new(),
            handoffs,
            held_up: false,
        }
    }

    /// Whether a batch is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// Takes the next batch.
    pub(super) fn begin(&mut self, route: Route) {
        debug_assert!(self.current.is_none());
        self.begin_at(Position { batch: route.batch, home: route.home, item: 0, withheld: false });
    }

    fn begin_at(&mut self, position: Position) {
        let mut matched = std::mem::take(&mut self.matched);
        matched.clear();
        matched.resize(position.item, false);
        self.current = Some(Current {
            batch: Arc::clone(&position.batch),
            home: position.home,
            item: position.item,
            collected: false,
            next_subscriber: 0,
            next_group: 0,
            stored: None,
            matched,
            withheld: position.withheld,
        });
        self.position = Some(position);
    }

    /// What goes on when a turn of `broken` panicked: messages on their way to other workers, and the batch under way,
    /// behind the item that was being routed. Whoever published that item and waits for its acknowledgement gets none:
    /// its network connection is closed, so that it sends again.
    pub(super) fn after_panic(broken: &mut Self) -> Self {
        let mut router = Self::new(Rc::clone(&broken.worker));
        std::mem::swap(&mut router.handoffs, &mut broken.handoffs);
        router.held_up = true;
        if let Some(mut position) = broken.position.take() {
            position.withheld |= position.home && router.is_told_of_failure(&position.batch, position.item);
            position.item += 1;
            router.begin_at(position);
        }
        router
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
    pub(super) fn go_on(&mut self, trie: &Trie, budget: &mut usize, now: Instant) -> Progress {
        let Some(mut current) = self.current.take() else { return Progress::Done };
        let own = 1u64 << self.worker.id;
        while current.item < current.batch.items().len() {
            if *budget == 0 {
                self.current = Some(current);
                return Progress::MoreToDo;
            }
            if let Some(position) = &mut self.position {
                position.item = current.item;
            }
            let item = &current.batch.items()[current.item];
            if item.is_routed() && item.workers & own != 0 {
                if !current.collected {
                    let looked_at = self.collect(trie, &current);
                    current.collected = true;
                    current.next_subscriber = 0;
                    current.next_group = 0;
                    current.stored = None;
                    // Some places of the tree cost about as much as a delivery.
                    *budget = budget.saturating_sub(1 + looked_at / PLACES_PER_DELIVERY);
                }
                if !self.deliver(&mut current, budget, now) {
                    self.current = Some(current);
                    return Progress::MoreToDo;
                }
                current.matched.push(!self.matches.is_empty());
            } else {
                current.matched.push(false);
            }
            current.item += 1;
            current.collected = false;
        }
        self.finish(current);
        Progress::Done
    }

    fn collect(&mut self, trie: &Trie, current: &Current) -> usize {
        self.matches.clear();
        let looked_at = trie.collect(current.batch.topic(current.item), &mut self.matches);
        let worker = &self.worker;
        if self.matches.subscribers.is_empty() {
            return looked_at;
        }
        if worker.node.settings.mqtt.merge_overlapping_subscriptions {
            // Copies of one session side by side; deliver() merges them.
            self.matches.subscribers.sort_by_key(|subscriber| subscriber.session);
        }
        let publisher = current.batch.publisher;
        if publisher.is_some() {
            // No local: not to the client that published it [MQTT-3.8.3-3].
            self.matches
                .subscribers
                .retain(|subscriber| !(subscriber.options.no_local && Some(subscriber.session) == publisher));
        }
        looked_at
    }

    /// Delivers one item to subscribers and groups. Returns whether all of them had it.
    fn deliver(&mut self, current: &mut Current, budget: &mut usize, now: Instant) -> bool {
        let worker = Rc::clone(&self.worker);
        let publication = current.batch.publication(current.item);
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
            while let Some(subscriber) = self.matches.subscribers.get(current.next_subscriber) {
                if *budget == 0 {
                    return false;
                }
                *budget -= 1;
                let mut how = wanted(subscriber, &publication);
                let key = subscriber.session;
                current.next_subscriber += 1;
                if merge {
                    let rest = &self.matches.subscribers[current.next_subscriber..];
                    let same = rest.iter().take_while(|other| other.session == key).count();
                    merge_into(&mut how, &rest[..same], &publication);
                    current.next_subscriber += same;
                }
                let Some(session) = sessions.get_mut(key) else { continue };
                desk.ledger.matched.add(1);
                let offered = session.offer(&publication, &how, &mut current.stored, &mut desk);
                if offered == Offered::Sent {
                    wakes.touch(session.online.as_mut(), key);
                }
            }
        }
        while let Some(group) = self.matches.groups.get(current.next_group).copied() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            current.next_group += 1;
            worker.ledger.matched.add(1);
            self.dispatch(group, &publication, &mut current.stored, now);
        }
        true
    }

    /// Everything is routed: count what matched nobody, answer the publisher, make room for others.
    fn finish(&mut self, mut current: Current) {
        self.position = None;
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
                self.answer(&current);
            }
        }
        worker.peer().inbound.leave(current.batch.weight(worker.id, current.home));
        current.matched.clear();
        self.matched = current.matched;
        if let Ok(batch) = Arc::try_unwrap(current.batch) {
            worker.recycle(batch);
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

    // === shared subscriptions ===

    /// Gives one message to one member of a group. It is counted as matched already.
    fn dispatch(
        &mut self,
        index: u32,
        publication: &Publication<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.at_mut(index) else { return };
        let strategy = worker.node.settings.session.shared_strategy;
        if !group.queue.is_empty() && publication.qos > QoS::AtMostOnce {
            // Behind those that wait for room.
            return self.wait_in_group(group, publication, stored);
        }
        let mut tried: Vec<SessionKey> = Vec::new();
        let (mut full, mut first, mut is_held_up) = (0, None, false);
        while let Some(member) = group.choose(strategy, publication, &tried) {
            let place = match member.session.worker == worker.id {
                true => self.place_with(&member, publication),
                false if worker.node.peers[usize::from(member.session.worker)].inbound.is_full() => {
                    Place::Far
                }
                false => Place::Free,
            };
            if place == Place::Free {
                self.give(group.key, &member, publication, stored, now);
                return;
            }
            tried.push(member.session);
            is_held_up |= place == Place::Far;
            if place == Place::Full {
                full += 1;
                first.get_or_insert(member);
            }
            if full >= MEMBERS_TRIED_MAX {
                break;
            }
        }
        match first {
            _ if is_held_up => {
                self.held_up = true;
                self.wait_in_group(group, publication, stored);
            }
            // All are online and full: what happens to a full client's message happens.
            Some(member) => self.give(group.key, &member, publication, stored, now),
            None => self.wait_in_group(group, publication, stored),
        }
    }

    fn place_with(&self, member: &Member, publication: &Publication<'_>) -> Place {
        let sessions = self.worker.sessions.borrow();
        match sessions.get(member.session).filter(|session| session.online.is_some()) {
            // That it left is on its way to this group.
            None => Place::Gone,
            Some(session)
                if session.has_room(publication, member.options.qos, &self.worker.node.settings) =>
            {
                Place::Free
            }
            Some(_) => Place::Full,
        }
    }

    fn give(
        &mut self,
        group: GroupKey,
        member: &Member,
        publication: &Publication<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) {
        let how = Wanted {
            qos: member.options.qos,
            retain: publication.retain && member.options.retain_as_published,
            identifiers: one(member.identifier),
            group: Some(group),
        };
        if member.session.worker == self.worker.id {
            self.worker.frames.borrow_mut().forget();
            self.worker.offer(member.session, publication, &how, stored, now);
            self.worker.frames.borrow_mut().forget();
        } else {
            member.load.fetch_add(1, Ordering::Relaxed);
            let message = stored.get_or_insert_with(|| Arc::new(StoredMessage::new(publication)));
            let queued = Queued {
                message: Arc::clone(message),
                qos: publication.qos.min(how.qos),
                retain: how.retain,
                identifiers: how.identifiers,
                group: how.group,
            };
            let chosen = Chosen { session: member.session, queued };
            self.handoffs[usize::from(member.session.worker)].push(chosen);
        }
    }

    /// Whether messages of groups wait for room at other workers. If not, `waker` is called when there is room.
    pub(super) fn goes_on_with_groups(&self, waker: &Waker) -> bool {
        let others = self.worker.node.peers.iter().enumerate();
        let mut others = others.filter(|(worker, _)| *worker != usize::from(self.worker.id));
        self.held_up && others.all(|(_, peer)| peer.inbound.has_room_or_wake(waker))
    }

    /// Gives out what waited for room at other workers.
    pub(super) fn give_out_held_up(&mut self, now: Instant) {
        let own = usize::from(self.worker.id);
        let mut others = self.worker.node.peers.iter().enumerate().filter(|(worker, _)| *worker != own);
        if !self.held_up || others.any(|(_, peer)| peer.inbound.is_full()) {
            return;
        }
        self.held_up = false;
        let waiting: Vec<(GroupKey, Vec<Queued>)> = {
            let mut groups = self.worker.groups.borrow_mut();
            let due = groups.iter_mut().filter(|group| group.members().iter().any(|member| member.online));
            due.map(|group| (group.key, group.queue.extract(|_| true))).collect()
        };
        for (group, messages) in waiting {
            for queued in messages {
                self.dispatch_again(group, &queued, now);
            }
        }
    }

    /// No member can take it now: QoS 1 and 2 wait for one that is online or whose session is durable.
    fn wait_in_group(
        &self,
        group: &mut Group,
        publication: &Publication<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
    ) {
        let limits = &self.worker.node.settings.session;
        let ledger = &self.worker.ledger;
        let is_online = group.members().iter().any(|member| member.online);
        if publication.qos == QoS::AtMostOnce && (is_online || !limits.queue_qos0_offline) {
            let reason = if is_online { DropReason::OutboxFull } else { DropReason::Offline };
            ledger.drop_n(reason, 1);
        } else if !is_online && !group.has_durable_member() {
            ledger.drop_n(DropReason::SharedGroupEmpty, 1);
        } else if !group.has_room(publication.queued_bytes(), limits) {
            ledger.drop_n(DropReason::QueueFull, 1);
        } else {
            let message = stored.get_or_insert_with(|| Arc::new(StoredMessage::new(publication)));
            group.queue.push(Queued {
                message: Arc::clone(message),
                qos: publication.qos,
                retain: publication.retain,
                identifiers: Identifiers::None,
                group: Some(group.key),
            });
        }
    }

    /// Sends what members of other workers were chosen for: one message to each worker.
    pub(super) fn flush_handoffs(&mut self) {
        for (worker, chosen) in self.handoffs.iter_mut().enumerate() {
            if !chosen.is_empty() {
                let peer = &self.worker.node.peers[worker];
                peer.inbound.enter(weight(chosen));
                peer.trie.do_send(Handoff { chosen: std::mem::take(chosen) });
            }
        }
    }

    /// Members of this worker were chosen at their groups' homes. Who went offline meanwhile gives back.
    pub(super) fn take_handoff(&mut self, handoff: Handoff, now: Instant) {
        let worker = Rc::clone(&self.worker);
        worker.peer().inbound.leave(weight(&handoff.chosen));
        let mut returned: Vec<GivenBack> = Vec::new();
        for Chosen { session, queued } in handoff.chosen {
            let online =
                worker.sessions.borrow().get(session).is_some_and(|session| session.online.is_some());
            if online {
                let publication = queued.message.publication();
                let how = Wanted {
                    qos: queued.qos,
                    retain: queued.retain,
                    identifiers: queued.identifiers.clone(),
                    group: queued.group,
                };
                worker.frames.borrow_mut().forget();
                worker.offer(session, &publication, &how, &mut Some(Arc::clone(&queued.message)), now);
                worker.frames.borrow_mut().forget();
            } else if let Some(group) = queued.group {
                returned.push(GivenBack { group, messages: vec![queued] });
            }
        }
        worker.give_back(returned);
    }

    /// Messages that a member could not keep: to another one, or to the group's queue.
    pub(super) fn take_back(&mut self, returned: Vec<GivenBack>, now: Instant) {
        for GivenBack { group, messages } in returned {
            for queued in messages {
                self.dispatch_again(group, &queued, now);
            }
        }
    }

    fn dispatch_again(&mut self, group: GroupKey, queued: &Queued, now: Instant) {
        let publication = queued.message.publication();
        let known = self.worker.groups.borrow_mut().get_mut(group).is_some();
        if !known {
            self.worker.ledger.drop_n(DropReason::SharedGroupEmpty, 1);
        } else if publication.is_expired(now) {
            self.worker.ledger.drop_n(DropReason::Expired, 1);
        } else {
            self.dispatch(group.index, &publication, &mut Some(Arc::clone(&queued.message)), now);
        }
    }

    /// A member can take messages: those that wait in the group, and those that members offline hold.
    pub(super) fn member_online(&mut self, key: GroupKey, now: Instant) {
        let (waiting, holders) = {
            let mut groups = self.worker.groups.borrow_mut();
            let Some(group) = groups.get_mut(key) else { return };
            let offline = group.members().iter().filter(|member| !member.online && member.durable);
            let holders: Vec<SessionKey> = offline.map(|member| member.session).collect();
            (group.queue.extract(|_| true), holders)
        };
        for session in holders {
            self.worker.node.peers[usize::from(session.worker)].trie.do_send(Reclaim { session, group: key });
        }
        for queued in waiting {
            self.dispatch_again(key, &queued, now);
        }
    }

    /// A member went offline: if another one can take its messages, they are asked for.
    pub(super) fn member_offline(&mut self, key: GroupKey, session: SessionKey) {
        let others_online = {
            let mut groups = self.worker.groups.borrow_mut();
            groups.get_mut(key).is_some_and(|group| group.members().iter().any(|member| member.online))
        };
        if others_online {
            self.worker.node.peers[usize::from(session.worker)].trie.do_send(Reclaim { session, group: key });
        }
    }

    /// A group's home wants its messages back from a session of this worker, if that is still offline.
    pub(super) fn reclaim(&mut self, reclaim: Reclaim) {
        let messages = {
            let mut sessions = self.worker.sessions.borrow_mut();
            match sessions.get_mut(reclaim.session) {
                Some(session) if session.online.is_none() => {
                    session.give_back(|group| group == reclaim.group)
                }
                _ => return,
            }
        };
        if !messages.is_empty() {
            self.worker.give_back(vec![GivenBack { group: reclaim.group, messages }]);
        }
    }

    /// The last member left.
    pub(super) fn drop_group(&self, group: &Group) {
        self.worker.ledger.drop_n(DropReason::SharedGroupEmpty, group.queue.len() as u64);
    }

    /// A member left: if no durable one remains and none is online, nobody will come for what waits.
    pub(super) fn drop_if_nobody_comes_back(&self, full_filter: &str) {
        let mut groups = self.worker.groups.borrow_mut();
        if let Some(group) = groups.find_mut(full_filter)
            && !group.has_durable_member()
            && !group.members().iter().any(|member| member.online)
        {
            let dropped = group.queue.extract(|_| true).len();
            self.worker.ledger.drop_n(DropReason::SharedGroupEmpty, dropped as u64);
        }
    }
}

fn weight(chosen: &[Chosen]) -> Weight {
    Weight { messages: chosen.len(), bytes: chosen.iter().map(|chosen| chosen.queued.message.bytes()).sum() }
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
