//! What is too much: for the client, for its outbox, for its window, for its queue.

use mqtt_codec::{ProtocolVersion, QoS, ReasonCode};
use std::sync::Arc;
use std::time::Duration;

use crate::kept::{BODY_BYTES, PLACE_BYTES, kept_bytes};
use crate::ledger::DropReason;
use crate::message::{Publication, QUEUED_OVERHEAD_BYTES};
use crate::session::Storing;
use crate::session::deliver::Offered;
use crate::session::state::{Session, Will};
use crate::settings::QueueOverflow;
use crate::testing::{Office, id, online, publication, session, summary, wanted};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn offer(office: &mut Office, session: &mut Session, payload: &str, qos: QoS) -> Offered {
    office.offer(session, &publication("t", payload, qos), &wanted(ExactlyOnce))
}

/// [MQTT-3.1.2-24] A packet of just the client's maximum packet size is sent, one of a byte more is not, and no packet
/// identifier is spent on it.
#[test]
fn maximum_packet_size() {
    // Fixed header 2, topic name 3, property length 1, and the packet identifier.
    for (qos, overhead) in [(AtMostOnce, 6), (AtLeastOnce, 8), (ExactlyOnce, 8)] {
        let (mut office, mut session) = (Office::new(), session(60));
        session.online.as_mut().unwrap().maximum_packet_size = overhead + 3;
        let too_large = Offered::Dropped(DropReason::TooLargeForClient);
        assert_eq!(offer(&mut office, &mut session, "four", qos), too_large);
        assert_eq!(offer(&mut office, &mut session, "abc", qos), Offered::Sent);
        let identifier = if qos == AtMostOnce { "" } else { "@1" };
        assert_eq!(summary(&office.read(&mut session)), [format!("t=abc{identifier}")]);
        assert_eq!(office.dropped(&session, DropReason::TooLargeForClient), 1);
        office.assert_balanced(&session);
    }
}

/// QoS 0 is dropped when the outbox would grow above its limit; the first message is taken however large it is.
#[test]
fn outbox_limit_for_qos_0() {
    let mut office = Office::with(|settings| settings.node.outbox_bytes_max = 20);
    let mut session = session(0);
    let long = "x".repeat(100);
    let full = Offered::Dropped(DropReason::OutboxFull);
    assert_eq!(offer(&mut office, &mut session, &long, AtMostOnce), Offered::Sent);
    assert_eq!(offer(&mut office, &mut session, "", AtMostOnce), full);
    office.read(&mut session);
    // 10 bytes are waiting then; topic name and payload of the next are 10 bytes, or 11.
    assert_eq!(offer(&mut office, &mut session, "four", AtMostOnce), Offered::Sent);
    assert_eq!(session.online.as_ref().unwrap().outbox.waiting_bytes(), 10);
    assert_eq!(offer(&mut office, &mut session, "0123456789", AtMostOnce), full);
    assert_eq!(offer(&mut office, &mut session, "012345678", AtMostOnce), Offered::Sent);
    assert_eq!(office.dropped(&session, DropReason::OutboxFull), 2);
    office.assert_balanced(&session);
}

/// QoS 1 and 2 are never dropped because an outbox is full: they wait.
#[test]
fn outbox_limit_for_qos_1_and_2() {
    let mut office = Office::with(|settings| settings.node.outbox_bytes_max = 12);
    let mut session = session(0);
    assert_eq!(offer(&mut office, &mut session, "abc", AtLeastOnce), Offered::Sent);
    assert_eq!(session.online.as_ref().unwrap().outbox.waiting_bytes(), 11);
    assert_eq!(offer(&mut office, &mut session, "d", AtLeastOnce), Offered::Sent, "one byte was free");
    assert_eq!(offer(&mut office, &mut session, "e", AtLeastOnce), Offered::Queued);
    assert_eq!(offer(&mut office, &mut session, "f", ExactlyOnce), Offered::Queued);
    assert!(!session.pump(&mut office.desk()), "the outbox is still full");
    assert_eq!(summary(&office.read(&mut session)), ["t=abc@1", "t=d@2"]);
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["t=e@3", "t=f@4"]);
    assert!(!session.pump(&mut office.desk()), "nothing waits any more");
    office.assert_balanced(&session);
}

