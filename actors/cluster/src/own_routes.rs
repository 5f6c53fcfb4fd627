//! The topic filters that have a subscriber on this node, and how far the other nodes know of them.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

use crate::routes_log::RouteName;

/// The name of a route that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedName {
    /// Share name and topic filter.
    text: Box<str>,
    share_bytes: u16,
}

impl OwnedName {
    /// The same as a name of texts elsewhere.
    pub fn of(name: RouteName<'_>) -> Self {
        let mut text = String::with_capacity(name.share.len() + name.filter.len());
        text.push_str(name.share);
        text.push_str(name.filter);
        Self { text: text.into(), share_bytes: name.share.len() as u16 }
    }

    /// What it names.
    pub fn name(&self) -> RouteName<'_> {
        let (share, filter) = self.text.split_at(self.share_bytes.into());
        RouteName { share, filter }
    }
}

impl Hash for OwnedName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl Equivalent<OwnedName> for RouteName<'_> {
    fn equivalent(&self, key: &OwnedName) -> bool {
        *self == key.name()
    }
}

/// How far the other nodes know of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is to be written, or is on its way.
    Sent,
    /// It is the record at this offset, and not all have read it.
    At(u64),
    /// All have read it.
    ByAll,
}

#[derive(Debug)]
struct Entry<W> {
    /// The workers that have a subscriber, a bit each.
    workers: u64,
    /// Subscriptions that were granted and are on their way to their trie.
    expected: u32,
    known: Known,
    /// Who waits until all know of it.
    waiting: Vec<W>,
}

impl<W> Entry<W> {
    fn is_wanted(&self) -> bool {
        self.workers != 0 || self.expected > 0
    }
}

/// See the module. `W` waits until a route is known to all.
#[derive(Debug)]
pub struct OwnRoutes<W> {
    routes: HashMap<OwnedName, Entry<W>>,
    /// Routes that nobody may want any more.
    leaving: Vec<OwnedName>,
}

impl<W> Default for OwnRoutes<W> {
    fn default() -> Self {
        Self { routes: HashMap::new(), leaving: Vec::new() }
    }
}

impl<W> OwnRoutes<W> {
    /// Routes held.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = RouteName<'_>> {
        self.routes.keys().map(OwnedName::name)
    }

    /// A subscription was granted: `waiting` waits until all nodes know of its route, unless they do. Returns whether the
    /// route is to be written.
    pub fn expect(&mut self, name: RouteName<'_>, waiting: impl FnOnce() -> W) -> bool {
        let (entry, is_new) = self.entry(name);
        entry.expected += 1;
        if entry.known != Known::ByAll {
            entry.waiting.push(waiting());
        }
        is_new
    }

    /// A subscription is in its worker's trie, one that was granted before if `expected`. Returns whether the route is to
    /// be written.
    pub fn came(&mut self, name: RouteName<'_>, worker: u16, expected: bool) -> bool {
        let (entry, is_new) = self.entry(name);
        entry.expected = entry.expected.saturating_sub(expected.into());
        entry.workers |= 1 << worker;
        is_new
    }

    /// One that was granted will not come.
    pub fn failed_to_come(&mut self, name: RouteName<'_>) {
        let Some(entry) = self.routes.get_mut(&name) else { return };
        entry.expected = entry.expected.saturating_sub(1);
        if !entry.is_wanted() {
            self.leaving.push(OwnedName::of(name));
        }
    }

    /// A worker has no subscriber for it any more. Returns whether it is to be looked at soon whether anybody has
    /// ([`take_left`](Self::take_left)).
    pub fn went(&mut self, name: RouteName<'_>, worker: u16) -> bool {
        let Some(entry) = self.routes.get_mut(&name) else { return false };
        entry.workers &= !(1 << worker);
        let is_left = !entry.is_wanted();
        if is_left {
            self.leaving.push(OwnedName::of(name));
        }
        is_left
    }

    fn entry(&mut self, name: RouteName<'_>) -> (&mut Entry<W>, bool) {
        let is_new = !self.routes.contains_key(&name);
        let entry = self.routes.entry(OwnedName::of(name)).or_insert_with(|| Entry {
            workers: 0,
            expected: 0,
            known: Known::Sent,
            waiting: Vec::new(),
        });
        (entry, is_new)
    }

    /// Takes out the routes that nobody wants any more: it is to be written that they are gone.
    pub fn take_left(&mut self) -> Vec<OwnedName> {
        let mut left = std::mem::take(&mut self.leaving);
        left.retain(|name| {
            let is_left = self.routes.get(&name.name()).is_some_and(|entry| !entry.is_wanted());
            if is_left {
                self.routes.remove(&name.name());
            }
            is_left
        });
        left
    }

    /// A route was written at an offset: it is known to all when they have read that far.
    pub fn written(&mut self, name: RouteName<'_>, offset: u64) {
        if let Some(entry) = self.routes.get_mut(&name) {
            entry.known = Known::At(offset);
        }
    }

    /// All have read up to an offset, and this route was written there or before. Returns who waited for it.
    pub fn read_by_all(&mut self, name: RouteName<'_>, offset: u64) -> Vec<W> {
        match self.routes.get_mut(&name) {
            Some(entry) if matches!(entry.known, Known::At(at) if at <= offset) => {
                entry.known = Known::ByAll;
                std::mem::take(&mut entry.waiting)
            }
            _ => Vec::new(),
        }
    }

    /// Nobody knows any of them: this node has begun a new life. All are to be written.
    pub fn forget_known(&mut self) {
        self.routes.values_mut().for_each(|entry| entry.known = Known::Sent);
    }
}
