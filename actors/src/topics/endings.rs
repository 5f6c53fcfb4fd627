//! What ended sessions leave to the topic trie, and other work for one session that is done a piece at a time.

use std::rc::Rc;
use std::sync::Arc;

use micro_mq_core::ids::{SessionKey, shared_part};
use micro_mq_core::matching::Subscriber;

use super::actor::TopicTrie;
use super::messages::{ForgetSession, TellGroups};

/// Bytes of a topic filter that cost about as much to look up, insert or remove as a delivery to make.
const BYTES_PER_DELIVERY: usize = 256;
/// What a topic filter costs beside its levels and its bytes.
const EACH: usize = 2;
/// What is made, or torn down, for a shared group.
const GROUP: usize = 4;

/// What it costs to insert or remove a topic filter, in deliveries: by its levels and its bytes.
pub(super) fn cost_of(filter: &str) -> usize {
    let levels = filter.bytes().filter(|byte| *byte == b'/').count();
    let group = if shared_part(filter).is_some() { GROUP } else { 0 };
    EACH + group + levels + filter.len() / BYTES_PER_DELIVERY
}

/// Takes what something cost from a budget. Returns whether that is spent.
pub(super) fn is_spent(budget: &mut usize, cost: usize) -> bool {
    *budget = budget.saturating_sub(cost);
    *budget == 0
}

impl TopicTrie {
    /// Removes a subscription, or takes a session out of a shared group whose home is here. Returns what that cost, and
    /// the subscription, if it was there.
    pub(super) fn remove(&mut self, filter: &Arc<str>, session: SessionKey) -> (usize, Option<Subscriber>) {
        let mut cost = cost_of(filter);
        let (mut removed, mut gone) = (None, None);
        if shared_part(filter).is_some() {
            debug_assert_eq!(self.worker.node.homes.of_group(filter), self.worker.id);
            if let Some(group) = self.router.leave_group(filter, session, &mut cost)
                && self.trie.remove_group(&group.filter, group.key)
            {
                gone = Some(group.filter);
            }
        } else {
            let is_last;
            (removed, is_last) = self.trie.take(filter, session);
            // A trie that was made anew never had it.
            if is_last || removed.is_none() && !self.trie.holds(filter) {
                gone = Some(Arc::clone(filter));
            }
        }
        if let Some(filter) = gone {
            self.worker.node.directory.remove(&filter, self.worker.id);
        }
        (cost, removed)
    }

    /// Deals with what an ended session left, within `budget`. Returns whether something is left.
    pub(super) fn forget(&mut self, forget: ForgetSession, budget: &mut usize) -> Option<ForgetSession> {
        let worker = Rc::clone(&self.worker);
        let mut all = worker.remains.borrow_mut();
        let session = all.get_mut(&forget.session)?;
        worker.deal_with_remains(session, budget);
        while *budget > 0 {
            let Some(filter) = session.subscriptions.take_any() else {
                all.remove(&forget.session);
                return None;
            };
            worker.counters.held.unsubscribed(&filter);
            let (cost, _) = self.remove(&filter, forget.session);
            *budget = budget.saturating_sub(cost);
        }
        Some(forget)
    }

    /// Tells homes of groups whether a member is online, within `budget`. Returns whether others are to be told.
    pub(super) fn tell_groups(&mut self, tell: TellGroups, budget: &mut usize) -> Option<TellGroups> {
        let more = self.worker.tell_some_groups(tell.session, *budget);
        *budget = 0;
        more.map(|_| tell)
    }
}
