//! Who pays for what waits in shared groups.

use mqtt_codec::QoS;
use std::sync::Arc;

use crate::groups::burden::Burden;
use crate::groups::group::{Departure, Groups};
use crate::groups::members::Member;
use crate::ids::CopyId;
use crate::kept::Kept;
use crate::message::StoredMessage;
use crate::queue::{Identifiers, Queued};
use crate::settings::{SessionSettings, SharedStrategy};
use crate::testing::{key, options, publication};

fn member(index: u32, load: &Arc<Burden>) -> Member {
    Member {
        session: key(index),
        options: options(QoS::AtLeastOnce),
        identifier: 0,
        online: false,
        durable: true,
        burden: Arc::clone(load),
    }
}

fn queued() -> Queued {
    Queued {
        message: Arc::new(StoredMessage::new(&publication("t", "x", QoS::AtLeastOnce))),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group: None,
        replayed: false,
        recorded: CopyId::default(),
    }
}

/// Tries to let messages wait in a group. Returns how many found somebody who pays.
fn fill(groups: &mut Groups, name: &str, count: usize, limits: &SessionSettings) -> usize {
    let group = groups.find_mut(name).unwrap();
    let mut waiting = 0;
    for _ in 0..count {
        let queued = queued();
        if let Some(payer) = group.payer(queued.message.queued_bytes(), limits) {
            group.queue.push(queued, &payer, &Kept::default());
            waiting += 1;
        }
    }
    waiting
}

/// A client that is a member of very many groups has in all of them together what it may have in its own queue.
#[test]
fn many_groups_are_no_more_than_a_queue() {
    let limits = SessionSettings { queue_messages_max: 500, ..SessionSettings::default() };
    let (mut groups, load) = (Groups::new(SharedStrategy::RoundRobin), Burden::of(100));
    let names: Vec<String> = (0..1000).map(|number| format!("$share/g{number}/t")).collect();
    for name in &names {
        groups.join(0, &name.as_str().into(), "t", member(1, &load));
    }
    let waiting: usize = names.iter().map(|name| fill(&mut groups, name, 3, &limits)).sum();
    assert_eq!((waiting, load.in_groups().0), (400, 400), "100 are in its session");
    for name in &names {
        let Departure::Last(mut group) = groups.leave(name, key(1)) else { panic!("the only member") };
        while group.queue.pop(&Kept::default()).is_some() {}
    }
    assert_eq!(load.in_groups(), (0, 0));
}

/// Each member pays for its own queue's worth, one after the other; what one who leaves paid for the others pay for, as
/// far as they can.
#[test]
fn members_share_what_waits() {
    const NAME: &str = "$share/g/t";
    let limits = SessionSettings { queue_messages_max: 10, ..SessionSettings::default() };
    let (mut groups, loads) = (Groups::new(SharedStrategy::RoundRobin), [(); 3].map(|()| Burden::of(0)));
    for (index, load) in (0..).zip(&loads) {
        groups.join(0, &NAME.into(), "t", member(index, load));
    }
    assert_eq!(fill(&mut groups, NAME, 25, &limits), 25);
    let mut paid = loads.each_ref().map(|load| load.in_groups().0);
    paid.sort_unstable();
    assert_eq!(paid, [5, 10, 10]);
    assert_eq!(fill(&mut groups, NAME, 25, &limits), 5, "nobody has room for more");
    for (index, left, dropped) in [(0, 20, 10), (2, 10, 10)] {
        let Departure::Member(gone, group) = groups.leave(NAME, key(index)) else { panic!("others stay") };
        assert!(group.queue.note_leaving(&gone.burden));
        let (gone_too, goes_on) = group.charge_others(usize::MAX, &limits, &Kept::default());
        assert_eq!((gone_too.len(), goes_on), (dropped, false));
        assert_eq!(group.queue.len(), left);
        assert_eq!(gone.burden.in_groups(), (0, 0));
    }
    let group = groups.find_mut(NAME).unwrap();
    (0..6).for_each(|_| assert!(group.queue.pop(&Kept::default()).is_some()));
    // Now somebody has room who leaves something to another.
    groups.join(0, &NAME.into(), "t", member(7, &loads[0]));
    assert_eq!(loads[1].in_groups().0, 4);
    let Departure::Member(gone, group) = groups.leave(NAME, key(1)) else { panic!("another stays") };
    assert!(group.queue.note_leaving(&gone.burden));
    let (dropped, goes_on) = group.charge_others(usize::MAX, &limits, &Kept::default());
    assert!(dropped.is_empty() && !goes_on);
    assert_eq!((loads[0].in_groups().0, group.queue.len()), (4, 4));
}

/// However many members have no room: few are asked for each message, the next ones for the next.
#[test]
fn very_many_members_without_room() {
    const NAME: &str = "$share/g/t";
    let limits = SessionSettings { queue_messages_max: 1, ..SessionSettings::default() };
    let (mut groups, full, free) = (Groups::new(SharedStrategy::RoundRobin), Burden::of(1), Burden::of(0));
    for index in 0..10_000 {
        groups.join(0, &NAME.into(), "t", member(index, if index == 5000 { &free } else { &full }));
    }
    let mut asked = 0;
    while fill(&mut groups, NAME, 1, &limits) == 0 {
        asked += 1;
        assert!(asked <= 5000 / 8, "each is asked once");
    }
    assert_eq!(free.in_groups().0, 1);
}
