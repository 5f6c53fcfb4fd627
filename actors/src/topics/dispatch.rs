//! Getting messages of shared subscriptions to one member of their group, wherever that lives. A member of this worker is
//! reached directly, by the exception that `deliver.rs` names.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use hashbrown::HashSet;
use micro_mq_core::groups::{Choice, Chosen, Departure, GivenBack, Group, Load, Member, Room};
use micro_mq_core::ids::{GroupKey, SessionKey, client_hash};
use micro_mq_core::ledger::DropReason;
use micro_mq_core::message::Publication;
use micro_mq_core::queue::{Identifiers, Queued};
use micro_mq_core::routing::Owner;
use micro_mq_core::session::{SessionTable, Wanted};
use mqtt_codec::QoS;

use super::deliver::one;
use super::handoff::{Passing, part_of};
use super::messages::Reclaim;
use super::route::Router;
use crate::worker::Worker;

/// What a message costs that goes through a group, in deliveries: a member is chosen, and it is kept for another one.
const DELIVERIES_PER_DISPATCH: usize = 4;
/// Members of a group that cost about as much to look at as a delivery to make.
const MEMBERS_PER_DELIVERY: usize = 8;
/// Messages of a session that cost about as much to look through as a delivery to make.
const MESSAGES_PER_DELIVERY: usize = 16;

fn cost_of(looked_at: usize) -> usize {
    DELIVERIES_PER_DISPATCH + looked_at / MEMBERS_PER_DELIVERY
}

