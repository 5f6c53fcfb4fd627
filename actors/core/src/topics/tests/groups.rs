//! Messages of shared groups: one member gets each, wherever it lives, and what nobody can take waits or goes on.

use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};

use super::workers::Workers;
use crate::ids::SessionKey;
use crate::ledger::DropReason;
use crate::settings::Settings;
use crate::testing::publication;

/// Members of one group, one at each worker, and a publisher; the group is at home at this worker.
fn with_members(home: u16) -> (Workers, SessionKey, [SessionKey; 2]) {
    let mut workers = Workers::with_tries(Settings::default());
    let publisher = workers.connect("publisher", 0);
    let members = [workers.connect("near", 60), workers.connect_at(1, "far", 60)];
    let group = workers.group_at(home);
    members.iter().for_each(|member| workers.subscribe(*member, &[&group]));
    workers.settle();
    (workers, publisher, members)
}

fn publish(workers: &mut Workers, publisher: SessionKey, payloads: &[&str]) {
    let publications: Vec<_> =
        payloads.iter().map(|payload| publication("t", payload, AtLeastOnce)).collect();
    workers.publish(publisher, &publications);
    workers.settle();
}

/// What a member has, sent or not.
fn waiting(workers: &mut Workers, member: SessionKey) -> u64 {
    workers.with(member, |session| session.waiting())
}

/// [MQTT-4.8.2-4] Each message comes to one member, and members of both workers have their turns.
#[test]
fn one_member_gets_each_message() {
    for home in [0, 1] {
        let (mut workers, publisher, members) = with_members(home);
        publish(&mut workers, publisher, &["1", "2", "3", "4"]);
        let mut all: Vec<String> = members.iter().flat_map(|member| workers.read(*member)).collect();
        let shares = members.map(|member| waiting(&mut workers, member));
        assert_eq!(shares, [2, 2], "at home at {home}");
        all.iter_mut().for_each(|text| text.truncate(3));
        all.sort();
        assert_eq!(all, ["t=1", "t=2", "t=3", "t=4"]);
    }
}

/// What a member offline holds of a group comes back to it, and goes to another one.
#[test]
fn what_a_member_offline_holds_goes_to_another() {
    for home in [0, 1] {
        let (mut workers, publisher, [near, far]) = with_members(home);
        publish(&mut workers, publisher, &["1", "2", "3", "4"]);
        workers.read(far);
        workers.lose(far, false);
        workers.settle();
        assert_eq!((waiting(&mut workers, near), waiting(&mut workers, far)), (4, 0), "at home at {home}");
        assert_eq!(workers.read(near).len(), 4);
    }
}

/// With all members offline messages wait in the group, and come to whoever is there first.
#[test]
fn what_nobody_can_take_waits_in_the_group() {
    for home in [0, 1] {
        let (mut workers, publisher, members) = with_members(home);
        members.iter().for_each(|member| workers.lose(*member, false));
        workers.settle();
        publish(&mut workers, publisher, &["1", "2"]);
        let group = workers.group_at(home);
        let waits = |workers: &mut Workers| {
            workers.states[usize::from(home)].groups.find_mut(&group).unwrap().queue.len()
        };
        assert_eq!(waits(&mut workers), 2);
        workers.with(members[1], |session| {
            session.online = Some(crate::testing::online(mqtt_codec::ProtocolVersion::V5));
        });
        workers.states[1].tell_groups(members[1]);
        workers.settle();
        assert_eq!((waits(&mut workers), waiting(&mut workers, members[1])), (0, 2));
    }
}

/// The last member takes what waits with it; a publish behind it has no match.
#[test]
fn a_group_without_members_is_gone() {
    let (mut workers, publisher, [near, far]) = with_members(0);
    workers.lose(near, false);
    workers.lose(far, false);
    workers.settle();
    publish(&mut workers, publisher, &["1"]);
    workers.read(publisher);
    workers.states[0].end_session(near);
    workers.states[1].end_session(far);
    workers.settle();
    assert_eq!(workers.own().ledger.dropped(DropReason::SharedGroupEmpty), 1);
    assert_eq!(workers.own().groups.len(), 0);
    publish(&mut workers, publisher, &["2"]);
    assert_eq!(workers.read(publisher), ["PUBACK 1 0x10"]);
}

/// QoS 0 does not wait for a member that is offline.
#[test]
fn at_most_once_does_not_wait_in_a_group() {
    let mut settings = Settings::default();
    settings.session.queue_qos0_offline = false;
    let mut workers = Workers::with_tries(settings);
    let (publisher, member) = (workers.connect("publisher", 0), workers.connect("member", 60));
    let group = workers.group_at(1);
    workers.subscribe(member, &[&group]);
    workers.lose(member, false);
    workers.settle();
    workers.publish(publisher, &[publication("t", "x", AtMostOnce)]);
    workers.settle();
    assert_eq!(workers.states[1].ledger.dropped(DropReason::Offline), 1);
}
