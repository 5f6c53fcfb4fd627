//! The directory against a naive list.

use mqtt_codec::matches;
use proptest::prelude::*;

use crate::matching::directory::{Directory, LookUps, WORKERS_MAX};

/// Alone, a worker is the one to ask, whatever it has.
#[test]
fn with_one_worker_there_is_nothing_to_keep() {
    let directory = Directory::new(1);
    for change in [Directory::add, Directory::remove] {
        change(&directory, "a", 0);
        change(&directory, "a/+", 0);
        assert_eq!(directory.workers("a"), 1);
        assert_eq!(directory.workers("other"), 1);
    }
}

/// The last of as many workers as there may be has a bit too.
#[test]
fn the_last_worker() {
    let directory = Directory::new(WORKERS_MAX);
    let last = WORKERS_MAX as u16 - 1;
    for filter in ["a", "a/+"] {
        directory.add(filter, last);
        directory.add(filter, 0);
        directory.remove(filter, 0);
    }
    assert_eq!(directory.workers("a"), 1 << 63);
    assert_eq!(directory.workers("a/b"), 1 << 63);
    assert_eq!(directory.workers("b"), 0);
}

/// Very many filters, each found again, and none where it is not.
#[test]
fn very_many_filters() {
    let directory = Directory::new(2);
    for number in 0..2000 {
        directory.add(&format!("exact/{number}"), (number % 2) as u16);
    }
    for number in 0..2000 {
        assert_eq!(directory.workers(&format!("exact/{number}")), 1 << (number % 2));
        assert_eq!(directory.workers(&format!("other/{number}")), 0);
    }
    for number in 0..2000 {
        directory.remove(&format!("exact/{number}"), (number % 2) as u16);
        assert_eq!(directory.workers(&format!("exact/{number}")), 0);
    }
}

/// What the look-ups of a batch may cost grows with its publishes: the same look-up that costs too much for a small one
/// is made to its end for a large one.
#[test]
fn large_batches_look_further() {
    let directory = Directory::new(3);
    for bits in 0..1u32 << 10 {
        let level = |at: u32| if bits & 1 << at == 0 { "a" } else { "+" };
        let filter: Vec<_> = (0..10).map(level).collect();
        directory.add(&filter.join("/"), 1);
    }
    let deep = ["a"; 10].join("/") + "/x";
    assert_eq!(directory.workers_within(&deep, &mut LookUps::of(1)), 1 << 1, "it may be");
    assert_eq!(directory.workers_within(&deep, &mut LookUps::of(100)), 0, "it is not");
}

/// A look-up ends when all workers are found that it may find, and leaves the others of its batch what they may cost.
#[test]
fn a_look_up_ends_when_all_are_found() {
    let directory = Directory::new(3);
    for bits in 0..1u32 << 10 {
        let level = |at: u32| if bits & 1 << at == 0 { "a" } else { "+" };
        let filter: Vec<_> = (0..10).map(level).collect();
        directory.add(&filter.join("/"), 1);
    }
    directory.add("a/#", 2);
    let mut look_ups = LookUps::of(1);
    for _ in 0..5 {
        assert_eq!(directory.workers_within(&["a"; 10].join("/"), &mut look_ups), 0b110);
    }
    assert_eq!(directory.workers_within("x/y", &mut look_ups), 0, "there is enough left to see that");
}

proptest! {
    #[test]
    fn agrees_with_a_naive_list(
        steps in proptest::collection::vec((any::<bool>(), 0..3u16, "(\\+|[ab$])(/(\\+|[ab])){0,2}(/#)?"), 1..60),
        names in proptest::collection::vec("[ab$](/[ab]){0,3}", 10),
    ) {
        let directory = Directory::new(3);
        let mut model: Vec<(String, u16)> = Vec::new();
        for (add, worker, filter) in steps {
            model.retain(|entry| *entry != (filter.clone(), worker));
            if add {
                directory.add(&filter, worker);
                model.push((filter, worker));
            } else {
                directory.remove(&filter, worker);
            }
            for name in &names {
                let matching = model.iter().filter(|(filter, _)| matches(filter, name));
                let expected = matching.fold(0, |workers, (_, worker)| workers | 1 << worker);
                prop_assert_eq!(directory.workers(name), expected, "{}", name);
            }
        }
    }
}
