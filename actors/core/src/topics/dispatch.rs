//! Getting messages of shared subscriptions to one member of their group, wherever that lives. A member of this worker is
//! reached directly, by the exception that `fan_out.rs` names.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use mqtt_codec::QoS;

use super::fan_out::{cost_of_copy, one};
use super::handoff::{Passing, part_of};
use super::member_desk::MemberDesk;
use super::router::Router;
use crate::groups::{Choice, Chosen, Group, Groups};
use crate::ids::{CopyId, GroupKey};
use crate::ledger::DropReason;
use crate::message::Publication;
use crate::queue::Queued;
use crate::records::Fate;
use crate::routing::{Reclaim, ToTrie, Work};
use crate::session::{LeftToGive, Storing, Wanted};
use crate::worker::{NodeState, Unkept, WorkerState};

/// What a message costs that goes through a group, in deliveries: a member is chosen, and it is kept for another one.
const DELIVERIES_PER_DISPATCH: usize = 8;
/// Members of a group that cost about as much to look at as a delivery to make.
const MEMBERS_PER_DELIVERY: usize = 8;

fn cost_of(publication: &Publication<'_>, looked_at: usize) -> usize {
    DELIVERIES_PER_DISPATCH + cost_of_copy(publication) + looked_at / MEMBERS_PER_DELIVERY
}

impl Router {
    /// Gives one message to one member of a group. It is counted as matched already. Returns what that cost.
    pub(super) fn dispatch(
        &mut self,
        worker: &mut WorkerState,
        key: GroupKey,
        mut passing: Passing<'_>,
        now: Instant,
    ) -> usize {
        let (groups, mut desk) = MemberDesk::beside_groups(worker, now);
        let Some(group) = groups.get_mut(key) else {
            // The last member left since it was looked up.
            let reason = DropReason::SharedGroupEmpty;
            desk.ledger.drop_n(reason, 1, passing.publication.is_own());
            desk.copies.groups.take_from(key, Fate::Dropped(reason), passing.recorded);
            return 1;
        };
        if !group.queue.is_empty() && passing.publication.qos > QoS::AtMostOnce {
            // Behind those that wait; one of its members may have room meanwhile.
            let cost = cost_of(passing.publication, 0);
            desk.wait_in_group(group, passing);
            self.note_to_give_out(group);
            return cost;
        }
        let Chosen { choice, looked_at } = desk.choose(group, passing.publication, None);
        let cost = cost_of(passing.publication, looked_at);
        match choice {
            Choice::Member(at) => self.give(&mut desk, group, at, &mut passing),
            Choice::HeldUp(workers) => {
                self.hold_up(key, workers);
                desk.wait_in_group(group, passing);
            }
            Choice::Nobody => desk.wait_in_group(group, passing),
        }
        cost
    }

    fn give(&mut self, desk: &mut MemberDesk<'_>, group: &mut Group, at: u32, passing: &mut Passing<'_>) {
        let key = group.key;
        let recorded = passing.record_in(group);
        let full_filter = recorded.is_some().then(|| Arc::clone(&group.full_filter));
        let member = group.give(at);
        let wanted = Wanted {
            qos: member.options.qos,
            retain: passing.publication.retain && member.options.retain_as_published,
            identifiers: one(member.identifier),
            group: Some(key),
        };
        let session = member.session;
        let Some(full_filter) = full_filter else {
            return match session.worker == desk.id {
                true => desk.offer(session, passing, &wanted, None),
                false => {
                    let parts = &mut self.handoffs[usize::from(session.worker)];
                    part_of(parts, key).add(session, passing, wanted);
                }
            };
        };
        if session.worker == desk.id {
            return desk.offer(session, passing, &wanted, Some(&full_filter));
        }
        let is_exactly_once = passing.publication.qos.min(wanted.qos) == QoS::ExactlyOnce;
        if is_exactly_once && !desk.copies.groups.is_kept(recorded) {
            let message = passing.stored();
            return desk.copies.groups.hold(Unkept {
                group: key,
                full_filter,
                session,
                message,
                wanted,
                recorded,
            });
        }
        let part = part_of(&mut self.handoffs[usize::from(session.worker)], key);
        part.add(session, passing, wanted);
        part.full_filter.get_or_insert(full_filter);
    }

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
    pub(super) fn goes_on_with_groups(&self, node: &NodeState, waker: &Waker) -> bool {
        let mut goes_on = false;
        for (way, held_up) in node.ways.iter().zip(&self.held_up) {
            goes_on |= !held_up.is_empty() && way.inbound.has_room_or_wake(waker);
        }
        goes_on
    }

