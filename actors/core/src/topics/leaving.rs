//! Members that leave their groups, and those offline that give back what they hold.

use std::sync::Arc;

use crate::groups::{Departure, GivenBack, Group};
use crate::ids::{GroupKey, SessionKey, client_hash};
use crate::ledger::DropReason;
use crate::records::Fate;
use crate::routing::{Owner, Reclaim};
use crate::worker::{Discard, WorkerState};

use super::router::Router;

/// Messages that cost about as much to look at, and to take out, as a delivery to make.
const MESSAGES_PER_DELIVERY: usize = 4;

/// Groups' home wants its messages back from a session of this worker, as long as that is offline. Returns what is left
/// to look through when `budget` is spent.
pub(super) fn reclaim(worker: &mut WorkerState, mut reclaim: Reclaim, budget: &mut usize) -> Option<Reclaim> {
    let session = worker.sessions.get_mut(reclaim.session);
    let session = session.filter(|session| session.online.is_none())?;
    let client = client_hash(session.client_identifier());
    let most = *budget * MESSAGES_PER_DELIVERY;
    let wanted = |group| reclaim.groups.contains(&group);
    let messages = session.give_back(wanted, &mut reclaim.left, most, &worker.ledger);
    session.publish_load();
    if !messages.is_empty() {
        worker.record_notes(reclaim.session);
        worker.give_back(Owner::Client(client), GivenBack::by_group(messages));
    }
    *budget = 0;
    reclaim.left.is_some().then_some(reclaim)
}

/// A member leaves a group. Others pay for what waits there at its cost; what nobody pays for, or will come for, is
/// dropped. Returns the group if the member was the last.
pub(super) fn leave_group(
    worker: &mut WorkerState,
    router: &mut Router,
    full_filter: &str,
    session: SessionKey,
) -> Option<Box<Group>> {
    let was_durable = worker.groups.find(full_filter).is_some_and(Group::has_durable_member);
    let mut is_durable = false;
    let (key, full_filter, dropped, gone) = match worker.groups.leave(full_filter, session) {
        Departure::NoMember => return None,
        Departure::Last(mut group) => {
            let dropped = std::mem::take(&mut group.queue);
            (group.key, Arc::clone(&group.full_filter), Some(dropped), Some(group))
        }
        Departure::Member(_, group) if !group.has_durable_member() && !group.is_any_online() => {
            let dropped = std::mem::take(&mut group.queue);
            (group.key, Arc::clone(&group.full_filter), Some(dropped), None)
        }
        Departure::Member(member, group) => {
            is_durable = group.has_durable_member();
            if group.queue.note_leaving(&member.burden) {
                router.to_charge_others.push(group.key);
            }
            (group.key, Arc::clone(&group.full_filter), None, None)
        }
    };
    worker.way().note_group(was_durable, is_durable);
    if let Some(dropped) = dropped {
        if was_durable && gone.is_some() {
            // What members still hold of it is over one day.
            worker.copies.groups.note_name(key, &full_filter);
        }
        let discard = Discard::OfGroup(full_filter, dropped);
        worker.discard(Owner::Group(key), DropReason::SharedGroupEmpty, discard);
    }
    gone
}

/// Others pay for what waits in a group at the cost of members who have left, within `budget`. Returns whether there is
/// more to look at.
pub(super) fn charge_others(worker: &mut WorkerState, key: GroupKey, budget: &mut usize) -> bool {
    let WorkerState { groups, ledger, node, copies, .. } = worker;
    let Some(group) = groups.get_mut(key) else { return false };
    let most = *budget * MESSAGES_PER_DELIVERY;
    let (dropped, more) = group.charge_others(most, &node.settings.session, &ledger.kept);
    ledger.drop_n(DropReason::QueueFull, dropped.len() as u64, group.is_own());
    for queued in dropped {
        copies.groups.take(&group.full_filter, Fate::Dropped(DropReason::QueueFull), queued.recorded);
    }
    *budget = if more { 0 } else { budget.saturating_sub(1) };
    more
}
