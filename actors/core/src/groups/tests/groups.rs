//! Shared groups: who is a member, who gets a message, what may wait.

use mqtt_codec::QoS;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::groups::burden::Burden;
use crate::groups::group::{Departure, Group, Groups};
use crate::groups::members::{Choice, Chosen, Member, MemberRoom};
use crate::ids::CopyId;
use crate::ids::{GroupKey, SessionKey};
use crate::kept::Kept;
use crate::message::StoredMessage;
use crate::queue::{Identifiers, Queued};
use crate::settings::{SessionSettings, SharedStrategy};
use crate::testing::{key, options, publication};
use SharedStrategy::{HashClient, HashTopic, LeastInflight, RoundRobin, Sticky};

const NAME: &str = "$share/g/t";
const ALL: [SharedStrategy; 5] = [RoundRobin, LeastInflight, HashClient, HashTopic, Sticky];

fn member(index: u32, online: bool, durable: bool, load: u32) -> Member {
    Member {
        session: key(index),
        options: options(QoS::AtLeastOnce),
        identifier: 0,
        online,
        durable,
        burden: Burden::of(load),
    }
}

/// A group of members 0 to 3; 1 is offline.
fn group(groups: &mut Groups) -> &mut Group {
    for (index, load) in [(0, 5), (1, 0), (2, 3), (3, 9)] {
        groups.join(0, &NAME.into(), "t", member(index, index != 1, false, load));
    }
    groups.find_mut(NAME).unwrap()
}

/// Who gets a message, if those members have no room.
fn chosen(group: &mut Group, topic: &str, full: &[u32]) -> Option<u32> {
    let message = publication(topic, "x", QoS::AtLeastOnce);
    let room = |member: &Member| match full.contains(&member.session.index) {
        true => MemberRoom::Full,
        false => MemberRoom::Free,
    };
    match group.choose(&message, room, |_| false).choice {
        Choice::Member(at) => Some(group.member(at).session.index),
        Choice::HeldUp(_) | Choice::Nobody => None,
    }
}

/// Whatever the strategy: nobody who is full, nobody who is offline, and one of the full if there is nobody else.
#[test]
fn only_those_who_can() {
    for strategy in ALL {
        let mut groups = Groups::new(strategy);
        let group = group(&mut groups);
        let mut full = Vec::new();
        for _ in 0..3 {
            let next = chosen(group, "t", &full).expect("one is left");
            assert!(next != 1 && !full.contains(&next), "{strategy:?} {next} {full:?}");
            full.push(next);
        }
        assert!(chosen(group, "t", &full).is_some_and(|next| next != 1), "{strategy:?}");
        assert_eq!(chosen(group, "t", &full[..2]), Some(full[2]), "{strategy:?}: it has room again");
        for index in [0, 2, 3] {
            group_of(&mut groups).note(index, false);
        }
        assert_eq!(chosen(groups.find_mut(NAME).unwrap(), "t", &[]), None);
    }
}

/// A member that has just left is not chosen, nor waited for; the group finds that out before it is told.
#[test]
fn who_has_just_left() {
    for strategy in ALL {
        let mut groups = Groups::new(strategy);
        let group = group(&mut groups);
        let message = publication("t", "x", QoS::AtLeastOnce);
        let gone = |group: &mut Group| group.choose(&message, |_| MemberRoom::Gone, |_| false);
        assert_eq!(gone(group).choice, Choice::Nobody, "{strategy:?}");
        assert!(!group.is_any_online());
        assert_eq!(gone(group), Chosen { choice: Choice::Nobody, looked_at: 0 }, "nobody is looked at twice");
        groups.set_state(NAME, key(2), true, false);
        assert_eq!(chosen(groups.find_mut(NAME).unwrap(), "t", &[]), Some(2));
    }
}

#[test]
fn round_robin_skips_members_that_are_offline() {
    let mut groups = Groups::new(RoundRobin);
    let group = group(&mut groups);
    let order: Vec<_> = (0..6).map(|_| chosen(group, "t", &[]).unwrap()).collect();
    assert_eq!(order, [0, 2, 3, 0, 2, 3]);
}

