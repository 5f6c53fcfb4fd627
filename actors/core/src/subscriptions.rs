//! A session's subscriptions by topic filter. Most sessions have none or one, which is kept in place.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mqtt_codec::SubscriptionOptions;
use mqtt_codec::topic::count_levels;

use crate::filter_table::FilterTable;
use crate::ids::shared_part;

/// Shared subscriptions in one piece of those of a session.
const SHARED_PER_PIECE: usize = 256;

/// What the subscriptions of all workers' sessions take, in bytes ([`subscription_bytes`]): whether there is room for more
/// is decided by it.
#[derive(Debug, Default)]
pub struct SubscriptionRoom(AtomicUsize);

impl SubscriptionRoom {
    /// A subscription more takes so much.
    pub fn enter(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A subscription less took so much.
    pub fn leave(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What all take.
    pub fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of a session's subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Its options, as they are encoded.
    pub options: SubscriptionOptions,
    /// Its subscription identifier; 0: none.
    pub identifier: u32,
}

/// What a subscription to this filter costs, in bytes: in its session, in the trie by its levels, and with other workers;
/// a shared one as if its client was the only member of the group.
pub fn subscription_bytes(filter: &str) -> usize {
    const EACH: usize = 128;
    const PER_LEVEL: usize = 64;
    const GROUP: usize = 1280;
    let levels = count_levels(filter);
    let group = if shared_part(filter).is_some() { GROUP } else { 0 };
    filter.len() + EACH + PER_LEVEL * levels + group
}

/// More than one.
#[derive(Debug, Default)]
struct Many {
    plain: FilterTable<Subscription>,
    /// In an order, so that the homes of their groups can be told a piece at a time.
    shared: BTreeMap<Arc<str>, Subscription>,
}

impl Many {
    fn len(&self) -> usize {
        self.plain.len() + self.shared.len()
    }

    fn get(&self, filter: &str) -> Option<&Subscription> {
        if shared_part(filter).is_some() { self.shared.get(filter) } else { self.plain.get(filter) }
    }

    fn insert(&mut self, filter: Arc<str>, subscription: Subscription) -> Option<Subscription> {
        match shared_part(&filter) {
            Some(_) => self.shared.insert(filter, subscription),
            None => self.plain.insert(filter, subscription),
        }
    }

    fn remove_entry(&mut self, filter: &str) -> Option<(Arc<str>, Subscription)> {
        match shared_part(filter) {
            Some(_) => self.shared.remove_entry(filter),
            None => self.plain.remove(filter),
        }
    }
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    None,
    One(Arc<str>, Subscription),
    Many(Box<Many>),
}

/// By topic filter, as the client wrote it (`$share/...` included).
#[derive(Debug, Default)]
pub struct Subscriptions(Held);

impl Subscriptions {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::None => 0,
            Held::One(..) => 1,
            Held::Many(many) => many.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one to this filter.
    pub fn get(&self, filter: &str) -> Option<&Subscription> {
        match &self.0 {
            Held::One(own, subscription) if **own == *filter => Some(subscription),
            Held::None | Held::One(..) => None,
            Held::Many(many) => many.get(filter),
        }
    }

    /// Whether there is one to this filter.
    pub fn contains_key(&self, filter: &str) -> bool {
        self.get(filter).is_some()
    }

    /// Adds one, or replaces the one to an equal filter and returns it.
    pub fn insert(&mut self, filter: Arc<str>, subscription: Subscription) -> Option<Subscription> {
        match std::mem::take(&mut self.0) {
            Held::None => {
                self.0 = Held::One(filter, subscription);
                None
            }
            Held::One(own, replaced) if own == filter => {
                self.0 = Held::One(own, subscription);
                Some(replaced)
            }
            Held::One(own, first) => {
                let mut many = Box::<Many>::default();
                many.insert(own, first);
                many.insert(filter, subscription);
                self.0 = Held::Many(many);
                None
            }
            Held::Many(mut many) => {
                let replaced = many.insert(filter, subscription);
                self.0 = Held::Many(many);
                replaced
            }
        }
    }

    /// Removes the one to this filter.
    pub(crate) fn remove_entry(&mut self, filter: &str) -> Option<(Arc<str>, Subscription)> {
        match std::mem::take(&mut self.0) {
            Held::None => None,
            Held::One(own, subscription) if *own == *filter => Some((own, subscription)),
            Held::One(own, subscription) => {
                self.0 = Held::One(own, subscription);
                None
            }
            Held::Many(mut many) => {
                let removed = many.remove_entry(filter);
                if many.len() > 0 {
                    self.0 = Held::Many(many);
                }
                removed
            }
        }
    }

    /// Takes any shared one out.
    pub(crate) fn take_shared(&mut self) -> Option<Arc<str>> {
        let first = match &self.0 {
            Held::None => None,
            Held::One(own, _) => shared_part(own).is_some().then_some(own),
            Held::Many(many) => many.shared.first_key_value().map(|(filter, _)| filter),
        };
        let first = Arc::clone(first?);
        self.remove_entry(&first).map(|(filter, _)| filter)
    }

    /// Takes any one out.
    pub(crate) fn take_any(&mut self) -> Option<Arc<str>> {
        let any = Arc::clone(self.keys().next()?);
        self.remove_entry(&any).map(|(filter, _)| filter)
    }

    /// The shared ones, in an order that stays, behind a filter or from the first.
    pub(crate) fn shared_behind(&self, after: Option<&str>) -> impl Iterator<Item = &Arc<str>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (one, many) = match &self.0 {
            Held::None => (None, None),
            Held::One(filter, _) => (Some(filter).filter(|own| shared_part(own).is_some()), None),
            Held::Many(many) => (None, Some(many.shared.range::<str, _>((from, Bound::Unbounded)))),
        };
        let one = one.filter(move |own| after.is_none_or(|after| &***own > after));
        one.into_iter().chain(many.into_iter().flatten().map(|(filter, _)| filter))
    }

    /// In how many pieces they can be looked at.
    pub fn pieces(&self) -> usize {
        match &self.0 {
            Held::None | Held::One(..) => 1,
            Held::Many(many) => many.plain.pieces() + many.shared.len().div_ceil(SHARED_PER_PIECE),
        }
    }

    /// One of these pieces, in no order. Together they are all, unless something was added or removed meanwhile: what was
    /// there throughout is in one of them all the same, now and then in two.
    pub fn piece(&self, piece: usize) -> impl Iterator<Item = (&Arc<str>, &Subscription)> {
        let (one, many) = match &self.0 {
            Held::One(filter, subscription) if piece == 0 => (Some((filter, subscription)), None),
            Held::None | Held::One(..) => (None, None),
            Held::Many(many) => {
                let behind_plain = piece.saturating_sub(many.plain.pieces()) * SHARED_PER_PIECE;
                let shared = if piece < many.plain.pieces() { 0 } else { SHARED_PER_PIECE };
                let shared = many.shared.iter().skip(behind_plain).take(shared);
                (None, Some(many.plain.piece(piece).chain(shared)))
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription)> {
        let (one, many) = match &self.0 {
            Held::None => (None, None),
            Held::One(filter, subscription) => (Some((filter, subscription)), None),
            Held::Many(many) => (None, Some(many.plain.iter().chain(&many.shared))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// All topic filters, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(filter, _)| filter)
    }
}

impl FromIterator<(Arc<str>, Subscription)> for Subscriptions {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Subscription)>>(entries: T) -> Self {
        let mut subscriptions = Self::default();
        for (filter, subscription) in entries {
            subscriptions.insert(filter, subscription);
        }
        subscriptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn agree_with_a_map(steps in proptest::collection::vec((0..4u32, any::<bool>()), 0..40)) {
            let mut subscriptions = Subscriptions::default();
            let mut model: BTreeMap<String, u32> = BTreeMap::new();
            for (number, (filter, adds)) in steps.into_iter().enumerate() {
                let (filter, identifier) = (format!("t/{filter}"), number as u32);
                let options = SubscriptionOptions::from_bits(0).unwrap();
                let changed = if adds {
                    let inserted = Subscription { options, identifier };
                    (subscriptions.insert(filter.as_str().into(), inserted), model.insert(filter.clone(), identifier))
                } else {
                    let removed = subscriptions.remove_entry(&filter);
                    prop_assert!(removed.as_ref().is_none_or(|(own, _)| **own == *filter));
                    (removed.map(|(_, removed)| removed), model.remove(&filter))
                };
                prop_assert_eq!(changed.0.map(|subscription| subscription.identifier), changed.1);
                let mut held: Vec<(String, u32)> = subscriptions
                    .iter()
                    .map(|(filter, subscription)| (filter.to_string(), subscription.identifier))
                    .collect();
                held.sort();
                prop_assert_eq!(&held, &model.clone().into_iter().collect::<Vec<_>>());
                let pieces = (0..subscriptions.pieces()).flat_map(|piece| subscriptions.piece(piece));
                let mut in_pieces: Vec<String> = pieces.map(|(filter, _)| filter.to_string()).collect();
                in_pieces.sort();
                prop_assert_eq!(in_pieces, model.keys().cloned().collect::<Vec<_>>());
                prop_assert_eq!((subscriptions.len(), subscriptions.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(subscriptions.contains_key(&filter), model.contains_key(&filter));
            }
        }
    }
}
