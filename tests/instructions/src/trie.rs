//! Subscriptions of one worker, and the workers that have any. Counts are for one filter or one topic name.

use std::hint::black_box;
use std::sync::Arc;

use micro_mq_core::ids::SessionKey;
use micro_mq_core::matching::{Directory, LookUps, Matches, Subscriber, Trie};
use micro_mq_core::moment::Moment;
use mqtt_codec::SubscriptionOptions;

use crate::Case;
use crate::counted::count;

pub(crate) const CASES: &[Case] = &[
    Case { name: "trie/insert-exact", run: || inserted(&exact_filters(SOME)) },
    Case { name: "trie/insert-wild", run: || inserted(&wild_filters(SOME)) },
    Case { name: "trie/remove-exact", run: || removed(&exact_filters(SOME)) },
    Case { name: "trie/remove-wild", run: || removed(&wild_filters(SOME)) },
    Case { name: "trie/match-exact-1000", run: || matched(&exact_filters(FEW)) },
    Case { name: "trie/match-wild-1000", run: || matched(&wild_filters(FEW)) },
    Case { name: "trie/match-wild-100000", run: || matched(&wild_filters(MANY)) },
    Case { name: "directory/look-up-wild-100000", run: || looked_up(&wild_filters(MANY)) },
];

const FEW: usize = 1_000;
const SOME: usize = 10_000;
const MANY: usize = 100_000;
/// Topic names that are looked up.
const LOOK_UPS: usize = 2_000;
const WORKERS: u16 = 2;

/// A topic name of its own for each pair of filters with wildcards, or for each filter without.
fn name(index: usize) -> String {
    format!("building/{index}/room/temperature")
}

fn exact_filters(count: usize) -> Vec<Arc<str>> {
    (0..count).map(|index| name(index).into()).collect()
}

/// Each name matches two of them.
fn wild_filters(count: usize) -> Vec<Arc<str>> {
    let pair =
        |index| [format!("building/{index}/+/temperature").into(), format!("building/{index}/room/#").into()];
    (0..count / 2).flat_map(pair).collect()
}

/// Names all over those that are wanted, in no order that a cache could make use of.
fn names(filters: &[Arc<str>]) -> Vec<String> {
    let wanted = filters.iter().filter_map(|filter| filter.split('/').nth(1)?.parse::<usize>().ok()).max();
    let wanted = wanted.expect("there are filters") + 1;
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % wanted
    };
    (0..LOOK_UPS).map(|_| name(draw())).collect()
}

fn subscriber(index: usize) -> Subscriber {
    let session = SessionKey { index: index as u32 % 1000, generation: 0, worker: 0 };
    Subscriber { session, identifier: 0, options: SubscriptionOptions::default(), since: Moment::default() }
}

fn insert_all(trie: &mut Trie, filters: &[Arc<str>]) {
    for (index, filter) in filters.iter().enumerate() {
        trie.insert(filter, subscriber(index));
    }
}

fn inserted(filters: &[Arc<str>]) -> usize {
    let mut trie = Trie::default();
    count(|| insert_all(&mut trie, filters));
    assert_eq!(trie.filters(), filters.len());
    filters.len()
}

fn removed(filters: &[Arc<str>]) -> usize {
    let mut trie = Trie::default();
    insert_all(&mut trie, filters);
    count(|| {
        for (index, filter) in filters.iter().enumerate() {
            trie.remove(filter, subscriber(index).session);
        }
    });
    assert_eq!(trie.filters(), 0);
    filters.len()
}

fn matched(filters: &[Arc<str>]) -> usize {
    let mut trie = Trie::default();
    insert_all(&mut trie, filters);
    let names = names(filters);
    let mut matches = Matches::default();
    trie.collect(&names[0], &mut matches);
    let found: usize = count(|| {
        let look_up = |name| {
            trie.collect(black_box(name), &mut matches);
            matches.subscribers.len()
        };
        names.iter().map(String::as_str).map(look_up).sum()
    });
    let per_name = if filters[0].contains('+') { 2 } else { 1 };
    assert_eq!(found, per_name * names.len());
    names.len()
}

fn looked_up(filters: &[Arc<str>]) -> usize {
    let directory = Directory::new(WORKERS.into());
    for (index, filter) in filters.iter().enumerate() {
        directory.add(filter, index as u16 % WORKERS);
    }
    let names = names(filters);
    let all_workers = (1 << WORKERS) - 1;
    count(|| {
        for name in &names {
            let workers = directory.workers_within(black_box(name), &mut LookUps::of(1));
            assert_eq!(workers, all_workers);
        }
    });
    names.len()
}