/// Who was passed over comes before those that had messages meanwhile, once.
#[test]
fn round_robin_goes_on_with_who_was_passed_over() {
    let mut groups = Groups::new(RoundRobin);
    let group = group(&mut groups);
    let order = [&[][..], &[2], &[], &[], &[0, 2], &[], &[]].map(|full| chosen(group, "t", full).unwrap());
    assert_eq!(order, [0, 3, 2, 0, 3, 2, 0]);
}

/// With equal loads the members take turns; loads are what their workers write, whenever that is.
#[test]
fn least_inflight() {
    let mut groups = Groups::new(LeastInflight);
    let loads: Vec<_> = (0..3)
        .map(|index| {
            let member = member(index, true, false, 2);
            let burden = Arc::clone(&member.burden);
            groups.join(0, &NAME.into(), "t", member);
            burden
        })
        .collect();
    let write = |of: usize, load: u32| loads[of].waiting.store(load, std::sync::atomic::Ordering::Relaxed);
    let group = groups.find_mut(NAME).unwrap();
    let order: Vec<_> = (0..4).map(|_| chosen(group, "t", &[]).unwrap()).collect();
    assert_eq!(order, [0, 1, 2, 0]);
    write(2, 1);
    assert_eq!([(); 2].map(|()| chosen(group, "t", &[])), [Some(2); 2]);
    assert_eq!(chosen(group, "t", &[2]), Some(1), "the next in turn of those left");
    write(2, 7);
    write(0, 3);
    assert_eq!([(); 2].map(|()| chosen(group, "t", &[])), [Some(1); 2]);
}

/// In a large group what a member has worked off is known a little later.
#[test]
fn least_inflight_of_very_many() {
    let mut groups = Groups::new(LeastInflight);
    for index in 0..1000 {
        groups.join(0, &NAME.into(), "t", member(index, true, false, 5));
    }
    let light = groups.find_mut(NAME).unwrap().members().nth(777).unwrap().clone();
    light.burden.waiting.store(0, std::sync::atomic::Ordering::Relaxed);
    let group = groups.find_mut(NAME).unwrap();
    let found = (0..1000 / 16 + 1).position(|_| chosen(group, "t", &[]) == Some(light.session.index));
    assert!(found.is_some());
    assert_eq!(chosen(group, "t", &[]), Some(light.session.index));
}

/// A topic name keeps to its member; all members get their share; who leaves moves nobody else's topic names, and has
/// its own again when it comes back.
#[test]
fn hash_topic() {
    let mut groups = Groups::new(HashTopic);
    group(&mut groups);
    let of = |groups: &mut Groups| -> BTreeMap<u32, u32> {
        let group = groups.find_mut(NAME).unwrap();
        (0..3000).map(|number| (number, chosen(group, &format!("t/{number}"), &[]).unwrap())).collect()
    };
    let before = of(&mut groups);
    assert_eq!(before, of(&mut groups));
    for member in [0, 2, 3] {
        let share = before.values().filter(|chosen| **chosen == member).count();
        assert!((850..1150).contains(&share), "{member}: {share}");
    }
    group_of(&mut groups).note(3, false);
    let without = of(&mut groups);
    assert!(before.iter().all(|(number, member)| *member == 3 || without[number] == *member));
    group_of(&mut groups).note(1, true);
    group_of(&mut groups).note(3, true);
    let with_one = of(&mut groups);
    assert!(before.iter().all(|(number, member)| [1, *member].contains(&with_one[number])));
}

