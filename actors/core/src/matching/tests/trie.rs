//! The trie against a naive list, with subscribers and groups, and what a look-up costs.

use mqtt_codec::{QoS, TopicFilter};
use proptest::prelude::*;
use std::sync::Arc;

use crate::ids::{GroupKey, SessionKey, shared_part};
use crate::matching::trie::{Matches, Subscriber, Trie};
use crate::moment::Moment;
use crate::testing::{key, options};

fn subscriber(index: u32, identifier: u32) -> Subscriber {
    Subscriber {
        session: key(index),
        identifier,
        options: options(QoS::AtLeastOnce),
        since: Moment::default(),
    }
}

fn group(index: u32) -> GroupKey {
    GroupKey { index, generation: 1, home: 0 }
}

fn filter(text: &str) -> Arc<str> {
    text.into()
}

/// Subscribers by session and subscription identifier, and groups; each sorted. And the places looked at.
fn collect(trie: &Trie, topic: &str) -> (Vec<(u32, u32)>, Vec<u32>, usize) {
    let mut matches = Matches::default();
    let looked_at = trie.collect(topic, &mut matches);
    assert_eq!(matches.is_empty(), matches.subscribers.is_empty() && matches.groups.is_empty());
    let mut subscribers: Vec<_> =
        matches.subscribers.iter().map(|found| (found.session.index, found.identifier)).collect();
    subscribers.sort_unstable();
    let mut groups: Vec<_> = matches.groups.iter().map(|found| found.index).collect();
    groups.sort_unstable();
    (subscribers, groups, looked_at)
}

/// [MQTT-3.8.4-3] A session has one subscription per filter: the last.
#[test]
fn a_subscription_is_replaced() {
    for name in ["a/b", "a/+"] {
        let mut trie = Trie::default();
        for (session, identifier, first) in [(1, 10, true), (1, 11, false), (2, 20, false), (2, 21, false)] {
            assert_eq!(trie.insert(&filter(name), subscriber(session, identifier)), first);
        }
        assert_eq!(collect(&trie, "a/b").0, [(1, 11), (2, 21)]);
        assert_eq!(trie.filters(), 1);
        // Removing somebody who is not there changes nothing.
        assert!(!trie.remove(name, key(3)));
        assert!(!trie.remove(name, key(1)));
        assert!(!trie.remove(name, key(1)));
        assert_eq!(collect(&trie, "a/b").0, [(2, 21)]);
        assert!(trie.remove(name, key(2)));
        assert!(!trie.remove(name, key(2)), "it was gone already");
        assert_eq!(trie.filters(), 0);
    }
}

/// So many at one filter that they are found by an index: each is replaced and removed like one of few.
#[test]
fn very_many_subscribers() {
    let mut trie = Trie::default();
    let name = filter("a");
    let mut model: Vec<(u32, u32)> = Vec::new();
    // Pseudo-random, and the same each time.
    let mut state = 12_345_u32;
    for step in 0..3000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let session = (state >> 16) % 200;
        let held = model.iter().position(|(other, _)| *other == session);
        // More come than go at first; later more go.
        if (state >> 8) % 3 < if step < 1500 { 2 } else { 1 } {
            trie.insert(&name, subscriber(session, step));
            match held {
                Some(at) => model[at].1 = step,
                None => model.push((session, step)),
            }
        } else {
            assert_eq!(trie.remove("a", key(session)), held.is_some() && model.len() == 1);
            held.map(|at| model.swap_remove(at));
        }
        if step % 50 == 0 {
            let mut expected = model.clone();
            expected.sort_unstable();
            assert_eq!(collect(&trie, "a").0, expected);
        }
    }
}

/// A shared group stands at the filter inside it, beside subscribers and other groups; the filter goes with the last.
#[test]
fn groups_beside_subscribers() {
    for name in ["a/b", "a/#", "+/b"] {
        let mut trie = Trie::default();
        assert!(trie.insert_group(&filter(name), group(7)));
        assert!(!trie.insert_group(&filter(name), group(7)));
        assert!(!trie.insert_group(&filter(name), group(8)));
        assert!(!trie.insert(&filter(name), subscriber(1, 0)));
        assert_eq!(collect(&trie, "a/b").1, [7, 8]);
        assert!(!trie.remove_group(name, group(7)));
        assert!(!trie.remove_group(name, group(7)));
        assert_eq!(collect(&trie, "a/b"), (vec![(1, 0)], vec![8], collect(&trie, "a/b").2));
        assert!(!trie.remove(name, key(1)));
        assert_eq!(trie.filters(), 1);
        assert!(trie.remove_group(name, group(8)));
        assert!(!trie.remove_group(name, group(8)), "it was gone already");
        assert_eq!(trie.filters(), 0);
        assert!(collect(&trie, "a/b").1.is_empty());
    }
}

/// What a match costs bounds a turn of the trie: nothing without wildcards, and a place for each branch taken.
#[test]
fn places_looked_at() {
    let mut trie = Trie::default();
    trie.insert(&filter("a/b/c"), subscriber(1, 0));
    assert_eq!(collect(&trie, "a/b/c").2, 0, "found by one look-up");
    for name in ["a/+/c", "+/b/c", "x/y/#"] {
        trie.insert(&filter(name), subscriber(2, 0));
    }
    // The root, and the filters that begin with `a` and `+`: they share no level.
    assert_eq!(collect(&trie, "a/b/c").2, 3);
    // The root, and those that begin with `x` and `+`.
    assert_eq!(collect(&trie, "x/y").2, 3);
    assert_eq!(collect(&trie, "$SYS/x").2, 1);
    trie.insert(&filter("$SYS/+"), subscriber(3, 0));
    assert_eq!(collect(&trie, "$SYS/x"), (vec![(3, 0)], vec![], 2));
    for name in ["a/+/d", "+/b/d"] {
        trie.insert(&filter(name), subscriber(2, 0));
    }
    // The root; `a`, its `+`, `c`; `+`, its `b`, `c`.
    assert_eq!(collect(&trie, "a/b/c").2, 7);
}

