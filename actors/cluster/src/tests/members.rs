use std::time::{Duration, Instant};

use crate::members::{Change, FRESH, Members};
use crate::routes_log::{Incarnation, Record};

/// A log that several nodes read, each as far as it is told.
struct Log {
    records: Vec<Written>,
    now: Instant,
}

#[derive(Clone)]
enum Written {
    Hello(&'static str, u8, u64),
    Tick(&'static str, Incarnation, u8, u64, u64),
    Void(&'static str, Incarnation, u8),
}

impl Written {
    fn record(&self) -> Record<'_> {
        match *self {
            Self::Hello(node, slot, nonce) => Record::Hello { node, slot, nonce, version: 1, address: "" },
            Self::Tick(node, incarnation, slot, number, applied) => {
                Record::Tick { node, incarnation, slot, number, applied, at: 0 }
            }
            Self::Void(node, incarnation, slot) => Record::Void { node, incarnation, slot },
        }
    }
}

struct Node {
    name: &'static str,
    members: Members,
    read: usize,
}

impl Log {
    #[expect(clippy::disallowed_methods, reason = "a test has to begin at some moment")]
    fn new() -> Self {
        Self { records: Vec::new(), now: Instant::now() }
    }

    fn node(name: &'static str, nonce: u64) -> Node {
        Node { name, members: Members::new(name, nonce), read: 0 }
    }

    fn hello(&mut self, node: &Node, slot: u8) {
        self.records.push(Written::Hello(node.name, slot, node.members.nonce()));
    }

    fn tick(&mut self, node: &mut Node) {
        let now = self.now;
        let Some(Record::Tick { incarnation, slot, number, applied, .. }) = node.members.tick(now, 0) else {
            panic!("{} is no member", node.name)
        };
        self.records.push(Written::Tick(node.name, incarnation, slot, number, applied));
    }

    /// Reads to the end. Returns what that changes.
    fn read(&self, node: &mut Node) -> Vec<Change> {
        let mut changes = Vec::new();
        for (offset, written) in self.records.iter().enumerate().skip(node.read) {
            node.members.read(offset as u64, &written.record(), self.now, &mut changes);
        }
        node.read = self.records.len();
        changes
    }
}

#[test]
fn of_a_slot_the_first_hello_counts_and_of_a_name_the_last() {
    let mut log = Log::new();
    let (mut one, mut two, mut again) = (Log::node("one", 1), Log::node("two", 2), Log::node("one", 3));
    log.hello(&one, 0);
    log.hello(&two, 0);
    assert_eq!(log.read(&mut one), [Change::Admitted(Incarnation(0)), Change::Came(0)]);
    assert_eq!(log.read(&mut two), [Change::Came(0), Change::SlotTaken(0)]);
    assert_eq!(two.members.free_slot(), Some(1));
    log.hello(&two, 1);
    log.tick(&mut one);
    assert_eq!(log.read(&mut two), [Change::Admitted(Incarnation(2)), Change::Came(1)]);
    log.read(&mut again);
    assert_eq!(again.members.free_slot(), Some(0), "that of the life before");
    log.hello(&again, 0);
    let gone = Change::Went(0, Incarnation(0));
    assert_eq!(log.read(&mut one), [Change::Came(1), Change::NameTaken, gone, Change::Came(0)]);
    assert_eq!(log.read(&mut again), [gone, Change::Admitted(Incarnation(4)), Change::Came(0)]);
    assert!(one.members.tick(log.now, 0).is_none(), "it is no member any more");
}

/// The hello by which it was admitted is gone, as that of who had the slot then is: whoever reads what is left has to come
/// to the same.
#[test]
fn a_node_that_ticks_was_admitted() {
    let mut log = Log::new();
    log.records = vec![
        Written::Hello("refused", 0, 1),
        Written::Hello("admitted", 0, 2),
        Written::Tick("admitted", Incarnation(1), 0, 9, 1),
    ];
    let mut late = Log::node("late", 3);
    log.read(&mut late);
    assert_eq!(late.members.at(0).unwrap().node, "admitted");
}

#[test]
fn a_view_is_fresh_from_the_moment_at_which_the_last_tick_read_was_written() {
    let mut log = Log::new();
    let mut node = Log::node("one", 1);
    log.hello(&node, 0);
    log.read(&mut node);
    assert_eq!(node.members.fresh_until(), None);
    log.tick(&mut node);
    let written_at = log.now;
    log.now += Duration::from_secs(3);
    log.tick(&mut node);
    log.records.pop();
    log.read(&mut node);
    assert_eq!(node.members.fresh_until(), Some(written_at + FRESH));
}

#[test]
fn all_have_read_what_those_have_who_may_match() {
    let mut log = Log::new();
    let mut nodes = [Log::node("one", 1), Log::node("two", 2), Log::node("three", 3)];
    for (slot, node) in (0..).zip(&mut nodes) {
        log.hello(node, slot);
    }
    nodes.iter_mut().for_each(|node| _ = log.read(node));
    // It has not read its own first tick, and so matches nothing.
    assert_eq!(nodes[0].members.read_by_all(log.now), Some(2));
    for node in &mut nodes {
        log.tick(node);
    }
    nodes.iter_mut().for_each(|node| _ = log.read(node));
    assert_eq!(nodes[0].members.read_by_all(log.now), Some(2), "as far as their ticks say");
    log.now += Duration::from_secs(1);
    log.tick(&mut nodes[1]);
    log.read(&mut nodes[0]);
    assert_eq!(nodes[0].members.read_by_all(log.now), Some(2), "the third has not");
    let silence = nodes[0].members.next_silence(log.now).unwrap();
    log.now = silence + Duration::from_millis(1);
    assert_eq!(nodes[0].members.read_by_all(log.now), Some(5), "it may match nothing any more");
    assert_eq!(nodes[0].members.silent_for(FRESH, log.now).map(|(slot, _)| slot).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_life_that_is_void_is_over() {
    let mut log = Log::new();
    let (mut one, mut two) = (Log::node("one", 1), Log::node("two", 2));
    log.hello(&one, 0);
    log.hello(&two, 1);
    log.read(&mut one);
    log.read(&mut two);
    log.tick(&mut one);
    log.tick(&mut two);
    log.read(&mut one);
    log.read(&mut two);
    assert!(one.members.is_eldest(log.now) && !two.members.is_eldest(log.now));
    log.records.push(Written::Void("one", Incarnation(7), 0));
    log.records.push(Written::Void("one", Incarnation(0), 0));
    assert_eq!(log.read(&mut two), [Change::Went(0, Incarnation(0))]);
    assert_eq!(log.read(&mut one), [Change::Went(0, Incarnation(0)), Change::Voided]);
    assert_eq!(one.members.fresh_until(), None);
    assert!(two.members.is_eldest(log.now));
    log.hello(&one, 0);
    log.read(&mut one);
    assert_eq!(one.members.own(), Some((0, Incarnation(6))));
}
