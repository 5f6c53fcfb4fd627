//! Changes of what is subscribed to: filters that come and go, members of shared groups that do or are online.

use std::ops::Range;
use std::sync::Arc;

use crate::groups::{Group, Member};
use crate::ids::shared_part;
use crate::matching::Subscriber;
use crate::moment::Moment;
use crate::subscriptions::Subscription;

use super::Topics;
use super::endings::{cost_of, is_spent};
use crate::routing::{Added, Join, MemberState, Reply, Subscribe, Unsubscribe, Work};
use crate::worker::{Errand, WorkerState};

impl Topics {
    pub(super) fn subscribe(
        &mut self,
        worker: &mut WorkerState,
        mut subscribe: Subscribe,
        budget: &mut usize,
    ) -> Option<Subscribe> {
        let session = subscribe.session;
        if worker.sessions.contains(session) {
            while let Some(Added { filter, subscription, replay }) = subscribe.filters.pop_front() {
                let node = &worker.node;
                let Subscription { options, identifier } = subscription;
                let subscriber = Subscriber { session, identifier, options, since: Moment::default() };
                let (since, renews) = self.trie.insert_since(&filter, subscriber, |is_new| {
                    if is_new {
                        node.directory.add(&filter, worker.id);
                    }
                    // What is published behind this moment finds the filter.
                    node.order.now()
                });
                worker.newest_subscription = since;
                if let Some(elsewhere) = &worker.node.elsewhere {
                    elsewhere.came(&filter, worker.id, subscribe.reply.is_some());
                }
                if replay && !worker.node.retained_messages.is_empty() {
                    let number = worker.replay(session, Arc::clone(&filter), subscription, (since, renews));
                    subscribe.note_replay(number);
                }
                if is_spent(budget, cost_of(&filter)) && !subscribe.filters.is_empty() {
                    return Some(subscribe);
                }
            }
        } else if let Some(elsewhere) = worker.node.elsewhere.as_ref().filter(|_| subscribe.reply.is_some()) {
            subscribe.filters.iter().for_each(|added| elsewhere.failed_to_come(&added.filter));
        }
        if let Some(reply) = &subscribe.reply {
            worker.note_unanswered(session, reply.epoch, &subscribe.replays);
        }
        in_force(worker, subscribe.reply, subscribe.replays);
        None
    }

    pub(super) fn join(
        &mut self,
        worker: &mut WorkerState,
        mut join: Join,
        budget: &mut usize,
    ) -> Option<Join> {
        while let Some((full_filter, Subscription { options, identifier })) = join.filters.pop_front() {
            let Some(filter) = shared_part(&full_filter) else { continue };
            let member = Member {
                session: join.session,
                options,
                identifier,
                online: join.online,
                durable: join.durable,
                burden: join.burden.clone(),
            };
            let was_durable = worker.groups.find(&full_filter).is_some_and(Group::has_durable_member);
            let group = worker.groups.join(worker.id, &full_filter, filter, member);
            let (key, is_durable) = (group.key, group.has_durable_member());
            worker.node.ways[usize::from(worker.id)].note_group(was_durable, is_durable);
            if self.trie.insert_group(&group.filter, key) {
                worker.node.directory.add(&group.filter, worker.id);
            }
            if let Some(elsewhere) = &worker.node.elsewhere {
                elsewhere.came(&full_filter, worker.id, join.reply.is_some());
            }
            self.router.member_changed(group, join.online);
            if is_spent(budget, cost_of(&full_filter)) && !join.filters.is_empty() {
                return Some(join);
            }
        }
        in_force(worker, join.reply, 0..0);
        None
    }

    pub(super) fn unsubscribe(
        &mut self,
        worker: &mut WorkerState,
        mut unsubscribe: Unsubscribe,
        budget: &mut usize,
    ) -> Option<Unsubscribe> {
        while let Some(filter) = unsubscribe.filters.pop_front() {
            let (mut cost, removed) = self.remove(worker, &filter, unsubscribe.session);
            if let Some(removed) = removed.filter(|_| unsubscribe.reply.is_some()) {
                cost += self.withdraw(&filter, &removed);
            }
            if is_spent(budget, cost) && !unsubscribe.filters.is_empty() {
                return Some(unsubscribe);
            }
        }
        in_force(worker, unsubscribe.reply, 0..0);
        None
    }

    /// Takes a subscription that is gone out of what is being routed to others in turns, so that nothing comes behind the
    /// UNSUBACK. Returns what that cost.
    fn withdraw(&mut self, filter: &str, gone: &Subscriber) -> usize {
        if self.within_runs == 0 {
            return 0;
        }
        let fronts = self.lanes.fronts_mut();
        fronts
            .map(|work| if let Work::Routing(current) = work { current.withdraw(filter, gone) } else { 0 })
            .sum()
    }

    pub(super) fn member_state(
        &mut self,
        worker: &mut WorkerState,
        mut state: MemberState,
        budget: &mut usize,
    ) -> Option<MemberState> {
        while let Some(filter) = state.filters.pop_front() {
            let was_durable = worker.groups.find(&filter).is_some_and(Group::has_durable_member);
            let group = worker.groups.set_state(&filter, state.session, state.online, state.durable);
            if let Some(group) = group {
                let way = &worker.node.ways[usize::from(worker.id)];
                way.note_group(was_durable, group.has_durable_member());
                self.router.member_changed(group, state.online);
            }
            if is_spent(budget, 1) && !state.filters.is_empty() {
                return Some(state);
            }
        }
        None
    }
}

fn in_force(worker: &mut WorkerState, reply: Option<Reply>, replays: Range<u64>) {
    if let Some(reply) = reply {
        worker.errands.push(Errand::InForce(reply, replays));
    }
}