impl Router {
    /// Gives one message to one member of a group. It is counted as matched already. Returns what that cost.
    pub(super) fn dispatch(&mut self, key: GroupKey, mut passing: Passing<'_>, now: Instant) -> usize {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.get_mut(key) else {
            // The last member left since it was looked up.
            worker.ledger.drop_n(DropReason::SharedGroupEmpty, 1, passing.publication.is_own());
            return 1;
        };
        if !group.queue.is_empty() && passing.publication.qos > QoS::AtMostOnce {
            // Behind those that wait; one of its members may have room meanwhile.
            self.wait_in_group(group, passing);
            self.note_to_give_out(group);
            return DELIVERIES_PER_DISPATCH;
        }
        let Chosen { choice, looked_at } = self.choose(group, passing.publication, None);
        match choice {
            Choice::Member(at) => self.give(group, at, &mut passing, now),
            Choice::HeldUp(workers) => {
                self.hold_up(key, workers);
                self.wait_in_group(group, passing);
            }
            Choice::Nobody => self.wait_in_group(group, passing),
        }
        cost_of(looked_at)
    }

    /// A message that waits at the cost of `payer` takes no more room with that member.
    fn choose(&self, group: &mut Group, publication: &Publication<'_>, payer: Option<&Load>) -> Chosen {
        let worker = &self.worker;
        let sessions = worker.sessions.borrow();
        group.choose(
            publication,
            |member| match member.session.worker == worker.id {
                true => {
                    let pays = payer.is_some_and(|payer| Arc::ptr_eq(payer, &member.load));
                    self.room_with(&sessions, member, publication, pays)
                }
                false => Room::Free,
            },
            |other| other != worker.id && worker.node.peers[usize::from(other)].inbound.is_full(),
        )
    }

    fn room_with(
        &self,
        sessions: &SessionTable,
        member: &Member,
        publication: &Publication<'_>,
        pays: bool,
    ) -> Room {
        let Worker { node, ledger, .. } = &*self.worker;
        match sessions.get(member.session).filter(|session| session.online.is_some()) {
            // That it left is on its way to this group.
            None => Room::Gone,
            Some(session)
                if session.has_room(publication, member.options.qos, pays, &node.settings, ledger) =>
            {
                Room::Free
            }
            Some(_) => Room::Full,
        }
    }

    fn give(&mut self, group: &mut Group, at: u32, passing: &mut Passing<'_>, now: Instant) {
        let key = group.key;
        let member = group.give(at);
        let wanted = Wanted {
            qos: member.options.qos,
            retain: passing.publication.retain && member.options.retain_as_published,
            identifiers: one(member.identifier),
            group: Some(key),
        };
        if member.session.worker == self.worker.id {
            self.worker.frames.borrow_mut().forget();
            self.worker.offer(member.session, passing.publication, &wanted, passing.stored, now);
            self.worker.frames.borrow_mut().forget();
        } else {
            let parts = &mut self.handoffs[usize::from(member.session.worker)];
            part_of(parts, key).add(member.session, passing, wanted);
        }
    }

    /// No member can take it now: QoS 1 and 2 wait for one that is online or whose session is durable.
    fn wait_in_group(&self, group: &mut Group, mut passing: Passing<'_>) {
        let publication = passing.publication;
        let limits = &self.worker.node.settings.session;
        let ledger = &self.worker.ledger;
        let own = publication.is_own();
        let is_online = group.is_any_online();
        if publication.qos == QoS::AtMostOnce && (is_online || !limits.queue_qos0_offline) {
            let reason = if is_online { DropReason::OutboxFull } else { DropReason::Offline };
            ledger.drop_n(reason, 1, own);
        } else if !is_online && !group.has_durable_member() {
            ledger.drop_n(DropReason::SharedGroupEmpty, 1, own);
        } else if !group.has_room(publication.queued_bytes(), limits) {
            ledger.drop_n(DropReason::QueueFull, 1, own);
        } else if !ledger.kept.has_room_for(publication.qos, publication.queued_bytes()) {
            ledger.drop_n(DropReason::NodeQueueFull, 1, own);
        } else if let Some(payer) = group.payer(publication.queued_bytes(), limits) {
            let queued = Queued {
                message: passing.stored(),
                qos: publication.qos,
                retain: publication.retain,
                identifiers: Identifiers::None,
                group: Some(group.key),
                replayed: false,
            };
            group.queue.push(queued, &payer, &ledger.kept);
        } else {
            ledger.drop_n(DropReason::QueueFull, 1, own);
        }
    }

    // === what waits in groups ===

    /// A message of a group waits for room at one of these workers.
    fn hold_up(&mut self, key: GroupKey, workers: u64) {
        for (worker, held_up) in self.held_up.iter_mut().enumerate() {
            if workers & (1 << worker) != 0 {
                held_up.insert(key);
            }
        }
    }

    /// Whether messages of groups wait for room at other workers, and one of those has room. If not, `waker` is called
    /// when one has.
    pub(super) fn goes_on_with_groups(&self, waker: &Waker) -> bool {
        let mut goes_on = false;
        for (peer, held_up) in self.worker.node.peers.iter().zip(&self.held_up) {
            goes_on |= !held_up.is_empty() && peer.inbound.has_room_or_wake(waker);
        }
        goes_on
    }

    /// Sees to it that what waited for room at other workers is given out where there is.
    pub(super) fn give_out_held_up(&mut self) {
        let worker = Rc::clone(&self.worker);
        for (peer, at) in worker.node.peers.iter().zip(0..) {
            if !self.held_up[at].is_empty() && !peer.inbound.is_full() {
                let mut groups = worker.groups.borrow_mut();
                for key in std::mem::take(&mut self.held_up[at]) {
                    if let Some(group) = groups.get_mut(key) {
                        self.note_to_give_out(group);
                    }
                }
            }
        }
    }

    /// What waits in a group can be given out, if anything does: to be done once for all reasons.
    fn note_to_give_out(&mut self, group: &mut Group) {
        if !group.queue.is_empty() && group.is_any_online() && !group.is_to_give_out {
            group.is_to_give_out = true;
            self.to_give_out.push(group.key);
        }
    }

    /// Gives out what waits in a group, in order, within `budget`. Returns whether that is through: nothing is left, or
    /// nobody takes it.
    pub(super) fn give_out(&mut self, key: GroupKey, budget: &mut usize, now: Instant) -> bool {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.get_mut(key) else { return true };
        while let Some((first, payer)) = group.queue.front() {
            if *budget == 0 {
                return false;
            }
            let message = Arc::clone(&first.message);
            let publication = message.publication();
            if publication.is_expired(now) {
                *budget = budget.saturating_sub(1);
                worker.ledger.drop_n(DropReason::Expired, 1, publication.is_own());
                group.queue.pop(&worker.ledger.kept);
                continue;
            }
            let payer = Arc::clone(payer);
            let Chosen { choice, looked_at } = self.choose(group, &publication, Some(&payer));
            *budget = budget.saturating_sub(cost_of(looked_at));
            match choice {
                Choice::Member(at) => {
                    group.queue.pop(&worker.ledger.kept);
                    let stored = &mut Some(Arc::clone(&message));
                    let mut passing = Passing { publication: &publication, item: None, stored };
                    self.give(group, at, &mut passing, now);
                }
                Choice::HeldUp(workers) => {
                    self.hold_up(key, workers);
                    break;
                }
                Choice::Nobody => break,
            }
        }
        group.is_to_give_out = false;
        true
    }

    /// A message that a member could not keep: to another one, or to the group's queue. Returns what that cost.
    pub(super) fn take_back(&mut self, group: GroupKey, queued: &Queued, now: Instant) -> usize {
        let publication = queued.message.publication();
        if publication.is_expired(now) {
            self.worker.ledger.drop_n(DropReason::Expired, 1, publication.is_own());
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

    /// A member can take messages: those that wait in the group, and those that members offline hold.
    pub(super) fn member_online(&mut self, key: GroupKey) {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.get_mut(key) else { return };
        self.note_to_give_out(group);
        self.note_to_call_back(group);
    }

    /// A member went offline: if another one can take its messages, they are asked for.
    pub(super) fn member_offline(&mut self, key: GroupKey) {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        if let Some(group) = groups.get_mut(key) {
            self.note_to_call_back(group);
        }
    }

    /// What members offline hold can go to others, if they may hold anything: to be done once for all reasons.
    fn note_to_call_back(&mut self, group: &mut Group) {
        if group.has_holders() && group.is_any_online() && !group.is_to_call_back {
            group.is_to_call_back = true;
            self.to_call_back.push(group.key);
        }
    }

    /// Asks members offline for what they may hold of a group, within `budget`. Returns whether that is through: all are
    /// asked, or nobody is there to take it.
    pub(super) fn call_back(&mut self, key: GroupKey, budget: &mut usize) -> bool {
        let worker = Rc::clone(&self.worker);
        let mut groups = worker.groups.borrow_mut();
        let Some(group) = groups.get_mut(key) else { return true };
        while group.is_any_online()
            && let Some(holder) = group.take_holder()
        {
            self.reclaims.entry(holder).or_default().push(key);
            *budget = budget.saturating_sub(DELIVERIES_PER_DISPATCH);
            if *budget == 0 && group.has_holders() {
                return false;
            }
        }
        group.is_to_call_back = false;
        true
    }

    /// Whatever waits in groups, and may be held by members offline, is looked at again, behind a panic.
    pub(super) fn look_at_groups_again(&mut self) {
        let worker = Rc::clone(&self.worker);
        for group in worker.groups.borrow_mut().iter_mut() {
            (group.is_to_give_out, group.is_to_call_back) = (false, false);
            self.note_to_give_out(group);
            self.note_to_call_back(group);
        }
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
                    (client, session.give_back(|group| wanted.contains(&group), &self.worker.ledger), cost)
                }
                _ => return 1,
            }
        };
        if !messages.is_empty() {
            self.worker.give_back(Owner::Client(client), GivenBack::by_group(messages));
        }
        cost
    }

    /// A member leaves a group. Others pay for what waits there at its cost; what nobody pays for, or will come for, is
    /// dropped. Returns the group if the member was the last, and adds to what that cost.
    pub(super) fn leave_group(
        &self,
        full_filter: &str,
        session: SessionKey,
        cost: &mut usize,
    ) -> Option<Box<Group>> {
        let Worker { groups, ledger, node, .. } = &*self.worker;
        match groups.borrow_mut().leave(full_filter, session) {
            Departure::NoMember => None,
            Departure::Last(mut group) => {
                let dropped = group.queue.clear(&ledger.kept);
                ledger.drop_n(DropReason::SharedGroupEmpty, dropped as u64, group.is_own());
                Some(group)
            }
            Departure::Member(_, group) if !group.has_durable_member() && !group.is_any_online() => {
                let dropped = group.queue.clear(&ledger.kept);
                ledger.drop_n(DropReason::SharedGroupEmpty, dropped as u64, group.is_own());
                None
            }
            Departure::Member(member, group) => {
                let (looked_at, dropped) =
                    group.charge_others(&member.load, &node.settings.session, &ledger.kept);
                ledger.drop_n(DropReason::QueueFull, dropped as u64, group.is_own());
                *cost += looked_at / MESSAGES_PER_DELIVERY;
                None
            }
        }
    }
}
