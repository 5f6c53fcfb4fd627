//! Changes of what is subscribed to: filters that come and go, members of shared groups that do or are online.

use std::ops::Range;
use std::sync::Arc;

use micro_mq_core::groups::Member;
use micro_mq_core::ids::shared_part;
use micro_mq_core::matching::Subscriber;
use micro_mq_core::moment::Moment;
use micro_mq_core::subscriptions::Subscription;

use super::actor::{TopicTrie, Work};
use super::endings::{cost_of, is_spent};
use super::messages::{Added, Join, MemberState, Reply, Subscribe, Unsubscribe};
use crate::connection::ChangeInForce;

impl TopicTrie {
    pub(super) fn subscribe(&mut self, mut subscribe: Subscribe, budget: &mut usize) -> Option<Subscribe> {
        let session = subscribe.session;
        if self.worker.sessions.borrow().contains(session) {
            while let Some(Added { filter, subscription, replay }) = subscribe.filters.pop_front() {
                let node = &self.worker.node;
                let Subscription { options, identifier } = subscription;
                let subscriber = Subscriber { session, identifier, options, since: Moment::default() };
                let (since, renews) = self.trie.insert_since(&filter, subscriber, |is_new| {
                    if is_new {
                        node.directory.add(&filter, self.worker.id);
                    }
                    // What is published behind this moment finds the filter.
                    node.order.now()
                });
                self.worker.newest_subscription.set(since);
                if replay && !node.retained_messages.is_empty() {
                    let number =
                        self.worker.replay(session, Arc::clone(&filter), subscription, (since, renews));
                    subscribe.note_replay(number);
                }
                if is_spent(budget, cost_of(&filter)) && !subscribe.filters.is_empty() {
                    return Some(subscribe);
                }
            }
        }
        if let Some(reply) = &subscribe.reply {
            self.worker.note_unanswered(session, reply.epoch, &subscribe.replays);
        }
        in_force(subscribe.reply, subscribe.replays);
        None
    }

    pub(super) fn join(&mut self, mut join: Join, budget: &mut usize) -> Option<Join> {
        while let Some((full_filter, Subscription { options, identifier })) = join.filters.pop_front() {
            let Some(filter) = shared_part(&full_filter) else { continue };
            let member = Member {
                session: join.session,
                options,
                identifier,
                online: join.online,
                durable: join.durable,
                load: join.load.clone(),
            };
            let (key, filter) = {
                let mut groups = self.worker.groups.borrow_mut();
                let group = groups.join(self.worker.id, &full_filter, filter, member);
                (group.key, group.filter.clone())
            };
            if self.trie.insert_group(&filter, key) {
                self.worker.node.directory.add(&filter, self.worker.id);
            }
            match join.online {
                true => self.router.member_online(key),
                false => self.router.member_offline(key),
            }
            if is_spent(budget, cost_of(&full_filter)) && !join.filters.is_empty() {
                return Some(join);
            }
        }
        in_force(join.reply, 0..0);
        None
    }

    pub(super) fn unsubscribe(
        &mut self,
        mut unsubscribe: Unsubscribe,
        budget: &mut usize,
    ) -> Option<Unsubscribe> {
        while let Some(filter) = unsubscribe.filters.pop_front() {
            let (mut cost, removed) = self.remove(&filter, unsubscribe.session);
            if let Some(removed) = removed.filter(|_| unsubscribe.reply.is_some()) {
                cost += self.withdraw(&filter, &removed);
            }
            if is_spent(budget, cost) && !unsubscribe.filters.is_empty() {
                return Some(unsubscribe);
            }
        }
        in_force(unsubscribe.reply, 0..0);
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

    pub(super) fn member_state(&mut self, mut state: MemberState, budget: &mut usize) -> Option<MemberState> {
        while let Some(filter) = state.filters.pop_front() {
            let key = {
                let mut groups = self.worker.groups.borrow_mut();
                groups.set_state(&filter, state.session, state.online, state.durable).map(|group| group.key)
            };
            match key {
                Some(key) if state.online => self.router.member_online(key),
                Some(key) => self.router.member_offline(key),
                None => {}
            }
            if is_spent(budget, 1) && !state.filters.is_empty() {
                return Some(state);
            }
        }
        None
    }
}

fn in_force(reply: Option<Reply>, replays: Range<u64>) {
    if let Some(Reply { connection, token, .. }) = reply {
        connection.do_send(ChangeInForce { token, replays });
    }
}
