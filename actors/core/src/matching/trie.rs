//! The subscriptions of one worker, by topic filter. Pure.

use std::sync::Arc;

use hashbrown::HashMap;
use mqtt_codec::SubscriptionOptions;
use mqtt_codec::topic::holds_wildcard;

use super::path_trie::{LockStep, PathTrie, Walk};
use crate::filter_table::FilterTable;
use crate::ids::{GroupKey, SessionKey};
use crate::moment::Moment;

/// One session's subscription to one topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// Whose it is.
    pub session: SessionKey,
    /// Subscription identifier; 0: none.
    pub identifier: u32,
    /// Its options.
    pub options: SubscriptionOptions,
    /// When it began: what was published before does not come through it.
    pub since: Moment,
}

impl Subscriber {
    /// Takes the options of one with an equal topic filter. It goes on without a gap, so it began when it began
    /// [MQTT-3.8.4-3].
    fn replace(&mut self, other: Self) {
        *self = Self { since: self.since, ..other };
    }
}

/// A filter with more subscribers than this finds one of them by an index.
const INDEXED_ABOVE: usize = 64;

/// Subscribers and groups of one topic name that are found together with those of others, at most.
const TOGETHER_MAX: usize = 64;

#[derive(Debug, Default)]
struct Many {
    list: Vec<Subscriber>,
    index: Option<HashMap<SessionKey, u32, rustc_hash::FxBuildHasher>>,
}

/// Most filters have one subscriber, some have many.
#[derive(Debug, Default)]
enum Subscribers {
    #[default]
    None,
    One(Subscriber),
    Many(Box<Many>),
}

impl Subscribers {
    #[inline]
    fn as_slice(&self) -> &[Subscriber] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => &many.list,
        }
    }

    /// Returns whether the session had one.
    #[inline]
    fn insert(&mut self, subscriber: Subscriber) -> bool {
        match self {
            Self::None => *self = Self::One(subscriber),
            Self::One(one) if one.session == subscriber.session => {
                one.replace(subscriber);
                return true;
            }
            Self::One(one) => {
                *self = Self::Many(Box::new(Many { list: vec![*one, subscriber], index: None }))
            }
            Self::Many(many) => match many.position(subscriber.session) {
                Some(at) => {
                    many.list[at].replace(subscriber);
                    return true;
                }
                None => many.push(subscriber),
            },
        }
        false
    }

    #[inline]
    fn remove(&mut self, session: SessionKey) -> Option<Subscriber> {
        match self {
            Self::One(one) if one.session == session => {
                let removed = *one;
                *self = Self::None;
                Some(removed)
            }
            Self::Many(many) => {
                let removed = many.remove(session);
                match many.list.as_slice() {
                    [] => *self = Self::None,
                    [one] => *self = Self::One(*one),
                    _ => {}
                }
                removed
            }
            Self::One(_) | Self::None => None,
        }
    }
}

impl Many {
    fn position(&self, session: SessionKey) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&session).map(|at| *at as usize),
            None => self.list.iter().position(|subscriber| subscriber.session == session),
        }
    }

    fn push(&mut self, subscriber: Subscriber) {
        self.list.push(subscriber);
        if let Some(index) = &mut self.index {
            index.insert(subscriber.session, self.list.len() as u32 - 1);
        } else if self.list.len() > INDEXED_ABOVE {
            let places = self.list.iter().enumerate();
            self.index = Some(places.map(|(at, subscriber)| (subscriber.session, at as u32)).collect());
        }
    }

    #[inline]
    fn remove(&mut self, session: SessionKey) -> Option<Subscriber> {
        let at = self.position(session)?;
        let removed = self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(&session);
            if let Some(moved) = self.list.get(at) {
                index.insert(moved.session, at as u32);
            }
        }
        Some(removed)
    }
}

/// What stands at one topic filter.
#[derive(Debug, Default)]
pub(super) struct FilterEntry {
    subscribers: Subscribers,
    groups: Option<Box<Vec<GroupKey>>>,
}

