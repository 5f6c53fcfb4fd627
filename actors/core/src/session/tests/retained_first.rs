//! What was retained when a subscription began, and what is published behind it.

use mqtt_codec::{ProtocolVersion, QoS, ReasonCode};

use crate::ledger::DropReason;
use crate::message::Publication;
use crate::moment::Moment;
use crate::session::Storing;
use crate::session::deliver::{Offered, Wanted};
use crate::session::replay::{Replay, ReplayPlace};
use crate::session::state::Session;
use crate::subscriptions::Subscription;
use crate::testing::{Office, group, id, online, options, publication, session, summary, wanted};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// A subscription begins at one moment: what was retained then goes ahead of what is published behind it, whatever the
/// QoS, and what is published to other topic names waits for neither.
#[test]
fn what_is_published_behind_a_subscription_waits_for_what_was_retained() {
    let (mut office, mut session) = (Office::new(), session(60));
    let subscription = Subscription { options: options(ExactlyOnce), identifier: 0 };
    let since = Moment::at(10);
    let replay =
        Replay { filter: "t".into(), subscription, after: None, since, turn: ReplayPlace::default() };
    session.replays.get_or_insert_default().pending.push_back(replay);
    let message = |topic, qos, stamp| Publication { stamp, ..publication(topic, "x", qos) };
    assert_eq!(office.offer(&mut session, &message("u", AtMostOnce, 11), &wanted(AtMostOnce)), Offered::Sent);
    assert_eq!(
        office.offer(&mut session, &message("t", AtLeastOnce, 10), &wanted(AtLeastOnce)),
        Offered::Sent
    );
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        assert_eq!(office.offer(&mut session, &message("t", qos, 11), &wanted(qos)), Offered::Queued);
    }
    // In their order, so this one waits too.
    assert_eq!(
        office.offer(&mut session, &message("u", AtMostOnce, 13), &wanted(AtMostOnce)),
        Offered::Queued
    );
    let sent = session.outgoing.as_ref().unwrap().inflight.len();
    assert!(!session.pump(&mut office.desk()));
    assert!(session.is_through_to_replays());
    let retained = message("t", AtLeastOnce, 8);
    assert!(session.replay(
        &retained,
        &wanted(AtLeastOnce),
        ReplayPlace::default(),
        &mut Storing::default(),
        &mut office.desk()
    ));
    assert_eq!(session.outgoing.as_ref().unwrap().inflight.len(), sent + 1);
    session.replays.as_mut().unwrap().pending.pop_front();
    assert!(session.pump(&mut office.desk()));
    assert!(session.outgoing.as_ref().unwrap().queue.is_empty());
}

/// A retained message that cannot be sent waits behind what was published before the subscription, and ahead of what was
/// published since; where the queue is full it is fetched again.
#[test]
fn retained_messages_wait_in_their_place() {
    let (mut office, mut session) = (Office::new(), session(60));
    office.settings.session.queue_messages_max = 3;
    session.online.as_mut().unwrap().inflight_max = 1;
    let message = |payload| publication("t", payload, AtLeastOnce);
    for payload in ["sent", "before"] {
        office.offer(&mut session, &message(payload), &wanted(AtLeastOnce));
    }
    let place = session.outgoing.as_ref().unwrap().appended;
    office.offer(&mut session, &message("since"), &wanted(AtLeastOnce));
    let replay = |session: &mut Session, office: &mut Office| {
        session.replay(
            &message("retained"),
            &wanted(AtLeastOnce),
            ReplayPlace { place, renews: false },
            &mut Storing::default(),
            &mut office.desk(),
        )
    };
    assert!(replay(&mut session, &mut office));
    assert!(!replay(&mut session, &mut office), "the queue is full");
    assert_eq!(session.tally.matched, 4);
    let queue = &mut session.outgoing.as_mut().unwrap().queue;
    let waiting: Vec<_> = std::iter::from_fn(|| queue.pop(&office.ledger.kept))
        .map(|queued| queued.message.publication().payload.as_slice().to_vec())
        .collect();
    assert_eq!(waiting, [&b"before"[..], b"retained", b"since"]);
}

