//! Members that leave their groups, and those offline that give back what they hold.

use hashbrown::HashSet;

use crate::groups::{Departure, GivenBack, Group};
use crate::ids::{GroupKey, SessionKey, client_hash};
use crate::ledger::DropReason;
use crate::routing::{Owner, Reclaim};
use crate::worker::WorkerState;

/// Messages of a session that cost about as much to look through as a delivery to make.
const MESSAGES_PER_DELIVERY: usize = 16;

/// Groups' home wants its messages back from a session of this worker, if that is still offline. Returns what that
/// cost.
pub(super) fn reclaim(worker: &mut WorkerState, reclaim: Reclaim) -> usize {
    let wanted: HashSet<GroupKey> = reclaim.groups.into_iter().collect();
    let session = worker.sessions.get_mut(reclaim.session);
    let Some(session) = session.filter(|session| session.online.is_none()) else { return 1 };
    let cost = 1 + session.waiting() as usize / MESSAGES_PER_DELIVERY;
    let client = client_hash(session.client_identifier());
    let messages = session.give_back(|group| wanted.contains(&group), &worker.ledger);
    if !messages.is_empty() {
        worker.give_back(Owner::Client(client), GivenBack::by_group(messages));
    }
    cost
}

/// A member leaves a group. Others pay for what waits there at its cost; what nobody pays for, or will come for, is
/// dropped. Returns the group if the member was the last, and adds to what that cost.
pub(super) fn leave_group(
    worker: &mut WorkerState,
    full_filter: &str,
    session: SessionKey,
    cost: &mut usize,
) -> Option<Box<Group>> {
    let WorkerState { groups, ledger, node, .. } = worker;
    match groups.leave(full_filter, session) {
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
                group.charge_others(&member.burden, &node.settings.session, &ledger.kept);
            ledger.drop_n(DropReason::QueueFull, dropped as u64, group.is_own());
            *cost += looked_at / MESSAGES_PER_DELIVERY;
            None
        }
    }
}
