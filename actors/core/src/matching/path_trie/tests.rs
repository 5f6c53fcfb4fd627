use std::collections::BTreeSet;

use mqtt_codec::matches;
use proptest::prelude::*;

use super::*;

fn found(trie: &PathTrie<u32>, topic: &str, walk: &mut Walk, budget: usize) -> (Vec<u32>, bool) {
    let (mut found, mut budget) = (Vec::new(), budget);
    let is_through = trie.go_on(topic, walk, &mut budget, &mut |value| found.push(*value));
    (found, is_through)
}

/// All filters of so many levels, each `a` or `+`.
fn exploding(levels: u32) -> impl Iterator<Item = String> {
    (0..1u32 << levels).map(move |bits| {
        let level = |at: u32| if bits & 1 << at == 0 { "a" } else { "+" };
        (0..levels).map(level).collect::<Vec<_>>().join("/")
    })
}

#[test]
fn a_look_up_goes_on_where_it_stopped() {
    let mut trie = PathTrie::default();
    for (number, filter) in exploding(8).enumerate() {
        *trie.entry(&filter) = number as u32;
    }
    let (topic, mut walk) = (["a"; 8].join("/"), Walk::default());
    trie.begin(&mut walk);
    let mut all = Vec::new();
    let mut pieces = 0;
    loop {
        let (some, is_through) = found(&trie, &topic, &mut walk, 10);
        all.extend(some);
        pieces += 1;
        if is_through {
            break;
        }
    }
    all.sort_unstable();
    assert_eq!(all, (0..256).collect::<Vec<_>>());
    // A piece ends with the children of a place that are ends, two at most.
    assert!((511usize.div_ceil(12)..=511usize.div_ceil(10)).contains(&pieces), "{pieces}");
}

#[test]
fn what_was_removed_meanwhile_is_passed_over_and_its_place_is_not_mistaken() {
    let mut trie = PathTrie::default();
    for filter in exploding(4) {
        *trie.entry(&filter) = 1;
    }
    let (topic, mut walk) = ("a/a/a/a", Walk::default());
    trie.begin(&mut walk);
    let (some, is_through) = found(&trie, topic, &mut walk, 3);
    assert!(some.is_empty() && !is_through);
    for filter in exploding(4) {
        trie.update(&filter, |_| true);
    }
    assert_eq!((trie.len(), trie.nodes()), (0, 1));
    for number in 0..40 {
        *trie.entry(&format!("b/{number}/+")) = 2;
    }
    assert_eq!(found(&trie, topic, &mut walk, 1000), (vec![], true));
}

#[test]
fn filters_that_look_alike_are_told_apart() {
    let mut trie = PathTrie::default();
    for (number, filter) in ["#", "/#", "+", "/+", "a/#", "a/+", "+/+", "a/+/#"].iter().enumerate() {
        *trie.entry(filter) = number as u32;
    }
    let check = |topic: &str, expected: &[u32]| {
        let mut walk = Walk::default();
        trie.begin(&mut walk);
        let (mut found, _) = found(&trie, topic, &mut walk, 1000);
        found.sort_unstable();
        assert_eq!(found, expected, "{topic}");
    };
    check("a", &[0, 2, 4]);
    check("/", &[0, 1, 3, 6]);
    check("a/b", &[0, 4, 5, 6, 7]);
    check("a/b/c", &[0, 4, 7]);
    check("$a/b", &[]);
}

#[test]
fn a_filter_costs_a_node_from_the_level_that_it_shares_with_no_other() {
    let mut trie = PathTrie::default();
    let mut check = |filter: &str, nodes: usize| {
        *trie.entry(filter) = nodes as u32;
        assert_eq!(trie.nodes(), 1 + nodes, "{filter}");
    };
    check("a/b/+/d", 1);
    check("a/b/+/e", 5);
    check("x/+/a level that is too long to stand in a node/#", 6);
    check("x/+/a level that is too long to stand in a node", 10);
    check("+", 11);
    check("+/#", 13);
    check("#", 14);
    for filter in ["a/b/+/d", "x/+/a level that is too long to stand in a node/#", "x", "a/b", "+/#"] {
        trie.update(filter, |_| true);
    }
    assert_eq!((trie.len(), trie.nodes()), (4, 12));
    assert_eq!(trie.get("a/b/+/e"), Some(&5));
    assert_eq!(trie.get("x/+/a level that is too long to stand in a node"), Some(&10));
    assert_eq!(trie.get("+"), Some(&11));
    assert_eq!(trie.get("+/#"), None);
}

