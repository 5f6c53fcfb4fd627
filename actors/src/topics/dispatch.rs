//! Getting messages of shared subscriptions to one member of their group, wherever that lives. A member of this worker is
//! reached directly, by the exception that `deliver.rs` names.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use hashbrown::HashSet;
use mqtt_codec::QoS;
use tokio::time::Instant;

use super::deliver::one;
use super::handoff::Passing;
use super::messages::Reclaim;
use super::route::Router;
use super::shared::{GivenBack, Group, GroupKey, Member};
use crate::ledger::DropReason;
use crate::message::Publication;
use crate::sessions::{Identifiers, Queued, SessionKey, Wanted, client_hash};

/// Members of a shared group that are looked at for one message before one of them gets it, full or not.
const MEMBERS_TRIED_MAX: usize = 8;
/// What a message costs that goes through a group, in deliveries: a member is chosen, and it is kept for another one.
const DELIVERIES_PER_DISPATCH: usize = 4;
/// Members of a group that cost about as much to choose from as a delivery to make.
const MEMBERS_PER_DELIVERY: usize = 64;
/// Messages of a session that cost about as much to look through as a delivery to make.
const MESSAGES_PER_DELIVERY: usize = 16;

/// What a member of a group has for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Full,
    Gone,
    /// It lives at a worker that has no room for messages on their way.
    Far,
}

/// Who gets a message of a group.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// The member at this place in the group.
    Member(usize),
    /// Nobody, until another worker has room.
    HeldUp,
    Nobody,
}

