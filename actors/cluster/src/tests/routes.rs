use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;

use crate::barrier::Barrier;
use crate::own_routes::{OwnRoutes, OwnedName};
use crate::routes_log::{Incarnation, RouteName};
use crate::view::{Matches, View};
use crate::window::Window;

const FILTER: RouteName<'static> = RouteName { share: "", filter: "a/b" };

#[test]
fn a_subscription_waits_until_all_know_of_its_route() {
    let mut routes = OwnRoutes::default();
    assert!(routes.expect(FILTER, || "first"), "it is to be written");
    assert!(!routes.expect(FILTER, || "second"));
    assert!(!routes.came(FILTER, 0, true));
    routes.written(FILTER, 7);
    assert!(routes.read_by_all(FILTER, 6).is_empty());
    assert_eq!(routes.read_by_all(FILTER, 7), ["first", "second"]);
    assert!(!routes.expect(FILTER, || unreachable!("all know of it")));
    routes.forget_known();
    assert!(!routes.expect(FILTER, || "third"), "it is written with all others");
    routes.written(FILTER, 9);
    assert_eq!(routes.read_by_all(FILTER, 10), ["third"]);
}

#[test]
fn a_route_is_gone_when_nobody_wants_it_nor_is_about_to() {
    let mut routes: OwnRoutes<()> = OwnRoutes::default();
    routes.expect(FILTER, || ());
    routes.came(FILTER, 0, true);
    routes.came(FILTER, 1, false);
    assert!(!routes.went(FILTER, 0));
    assert!(routes.went(FILTER, 1));
    // Somebody subscribes again before that is looked at.
    routes.expect(FILTER, || ());
    assert!(routes.take_left().is_empty());
    routes.failed_to_come(FILTER);
    assert_eq!(routes.take_left(), [OwnedName::of(FILTER)]);
    assert!(routes.is_empty());
    assert!(!routes.went(FILTER, 1));
}

#[test]
fn who_waits_is_let_go_in_the_order_of_the_records() {
    let mut barrier = Barrier::default();
    barrier.wait(9, "c");
    barrier.wait(3, "a");
    barrier.wait(3, "b");
    assert!(barrier.passed(2).is_empty());
    assert_eq!(barrier.passed(8), ["a", "b"]);
    assert_eq!(barrier.passed(u64::MAX), ["c"]);
    assert!(barrier.is_empty());
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn no_client_has_more_than_an_eighth_and_half_is_for_what_is_acknowledged() {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut window = Window::new(8000);
    assert!(window.has_room_or_wake(1, &waker));
    window.enter(1, 1000);
    assert!(!window.has_room_or_wake(1, &waker) && !window.has_room_at_most_once(1));
    assert!(window.has_room_or_wake(2, &waker) && window.has_room_at_most_once(2));
    for client in 2..=4 {
        window.enter(client, 1000);
    }
    assert!(!window.has_room_at_most_once(5), "half is taken");
    assert!(window.has_room_or_wake(5, &waker));
    for client in 5..=8 {
        window.enter(client, 1000);
    }
    assert!(!window.has_room_or_wake(9, &waker));
    window.leave(1, 1000).into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "who waits is noted once");
    (2..=8).for_each(|client| drop(window.leave(client, 1000)));
    assert_eq!(window.bytes(), 0);
}

proptest! {
    /// Other nodes' routes, however they come and go, are what a list of them says.
    #[test]
    fn the_view_is_what_was_read_last(steps in prop::collection::vec((0_u8..4, 0_usize..6, 0_u8..8), 0..200)) {
        let filters = ["a/b", "a/+", "#", "b", "+/b", "a/b/c"];
        let topics = ["a/b", "b", "a/b/c", "x"];
        let (matches, mut view) = (Matches::default(), View::default());
        let mut expected = BTreeSet::new();
        for (slot, filter, what) in steps {
            let name = RouteName { share: "", filter: filters[filter] };
            let incarnation = Incarnation(slot.into());
            match what {
                0 => {
                    view.forget(slot, &matches);
                    expected.retain(|(other, _)| *other != slot);
                }
                1..=3 => {
                    view.set(slot, incarnation, name, None, &matches);
                    expected.remove(&(slot, name.filter));
                }
                _ => {
                    view.set(slot, incarnation, name, Some(1), &matches);
                    expected.insert((slot, name.filter));
                }
            }
            for topic in topics {
                let slots = expected.iter().filter(|(_, filter)| mqtt_codec::topic::matches(filter, topic));
                let slots = slots.fold(0, |slots, (slot, _)| slots | 1_u64 << slot);
                prop_assert_eq!(matches.directory().workers(topic), slots, "{}", topic);
            }
            prop_assert_eq!(view.len(), expected.len());
        }
    }
}