/// As long as they may be, with 32,767 levels in common: what is moved is copied once, not level by level.
#[test]
fn two_long_filters_part_at_their_end() {
    let mut trie = PathTrie::default();
    let path = "/+".repeat(32_766);
    for (number, end) in ["/a", "/b", "/#"].iter().enumerate() {
        *trie.entry(&format!("{path}{end}")) = number as u32;
    }
    assert_eq!(trie.nodes(), 1 + 32_767 + 3);
    let mut walk = Walk::default();
    trie.begin(&mut walk);
    assert_eq!(found(&trie, &format!("{path}/b"), &mut walk, usize::MAX).0, [2, 1]);
    for end in ["/b", "/#"] {
        trie.update(&format!("{path}{end}"), |_| true);
    }
    assert_eq!((trie.len(), trie.nodes()), (1, 1 + 32_767 + 1));
}

fn texts(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    let level = proptest::sample::select(levels);
    proptest::collection::vec(level, 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("empty", |text| !text.is_empty())
}

fn filters() -> impl Strategy<Value = String> {
    (texts(&["a", "b", "", "+", "$s", "a long level, not in the node"]), any::<bool>())
        .prop_map(|(path, is_open)| if is_open { path + "/#" } else { path })
}

proptest! {
    /// What is looked up side by side is what is found one by one, or the budget says that there is more.
    #[test]
    fn side_by_side_finds_the_same(
        filters in proptest::collection::btree_set(filters(), 0..40),
        topics in proptest::collection::vec(texts(&["a", "b", "", "$s", "a long level, not in the node"]), 1..20),
        budget in 1..30_usize,
    ) {
        let mut trie = PathTrie::default();
        for filter in &filters {
            *trie.entry(filter) = filter.clone();
        }
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let (mut budgets, mut found) = (vec![budget; topics.len()], vec![BTreeSet::new(); topics.len()]);
        trie.look_up_together(&topics, &mut budgets, &mut LockStep::default(), |name, filter, _| {
            assert!(found[name].insert(filter.clone()), "{filter} twice");
        });
        for ((topic, left), found) in topics.iter().zip(budgets).zip(found) {
            let (mut walk, mut expected, mut places) = (Walk::default(), BTreeSet::new(), usize::MAX);
            trie.begin(&mut walk);
            trie.go_on(topic, &mut walk, &mut places, &mut |filter| _ = expected.insert(filter.clone()));
            prop_assert!(expected.is_superset(&found), "{:?}", found);
            if left > 0 {
                prop_assert_eq!(&expected, &found);
                prop_assert_eq!(usize::MAX - places, budget - left);
            } else {
                prop_assert!(usize::MAX - places >= budget);
            }
        }
    }
}

proptest! {
    /// Filters come and go while a topic name is looked up a place at a time: what was there all the time is found once,
    /// what does not match never. With the last filter all nodes are gone.
    #[test]
    fn filters_come_and_go_during_a_look_up(
        before in proptest::collection::btree_set(filters(), 1..30),
        meanwhile in proptest::collection::vec((filters(), any::<bool>()), 0..30),
        topic in texts(&["a", "b", "", "$s", "a long level, not in the node"]),
    ) {
        let mut trie = PathTrie::default();
        let mut held = before.clone();
        for filter in &before {
            *trie.entry(filter) = filter.clone();
        }
        let (mut walk, mut found) = (Walk::default(), Vec::new());
        let mut stayed = before.clone();
        trie.begin(&mut walk);
        let mut changes = meanwhile.iter();
        while !trie.go_on(&topic, &mut walk, &mut 1, &mut |filter: &String| found.push(filter.clone())) {
            let Some((filter, add)) = changes.next() else { continue };
            if *add {
                *trie.entry(filter) = filter.clone();
                held.insert(filter.clone());
            } else {
                if let Some(gone) = held.iter().nth(filter.len() % held.len().max(1)).cloned() {
                    trie.update(&gone, |_| true);
                    held.remove(&gone);
                    stayed.remove(&gone);
                }
            }
        }
        prop_assert!(found.iter().all(|filter| matches(filter, &topic)), "{:?}", found);
        let once: BTreeSet<_> = found.iter().cloned().collect();
        prop_assert!(stayed.iter().filter(|filter| matches(filter, &topic)).all(|filter| once.contains(filter)));
        prop_assert_eq!(trie.len(), held.len());
        for filter in held {
            prop_assert_eq!(trie.get(&filter), Some(&filter));
            trie.update(&filter, |_| true);
        }
        prop_assert_eq!((trie.len(), trie.nodes()), (0, 1));
    }
}