impl FilterEntry {
    fn is_empty(&self) -> bool {
        matches!(self.subscribers, Subscribers::None) && self.groups.is_none()
    }
}

/// What matched a topic name.
#[derive(Debug, Default)]
pub struct Matches {
    /// One per subscription.
    pub subscribers: Vec<Subscriber>,
    /// Shared groups whose home is here.
    pub groups: Vec<GroupKey>,
    /// How far the look-up is.
    walk: Walk,
}

impl Matches {
    /// Whether nothing matched.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.groups.is_empty()
    }

    /// Another topic name follows.
    pub fn clear(&mut self) {
        self.subscribers.clear();
        self.groups.clear();
    }
}

// A filter with wildcards costs one cache line.
const _: () = assert!(PathTrie::<FilterEntry>::NODE_BYTES == 64);

/// See the module. Filters without wildcards are found by one look-up, the others by their levels.
#[derive(Debug, Default)]
pub struct Trie {
    exact: FilterTable<FilterEntry>,
    wild: PathTrie<FilterEntry>,
}

/// A topic filter below this is looked through a byte at a time.
const SHORT_BYTES: usize = 64;

/// Whether a topic filter has a wildcard; a valid filter holds these characters as wildcards only, and `#` at its end.
#[inline]
pub(super) fn is_wild(filter: &str) -> bool {
    // Most filters are so short that a search by words of memory costs more.
    filter.ends_with('#')
        || match filter.len() < SHORT_BYTES {
            true => filter.bytes().any(|byte| byte == b'+'),
            false => holds_wildcard(filter),
        }
}

impl Trie {
    /// Topic filters held.
    pub fn filters(&self) -> usize {
        self.exact.len() + self.wild.len()
    }

    /// Places of the tree of filters with wildcards: one for each of them, those where they part, and the root.
    #[cfg(feature = "simulation")]
    pub fn places(&self) -> usize {
        self.wild.nodes()
    }

    /// Who subscribed to a filter, and the groups that share it.
    #[cfg(feature = "simulation")]
    pub fn subscribers(&self, filter: &str) -> (Vec<Subscriber>, Vec<GroupKey>) {
        let entry = if is_wild(filter) { self.wild.get(filter) } else { self.exact.get(filter) };
        let found = entry.map(|entry| {
            let groups = entry.groups.as_deref().cloned().unwrap_or_default();
            (entry.subscribers.as_slice().to_vec(), groups)
        });
        found.unwrap_or_default()
    }

    /// Whether anything stands at a filter.
    pub fn holds(&self, filter: &str) -> bool {
        if is_wild(filter) { self.wild.get(filter).is_some() } else { self.exact.get(filter).is_some() }
    }

    /// Whether anybody subscribed to a filter, other than as a member of a group.
    pub fn has_subscribers(&self, filter: &str) -> bool {
        let entry = if is_wild(filter) { self.wild.get(filter) } else { self.exact.get(filter) };
        entry.is_some_and(|entry| !entry.subscribers.as_slice().is_empty())
    }

    fn entry(&mut self, filter: &Arc<str>) -> &mut FilterEntry {
        if is_wild(filter) {
            self.wild.entry(filter)
        } else {
            self.exact.get_or_insert_with(filter, FilterEntry::default)
        }
    }

    #[inline]
    fn update(&mut self, filter: &str, change: impl FnOnce(&mut FilterEntry)) -> bool {
        let mut emptied = false;
        if is_wild(filter) {
            self.wild.update(filter, |entry| {
                change(entry);
                emptied = entry.is_empty();
                emptied
            });
        } else if let Some(entry) = self.exact.get_mut(filter) {
            change(entry);
            emptied = entry.is_empty();
            if emptied {
                self.exact.remove(filter);
            }
        }
        emptied
    }