impl Router {
    /// Gives one message to one member of a group. It is counted as matched already. Returns what that cost.
    pub(super) fn dispatch(&mut self, key: GroupKey, mut passing: Passing<'_>, now: Instant) -> usize {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.get_mut(key) else {
            // The last member left since it was looked up.
            worker.ledger.drop_n(DropReason::SharedGroupEmpty, 1);
            return 1;
        };
        let cost = DELIVERIES_PER_DISPATCH + group.members().len() / MEMBERS_PER_DELIVERY;
        if !group.queue.is_empty() && passing.publication.qos > QoS::AtMostOnce {
            // Behind those that wait.
            self.wait_in_group(group, passing);
            return cost;
        }
        match self.choose(group, passing.publication) {
            Choice::Member(at) => self.give(group, at, &mut passing, now),
            Choice::HeldUp => {
                self.held_up.insert(key);
                self.wait_in_group(group, passing);
            }
            Choice::Nobody => self.wait_in_group(group, passing),
        }
        cost
    }

    fn choose(&self, group: &mut Group, publication: &Publication<'_>) -> Choice {
        let worker = &self.worker;
        let strategy = worker.node.settings.session.shared_strategy;
        let mut tried: Vec<SessionKey> = Vec::new();
        let (mut full, mut first, mut is_held_up) = (0, None, false);
        while let Some(at) = group.choose(strategy, publication, &tried) {
            let member = &group.members()[at];
            let place = match member.session.worker == worker.id {
                true => self.place_with(member, publication),
                false if worker.node.peers[usize::from(member.session.worker)].inbound.is_full() => {
                    Place::Far
                }
                false => Place::Free,
            };
            if place == Place::Free {
                return Choice::Member(at);
            }
            tried.push(member.session);
            is_held_up |= place == Place::Far;
            if place == Place::Full {
                full += 1;
                first.get_or_insert(at);
            }
            if full >= MEMBERS_TRIED_MAX {
                break;
            }
        }
        match first {
            _ if is_held_up => Choice::HeldUp,
            // All are online and full: what happens to a full client's message happens.
            Some(at) => Choice::Member(at),
            None => Choice::Nobody,
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

    fn give(&mut self, group: &Group, at: usize, passing: &mut Passing<'_>, now: Instant) {
        let member = &group.members()[at];
        let wanted = Wanted {
            qos: member.options.qos,
            retain: passing.publication.retain && member.options.retain_as_published,
            identifiers: one(member.identifier),
            group: Some(group.key),
        };
        if member.session.worker == self.worker.id {
            self.worker.frames.borrow_mut().forget();
            self.worker.offer(member.session, passing.publication, &wanted, passing.stored, now);
            self.worker.frames.borrow_mut().forget();
        } else {
            group.note_given(self.worker.node.settings.session.shared_strategy, at);
            self.handoffs[usize::from(member.session.worker)].add(member.session, passing, wanted);
        }
    }

    /// No member can take it now: QoS 1 and 2 wait for one that is online or whose session is durable.
    fn wait_in_group(&self, group: &mut Group, mut passing: Passing<'_>) {
        let publication = passing.publication;
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
            group.queue.push(Queued {
                message: passing.stored(),
                qos: publication.qos,
                retain: publication.retain,
                identifiers: Identifiers::None,
                group: Some(group.key),
            });
        }
    }

    // === what waits in groups ===

    /// Whether messages of groups wait for room at other workers, and there is room. If not, `waker` is called when
    /// there is.
    pub(super) fn goes_on_with_groups(&self, waker: &Waker) -> bool {
        let own = usize::from(self.worker.id);
        let mut others = self.worker.node.peers.iter().enumerate().filter(|(worker, _)| *worker != own);
        !self.held_up.is_empty() && others.all(|(_, peer)| peer.inbound.has_room_or_wake(waker))
    }

    /// Sees to it that what waited for room at other workers is given out, if there is.
    pub(super) fn give_out_held_up(&mut self) {
        let own = usize::from(self.worker.id);
        let mut others = self.worker.node.peers.iter().enumerate().filter(|(worker, _)| *worker != own);
        if self.held_up.is_empty() || others.any(|(_, peer)| peer.inbound.is_full()) {
            return;
        }
        self.to_give_out.extend(self.held_up.drain());
    }

    /// Gives out what waits in a group, in order, within `budget`. Returns whether that is through: nothing is left, or
    /// nobody takes it.
    pub(super) fn give_out(&mut self, key: GroupKey, budget: &mut usize, now: Instant) -> bool {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.get_mut(key) else { return true };
        let cost = DELIVERIES_PER_DISPATCH + group.members().len() / MEMBERS_PER_DELIVERY;
        while let Some(first) = group.queue.front() {
            if *budget == 0 {
                return false;
            }
            *budget = budget.saturating_sub(cost);
            let message = Arc::clone(&first.message);
            let publication = message.publication();
            if publication.is_expired(now) {
                worker.ledger.drop_n(DropReason::Expired, 1);
                group.queue.pop();
                continue;
            }
            match self.choose(group, &publication) {
                Choice::Member(at) => {
                    group.queue.pop();
                    let stored = &mut Some(Arc::clone(&message));
                    let mut passing = Passing { publication: &publication, item: None, stored };
                    self.give(group, at, &mut passing, now);
                }
                Choice::HeldUp => {
                    self.held_up.insert(key);
                    return true;
                }
                Choice::Nobody => return true,
            }
        }
        true
    }

    /// A message that a member could not keep: to another one, or to the group's queue. Returns what that cost.
    pub(super) fn take_back(&mut self, group: GroupKey, queued: &Queued, now: Instant) -> usize {
        let publication = queued.message.publication();
        if publication.is_expired(now) {
            self.worker.ledger.drop_n(DropReason::Expired, 1);
            return 1;
        }
        let stored = &mut Some(Arc::clone(&queued.message));
        self.dispatch(group, Passing { publication: &publication, item: None, stored }, now)
    }

    /// Asks members offline for what they hold of groups: one message to each.
    pub(super) fn ask_back(&mut self) {
        for (session, groups) in self.reclaims.drain() {
            self.worker.tell_trie(session.worker, Reclaim { session, groups });
        }
    }

    /// A member can take messages: those that wait in the group, and those that members offline hold. Returns what that
    /// cost.
    pub(super) fn member_online(&mut self, key: GroupKey) -> usize {
        let groups = self.worker.groups.borrow();
        let Some(group) = groups.get(key) else { return 1 };
        for member in group.members().iter().filter(|member| !member.online && member.durable) {
            self.reclaims.entry(member.session).or_default().push(key);
        }
        if !group.queue.is_empty() {
            self.to_give_out.push(key);
        }
        1 + group.members().len() / MEMBERS_PER_DELIVERY
    }

    /// A member went offline: if another one can take its messages, they are asked for. Returns what that cost.
    pub(super) fn member_offline(&mut self, key: GroupKey, session: SessionKey) -> usize {
        let groups = self.worker.groups.borrow();
        let Some(group) = groups.get(key) else { return 1 };
        if group.members().iter().any(|member| member.online) {
            self.reclaims.entry(session).or_default().push(key);
        }
        1 + group.members().len() / MEMBERS_PER_DELIVERY
    }

    /// Groups' home wants its messages back from a session of this worker, if that is still offline. Returns what that
    /// cost.
    pub(super) fn reclaim(&mut self, reclaim: Reclaim) -> usize {
        let wanted: HashSet<GroupKey> = reclaim.groups.into_iter().collect();
        let (client, messages, cost) = {
            let mut sessions = self.worker.sessions.borrow_mut();
            match sessions.get_mut(reclaim.session) {
                Some(session) if session.online.is_none() => {
                    let cost = 1 + session.waiting() as usize / MESSAGES_PER_DELIVERY;
                    let client = client_hash(session.client_identifier());
                    (client, session.give_back(|group| wanted.contains(&group)), cost)
                }
                _ => return 1,
            }
        };
        if !messages.is_empty() {
            self.worker.give_back(Some(client), GivenBack::by_group(messages));
        }
        cost
    }

    /// The last member left.
    pub(super) fn drop_group(&self, group: &Group) {
        self.worker.ledger.drop_n(DropReason::SharedGroupEmpty, group.queue.len() as u64);
    }

    /// A member left: if no durable one remains and none is online, nobody will come for what waits.
    pub(super) fn drop_if_nobody_comes_back(&self, full_filter: &str) {
        let mut groups = self.worker.groups.borrow_mut();
        if let Some(group) = groups.find_mut(full_filter)
            && !group.queue.is_empty()
            && !group.has_durable_member()
            && !group.members().iter().any(|member| member.online)
        {
            let dropped = group.queue.extract(|_| true).len();
            self.worker.ledger.drop_n(DropReason::SharedGroupEmpty, dropped as u64);
        }
    }
}