/// Of very many members none has much more than its share, and they go one by one without a share moving that is not
/// theirs.
#[test]
fn hash_topic_with_very_many() {
    let mut groups = Groups::new(HashTopic);
    for index in 0..1000 {
        groups.join(0, &NAME.into(), "t", member(index, true, false, 0));
    }
    let topics: Vec<String> = (0..20_000).map(|number| format!("t/{number}")).collect();
    let of = |groups: &mut Groups| -> Vec<u32> {
        let group = groups.find_mut(NAME).unwrap();
        topics.iter().map(|topic| chosen(group, topic, &[]).unwrap()).collect()
    };
    let before = of(&mut groups);
    let mut shares = vec![0; 1000];
    before.iter().for_each(|member| shares[*member as usize] += 1);
    assert!(shares.iter().all(|share| (3..=50).contains(share)), "about 20 each: {shares:?}");
    (0..500).for_each(|index| assert!(matches!(groups.leave(NAME, key(2 * index)), Departure::Member(..))));
    let after = of(&mut groups);
    assert!(before.iter().zip(&after).all(|(before, after)| before % 2 == 0 || before == after));
}

/// Whichever bits of their hashes tell publishers apart, the members share them evenly.
#[test]
fn hash_client() {
    for shift in [0, 8, 16, 24, 32, 40, 48] {
        let mut groups = Groups::new(HashClient);
        let group = group(&mut groups);
        let mut shares = [0; 4];
        for publisher in 0..3000_u64 {
            let mut message = publication(if publisher % 2 == 0 { "t" } else { "u" }, "x", QoS::AtLeastOnce);
            message.publisher_hash = publisher << shift;
            let Choice::Member(at) = group.choose(&message, |_| MemberRoom::Free, |_| false).choice else {
                panic!("nobody is chosen");
            };
            shares[group.member(at).session.index as usize] += 1;
        }
        let [one, _, two, three] = shares;
        assert!([one, two, three].iter().all(|share| (850..1150).contains(share)), "{shift}: {shares:?}");
    }
}

/// One member as long as it can; then another, and that one from then on.
#[test]
fn sticky() {
    let mut groups = Groups::new(Sticky);
    let group = group(&mut groups);
    let order = [&[][..], &[], &[0], &[], &[]].map(|full| chosen(group, "t", full).unwrap());
    assert_eq!(order, [0, 0, 2, 2, 2]);
    groups.set_state(NAME, key(2), false, false);
    let group = groups.find_mut(NAME).unwrap();
    assert_eq!([(); 2].map(|()| chosen(group, "t", &[])), [Some(0); 2], "who was passed over");
}

fn far(index: u32) -> SessionKey {
    SessionKey { worker: 1, ..key(index) }
}

/// 10,000 members of a worker that has no room, 10,000 that are full, 10,000 that have just left and 10,000 offline:
/// whoever is left is found for each of very many messages, and nobody is looked at again and again.
#[test]
fn very_many_members_that_cannot() {
    const MANY: u32 = 10_000;
    for strategy in ALL {
        let mut groups = Groups::new(strategy);
        for index in 0..MANY {
            let other = Member { session: far(index), ..member(0, true, false, 1) };
            groups.join(0, &NAME.into(), "t", other);
            groups.join(0, &NAME.into(), "t", member(index, true, false, 1));
            groups.join(0, &NAME.into(), "t", member(MANY + index, true, false, 1));
            groups.join(0, &NAME.into(), "t", member(2 * MANY + index, false, true, 1));
        }
        groups.join(0, &NAME.into(), "t", member(3 * MANY, true, false, 100));
        let group = groups.find_mut(NAME).unwrap();
        let room = |member: &Member| match member.session.index {
            index if index < MANY => MemberRoom::Full,
            index if index < 2 * MANY => MemberRoom::Gone,
            _ => MemberRoom::Free,
        };
        let (mut looked_at, mut delivered, mut rounds) = (0, 0, 0);
        let full_or_gone = 2 * MANY as usize;
        while delivered < 1000 {
            let topic = format!("t/{rounds}");
            let message = publication(&topic, "x", QoS::AtLeastOnce);
            let chosen = group.choose(&message, room, |worker| worker == 1);
            looked_at += chosen.looked_at;
            rounds += 1;
            match chosen.choice {
                Choice::Member(at) => {
                    assert_eq!(group.member(at).session, key(3 * MANY), "{strategy:?}");
                    delivered += 1;
                }
                Choice::HeldUp(workers) => assert_eq!(workers, 2, "{strategy:?}"),
                Choice::Nobody => panic!("somebody is online"),
            }
            assert!(rounds < 3 * MANY, "{strategy:?}");
        }
        // Each once to find out; 8 that were full again, and what choosing itself looks at, for each message.
        let bound = full_or_gone + rounds as usize * (8 + 16 + 16 + 2);
        assert!(looked_at <= bound, "{strategy:?}: {looked_at} in place of {bound}");
        // Now that it is known who is what, even less.
        let one = group.choose(&publication("t", "x", QoS::AtLeastOnce), room, |worker| worker == 1);
        assert!(one.looked_at <= 8 + 16 + 16 + 2, "{strategy:?}: {one:?}");
    }
}

