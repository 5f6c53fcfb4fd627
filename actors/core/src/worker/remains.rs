//! What an ended session leaves behind, and what the homes of its groups are told of one: a piece at a time.
//!
//! A client may have 100,000 subscriptions, and as many messages that wait; others do not wait until all of that is
//! dealt with. What is little is dealt with at once. What is more is left to the worker's topic trie, which does it as
//! work of that client, in turns with what other clients ask for.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::groups::GivenBack;
use crate::ids::{SessionKey, client_hash};
use crate::ledger::Ledger;
use crate::queue::Queued;
use crate::routing::{ForgetSession, GiveBack, MemberState, Owner, TellGroups, ToTrie, Unsubscribe, Work};
use crate::session::Session;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::errand::Errand;
use super::state::WorkerState;

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

/// Some of what a session leaves that has ended.
struct Left {
    /// Groups that it leaves.
    groups: Vec<Arc<str>>,
    /// Messages that go back to theirs.
    returned: Vec<Queued>,
}

impl Left {
    /// Takes it out, within `budget`: shared subscriptions, messages, replays. The other subscriptions are the trie's.
    fn take(session: &mut Session, budget: &mut usize, ledger: &Ledger) -> Self {
        // Members leave before their messages go back, so that no message comes to them again.
        let mut left = Self { groups: Vec::new(), returned: Vec::new() };
        while *budget > 0
            && let Some(filter) = session.subscriptions.take_shared()
        {
            *budget -= 1;
            left.groups.push(filter);
        }
        if *budget > 0 {
            let (taken, returned) = session.take_waiting(*budget * MESSAGES_PER_DELIVERY, ledger);
            *budget = budget.saturating_sub(taken.div_ceil(MESSAGES_PER_DELIVERY));
            left.returned = returned;
        }
        let forgotten = session.forget_replays(*budget);
        *budget -= forgotten;
        left
    }
}

impl WorkerState {
    /// Deals with what a session leaves that has ended, and is in the table no more: at once, if that is little.
    pub(super) fn leave_behind(&mut self, mut session: Session) {
        let (key, client) = (session.key, client_hash(session.client_identifier()));
        let mut budget = AT_ONCE;
        let left = Left::take(&mut session, &mut budget, &self.ledger);
        self.pass_on(key, client, left);
        if budget > 0 && session.subscriptions.len() <= AT_ONCE && !session.subscriptions.is_empty() {
            let filters = std::iter::from_fn(|| session.subscriptions.take_any()).collect();
            self.note_unsubscribed(&filters);
            let unsubscribe = Unsubscribe { client, session: key, filters, reply: None };
            self.tell_trie(self.id, ToTrie::Work(Work::Unsubscribe(unsubscribe)));
        }
        if !session.leaves_nothing() {
            self.remains.insert(key, Box::new(session));
            let forget = ForgetSession { client, session: key };
            self.tell_trie(self.id, ToTrie::Work(Work::ForgetSession(forget)));
        }
    }

    fn note_unsubscribed<'a>(&self, filters: impl IntoIterator<Item = &'a Arc<str>>) {
        filters.into_iter().for_each(|filter| self.counters.gauges.unsubscribed(filter));
    }

    /// Lets a session that has ended leave its groups, and deals with its messages, within `budget`. Its other
    /// subscriptions are the trie's.
    pub(crate) fn deal_with_remains(&mut self, key: SessionKey, budget: &mut usize) {
        let Some(session) = self.remains.get_mut(&key) else { return };
        let client = client_hash(session.client_identifier());
        let left = Left::take(session, budget, &self.ledger);
        self.pass_on(key, client, left);
    }

    fn pass_on(&mut self, key: SessionKey, client: u64, left: Left) {
        self.note_unsubscribed(&left.groups);
        for (home, filters) in self.by_home(left.groups.iter()) {
            let unsubscribe = Unsubscribe { client, session: key, filters: filters.into(), reply: None };
            self.tell_trie(home, ToTrie::Work(Work::Unsubscribe(unsubscribe)));
        }
        if !left.returned.is_empty() {
            self.give_back(Owner::Client(client), GivenBack::by_group(left.returned));
        }
    }

    /// Tells the homes of a session's shared groups whether it is online.
    pub fn tell_groups(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key).filter(|session| session.burden.is_some()) else { return };
        session.publish_load();
        let known = self.tellings.get_mut(&key).map(|telling| telling.again = true);
        let is_new = known.is_none().then(|| self.tellings.insert(key, Telling::default())).is_some();
        if is_new && let Some(client) = self.tell_some_groups(key, AT_ONCE) {
            self.tell_trie(self.id, ToTrie::Work(Work::TellGroups(TellGroups { client, session: key })));
        }
    }

    /// Tells the next of them, `most` at a time. Returns the hash of the client identifier if there are more.
    pub(crate) fn tell_some_groups(&mut self, key: SessionKey, most: usize) -> Option<u64> {
        let telling = self.tellings.get_mut(&key)?;
        let Some(session) = self.sessions.get(key) else {
            self.tellings.remove(&key);
            return None;
        };
        let client = client_hash(session.client_identifier());
        // In a fixed order: what waits in the groups comes to the client in it.
        let next: Vec<_> =
            session.subscriptions.shared_behind(telling.after.as_deref()).take(most).cloned().collect();
        let (online, durable) = (session.online.is_some(), session.is_durable());
        let is_through = next.len() < most;
        telling.after = next.last().cloned().filter(|_| !is_through);
        let goes_on = !is_through || std::mem::take(&mut telling.again);
        if !goes_on {
            self.tellings.remove(&key);
        }
        for (home, filters) in self.by_home(next.iter()) {
            let filters = filters.into();
            self.tell_trie(
                home,
                ToTrie::Work(Work::MemberState(MemberState {
                    client,
                    session: key,
                    filters,
                    online,
                    durable,
                })),
            );
        }
        goes_on.then_some(client)
    }

    /// The topic trie may have lost what was left to it: it is told once more.
    pub fn go_on_with_remains(&mut self) {
        for (key, session) in &self.remains {
            let client = client_hash(session.client_identifier());
            let forget = Work::ForgetSession(ForgetSession { client, session: *key });
            self.errands.push(Errand::ToTrie(self.id, ToTrie::Work(forget)));
        }
        self.go_on_with_discards();
        for key in self.tellings.keys() {
            // The session may be gone: then the trie finds nothing to do.
            let session = self.sessions.get(*key);
            let client = session.map_or(0, |session| client_hash(session.client_identifier()));
            let tell = Work::TellGroups(TellGroups { client, session: *key });
            self.errands.push(Errand::ToTrie(self.id, ToTrie::Work(tell)));
        }
    }

    /// Sends messages back to the homes of their groups: those of one client, or of one group.
    pub(crate) fn give_back(&mut self, owner: Owner, returned: Vec<GivenBack>) {
        let mut by_home: Vec<VecDeque<GivenBack>> =
            (0..self.node.workers()).map(|_| VecDeque::new()).collect();
        for given in returned {
            by_home[usize::from(given.group.home)].push_back(given);
        }
        for (home, returned) in by_home.into_iter().enumerate() {
            if !returned.is_empty() {
                let give_back = Work::GiveBack(GiveBack { owner, returned });
                self.tell_trie(home as u16, ToTrie::Work(give_back));
            }
        }
    }
}
