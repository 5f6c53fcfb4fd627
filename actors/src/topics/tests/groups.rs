//! Shared groups: who is a member, who gets a message, what may wait.

use mqtt_codec::QoS;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::message::StoredMessage;
use crate::sessions::{Identifiers, Queued, SessionKey};
use crate::settings::{SessionSettings, SharedStrategy};
use crate::testing::{key, options, publication};
use crate::topics::{Group, GroupKey, Groups, Member};
use SharedStrategy::{HashClient, HashTopic, LeastInflight, RoundRobin, Sticky};

const NAME: &str = "$share/g/t";

fn member(index: u32, online: bool, durable: bool, load: u32) -> Member {
    Member {
        session: key(index),
        options: options(QoS::AtLeastOnce),
        identifier: 0,
        online,
        durable,
        load: Arc::new(AtomicU32::new(load)),
    }
}

/// A group of members 0 to 3; 1 is offline.
fn group(groups: &mut Groups) -> &mut Group {
    for (index, load) in [(0, 5), (1, 0), (2, 3), (3, 9)] {
        groups.join(0, &NAME.into(), "t", member(index, index != 1, false, load));
    }
    groups.find_mut(NAME).unwrap()
}

fn chosen(group: &mut Group, strategy: SharedStrategy, topic: &str, tried: &[SessionKey]) -> Option<u32> {
    let message = publication(topic, "x", QoS::AtLeastOnce);
    let at = group.choose(strategy, &message, tried)?;
    Some(group.members()[at].session.index)
}

/// Whatever the strategy: nobody who was tried already, nobody who is offline, and nobody at all if none is left.
#[test]
fn only_those_who_can() {
    for strategy in [RoundRobin, LeastInflight, HashClient, HashTopic, Sticky] {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        let mut tried = Vec::new();
        for _ in 0..3 {
            let next = chosen(group, strategy, "t", &tried).expect("one is left");
            assert!(next != 1 && !tried.contains(&key(next)), "{strategy:?} {next} {tried:?}");
            tried.push(key(next));
        }
        assert_eq!(chosen(group, strategy, "t", &tried), None, "{strategy:?}");
        assert!(chosen(group, strategy, "t", &[]).is_some());
    }
}

/// Who was passed over is next in turn.
#[test]
fn round_robin_goes_on_behind_the_last() {
    let mut groups = Groups::default();
    let group = group(&mut groups);
    let order = [&[][..], &[key(2)], &[], &[], &[key(0), key(2)], &[]]
        .map(|tried| chosen(group, RoundRobin, "t", tried).unwrap());
    assert_eq!(order, [0, 3, 0, 2, 3, 0]);
}

/// With equal loads the members take turns.
#[test]
fn least_inflight() {
    let mut groups = Groups::default();
    let loads: Vec<_> = (0..3)
        .map(|index| {
            let member = member(index, true, false, 2);
            let load = Arc::clone(&member.load);
            groups.join(0, &NAME.into(), "t", member);
            load
        })
        .collect();
    let group = groups.find_mut(NAME).unwrap();
    let order: Vec<_> = (0..4).map(|_| chosen(group, LeastInflight, "t", &[]).unwrap()).collect();
    assert_eq!(order, [0, 1, 2, 0]);
    loads[2].store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(chosen(group, LeastInflight, "t", &[]), Some(2));
    assert_eq!(chosen(group, LeastInflight, "t", &[key(2)]), Some(0), "the next in turn of those left");
}

/// A topic name keeps to its member; all members get their share; who leaves moves nobody else's topic names.
#[test]
fn hash_topic() {
    let mut groups = Groups::default();
    let group = group(&mut groups);
    let of = |group: &mut Group, without: &[SessionKey]| -> BTreeMap<u32, u32> {
        (0..300)
            .map(|number| (number, chosen(group, HashTopic, &format!("t/{number}"), without).unwrap()))
            .collect()
    };
    let before = of(group, &[]);
    assert_eq!(before, of(group, &[]));
    for member in [0, 2, 3] {
        let share = before.values().filter(|chosen| **chosen == member).count();
        assert!((60..140).contains(&share), "{member}: {share}");
    }
    let without = of(group, &[key(3)]);
    assert!(before.iter().all(|(number, member)| *member == 3 || without[number] == *member));
}

/// Whichever bits of their hashes tell publishers apart, the members share them evenly.
#[test]
fn hash_client() {
    for shift in [0, 8, 16, 24, 32, 40, 48] {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        let mut shares = [0; 4];
        for publisher in 0..3000_u64 {
            let mut message = publication("t", "x", QoS::AtLeastOnce);
            message.publisher_hash = publisher << shift;
            let at = group.choose(HashClient, &message, &[]).unwrap();
            shares[group.members()[at].session.index as usize] += 1;
        }
        let [one, _, two, three] = shares;
        assert!([one, two, three].iter().all(|share| (850..1150).contains(share)), "{shift}: {shares:?}");
    }
}