fn retain(office: &mut Office, session: &mut Session, topic: &str, qos: QoS, turn: ReplayPlace) -> bool {
    let message = Publication { stamp: 2, retain: true, ..publication(topic, "retained", qos) };
    session.replay(&message, &wanted(qos), turn, &mut Storing::default(), &mut office.desk())
}

/// A client whose receive maximum is 1, and which has not acknowledged the first of two retained messages.
fn slow(topics: [&str; 2]) -> (Office, Session) {
    let (mut office, mut session) = (Office::new(), session(60));
    session.replays.get_or_insert_default();
    session.online.as_mut().unwrap().inflight_max = 1;
    for topic in topics {
        assert!(retain(&mut office, &mut session, topic, AtLeastOnce, ReplayPlace::default()));
    }
    assert_eq!(summary(&office.read(&mut session)), [format!("{}=retained@1", topics[0])]);
    (office, session)
}

fn live(office: &mut Office, session: &mut Session, topic: &str, qos: QoS) -> Offered {
    let message = Publication { stamp: 3, ..publication(topic, "live", qos) };
    office.offer(session, &message, &wanted(qos))
}

fn acknowledge(office: &mut Office, session: &mut Session, identifier: u16) -> Vec<String> {
    session.on_puback(id(identifier), ReasonCode::Success, &office.desk());
    session.pump(&mut office.desk());
    summary(&office.read(session))
}

/// [MQTT-4.6.0-5] [MQTT-3.3.1-9] QoS 0 waits for a retained message that waits for the client's receive maximum, and what
/// has QoS 0 behind it; what is published to other topic names before that does not.
#[test]
fn at_most_once_waits_for_what_the_receive_maximum_holds_up() {
    let (mut office, mut session) = slow(["a", "b"]);
    assert_eq!(live(&mut office, &mut session, "a", AtMostOnce), Offered::Sent);
    for topic in ["b", "a"] {
        assert_eq!(live(&mut office, &mut session, topic, AtMostOnce), Offered::Queued);
    }
    assert_eq!(live(&mut office, &mut session, "b", AtLeastOnce), Offered::Queued);
    assert!(!session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["a=live"]);
    assert_eq!(acknowledge(&mut office, &mut session, 1), ["b=retained@2", "b=live", "a=live"]);
    assert_eq!(acknowledge(&mut office, &mut session, 2), ["b=live@3"]);
    assert!(session.outgoing.as_ref().unwrap().has_passed_retained());
    assert_eq!(live(&mut office, &mut session, "b", AtMostOnce), Offered::Sent);
    office.read(&mut session);
    office.assert_balanced(&session);
}

/// A message of a group waits for no retained one, nor for what does.
#[test]
fn groups_wait_for_nothing_retained() {
    let (mut office, mut session) = slow(["a", "b"]);
    assert_eq!(live(&mut office, &mut session, "b", AtMostOnce), Offered::Queued);
    let message = publication("b", "shared", AtMostOnce);
    let of_group = Wanted { group: Some(group(1)), ..wanted(AtMostOnce) };
    assert_eq!(office.offer(&mut session, &message, &of_group), Offered::Sent);
}

/// A retained message of QoS 0 that waits behind others of QoS 0 holds up what has QoS 1 and is published behind it.
#[test]
fn at_least_once_waits_for_what_is_retained_with_qos_0() {
    let (mut office, mut session) = slow(["a", "b"]);
    assert_eq!(live(&mut office, &mut session, "b", AtMostOnce), Offered::Queued);
    // Another subscription begins behind that.
    let place = session.outgoing.as_ref().unwrap().appended;
    assert!(retain(&mut office, &mut session, "c", AtMostOnce, ReplayPlace { place, renews: false }));
    assert_eq!(live(&mut office, &mut session, "c", AtLeastOnce), Offered::Queued);
    assert_eq!(acknowledge(&mut office, &mut session, 1), ["b=retained@2", "b=live", "c=retained"]);
    assert_eq!(acknowledge(&mut office, &mut session, 2), ["c=live@3"]);
    office.assert_balanced(&session);
}

