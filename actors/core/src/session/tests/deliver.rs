//! What becomes of a message that matched.

use mqtt_codec::{Packet, ProtocolVersion, QoS};
use std::sync::Arc;

use crate::ledger::DropReason;
use crate::queue::Identifiers;
use crate::session::Storing;
use crate::session::deliver::{Offered, Wanted};
use crate::session::state::Session;
use crate::testing::{Office, group, key, online, publication, session, summary, wanted};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// [MQTT-3.8.4-8] The lower of the two QoS is sent.
#[test]
fn the_lower_qos_counts() {
    for (published, subscribed, sent) in [
        (AtMostOnce, ExactlyOnce, AtMostOnce),
        (AtLeastOnce, AtMostOnce, AtMostOnce),
        (AtLeastOnce, ExactlyOnce, AtLeastOnce),
        (ExactlyOnce, AtLeastOnce, AtLeastOnce),
        (ExactlyOnce, ExactlyOnce, ExactlyOnce),
    ] {
        let (mut office, mut session) = (Office::new(), session(0));
        let offered = office.offer(&mut session, &publication("t", "x", published), &wanted(subscribed));
        assert_eq!(offered, Offered::Sent);
        let packets = office.read(&mut session);
        let [Packet::Publish(publish)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!(publish.qos, sent, "{published:?} {subscribed:?}");
        office.assert_balanced(&session);
    }
}

#[test]
fn what_is_sent_and_read_is_counted() {
    let (mut office, mut session) = (Office::new(), session(0));
    office.offer(&mut session, &publication("t", "four", AtMostOnce), &wanted(AtMostOnce));
    office.offer(&mut session, &publication("t", "sixsix", AtLeastOnce), &wanted(AtLeastOnce));
    assert_eq!((office.ledger.sent.get(), office.ledger.sent_bytes.get()), (2, 10));
    assert_eq!((session.tally.matched, session.tally.delivered, session.waiting()), (2, 0, 2));
    assert_eq!(summary(&office.read(&mut session)), ["t=four", "t=sixsix@1"]);
    // QoS 0 is delivered when it is written, QoS 1 when it is acknowledged.
    assert_eq!((session.tally.delivered, session.waiting()), (1, 1));
    office.assert_balanced(&session);
}

#[test]
fn the_wishes_of_the_subscription_are_written() {
    let (mut office, mut session) = (Office::new(), session(0));
    let one = Wanted { retain: true, identifiers: Identifiers::One(7), ..wanted(AtMostOnce) };
    let many = Wanted { identifiers: Identifiers::Many(Box::new([3, 200])), ..wanted(AtLeastOnce) };
    office.offer(&mut session, &publication("t", "x", AtMostOnce), &one);
    office.offer(&mut session, &publication("t", "x", AtLeastOnce), &many);
    office.offer(&mut session, &publication("t", "x", AtMostOnce), &wanted(AtMostOnce));
    let found: Vec<_> = office
        .read(&mut session)
        .into_iter()
        .map(|packet| match packet {
            Packet::Publish(publish) => (publish.retain, publish.properties.subscription_identifiers),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, [(true, vec![7]), (false, vec![3, 200]), (false, vec![])]);
}

/// Who is offline gets QoS 1 and 2 later if the session is durable, and nothing otherwise.
#[test]
fn offline() {
    for (expiry_interval, qos, expected) in [
        (60, AtMostOnce, Offered::Dropped(DropReason::Offline)),
        (60, AtLeastOnce, Offered::Queued),
        (60, ExactlyOnce, Offered::Queued),
        (0, AtMostOnce, Offered::Dropped(DropReason::SessionGone)),
        (0, AtLeastOnce, Offered::Dropped(DropReason::SessionGone)),
        (0, ExactlyOnce, Offered::Dropped(DropReason::SessionGone)),
    ] {
        let (mut office, mut session) = (Office::new(), session(expiry_interval));
        session.online = None;
        let offered = office.offer(&mut session, &publication("t", "x", qos), &wanted(ExactlyOnce));
        assert_eq!(offered, expected, "{expiry_interval} {qos:?}");
        if let Offered::Dropped(reason) = expected {
            assert_eq!(office.dropped(&session, reason), 1);
        }
        office.assert_balanced(&session);
    }
}

/// With `queue_qos0_offline` QoS 0 waits for a durable session, and what comes behind it waits too, so that the order
/// is kept.
#[test]
fn qos_0_waits_for_a_session_offline_if_settings_say_so() {
    let mut office = Office::with(|settings| settings.session.queue_qos0_offline = true);
    let mut session = session(60);
    // Nothing waits, so nothing is to be waited for.
    let offer = |office: &mut Office, session: &mut Session, payload: &str| {
        office.offer(session, &publication("t", payload, AtMostOnce), &wanted(AtMostOnce))
    };
    assert_eq!(offer(&mut office, &mut session, "a"), Offered::Sent);
    assert_eq!(summary(&office.read(&mut session)), ["t=a"]);
    session.online = None;
    assert_eq!(offer(&mut office, &mut session, "b"), Offered::Queued);
    assert_eq!(offer(&mut office, &mut session, "c"), Offered::Queued);
    session.online = Some(online(ProtocolVersion::V5));
    assert_eq!(offer(&mut office, &mut session, "d"), Offered::Queued);
    assert!(session.pump(&mut office.desk()));
    assert_eq!(offer(&mut office, &mut session, "e"), Offered::Sent);
    assert_eq!(summary(&office.read(&mut session)), ["t=b", "t=c", "t=d", "t=e"]);
    office.assert_balanced(&session);
}

#[test]
fn qos_0_does_not_wait_for_a_session_that_is_not_durable() {
    let mut office = Office::with(|settings| settings.session.queue_qos0_offline = true);
    let mut session = session(0);
    session.online = None;
    let offered = office.offer(&mut session, &publication("t", "x", AtMostOnce), &wanted(AtMostOnce));
    assert_eq!(offered, Offered::Dropped(DropReason::SessionGone));
    office.assert_balanced(&session);
}

/// A message that waits for several sessions is stored once.
#[test]
fn what_waits_is_shared() {
    let mut office = Office::new();
    let mut stored = Storing::default();
    let mut sessions = [session(60), session(60)];
    let message = publication("t", "x", AtLeastOnce);
    for session in &mut sessions {
        session.online = None;
        session.offer(&message, &wanted(AtLeastOnce), &mut stored, &mut office.desk());
    }
    let stored = Arc::clone(stored.message(&message));
    for session in &sessions {
        let front = session.outgoing.as_ref().and_then(|outgoing| outgoing.queue.front());
        assert!(Arc::ptr_eq(&front.unwrap().1.message, &stored));
    }
}

/// A session that ends with its network connection has no use for what it was sent; one that is durable, or shares a
/// subscription, may have to give it once more.
#[test]
fn what_may_be_sent_again_is_kept() {
    for (expiry_interval, share, kept) in [(0, None, false), (60, None, true), (0, Some(group(1)), true)] {
        let (mut office, mut session) = (Office::new(), session(expiry_interval));
        let mut stored = Storing::default();
        let message = publication("t", "x", AtLeastOnce);
        let wanted = Wanted { group: share, ..wanted(AtLeastOnce) };
        let offered = session.offer(&message, &wanted, &mut stored, &mut office.desk());
        assert_eq!((offered, stored.is_stored()), (Offered::Sent, kept), "{expiry_interval} {share:?}");
        let bytes = session.outgoing.as_ref().unwrap().inflight_bytes;
        assert_eq!(bytes, if kept { message.queued_bytes() } else { 0 });
    }
}

/// The load that a shared group's home sees is what waits for the session.
#[test]
fn load_is_what_waits() {
    let (mut office, mut session) = (Office::new(), session(60));
    session.publish_load();
    let burden = crate::groups::Burden::of(99);
    session.burden = Some(Arc::clone(&burden));
    session.online.as_mut().unwrap().inflight_max = 1;
    for qos in [AtMostOnce, AtLeastOnce, AtLeastOnce, AtMostOnce, AtLeastOnce] {
        office.offer(&mut session, &publication("t", "x", qos), &wanted(ExactlyOnce));
    }
    session.publish_load();
    assert_eq!(session.waiting(), 5);
    assert_eq!(burden.waiting.load(std::sync::atomic::Ordering::Relaxed), 5);
    session.online = None;
    assert_eq!(session.waiting(), 3, "one in flight, two queued");
}

#[test]
fn a_session_begins_without_state() {
    let session = Session::new(key(3), "c", ProtocolVersion::V311);
    assert_eq!((session.waiting(), session.is_durable(), session.subscriptions.len()), (0, false, 0));
    assert_eq!(session.incoming.count(), 0);
}