/// At just its limit an outbox is full.
#[test]
fn a_full_outbox() {
    for (outbox_bytes_max, expected) in [(11, Offered::Queued), (12, Offered::Sent)] {
        let mut office = Office::with(|settings| settings.node.outbox_bytes_max = outbox_bytes_max);
        let mut session = session(0);
        offer(&mut office, &mut session, "abc", AtLeastOnce);
        assert_eq!(session.online.as_ref().unwrap().outbox.waiting_bytes(), 11);
        assert_eq!(offer(&mut office, &mut session, "d", AtLeastOnce), expected);
    }
}

/// A full outbox stops the pump at just its limit.
#[test]
fn the_pump_stops_at_the_outbox_limit() {
    let mut office = Office::new();
    let mut session = session(60);
    session.online = None;
    for payload in ["a", "b", "c"] {
        offer(&mut office, &mut session, payload, AtLeastOnce);
    }
    // Each takes 9 bytes: with 18 of room the second fills it.
    office.settings.node.outbox_bytes_max = 18;
    session.online = Some(online(ProtocolVersion::V5));
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["t=a@1", "t=b@2"]);
}

/// [MQTT-3.3.4-9] What a client may have unacknowledged is its receive maximum; the rest waits.
#[test]
fn receive_maximum() {
    let (mut office, mut session) = (Office::new(), session(0));
    session.online.as_mut().unwrap().inflight_max = 2;
    for (payload, expected) in [("a", Offered::Sent), ("b", Offered::Sent), ("c", Offered::Queued)] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), expected);
    }
    // QoS 0 takes no place in it, and does not wait behind those that do.
    assert_eq!(offer(&mut office, &mut session, "0", AtMostOnce), Offered::Sent);
    assert!(!session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["t=a@1", "t=b@2", "t=0"]);
    session.online = Some(crate::session::online::Online { inflight_max: 0, ..online(ProtocolVersion::V5) });
    session.outgoing = None;
    assert_eq!(offer(&mut office, &mut session, "none at all", AtLeastOnce), Offered::Queued);
}

/// However large its receive maximum, a client never has so many messages in flight that packet identifiers run out;
/// what comes then waits, and goes out as others are acknowledged.
#[test]
fn packet_identifiers_do_not_run_out() {
    let mut office = Office::with(|settings| settings.node.outbox_bytes_max = usize::MAX);
    let mut session = session(0);
    for _ in 0..65_534 {
        assert_eq!(offer(&mut office, &mut session, "x", AtLeastOnce), Offered::Sent);
    }
    for payload in ["y", "z"] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), Offered::Queued);
    }
    assert!(!session.pump(&mut office.desk()));
    office.read(&mut session);
    session.on_puback(crate::testing::id(77), mqtt_codec::ReasonCode::Success, &office.desk());
    assert!(session.pump(&mut office.desk()));
    let read = summary(&office.read(&mut session));
    assert!(read == ["t=y@77"] || read == ["t=y@65535"], "{read:?}");
    office.assert_balanced(&session);
}

fn offline_with(change: impl FnOnce(&mut crate::settings::SessionSettings)) -> (Office, Session) {
    let mut session = session(60);
    session.online = None;
    (Office::with(|settings| change(&mut settings.session)), session)
}

const FULL: Offered = Offered::Dropped(DropReason::QueueFull);

#[test]
fn the_newest_is_dropped_at_the_number_of_messages() {
    let (mut office, mut session) = offline_with(|limits| limits.queue_messages_max = 2);
    for (payload, expected) in [("a", Offered::Queued), ("b", Offered::Queued), ("c", FULL)] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), expected);
    }
    assert_eq!(session.waiting(), 2);
    session.online = Some(online(ProtocolVersion::V5));
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["t=a@1", "t=b@2"]);
    assert_eq!(office.dropped(&session, DropReason::QueueFull), 1);
    office.assert_balanced(&session);
}

#[test]
fn the_oldest_is_dropped_if_settings_say_so() {
    let (mut office, mut session) = offline_with(|limits| {
        limits.queue_messages_max = 2;
        limits.queue_overflow = QueueOverflow::DropOldest;
    });
    for payload in ["a", "b", "c", "d"] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), Offered::Queued);
    }
    session.online = Some(online(ProtocolVersion::V5));
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["t=c@1", "t=d@2"]);
    assert_eq!(office.dropped(&session, DropReason::QueueFull), 2);
    office.assert_balanced(&session);
}