/// Members of a worker that has no room are waited for only if nobody else can.
#[test]
fn a_worker_without_room() {
    for strategy in ALL {
        let mut groups = Groups::new(strategy);
        for member in [member(0, true, false, 5), Member { session: far(1), ..member(1, true, false, 0) }] {
            groups.join(0, &NAME.into(), "t", member);
        }
        let group = groups.find_mut(NAME).unwrap();
        let message = publication("t", "x", QoS::AtLeastOnce);
        let mut choose = |room: MemberRoom, full: u16| {
            let choice = group.choose(&message, |_| room, |worker| worker == full).choice;
            match choice {
                Choice::Member(at) => Ok(group.member(at).session),
                other => Err(other),
            }
        };
        for _ in 0..3 {
            assert_eq!(choose(MemberRoom::Free, 1), Ok(key(0)), "{strategy:?}");
            assert_eq!(choose(MemberRoom::Free, 0), Ok(far(1)), "{strategy:?}");
            assert_eq!(choose(MemberRoom::Full, 1), Err(Choice::HeldUp(0b10)), "{strategy:?}");
        }
    }
}

/// Members that may hold something, and only those: they were given something, have something, and are offline.
#[test]
fn who_is_asked_to_give_back() {
    let mut groups = Groups::new(RoundRobin);
    let members: Vec<Member> = (0..4).map(|index| member(index, true, true, 0)).collect();
    members.iter().for_each(|member| _ = groups.join(0, &NAME.into(), "t", member.clone()));
    let group = groups.find_mut(NAME).unwrap();
    for _ in 0..3 {
        let message = publication("t", "x", QoS::AtLeastOnce);
        let Choice::Member(at) = group.choose(&message, |_| MemberRoom::Free, |_| false).choice else {
            panic!("nobody is chosen");
        };
        group.give(at);
    }
    // 0, 1 and 2 were given something; 0 has acknowledged it, and 3 has something else.
    for has_something in [1, 2, 3] {
        members[has_something].burden.waiting.store(1, std::sync::atomic::Ordering::Relaxed);
    }
    for index in 0..4 {
        groups.set_state(NAME, key(index), false, true);
    }
    groups.set_state(NAME, key(2), true, true);
    let group = groups.find_mut(NAME).unwrap();
    assert!(group.has_holders());
    assert_eq!([group.take_holder(), group.take_holder()], [Some(key(1)), None]);
    assert!(!group.has_holders());
    // Anew, each time it goes.
    groups.set_state(NAME, key(1), true, true);
    groups.set_state(NAME, key(1), false, true);
    assert_eq!(groups.find_mut(NAME).unwrap().take_holder(), Some(key(1)));
    groups.set_state(NAME, key(1), false, true);
    groups.leave(NAME, key(1));
    assert!(!groups.find_mut(NAME).unwrap().has_holders(), "who left is not asked");
}

/// The group as tests change it.
struct Changed<'a>(&'a mut Groups);

fn group_of(groups: &mut Groups) -> Changed<'_> {
    Changed(groups)
}

impl Changed<'_> {
    fn note(&mut self, index: u32, online: bool) {
        assert!(self.0.set_state(NAME, key(index), online, false).is_some());
    }
}