    /// Adds a subscription, replacing the session's earlier one to the same filter [MQTT-3.8.4-3]. Returns whether the
    /// filter is new here.
    #[inline]
    pub fn insert(&mut self, filter: &Arc<str>, subscriber: Subscriber) -> bool {
        let entry = self.entry(filter);
        let first = entry.is_empty();
        entry.subscribers.insert(subscriber);
        first
    }

    /// Removes a session's subscription. Returns whether the filter is gone with it.
    #[inline]
    pub fn remove(&mut self, filter: &str, session: SessionKey) -> bool {
        self.take(filter, session).1
    }

    /// The same, with the subscription that was removed, if there was one.
    #[inline]
    pub fn take(&mut self, filter: &str, session: SessionKey) -> (Option<Subscriber>, bool) {
        let mut removed = None;
        let gone = self.update(filter, |entry| removed = entry.subscribers.remove(session));
        (removed, gone)
    }

    /// Adds or replaces a subscription; `since` says when it begins, told whether the filter is new here. Returns that, and
    /// whether it replaces one.
    #[inline]
    pub(crate) fn insert_since(
        &mut self,
        filter: &Arc<str>,
        subscriber: Subscriber,
        since: impl FnOnce(bool) -> Moment,
    ) -> (Moment, bool) {
        let entry = self.entry(filter);
        let since = since(entry.is_empty());
        let renews = entry.subscribers.insert(Subscriber { since, ..subscriber });
        (since, renews)
    }

    /// Adds a shared group. Returns whether the filter is new here.
    pub fn insert_group(&mut self, filter: &Arc<str>, group: GroupKey) -> bool {
        let entry = self.entry(filter);
        let first = entry.is_empty();
        let groups = entry.groups.get_or_insert_default();
        if !groups.contains(&group) {
            groups.push(group);
        }
        first
    }

    /// Removes a shared group. Returns whether the filter is gone with it.
    pub fn remove_group(&mut self, filter: &str, group: GroupKey) -> bool {
        self.update(filter, |entry| {
            if let Some(groups) = &mut entry.groups {
                groups.retain(|other| *other != group);
                if groups.is_empty() {
                    entry.groups = None;
                }
            }
        })
    }

    /// Begins a look-up: `matches` hold what the filters without wildcards say.
    #[inline]
    pub fn begin(&self, topic: &str, matches: &mut Matches) {
        matches.clear();
        if let Some(entry) = self.exact.get(topic) {
            take(entry, &mut matches.subscribers, &mut matches.groups);
        }
        self.wild.begin(&mut matches.walk);
    }

    /// Goes on with a look-up, and takes each place of the tree that it looked at from `budget`. Returns whether it is
    /// through. Subscriptions may come and go between two calls.
    #[inline]
    pub fn go_on(&self, topic: &str, matches: &mut Matches, budget: &mut usize) -> bool {
        let Matches { subscribers, groups, walk } = matches;
        // Most topic names are through at once: no filter has a wildcard.
        walk.is_through()
            || self.wild.go_on(topic, walk, budget, &mut |entry| take(entry, subscribers, groups))
    }

    /// Looks several topic names up side by side, which waits less for memory. What a name may cost is bounded: its
    /// budget, of places of the tree, is spent in the end if there is more to find than was taken.
    pub(super) fn collect_together(
        &self,
        topics: &[&str],
        matches: &mut [Matches],
        budgets: &mut [usize],
        steps: &mut LockStep,
    ) {
        let mut take_few = |name: usize, entry: &FilterEntry, budget: &mut usize| {
            let Matches { subscribers, groups, .. } = &mut matches[name];
            let more =
                entry.subscribers.as_slice().len() + entry.groups.as_ref().map_or(0, |groups| groups.len());
            if subscribers.len() + groups.len() + more > TOGETHER_MAX {
                *budget = 0;
            } else {
                take(entry, subscribers, groups);
            }
        };
        for (name, topic) in topics.iter().enumerate() {
            if let Some(entry) = self.exact.get(topic) {
                take_few(name, entry, &mut budgets[name]);
            }
        }
        self.wild.look_up_together(topics, budgets, steps, take_few);
    }