/// A queue that takes nothing has nothing to drop in favour of what comes.
#[test]
fn no_room_at_all() {
    let (mut office, mut session) = offline_with(|limits| {
        limits.queue_messages_max = 0;
        limits.queue_overflow = QueueOverflow::DropOldest;
    });
    assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), FULL);
    office.assert_balanced(&session);
}

/// A message costs its bytes and its place; just the limit fits, and one message always does.
#[test]
fn the_bytes_of_a_queue() {
    let small = publication("t", "a", AtLeastOnce).queued_bytes();
    assert_eq!(small, 2 + QUEUED_OVERHEAD_BYTES);
    let long = "x".repeat(10_000);
    let (mut office, mut session) = offline_with(|limits| limits.queue_bytes_max = 2 * small);
    for (payload, expected) in [("a", Offered::Queued), ("bb", FULL), ("c", Offered::Queued), ("d", FULL)] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), expected, "{payload}");
    }
    session.take_waiting(usize::MAX, &office.ledger);
    assert_eq!(offer(&mut office, &mut session, &long, AtLeastOnce), Offered::Queued);
    assert_eq!(offer(&mut office, &mut session, "", AtLeastOnce), FULL);
    office.assert_balanced(&session);
}

/// Dropping the oldest goes on until the new one fits.
#[test]
fn the_oldest_make_room_by_bytes() {
    let small = publication("t", "a", AtLeastOnce).queued_bytes();
    let (mut office, mut session) = offline_with(|limits| {
        limits.queue_bytes_max = 3 * small;
        limits.queue_overflow = QueueOverflow::DropOldest;
    });
    let long = "x".repeat(small);
    for payload in ["a", "b", "c", &long] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), Offered::Queued);
    }
    let queue = &session.outgoing.as_ref().unwrap().queue;
    assert_eq!(
        (queue.len(), queue.bytes()),
        (2, small + publication("t", &long, AtLeastOnce).queued_bytes())
    );
    assert_eq!(office.dropped(&session, DropReason::QueueFull), 2);
}

/// A session that ends with its connection has a limit of its own.
#[test]
fn clean_sessions_may_keep_less() {
    let small = publication("t", "a", AtLeastOnce).queued_bytes();
    for (expiry_interval, expected) in [(0, FULL), (60, Offered::Queued)] {
        let mut office = Office::with(|settings| settings.session.clean_queue_bytes_max = small);
        let mut session = session(expiry_interval);
        session.online.as_mut().unwrap().inflight_max = 1;
        offer(&mut office, &mut session, "in flight", AtLeastOnce);
        assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), Offered::Queued);
        assert_eq!(offer(&mut office, &mut session, "b", AtLeastOnce), expected);
    }
}

/// What a durable session has in flight is part of its limit.
#[test]
fn messages_in_flight_count_too() {
    let small = publication("t", "a", AtLeastOnce).queued_bytes();
    let mut office = Office::with(|settings| settings.session.queue_bytes_max = 2 * small);
    let mut session = session(60);
    for (payload, expected) in [("a", Offered::Sent), ("b", Offered::Sent), ("c", FULL)] {
        assert_eq!(offer(&mut office, &mut session, payload, AtLeastOnce), expected, "{payload}");
    }
    session.on_puback(crate::testing::id(1), mqtt_codec::ReasonCode::Success, &office.desk());
    assert_eq!(offer(&mut office, &mut session, "d", AtLeastOnce), Offered::Sent);
    assert_eq!(offer(&mut office, &mut session, "e", AtLeastOnce), FULL);
    office.assert_balanced(&session);
}

fn expiring<'a>(office: &Office, payload: &'a str, seconds: u64) -> Publication<'a> {
    let expires_at = Some(office.now + Duration::from_secs(seconds));
    Publication { expires_at, ..publication("t", payload, AtLeastOnce) }
}

/// [MQTT-3.3.2-5] What expired while it waited is not sent.
#[test]
fn expired_while_it_waited() {
    let (mut office, mut session) = offline_with(|_| {});
    for (payload, seconds) in [("a", 9), ("b", 10), ("c", 11)] {
        let message = expiring(&office, payload, seconds);
        office.offer(&mut session, &message, &wanted(AtLeastOnce));
    }
    office.pass(Duration::from_secs(10));
    session.online = Some(online(ProtocolVersion::V5));
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["t=c@1"]);
    assert_eq!(office.dropped(&session, DropReason::Expired), 2);
    office.assert_balanced(&session);
}

