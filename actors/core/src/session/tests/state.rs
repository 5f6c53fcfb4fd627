//! The smaller parts of a session's state.

use mqtt_codec::PacketIdentifier;
use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::session::incoming::IncomingIdentifiers;
use crate::session::inflight::{Inflight, InflightEntry, Owed};
use crate::testing::id;

proptest! {
    /// [MQTT-4.3.3-10] Which incoming QoS 2 messages were not released, and from which network connection they came.
    #[test]
    fn incoming_identifiers_behave_like_a_map(
        steps in proptest::collection::vec((any::<bool>(), 1..200u16, 0..3u32), 1..400),
    ) {
        let mut incoming = IncomingIdentifiers::default();
        let mut model = BTreeMap::new();
        for (insert, identifier, epoch) in steps {
            prop_assert_eq!(incoming.contains(id(identifier)), model.contains_key(&identifier));
            if insert {
                prop_assert_eq!(incoming.insert(id(identifier), epoch), model.insert(identifier, epoch));
            } else {
                prop_assert_eq!(incoming.remove(id(identifier)), model.remove(&identifier));
            }
            prop_assert_eq!(incoming.contains(id(identifier)), insert);
            prop_assert_eq!(incoming.count(), model.len());
        }
    }
}

/// A client that had very many exchanges open at a time leaves no memory behind, nor a trace.
#[test]
fn incoming_identifiers_after_a_burst() {
    let mut incoming = IncomingIdentifiers::default();
    assert_eq!((incoming.count(), incoming.remove(id(1))), (0, None));
    for round in 0..2 {
        for identifier in 1..=500 {
            assert_eq!(incoming.insert(id(identifier), round), None);
        }
        for identifier in 1..=500 {
            assert_eq!(incoming.remove(id(identifier)), Some(round));
        }
        assert_eq!((incoming.count(), incoming.contains(id(1))), (0, false));
    }
}

fn entry(on_wire: bool) -> InflightEntry {
    InflightEntry { owed: Owed::PubAck, on_wire, own: false, kept: None }
}

proptest! {
    /// What is in flight is a list in the order sent, each with what is owed for it and whether it is on the wire.
    #[test]
    fn inflight_behaves_like_a_list(
        steps in proptest::collection::vec((0..6u8, any::<usize>(), any::<bool>()), 1..200),
    ) {
        let mut inflight = Inflight::default();
        let mut model: Vec<(PacketIdentifier, Owed, bool)> = Vec::new();
        for (step, choice, on_wire) in steps {
            match step {
                0 | 1 => model.push((inflight.push(entry(on_wire)), Owed::PubAck, on_wire)),
                2 if !model.is_empty() => {
                    let (identifier, owed, _) = model.remove(choice % model.len());
                    let removed = inflight.remove(identifier);
                    prop_assert_eq!(removed.map(|entry| entry.owed), Some(owed));
                    prop_assert!(inflight.remove(identifier).is_none());
                    prop_assert!(inflight.update(identifier, |_| ()).is_none());
                }
                3 if !model.is_empty() => {
                    let at = choice % model.len();
                    model[at] = (model[at].0, Owed::PubComp, on_wire);
                    let updated = inflight.update(model[at].0, |entry| {
                        (entry.owed, entry.on_wire) = (Owed::PubComp, on_wire);
                        7
                    });
                    prop_assert_eq!(updated, Some(7));
                }
                4 => {
                    inflight.forget_wire();
                    model.iter_mut().for_each(|(.., on_wire)| *on_wire = false);
                }
                _ => {}
            }
            prop_assert_eq!((inflight.len(), inflight.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(inflight.on_wire(), model.iter().filter(|(.., on_wire)| *on_wire).count());
            let identifiers: Vec<_> = model.iter().map(|(identifier, ..)| *identifier).collect();
            prop_assert_eq!(inflight.identifiers(), identifiers);
            for (identifier, owed, on_wire) in &model {
                let held = inflight.get(*identifier);
                prop_assert_eq!(held.map(|entry| (entry.owed, entry.on_wire)), Some((*owed, *on_wire)));
            }
        }
    }
}

/// Two messages stay unacknowledged while packet identifiers wrap around twice: theirs are passed over, and they stay
/// first in the order sent, and reachable.
#[test]
fn identifiers_wrap_around_what_is_stuck() {
    let mut inflight = Inflight::default();
    let (first, second) = (inflight.push(entry(true)), inflight.push(entry(true)));
    let mut previous = second.get();
    for _ in 0..140_000 {
        let identifier = inflight.push(entry(true));
        let expected = if previous == 65_535 { 3 } else { previous + 1 };
        assert_eq!(identifier.get(), expected);
        previous = identifier.get();
        assert!(inflight.remove(identifier).is_some());
    }
    let last = inflight.push(entry(true));
    assert_eq!(inflight.identifiers(), [first, second, last]);
    assert_eq!((inflight.len(), inflight.on_wire()), (3, 3));
    assert_eq!(inflight.get(second).map(|entry| entry.owed), Some(Owed::PubAck));
    assert_eq!(inflight.update(first, |entry| entry.on_wire = false), Some(()));
    assert_eq!(inflight.on_wire(), 2);
    inflight.forget_wire();
    assert_eq!(inflight.on_wire(), 0);
    assert!(inflight.get(second).is_some_and(|entry| !entry.on_wire));
    for identifier in [second, first, last] {
        assert!(inflight.remove(identifier).is_some());
    }
    assert!(inflight.is_empty() && inflight.identifiers().is_empty());
}

/// As many in flight as there may be: each has an identifier of its own.
#[test]
fn all_identifiers_in_use() {
    let mut inflight = Inflight::default();
    let mut seen = vec![false; 65_536];
    for _ in 0..65_534 {
        let identifier = usize::from(inflight.push(entry(true)).get());
        assert!(!std::mem::replace(&mut seen[identifier], true), "{identifier} was in use");
    }
    // One in the middle is settled; the next message gets one of the two that are free.
    assert!(inflight.remove(id(30_000)).is_some());
    let next = inflight.push(entry(true)).get();
    assert!(next == 30_000 || next == 65_535, "{next} is in use");
    assert_eq!(inflight.len(), 65_534);
}
