//! What ended sessions leave to the topic trie, and other work for one session that is done a piece at a time.

use std::sync::Arc;

use mqtt_codec::topic::count_levels;

use crate::ids::{SessionKey, shared_part};
use crate::matching::Subscriber;

use super::Topics;
use super::leaving::leave_group;
use crate::routing::{ForgetSession, TellGroups};
use crate::worker::WorkerState;

/// Bytes of a topic filter that cost about as much to look up, insert or remove as a delivery to make.
const BYTES_PER_DELIVERY: usize = 256;
/// What a topic filter costs beside its levels and its bytes.
const EACH: usize = 2;
/// What is made, or torn down, for a shared group.
const GROUP: usize = 4;

/// What it costs to insert or remove a topic filter, in deliveries: by its levels and its bytes.
pub(super) fn cost_of(filter: &str) -> usize {
    let levels = count_levels(filter) - 1;
    let group = if shared_part(filter).is_some() { GROUP } else { 0 };
    EACH + group + levels + filter.len() / BYTES_PER_DELIVERY
}

/// Takes what something cost from a budget. Returns whether that is spent.
pub(super) fn is_spent(budget: &mut usize, cost: usize) -> bool {
    *budget = budget.saturating_sub(cost);
    *budget == 0
}

impl Topics {
    /// Removes a subscription, or takes a session out of a shared group whose home is here. Returns what that cost, and
    /// the subscription, if it was there.
    pub(super) fn remove(
        &mut self,
        worker: &mut WorkerState,
        filter: &Arc<str>,
        session: SessionKey,
    ) -> (usize, Option<Subscriber>) {
        let cost = cost_of(filter);
        let (mut removed, mut gone) = (None, None);
        if shared_part(filter).is_some() {
            debug_assert_eq!(worker.node.homes.of_group(filter), worker.id);
            if let Some(group) = leave_group(worker, &mut self.router, filter, session) {
                if let Some(elsewhere) = &worker.node.elsewhere {
                    elsewhere.went(filter, worker.id);
                }
                if self.trie.remove_group(&group.filter, group.key) {
                    gone = Some(group.filter);
                }
            }
        } else {
            let is_last;
            (removed, is_last) = self.trie.take(filter, session);
            // A trie that was made anew never had it.
            if is_last || removed.is_none() && !self.trie.holds(filter) {
                gone = Some(Arc::clone(filter));
            }
            if let Some(elsewhere) = &worker.node.elsewhere
                && !self.trie.has_subscribers(filter)
            {
                elsewhere.went(filter, worker.id);
            }
        }
        if let Some(filter) = gone {
            worker.node.directory.remove(&filter, worker.id);
        }
        (cost, removed)
    }

    /// Deals with what an ended session left, within `budget`. Returns whether something is left.
    pub(super) fn forget(
        &mut self,
        worker: &mut WorkerState,
        forget: ForgetSession,
        budget: &mut usize,
    ) -> Option<ForgetSession> {
        worker.deal_with_remains(forget.session, budget);
        while *budget > 0 {
            let filter = worker.remains.get_mut(&forget.session)?.subscriptions.take_any();
            let Some(filter) = filter else {
                worker.remains.remove(&forget.session);
                return None;
            };
            worker.counters.gauges.unsubscribed(&filter);
            let (cost, _) = self.remove(worker, &filter, forget.session);
            *budget = budget.saturating_sub(cost);
        }
        Some(forget)
    }

    /// Tells homes of groups whether a member is online, within `budget`. Returns whether others are to be told.
    pub(super) fn tell_groups(
        worker: &mut WorkerState,
        tell: TellGroups,
        budget: &mut usize,
    ) -> Option<TellGroups> {
        let more = worker.tell_some_groups(tell.session, *budget);
        *budget = 0;
        more.map(|_| tell)
    }
}