/// What has expired makes room before anything else is dropped.
#[test]
fn expired_messages_make_room() {
    let (mut office, mut session) = offline_with(|limits| limits.queue_messages_max = 2);
    let message = expiring(&office, "a", 5);
    office.offer(&mut session, &message, &wanted(AtLeastOnce));
    offer(&mut office, &mut session, "b", AtLeastOnce);
    assert_eq!(offer(&mut office, &mut session, "c", AtLeastOnce), FULL);
    office.pass(Duration::from_secs(5));
    assert_eq!(offer(&mut office, &mut session, "d", AtLeastOnce), Offered::Queued);
    session.online = Some(online(ProtocolVersion::V5));
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["t=b@1", "t=d@2"]);
    assert_eq!(office.dropped(&session, DropReason::Expired), 1);
    office.assert_balanced(&session);
}

/// Whether a shared group may give a message to this member.
#[test]
fn room_for_a_shared_message() {
    let (message, at_most_once) = (publication("t", "abc", AtLeastOnce), publication("t", "abc", AtMostOnce));
    let mut office = Office::with(|settings| {
        settings.node.outbox_bytes_max = 13;
        settings.session.queue_messages_max = 1;
        settings.session.queue_bytes_max = 2 * message.queued_bytes();
    });
    let mut session = session(60);
    fn has_room(session: &Session, office: &Office, message: &Publication<'_>) -> bool {
        session.has_room(message, AtLeastOnce, false, &office.settings, &office.ledger)
    }
    assert!(has_room(&session, &office, &message) && has_room(&session, &office, &at_most_once));
    // 9 bytes wait: 4 more would do for QoS 0, topic name and payload counted.
    offer(&mut office, &mut session, "abc", AtMostOnce);
    assert!(has_room(&session, &office, &at_most_once));
    assert!(session.has_room(&message, AtMostOnce, false, &office.settings, &office.ledger), "sent as QoS 0");
    assert!(!has_room(&session, &office, &publication("t", "abcd", AtMostOnce)));
    offer(&mut office, &mut session, "abc", AtLeastOnce);
    assert!(!has_room(&session, &office, &at_most_once), "the outbox is full");
    assert!(has_room(&session, &office, &message), "it may wait in the queue");
    assert_eq!(offer(&mut office, &mut session, "abc", AtLeastOnce), Offered::Queued);
    assert!(!has_room(&session, &office, &message), "the queue is full");
    // Settled and read, it can be sent at once again.
    office.read(&mut session);
    session.pump(&mut office.desk());
    session.on_puback(crate::testing::id(1), mqtt_codec::ReasonCode::Success, &office.desk());
    office.read(&mut session);
    assert!(has_room(&session, &office, &message));
    // By bytes: one in flight and one of nearly twice its size do not fit together.
    let long = "x".repeat(message.queued_bytes());
    assert!(!has_room(&session, &office, &publication("t", &long, AtLeastOnce)));
    session.online = None;
    assert!(!has_room(&session, &office, &at_most_once), "QoS 0 does not wait for anybody");
    assert!(has_room(&session, &office, &message));
}

/// 100,000 bytes, all of their cost included.
fn large() -> String {
    "x".repeat(100_000 - 1 - PLACE_BYTES - BODY_BYTES)
}

