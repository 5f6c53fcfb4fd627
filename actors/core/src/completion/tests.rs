//! Conditions and the answers that wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::{Conditions, Pending, State};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn waker() -> (Arc<Woken>, Waker) {
    let woken = Arc::<Woken>::default();
    (Arc::clone(&woken), Waker::from(woken))
}

fn times(woken: &Woken) -> usize {
    woken.0.load(Ordering::SeqCst)
}

/// All that may leave of a line, and whether the next has failed.
fn leaving<A>(pending: &mut Pending<A>, home: &Waker) -> (Vec<A>, bool) {
    let (mut left, mut failed) = (Vec::new(), false);
    let count = pending.let_leave(Some(home), &mut failed, |answer| left.push(answer));
    assert_eq!(count, left.len() as u64);
    (left, failed)
}

#[test]
fn nothing_is_held_before_something_is_opened() {
    let conditions = Conditions::default();
    assert!(conditions.completion().is_none() && conditions.of(3).is_none());
    let condition = conditions.open(3, 5);
    assert_eq!(conditions.of(3).unwrap().state(), State::Open);
    assert_eq!(conditions.of(2).unwrap().state(), State::Done);
    condition.done();
    assert_eq!(conditions.of(3).unwrap().state(), State::Done);
}

#[test]
fn a_packet_is_complete_when_all_its_conditions_are() {
    let conditions = Conditions::default();
    let first = conditions.open(0, 1);
    let (second, handed_on) = (conditions.open(0, 1), first.clone());
    let awaited = conditions.of(0).unwrap();
    first.done();
    second.done();
    assert_eq!(awaited.state(), State::Open);
    handed_on.done();
    assert_eq!(awaited.state(), State::Done);
}

#[test]
fn what_is_given_up_has_failed_whatever_else_is_open() {
    let conditions = Conditions::default();
    let (first, second) = (conditions.open(0, 2), conditions.open(0, 2));
    let awaited = conditions.of(0).unwrap();
    drop(first);
    assert_eq!(awaited.state(), State::Failed);
    second.done();
    assert_eq!((awaited.state(), conditions.of(1).unwrap().state()), (State::Failed, State::Done));
}

/// The order in which conditions are closed does not show, and nobody is woken in vain.
#[test]
fn answers_leave_in_the_order_of_their_packets() {
    let conditions = Conditions::default();
    let [first, second, fourth] = [0, 1, 3].map(|packet| conditions.open(packet, 4));
    let mut pending = Pending::default();
    (0..4).for_each(|packet| pending.push(packet, conditions.of(packet)));
    let (woken, home) = waker();
    assert_eq!(leaving(&mut pending, &home), (vec![], false));
    second.done();
    assert_eq!(times(&woken), 0);
    first.done();
    assert_eq!(times(&woken), 1);
    assert_eq!(leaving(&mut pending, &home), (vec![0, 1, 2], false));
    fourth.done();
    assert_eq!(times(&woken), 2);
    assert_eq!(leaving(&mut pending, &home), (vec![3], false));
    assert!(pending.is_empty());
}

#[test]
fn an_answer_without_conditions_waits_for_those_before_it() {
    let conditions = Conditions::default();
    let open = conditions.open(0, 1);
    let mut pending = Pending::default();
    pending.push("first", conditions.of(0));
    pending.push("second", None);
    let (woken, home) = waker();
    assert_eq!(leaving(&mut pending, &home), (vec![], false));
    open.done();
    assert_eq!((times(&woken), leaving(&mut pending, &home).0), (1, vec!["first", "second"]));
}

#[test]
fn nothing_leaves_behind_what_has_failed() {
    let conditions = Conditions::default();
    let [first, second] = [0, 1].map(|packet| conditions.open(packet, 3));
    let mut pending = Pending::default();
    (0..3).for_each(|packet| pending.push(packet, conditions.of(packet)));
    let (woken, home) = waker();
    assert_eq!(leaving(&mut pending, &home), (vec![], false));
    drop(second);
    assert_eq!(times(&woken), 0, "the first one's turn comes before");
    first.done();
    assert_eq!((times(&woken), leaving(&mut pending, &home)), (1, (vec![0], true)));
    assert_eq!(leaving(&mut pending, &home), (vec![], true));
    assert_eq!(pending.drain().count(), 2);
}

/// Who waits later is woken in place of who waited before: another network connection of the same client.
#[test]
fn the_latest_who_waits_is_woken() {
    let conditions = Conditions::default();
    let open = conditions.open(0, 1);
    let awaited = conditions.of(0).unwrap();
    let ((before, old), (after, new)) = (waker(), waker());
    assert_eq!(awaited.state_or_wake(&old), State::Open);
    assert_eq!(conditions.of(0).unwrap().state_or_wake(&new), State::Open);
    open.done();
    assert_eq!((times(&before), times(&after)), (0, 1));
}

/// Conditions are closed on other threads while their home looks: it is never left waiting for what is done.
#[test]
fn no_wake_up_is_lost() {
    for _ in 0..200 {
        let conditions = Conditions::default();
        let open: Vec<_> = (0..8).map(|packet| conditions.open(packet, 8)).collect();
        let mut pending = Pending::default();
        (0..8).for_each(|packet| pending.push(packet, conditions.of(packet)));
        let closing = std::thread::spawn(move || open.into_iter().rev().for_each(super::Condition::done));
        let (woken, home) = waker();
        let mut left = leaving(&mut pending, &home).0;
        closing.join().unwrap();
        assert!(left.len() == 8 || times(&woken) > 0, "it waits for ever behind {left:?}");
        left.extend(leaving(&mut pending, &home).0);
        assert_eq!(left, (0..8).collect::<Vec<_>>());
    }
}