    /// All that matches a topic name, at once. Returns how many places of the tree were looked at.
    pub fn collect(&self, topic: &str, matches: &mut Matches) -> usize {
        let mut budget = usize::MAX;
        self.begin(topic, matches);
        self.go_on(topic, matches, &mut budget);
        usize::MAX - budget
    }
}

#[expect(
    clippy::inline_always,
    reason = "once per filter that matches; left to the compiler, it depends on what else is in the crate"
)]
#[inline(always)]
fn take(entry: &FilterEntry, subscribers: &mut Vec<Subscriber>, groups: &mut Vec<GroupKey>) {
    match &entry.subscribers {
        Subscribers::None => {}
        Subscribers::One(one) => subscribers.push(*one),
        Subscribers::Many(many) => subscribers.extend_from_slice(&many.list),
    }
    if let Some(here) = &entry.groups {
        groups.extend_from_slice(here);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_codec::TopicFilter;
    use proptest::prelude::*;

    fn key(index: u32) -> SessionKey {
        SessionKey { index, generation: 0, worker: 0 }
    }

    fn subscriber(index: u32) -> Subscriber {
        Subscriber {
            session: key(index),
            identifier: 0,
            options: SubscriptionOptions::from_bits(0).unwrap(),
            since: Moment::default(),
        }
    }

    fn found(trie: &Trie, topic: &str) -> Vec<u32> {
        let mut matches = Matches::default();
        trie.collect(topic, &mut matches);
        let mut found: Vec<u32> =
            matches.subscribers.iter().map(|subscriber| subscriber.session.index).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn one_filter_with_many_subscribers() {
        let mut trie = Trie::default();
        let filter: Arc<str> = "a/b".into();
        for index in 0..1000 {
            assert_eq!(trie.insert(&filter, subscriber(index)), index == 0);
        }
        for index in (0..1000).filter(|index| index % 3 != 0) {
            assert!(!trie.remove("a/b", key(index)));
        }
        assert_eq!(found(&trie, "a/b"), (0..1000).step_by(3).collect::<Vec<_>>());
        for index in (0..1000).step_by(3) {
            assert_eq!(trie.remove("a/b", key(index)), index == 999);
        }
        assert_eq!(trie.filters(), 0);
    }

    fn filters() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("+"), Just("$s")];
        (proptest::collection::vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, open)| {
            if open {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    fn topics() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("$s")];
        proptest::collection::vec(level, 1..5).prop_map(|levels| levels.join("/"))
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_list(
            steps in proptest::collection::vec((0..6u32, filters(), any::<bool>()), 1..60),
            names in proptest::collection::vec(topics(), 20),
        ) {
            let mut trie = Trie::default();
            let mut model: Vec<(u32, String)> = Vec::new();
            for (index, filter, add) in steps {
                if filter.is_empty() {
                    continue;
                }
                let others = model.iter().any(|(other, name)| *name == filter && *other != index);
                let present = model.contains(&(index, filter.clone()));
                if add {
                    prop_assert_eq!(trie.insert(&filter.as_str().into(), subscriber(index)), !others && !present);
                    if !present {
                        model.push((index, filter));
                    }
                } else {
                    prop_assert_eq!(trie.remove(&filter, key(index)), present && !others);
                    model.retain(|entry| *entry != (index, filter.clone()));
                }
            }
            for name in names.iter().filter(|name| !name.is_empty()) {
                let mut expected: Vec<u32> = model
                    .iter()
                    .filter(|(_, filter)| TopicFilter::new(filter).unwrap().matches(name))
                    .map(|(index, _)| *index)
                    .collect();
                expected.sort_unstable();
                prop_assert_eq!(found(&trie, name), expected, "{}", name);
            }
        }
    }
}