/// What waits on the whole node is bounded, whoever's it is; what the node refuses at is below that by a reserve, which QoS
/// 0 does not get. Whatever leaves makes room.
#[test]
fn what_waits_on_the_node() {
    let mut office = Office::with(|settings| {
        settings.node.queued_bytes_max = 800_000;
        settings.session.queue_qos0_offline = true;
    });
    let (text, node) = (large(), Arc::clone(office.ledger.kept.node()));
    let mut sessions = [session(60), session(60), session(60)];
    sessions.iter_mut().for_each(|session| session.online = None);
    for number in 0..9 {
        assert_eq!(node.is_full(), number >= 8);
        assert_eq!(offer(&mut office, &mut sessions[number % 3], &text, AtLeastOnce), Offered::Queued);
    }
    let full = Offered::Dropped(DropReason::NodeQueueFull);
    for session in &mut sessions {
        assert_eq!(offer(&mut office, session, "x", ExactlyOnce), full);
        assert!(!session.has_room(
            &publication("t", "x", AtLeastOnce),
            AtLeastOnce,
            false,
            &office.settings,
            &office.ledger
        ));
    }
    sessions[0].take_waiting(usize::MAX, &office.ledger);
    assert!(!node.is_full());
    for payload in [&text, &text] {
        assert_eq!(offer(&mut office, &mut sessions[0], payload, AtLeastOnce), Offered::Queued);
    }
    assert!(node.is_full());
    assert_eq!(offer(&mut office, &mut sessions[1], "x", AtMostOnce), full, "QoS 0 is not queued");
    assert_eq!(offer(&mut office, &mut sessions[1], "x", AtLeastOnce), Offered::Queued);
    // In flight it is kept as well, and leaves with its acknowledgement.
    sessions[1].online = Some(online(ProtocolVersion::V5));
    sessions[1].pump(&mut office.desk());
    assert!(node.is_full());
    for identifier in 1..=4 {
        sessions[1].on_puback(id(identifier), ReasonCode::Success, &office.desk());
    }
    assert!(!node.is_full());
    sessions.iter_mut().for_each(|session| drop(session.take_waiting(usize::MAX, &office.ledger)));
    assert_eq!(kept_bytes(&node, [&office.ledger.kept]), 0);
}

/// A message that waits for many is there once.
#[test]
fn what_waits_for_many_counts_once() {
    let mut office = Office::with(|settings| settings.node.queued_bytes_max = 400_000);
    let (text, mut stored) = (large(), Storing::default());
    for _ in 0..500 {
        let mut session = session(60);
        session.online = None;
        let message = publication("t", &text, AtLeastOnce);
        let offered = session.offer(&message, &wanted(AtLeastOnce), &mut stored, &mut office.desk());
        assert_eq!(offered, Offered::Queued);
    }
}

/// With `drop_oldest` a session makes room on the node with what is its own.
#[test]
fn the_oldest_of_a_session_makes_room_on_the_node() {
    let mut office = Office::with(|settings| {
        settings.node.queued_bytes_max = 800_000;
        settings.session.queue_overflow = QueueOverflow::DropOldest;
    });
    let (mut others, mut own) = (session(60), session(60));
    (others.online, own.online) = (None, None);
    let text = large();
    for number in 0..9 {
        let session = if number < 8 { &mut others } else { &mut own };
        assert_eq!(offer(&mut office, session, &text, AtLeastOnce), Offered::Queued);
    }
    for _ in 0..3 {
        assert_eq!(offer(&mut office, &mut own, &text, AtLeastOnce), Offered::Queued);
    }
    assert_eq!((own.waiting(), own.tally.dropped(DropReason::NodeQueueFull)), (1, 3));
    assert_eq!(others.waiting(), 8);
    let mut empty = session(60);
    empty.online = None;
    let full = Offered::Dropped(DropReason::NodeQueueFull);
    assert_eq!(offer(&mut office, &mut empty, &text, AtLeastOnce), full, "it has nothing to give");
}

/// A will counts as what waits for its client, as long as it waits.
#[test]
fn a_will_takes_room_in_the_queue() {
    let small = publication("t", "a", AtLeastOnce).queued_bytes();
    let mut office = Office::with(|settings| settings.session.queue_bytes_max = 3 * small);
    let mut session = session(60);
    session.online = None;
    session.replace_will(will("t", "a"));
    assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), Offered::Queued);
    assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), Offered::Queued);
    assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), FULL);
    assert!(session.replace_will(None).is_some());
    assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), Offered::Queued);
    session.replace_will(will("t", "a"));
    assert_eq!(offer(&mut office, &mut session, "a", AtLeastOnce), FULL);
}

fn will(topic: &str, payload: &str) -> Option<Box<Will>> {
    Some(Box::new(Will {
        client_identifier: Box::default(),
        user_name: None,
        grant: None,
        revision: 0,
        allowed_until: None,
        topic: topic.into(),
        payload: payload.to_owned().into(),
        properties: Box::default(),
        qos: AtMostOnce,
        retain: false,
        delay_seconds: 0,
        expiry_seconds: None,
        share: None,
    }))
}