/// One member as long as it can; then another, and that one from then on.
#[test]
fn sticky() {
    let mut groups = Groups::default();
    let group = group(&mut groups);
    let order = [&[][..], &[], &[key(0)], &[], &[]].map(|tried| chosen(group, Sticky, "t", tried).unwrap());
    assert_eq!(order, [0, 0, 2, 2, 2]);
}

/// Who joins again is changed, and no second member.
#[test]
fn joining_again() {
    let mut groups = Groups::default();
    let full: Arc<str> = NAME.into();
    groups.join(4, &full, "t", member(1, true, false, 0));
    let key_before = groups.find_mut(NAME).unwrap().key;
    let group = groups.join(4, &full, "t", Member { identifier: 9, ..member(1, false, true, 0) });
    assert_eq!((group.members().len(), group.key), (1, key_before));
    assert_eq!((group.members()[0].identifier, group.members()[0].online), (9, false));
    assert_eq!((&*group.full_filter, &*group.filter, group.key.home), (NAME, "t", 4));
    assert_eq!(groups.iter().count(), 1);
}

/// Whether a message may wait for somebody.
#[test]
fn durable_members() {
    let mut groups = Groups::default();
    assert!(!group(&mut groups).has_durable_member());
    assert!(groups.set_state(NAME, key(2), true, true).is_some_and(|group| group.has_durable_member()));
    let group = groups.set_state(NAME, key(2), false, false).unwrap();
    assert!(!group.has_durable_member());
    assert!(!group.members()[2].online);
    assert!(groups.set_state(NAME, key(7), true, true).is_none(), "no member");
    assert!(groups.set_state("$share/other/t", key(2), true, true).is_none(), "no group");
}

/// A group's key names it and none that comes after it; its place is used again.
#[test]
fn keys_of_groups() {
    let mut groups = Groups::default();
    let mut join = |name: &str| {
        groups.join(0, &name.into(), "t", member(1, true, false, 0));
        groups.find_mut(name).unwrap().key
    };
    let (first, second) = (join("$share/one/t"), join("$share/two/t"));
    assert_ne!(first, second);
    assert_eq!(groups.get_mut(first).map(|group| group.key), Some(first));
    assert_eq!(groups.get(second).map(|group| group.key), Some(second));
    assert!(groups.get(GroupKey { index: 99, ..second }).is_none());
    assert!(groups.leave("$share/one/t", key(2)).is_none(), "no member");
    let gone = groups.leave("$share/one/t", key(1)).expect("the last member takes it along");
    assert_eq!(gone.key, first);
    assert!(groups.leave("$share/one/t", key(1)).is_none());
    assert!(groups.get_mut(first).is_none());
    groups.join(0, &"$share/three/t".into(), "t", member(1, true, false, 0));
    let third = groups.find_mut("$share/three/t").unwrap().key;
    assert_eq!(third.index, first.index);
    assert!(groups.get_mut(first).is_none() && groups.get_mut(third).is_some());
    groups.iter().for_each(|group| assert!(group.key == second || group.key == third));
    assert_eq!(groups.iter().count(), 2);
}

/// The last group of all leaves no memory behind, but for what its successors must not be called.
#[test]
fn keys_are_not_given_twice() {
    let mut groups = Groups::default();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let group = groups.join(0, &NAME.into(), "t", member(1, true, false, 0));
        assert!(!seen.contains(&group.key));
        seen.push(group.key);
        assert!(groups.leave(NAME, key(1)).is_some());
    }
}

fn queued(payload: &str) -> Queued {
    Queued {
        message: Arc::new(StoredMessage::new(&publication("t", payload, QoS::AtLeastOnce))),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group: None,
    }
}

/// What waits in groups is bounded by number and bytes; one message finds room however large it is.
#[test]
fn what_waits() {
    let mut groups = Groups::default();
    let bytes = queued("x").message.queued_bytes();
    let limits =
        SessionSettings { queue_messages_max: 2, queue_bytes_max: 2 * bytes, ..SessionSettings::default() };
    group(&mut groups);
    groups.join(0, &"$share/other/t".into(), "t", member(1, true, true, 0)).queue.push(queued("x"));
    let group = groups.find_mut(NAME).unwrap();
    assert!(group.has_room(100 * bytes, &limits));
    group.queue.push(queued("x"));
    assert!(group.has_room(bytes, &limits));
    assert!(!group.has_room(bytes + 1, &limits));
    group.queue.push(queued("x"));
    assert!(!group.has_room(0, &limits), "two is the most");
    assert_eq!(groups.waiting(), 3);
    let none = SessionSettings { queue_messages_max: 0, ..limits };
    assert!(!Groups::default().join(0, &NAME.into(), "t", member(1, true, true, 0)).has_room(1, &none));
}