/// What was sent on a network connection that is lost comes first on the next one, too.
#[test]
fn at_most_once_waits_for_what_is_sent_again() {
    let (mut office, mut session) = slow(["a", "b"]);
    let lost = session.online.take().unwrap();
    session.outgoing.as_mut().unwrap().inflight.forget_wire();
    session.close_outbox(lost.outbox, &office.ledger);
    session.replays = None;
    session.online = Some(online(ProtocolVersion::V5));
    session.resume_sending();
    for topic in ["a", "b"] {
        assert_eq!(live(&mut office, &mut session, topic, AtMostOnce), Offered::Queued);
    }
    session.pump(&mut office.desk());
    let expected = ["dup a=retained@1", "b=retained@2", "a=live", "b=live"];
    assert_eq!(summary(&office.read(&mut session)), expected);
    office.assert_balanced(&session);
}

/// QoS 0 that waits is bounded as the queue is, and gives way to what has to be acknowledged.
#[test]
fn at_most_once_that_waits_is_bounded() {
    let (mut office, mut session) = slow(["a", "b"]);
    office.settings.session.queue_messages_max = 3;
    for expected in [Offered::Queued, Offered::Queued, Offered::Dropped(DropReason::QueueFull)] {
        assert_eq!(live(&mut office, &mut session, "b", AtMostOnce), expected);
    }
    assert_eq!(live(&mut office, &mut session, "b", AtLeastOnce), Offered::Queued);
    assert_eq!(office.dropped(&session, DropReason::QueueFull), 2);
    assert_eq!(acknowledge(&mut office, &mut session, 1), ["b=retained@2", "b=live"]);
    assert_eq!(acknowledge(&mut office, &mut session, 2), ["b=live@3"]);
    office.assert_balanced(&session);
}

/// A retained message that expires while it waits is waited for no longer.
#[test]
fn nothing_waits_for_what_is_gone() {
    let (mut office, mut session) = slow(["a", "b"]);
    assert_eq!(live(&mut office, &mut session, "b", AtMostOnce), Offered::Queued);
    let kept = &office.ledger.kept;
    let queue = &mut session.outgoing.as_mut().unwrap().queue;
    assert_eq!(queue.extract(0..9, kept, |queued| queued.replayed).len(), 1);
    assert!(!queue.replays_any());
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["b=live"]);
}

/// A client that subscribes anew to what it had, and with QoS 0, gets what waits for it before what has replaced that.
#[test]
fn what_is_retained_does_not_overtake_what_it_replaced() {
    let (mut office, mut session) = slow(["a", "b"]);
    assert_eq!(live(&mut office, &mut session, "b", AtLeastOnce), Offered::Queued);
    let place = session.outgoing.as_ref().unwrap().appended;
    for topic in ["b", "c"] {
        assert!(retain(&mut office, &mut session, topic, AtMostOnce, ReplayPlace { place, renews: true }));
    }
    assert_eq!(live(&mut office, &mut session, "b", AtMostOnce), Offered::Queued);
    assert!(!session.pump(&mut office.desk()));
    assert_eq!(acknowledge(&mut office, &mut session, 1), ["b=retained@2"]);
    let expected = ["b=live@3", "b=retained", "c=retained", "b=live"];
    assert_eq!(acknowledge(&mut office, &mut session, 2), expected);
    office.assert_balanced(&session);
}

/// What was on its way to it when it subscribed anew comes by itself and before that, too.
#[test]
fn what_is_retained_does_not_overtake_what_was_on_its_way() {
    let (mut office, mut session) = slow(["a", "b"]);
    let place = session.outgoing.as_ref().unwrap().appended;
    let late = Publication { stamp: 1, ..publication("b", "live", AtLeastOnce) };
    assert_eq!(office.offer(&mut session, &late, &wanted(AtLeastOnce)), Offered::Queued);
    for topic in ["b", "c"] {
        assert!(retain(&mut office, &mut session, topic, AtMostOnce, ReplayPlace { place, renews: true }));
    }
    assert_eq!(acknowledge(&mut office, &mut session, 1), ["b=retained@2", "c=retained"]);
    assert_eq!(acknowledge(&mut office, &mut session, 2), ["b=live@3", "b=retained"]);
    office.assert_balanced(&session);
}