/// Of a filter that is gone nothing is left to look at.
#[test]
fn branches_go_with_their_filters() {
    let mut trie = Trie::default();
    trie.insert(&filter("x/+"), subscriber(1, 0));
    for name in ["a/b/+", "a/b/c/#", "+/b/+"] {
        trie.insert(&filter(name), subscriber(1, 0));
        assert!(collect(&trie, "a/b/z").2 > 1);
        assert!(trie.remove(name, key(1)));
        assert_eq!(collect(&trie, "a/b/z"), (vec![], vec![], 1), "{name}");
    }
}

#[test]
fn matches_are_cleared() {
    let mut trie = Trie::default();
    trie.insert(&filter("a"), subscriber(1, 0));
    trie.insert_group(&filter("b"), group(1));
    let mut matches = Matches::default();
    for topic in ["a", "b"] {
        trie.collect(topic, &mut matches);
        assert!(!matches.is_empty(), "{topic}");
        matches.clear();
        assert!(matches.is_empty() && matches.subscribers.is_empty() && matches.groups.is_empty());
    }
}

#[test]
fn the_filter_inside_a_shared_one() {
    for (full, expected) in [
        ("$share/g/a/b", Some("a/b")),
        ("$share/g//", Some("/")),
        ("$share/g/#", Some("#")),
        ("$share", None),
        ("$shares/g/a", None),
        ("a/b", None),
    ] {
        assert_eq!(shared_part(full), expected, "{full}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe(u32, String),
    Unsubscribe(u32, String),
    Join(u32, String),
    Leave(u32, String),
}

fn filters() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("+"), Just("$s")];
    let filter = (proptest::collection::vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, open)| {
        if open {
            levels.push("#");
        }
        levels.join("/")
    });
    filter.prop_filter("a filter is not empty", |filter| !filter.is_empty())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..6u8, 0..4u32, filters()).prop_map(|(kind, who, filter)| match kind {
        0 | 1 => Step::Subscribe(who, filter),
        2 => Step::Unsubscribe(who, filter),
        3 | 4 => Step::Join(who, filter),
        _ => Step::Leave(who, filter),
    });
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn agrees_with_naive_lists(
        steps in steps(),
        names in proptest::collection::vec("[ab$]{0,2}(/[ab$]{0,2}){0,4}", 10),
    ) {
        let mut trie = Trie::default();
        let mut plain: Vec<(String, u32)> = Vec::new();
        let mut shared: Vec<(String, u32)> = Vec::new();
        for step in steps {
            let (Step::Subscribe(_, name) | Step::Unsubscribe(_, name) | Step::Join(_, name)
                | Step::Leave(_, name)) = &step;
            let name = name.clone();
            let held = |plain: &[(String, u32)], shared: &[(String, u32)]| {
                plain.iter().chain(shared).any(|(other, _)| *other == name)
            };
            let before = held(&plain, &shared);
            match step {
                Step::Subscribe(who, _) => {
                    prop_assert_eq!(trie.insert(&filter(&name), subscriber(who, 0)), !before);
                    plain.retain(|entry| *entry != (name.clone(), who));
                    plain.push((name, who));
                }
                Step::Join(who, _) => {
                    prop_assert_eq!(trie.insert_group(&filter(&name), group(who)), !before);
                    shared.retain(|entry| *entry != (name.clone(), who));
                    shared.push((name, who));
                }
                Step::Unsubscribe(who, _) => {
                    plain.retain(|entry| *entry != (name.clone(), who));
                    prop_assert_eq!(trie.remove(&name, key(who)), before && !held(&plain, &shared));
                }
                Step::Leave(who, _) => {
                    shared.retain(|entry| *entry != (name.clone(), who));
                    prop_assert_eq!(trie.remove_group(&name, group(who)), before && !held(&plain, &shared));
                }
            }
            let distinct: std::collections::BTreeSet<_> =
                plain.iter().chain(&shared).map(|(name, _)| name).collect();
            prop_assert_eq!(trie.filters(), distinct.len());
        }
        for topic in names.iter().filter(|name| !name.is_empty()) {
            let expected = |list: &[(String, u32)]| {
                let mut matching: Vec<u32> = list
                    .iter()
                    .filter(|(filter, _)| TopicFilter::new(filter).unwrap().matches(topic))
                    .map(|(_, who)| *who)
                    .collect();
                matching.sort_unstable();
                matching
            };
            let (subscribers, groups, _) = collect(&trie, topic);
            let sessions: Vec<u32> = subscribers.into_iter().map(|(session, _)| session).collect();
            prop_assert_eq!(sessions, expected(&plain), "{}", topic);
            prop_assert_eq!(groups, expected(&shared), "{}", topic);
        }
    }
}

/// Sessions that differ in any part of their key are different.
#[test]
fn keys_are_compared_whole() {
    let mut trie = Trie::default();
    let one = key(1);
    for session in [one, SessionKey { generation: 2, ..one }, SessionKey { worker: 3, ..one }] {
        trie.insert(&filter("a"), Subscriber { session, ..subscriber(1, 0) });
    }
    assert_eq!(collect(&trie, "a").0.len(), 3);
}
