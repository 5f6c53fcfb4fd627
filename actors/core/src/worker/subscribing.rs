//! Changes of a session's subscriptions: every topic trie that they concern is told.

use std::collections::VecDeque;
use std::sync::Arc;

use super::state::WorkerState;
use crate::ids::{SessionKey, client_hash, shared_part};
use crate::protocol::Granted;
use crate::routing::{Added, Join, Reply, Subscribe, ToTrie, Unsubscribe, Work};

impl WorkerState {
    /// Puts subscriptions that were granted to a session into the tries. Returns how many of those tell who waits when they
    /// are in force.
    pub fn subscribe(&mut self, key: SessionKey, granted: &[Granted], reply: &Reply) -> usize {
        self.record_subscribed(key, granted);
        let workers = self.node.workers();
        let Some(session) = self.sessions.get_mut(key) else { return 0 };
        let client = client_hash(session.client_identifier());
        let (mut plain, mut shared) = (VecDeque::new(), vec![VecDeque::new(); workers]);
        for Granted { filter, subscription, replay } in granted {
            let (filter, subscription) = (filter.clone(), *subscription);
            match shared_part(&filter) {
                Some(_) => {
                    let home = usize::from(self.node.homes.of_group(&filter));
                    shared[home].push_back((filter, subscription));
                }
                None => plain.push_back(Added { filter, subscription, replay: *replay }),
            }
        }
        let is_any_shared = shared.iter().any(|filters| !filters.is_empty());
        let burden = is_any_shared.then(|| session.burden.get_or_insert_default().clone());
        let (online, durable) = (session.online.is_some(), session.is_durable());
        let mut asked = 0;
        if !plain.is_empty() {
            let reply = Some(reply.clone());
            let subscribe = Subscribe { client, session: key, filters: plain, replays: 0..0, reply };
            self.tell_trie(self.id, ToTrie::Work(Work::Subscribe(subscribe)));
            asked += 1;
        }
        let Some(burden) = burden else { return asked };
        for (home, filters) in shared.into_iter().enumerate().filter(|(_, filters)| !filters.is_empty()) {
            let (reply, burden) = (Some(reply.clone()), burden.clone());
            let join = Join { client, session: key, filters, online, durable, burden, reply };
            self.tell_trie(home as u16, ToTrie::Work(Work::Join(join)));
            asked += 1;
        }
        asked
    }

    /// Takes subscriptions of a session out of the tries. Returns how many of those tell who waits when they are gone.
    pub fn unsubscribe(&mut self, key: SessionKey, filters: &[Arc<str>], reply: &Reply) -> usize {
        self.record_unsubscribed(key, filters);
        let Some(session) = self.sessions.get(key) else { return 0 };
        let client = client_hash(session.client_identifier());
        let by_home = self.by_home(filters.iter());
        let asked = by_home.len();
        for (home, filters) in by_home {
            let (filters, reply) = (filters.into(), Some(reply.clone()));
            let unsubscribe = Unsubscribe { client, session: key, filters, reply };
            self.tell_trie(home, ToTrie::Work(Work::Unsubscribe(unsubscribe)));
        }
        asked
    }
}
