//! What an ended session leaves behind, and what the homes of its groups are told of one: a piece at a time.
//!
//! A client may have 100,000 subscriptions, and as many messages that wait; others do not wait until all of that is
//! dealt with. What is little is dealt with at once. What is more is left to the worker's topic trie, which does it as
//! work of that client, in turns with what other clients ask for.

use std::sync::Arc;

use hashbrown::HashMap;
use micro_mq_core::groups::GivenBack;
use micro_mq_core::ids::{SessionKey, client_hash};
use micro_mq_core::routing::Owner;
use micro_mq_core::session::Session;
use rustc_hash::FxBuildHasher;

use crate::topics::{ForgetSession, MemberState, TellGroups, Unsubscribe};
use crate::worker::Worker;

/// Subscriptions, and messages, that are dealt with at once.
const AT_ONCE: usize = 64;
/// Messages that cost about as much to drop as a delivery to make.
const MESSAGES_PER_DELIVERY: usize = 4;

/// Sessions that have ended and are not dealt with.
pub type Remains = HashMap<SessionKey, Box<Session>, FxBuildHasher>;

/// Sessions whose groups are being told whether they are online.
pub type Tellings = HashMap<SessionKey, Telling, FxBuildHasher>;

/// How far the homes of a session's groups are told whether it is online.
#[derive(Debug, Default)]
pub struct Telling {
    /// The last group whose home was told.
    after: Option<Arc<str>>,
    /// It changed meanwhile: all are to be told once more.
    again: bool,
}

impl Worker {
    /// Deals with what a session leaves that has ended, and is in the table no more: at once, if that is little.
    pub(super) fn leave_behind(&self, mut session: Session) {
        let (key, client) = (session.key, client_hash(session.client_identifier()));
        let mut budget = AT_ONCE;
        self.deal_with_remains(&mut session, &mut budget);
        if budget > 0 && session.subscriptions.len() <= AT_ONCE && !session.subscriptions.is_empty() {
            let filters = std::iter::from_fn(|| session.subscriptions.take_any()).collect();
            self.note_unsubscribed(&filters);
            self.tell_trie(self.id, Unsubscribe { client, session: key, filters, reply: None });
        }
        if !session.leaves_nothing() {
            self.remains.borrow_mut().insert(key, Box::new(session));
            self.tell_trie(self.id, ForgetSession { client, session: key });
        }
    }

    fn note_unsubscribed<'a>(&self, filters: impl IntoIterator<Item = &'a Arc<str>>) {
        filters.into_iter().for_each(|filter| self.counters.held.unsubscribed(filter));
    }

    /// Lets a session that has ended leave its groups, and deals with its messages, within `budget`. Its other
    /// subscriptions are the trie's.
    pub(crate) fn deal_with_remains(&self, session: &mut Session, budget: &mut usize) {
        let (key, client) = (session.key, client_hash(session.client_identifier()));
        // Members leave before their messages go back, so that no message comes to them again.
        let mut left = Vec::new();
        while *budget > 0
            && let Some(filter) = session.subscriptions.take_shared()
        {
            *budget -= 1;
            left.push(filter);
        }
        self.note_unsubscribed(&left);
        for (home, filters) in self.by_home(left.iter()) {
            let filters = filters.into();
            self.tell_trie(home, Unsubscribe { client, session: key, filters, reply: None });
        }
        if *budget > 0 {
            let (taken, returned) = session.take_waiting(*budget * MESSAGES_PER_DELIVERY, &self.ledger);
            *budget = budget.saturating_sub(taken.div_ceil(MESSAGES_PER_DELIVERY));
            if !returned.is_empty() {
                self.give_back(Owner::Client(client), GivenBack::by_group(returned));
            }
        }
        let forgotten = session.forget_replays(*budget);
        *budget -= forgotten;
    }

    /// Tells the homes of a session's shared groups whether it is online.
    pub fn tell_groups(&self, key: SessionKey) {
        {
            let sessions = self.sessions.borrow();
            let Some(session) = sessions.get(key).filter(|session| session.load.is_some()) else { return };
            session.publish_load();
        }
        let is_new = {
            let mut tellings = self.tellings.borrow_mut();
            let known = tellings.get_mut(&key).map(|telling| telling.again = true);
            known.is_none().then(|| tellings.insert(key, Telling::default())).is_some()
        };
        if is_new && let Some(client) = self.tell_some_groups(key, AT_ONCE) {
            self.tell_trie(self.id, TellGroups { client, session: key });
        }
    }

    /// Tells the next of them, `most` at a time. Returns the hash of the client identifier if there are more.
    pub(crate) fn tell_some_groups(&self, key: SessionKey, most: usize) -> Option<u64> {
        let mut tellings = self.tellings.borrow_mut();
        let telling = tellings.get_mut(&key)?;
        let sessions = self.sessions.borrow();
        let Some(session) = sessions.get(key) else {
            tellings.remove(&key);
            return None;
        };
        let client = client_hash(session.client_identifier());
        // In a fixed order: what waits in the groups comes to the client in it.
        let next: Vec<_> =
            session.subscriptions.shared_behind(telling.after.as_deref()).take(most).cloned().collect();
        let (online, durable) = (session.online.is_some(), session.is_durable());
        for (home, filters) in self.by_home(next.iter()) {
            let filters = filters.into();
            self.tell_trie(home, MemberState { client, session: key, filters, online, durable });
        }
        let is_through = next.len() < most;
        telling.after = next.into_iter().next_back().filter(|_| !is_through);
        if is_through && !std::mem::take(&mut telling.again) {
            tellings.remove(&key);
            return None;
        }
        Some(client)
    }

    /// The topic trie may have lost what was left to it: it is told once more.
    pub(crate) fn go_on_with_remains(&self) {
        for (key, session) in self.remains.borrow().iter() {
            let client = client_hash(session.client_identifier());
            self.tell_trie(self.id, ForgetSession { client, session: *key });
        }
        for key in self.tellings.borrow().keys() {
            // The session may be gone: then the trie finds nothing to do.
            let sessions = self.sessions.borrow();
            let client = sessions.get(*key).map_or(0, |session| client_hash(session.client_identifier()));
            self.tell_trie(self.id, TellGroups { client, session: *key });
        }
    }
}