/// Who joins again is changed, and no second member.
#[test]
fn joining_again() {
    let mut groups = Groups::new(RoundRobin);
    let full: Arc<str> = NAME.into();
    groups.join(4, &full, "t", member(1, true, false, 0));
    let key_before = groups.find_mut(NAME).unwrap().key;
    let group = groups.join(4, &full, "t", Member { identifier: 9, ..member(1, false, true, 0) });
    assert_eq!((group.members().count(), group.key), (1, key_before));
    let only = group.members().next().unwrap();
    assert_eq!((only.identifier, only.online, only.durable), (9, false, true));
    assert_eq!((&*group.full_filter, &*group.filter, group.key.home), (NAME, "t", 4));
    assert_eq!(groups.iter().count(), 1);
}

/// Whether a message may wait for somebody.
#[test]
fn durable_members() {
    let mut groups = Groups::new(RoundRobin);
    assert!(!group(&mut groups).has_durable_member());
    assert!(groups.set_state(NAME, key(2), true, true).is_some_and(|group| group.has_durable_member()));
    let group = groups.set_state(NAME, key(2), false, false).unwrap();
    assert!(!group.has_durable_member());
    assert!(!group.members().any(|member| member.session == key(2) && member.online));
    assert!(groups.set_state(NAME, key(7), true, true).is_none(), "no member");
    assert!(groups.set_state("$share/other/t", key(2), true, true).is_none(), "no group");
}

/// A group's key names it and none that comes after it; its place is used again.
#[test]
fn keys_of_groups() {
    let mut groups = Groups::new(RoundRobin);
    let mut join = |name: &str| {
        groups.join(0, &name.into(), "t", member(1, true, false, 0));
        groups.find_mut(name).unwrap().key
    };
    let (first, second) = (join("$share/one/t"), join("$share/two/t"));
    assert_ne!(first, second);
    assert_eq!(groups.get_mut(first).map(|group| group.key), Some(first));
    assert_eq!(groups.get(second).map(|group| group.key), Some(second));
    assert!(groups.get(GroupKey { index: 99, ..second }).is_none());
    assert!(matches!(groups.leave("$share/one/t", key(2)), Departure::NoMember));
    let Departure::Last(gone) = groups.leave("$share/one/t", key(1)) else {
        panic!("the last takes it along")
    };
    assert_eq!(gone.key, first);
    assert!(matches!(groups.leave("$share/one/t", key(1)), Departure::NoMember));
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
    let mut groups = Groups::new(RoundRobin);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let group = groups.join(0, &NAME.into(), "t", member(1, true, false, 0));
        assert!(!seen.contains(&group.key));
        seen.push(group.key);
        assert!(matches!(groups.leave(NAME, key(1)), Departure::Last(_)));
    }
}

fn queued(payload: &str) -> Queued {
    Queued {
        message: Arc::new(StoredMessage::new(&publication("t", payload, QoS::AtLeastOnce))),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group: None,
        replayed: false,
        recorded: CopyId::default(),
    }
}

/// What waits in groups is bounded by number and bytes; one message finds room however large it is.
#[test]
fn what_waits() {
    let mut groups = Groups::new(RoundRobin);
    let bytes = queued("x").message.queued_bytes();
    let limits =
        SessionSettings { queue_messages_max: 2, queue_bytes_max: 2 * bytes, ..SessionSettings::default() };
    group(&mut groups);
    groups.join(0, &"$share/other/t".into(), "t", member(1, true, true, 0)).queue.push(
        queued("x"),
        &Burden::of(0),
        &Kept::default(),
    );
    let group = groups.find_mut(NAME).unwrap();
    assert!(group.has_room(100 * bytes, &limits));
    group.queue.push(queued("x"), &Burden::of(0), &Kept::default());
    assert!(group.has_room(bytes, &limits));
    assert!(!group.has_room(bytes + 1, &limits));
    group.queue.push(queued("x"), &Burden::of(0), &Kept::default());
    assert!(!group.has_room(0, &limits), "two is the most");
    assert_eq!(groups.waiting(), 3);
    let none = SessionSettings { queue_messages_max: 0, ..limits };
    assert!(!Groups::new(RoundRobin).join(0, &NAME.into(), "t", member(1, true, true, 0)).has_room(1, &none));
}
