//! What a member of shared subscriptions gives back when it goes.

use mqtt_codec::{QoS, ReasonCode};

use crate::ids::GroupKey;
use crate::queue::Queued;
use crate::session::LeftToGive;
use crate::session::deliver::Wanted;
use crate::session::state::Session;
use crate::testing::{Office, group, id, publication, session, wanted};
use QoS::{AtLeastOnce, ExactlyOnce};

fn payloads(returned: &[Queued]) -> Vec<String> {
    returned
        .iter()
        .map(|queued| String::from_utf8_lossy(queued.message.publication().payload.as_slice()).into_owned())
        .collect()
}

/// All that may go to another member, looked through one by one.
fn give_back(session: &mut Session, office: &Office, wanted: impl Fn(GroupKey) -> bool) -> Vec<Queued> {
    let (mut left, mut returned) = (Some(LeftToGive::default()), Vec::new());
    while left.is_some() {
        returned.extend(session.give_back(&wanted, &mut left, 1, &office.ledger));
    }
    returned
}

/// In flight: `a` of group 1, `b` of group 1 with QoS 2, `c` of no group, `d` of group 2. Queued: `e` of group 1, `f` of
/// none, `g` of group 2 with QoS 2.
fn member() -> (Office, Session) {
    let (mut office, mut session) = (Office::new(), session(60));
    session.online.as_mut().unwrap().inflight_max = 4;
    for (payload, share, qos) in [
        ("a", Some(1), AtLeastOnce),
        ("b", Some(1), ExactlyOnce),
        ("c", None, AtLeastOnce),
        ("d", Some(2), AtLeastOnce),
        ("e", Some(1), AtLeastOnce),
        ("f", None, AtLeastOnce),
        ("g", Some(2), ExactlyOnce),
    ] {
        let wanted = Wanted { group: share.map(group), ..wanted(qos) };
        office.offer(&mut session, &publication("t", payload, qos), &wanted);
    }
    (office, session)
}

/// [MQTT-4.8.2-4] QoS 1 that is not acknowledged and all that was not sent goes to another member; QoS 2 that was sent
/// stays with the session, and so does what came through no group.
#[test]
fn all_groups() {
    let (mut office, mut session) = member();
    let returned = give_back(&mut session, &office, |_| true);
    assert_eq!(payloads(&returned), ["a", "d", "e", "g"]);
    assert_eq!((session.tally.returned(), session.waiting()), (4, 3));
    let outgoing = session.outgoing.as_ref().unwrap();
    let one = publication("t", "x", AtLeastOnce).queued_bytes();
    assert_eq!((outgoing.inflight_bytes, outgoing.queue.bytes()), (2 * one, one));
    office.assert_balanced(&session);
    // An acknowledgement of what went back comes too late and settles nothing.
    let late = session.on_puback(id(1), ReasonCode::Success, &office.desk());
    assert_eq!(late, crate::session::Acknowledged::Unknown);
    office.assert_balanced(&session);
    assert!(give_back(&mut session, &office, |_| true).is_empty());
}

#[test]
fn one_group() {
    let (office, mut session) = member();
    assert_eq!(payloads(&give_back(&mut session, &office, |key| key == group(2))), ["d", "g"]);
    assert_eq!(payloads(&give_back(&mut session, &office, |key| key == group(1))), ["a", "e"]);
    assert_eq!(session.tally.returned(), 4);
    office.assert_balanced(&session);
}

/// QoS 2 whose PUBREC came was received: it is nobody else's any more.
#[test]
fn received_is_received() {
    let (mut office, mut session) = member();
    session.on_pubrec(id(2), ReasonCode::Success, &office.desk());
    assert!(!payloads(&give_back(&mut session, &office, |_| true)).contains(&"b".to_owned()));
    office.assert_balanced(&session);
}

#[test]
fn nothing_to_give() {
    let (office, mut session) = (Office::new(), session(60));
    assert!(give_back(&mut session, &office, |_| true).is_empty());
    assert_eq!(session.tally.returned(), 0);
}