    /// Sees to it that what waited for room at other workers is given out where there is.
    pub(super) fn give_out_held_up(&mut self, worker: &mut WorkerState) {
        for (at, way) in worker.node.ways.iter().enumerate() {
            if !self.held_up[at].is_empty() && !way.inbound.is_full() {
                for key in std::mem::take(&mut self.held_up[at]) {
                    if let Some(group) = worker.groups.get_mut(key) {
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
    pub(super) fn give_out(
        &mut self,
        worker: &mut WorkerState,
        key: GroupKey,
        budget: &mut usize,
        now: Instant,
    ) -> bool {
        let (groups, mut desk) = MemberDesk::beside_groups(worker, now);
        let Some(group) = groups.get_mut(key) else { return true };
        while let Some((first, payer)) = group.queue.front() {
            if *budget == 0 {
                return false;
            }
            let (message, recorded) = (Arc::clone(&first.message), first.recorded);
            let publication = message.publication();
            if publication.is_expired(now) {
                *budget = budget.saturating_sub(1);
                desk.ledger.drop_n(DropReason::Expired, 1, publication.is_own());
                let fate = Fate::Dropped(DropReason::Expired);
                desk.copies.groups.take(&group.full_filter, fate, recorded);
                group.queue.pop(&desk.ledger.kept);
                continue;
            }
            let payer = Arc::clone(payer);
            let Chosen { choice, looked_at } = desk.choose(group, &publication, Some(&payer));
            *budget = budget.saturating_sub(cost_of(&publication, looked_at));
            match choice {
                Choice::Member(at) => {
                    group.queue.pop(&desk.ledger.kept);
                    let stored = &mut Storing::of(Arc::clone(&message));
                    let mut passing = Passing { publication: &publication, item: None, stored, recorded };
                    self.give(&mut desk, group, at, &mut passing);
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
    pub(super) fn take_back(
        &mut self,
        worker: &mut WorkerState,
        group: GroupKey,
        queued: &Queued,
        now: Instant,
    ) -> usize {
        let publication = queued.message.publication();
        let recorded = if queued.recorded.is_in_group() { queued.recorded } else { CopyId::default() };
        if publication.is_expired(now) {
            worker.ledger.drop_n(DropReason::Expired, 1, publication.is_own());
            if let Some(full_filter) = worker.group_name(group) {
                worker.copies.groups.take(&full_filter, Fate::Dropped(DropReason::Expired), recorded);
            }
            return 1;
        }
        let stored = &mut Storing::of(Arc::clone(&queued.message));
        let passing = Passing { publication: &publication, item: None, stored, recorded };
        self.dispatch(worker, group, passing, now)
    }

    /// Asks members offline for what they hold of groups: one message to each.
    pub(super) fn ask_back(&mut self, worker: &mut WorkerState) {
        for (session, groups) in self.reclaims.drain() {
            let (home, left) = (worker.id, Some(LeftToGive::default()));
            let reclaim = Work::Reclaim(Reclaim { session, home, groups, left });
            worker.tell_trie(session.worker, ToTrie::Work(reclaim));
        }
    }

    /// A member can take messages now: those that wait in the group, and those that members offline hold. Or it went
    /// offline: if another one can take its messages, they are asked for.
    pub(super) fn member_changed(&mut self, group: &mut Group, is_online: bool) {
        if is_online {
            self.note_to_give_out(group);
        }
        self.note_to_call_back(group);
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
    pub(super) fn call_back(&mut self, groups: &mut Groups, key: GroupKey, budget: &mut usize) -> bool {
        let Some(group) = groups.get_mut(key) else { return true };
        while group.is_any_online()
            && let Some(holder) = group.take_holder()
        {
            self.reclaims.entry(holder).or_default().insert(key);
            *budget = budget.saturating_sub(DELIVERIES_PER_DISPATCH);
            if *budget == 0 && group.has_holders() {
                return false;
            }
        }
        group.is_to_call_back = false;
        true
    }

    /// Whatever waits in groups, and may be held by members offline, is looked at again, behind a panic.
    pub(super) fn look_at_groups_again(&mut self, groups: &mut Groups) {
        for group in groups.iter_mut() {
            (group.is_to_give_out, group.is_to_call_back) = (false, false);
            self.note_to_give_out(group);
            self.note_to_call_back(group);
            if group.queue.is_to_charge_others() {
                self.to_charge_others.push(group.key);
            }
        }
    }
}
