//! What a client is sent again when it comes back.

use mqtt_codec::{ProtocolVersion, QoS, ReasonCode};

use crate::ledger::DropReason;
use crate::session::online::Online;
use crate::session::state::Session;
use crate::session::{Acknowledged, Offered};
use crate::testing::{Office, id, online, publication, session, summary, wanted};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::Success;

/// Loses the network connection; what the client had not read of QoS 0 is lost with it.
fn lose(session: &mut Session, office: &Office) {
    let online = session.online.take().unwrap();
    if let Some(outgoing) = &mut session.outgoing {
        outgoing.inflight.forget_wire();
        outgoing.resend.clear();
    }
    session.close_outbox(online.outbox, &office.ledger);
}

fn come_back(session: &mut Session, inflight_max: u16, maximum_packet_size: u32) {
    session.epoch += 1;
    session.online = Some(Online { inflight_max, maximum_packet_size, ..online(ProtocolVersion::V5) });
    session.resume_sending();
}

/// A durable session with `a@1` to `e@5`: QoS 2 for `b`, `c` and `d`; of these `b` has its PUBREC, and `a` its PUBACK.
fn interrupted() -> (Office, Session) {
    let (mut office, mut session) = (Office::new(), session(60));
    for (payload, qos) in
        [("a", AtLeastOnce), ("b", ExactlyOnce), ("c", ExactlyOnce), ("d", ExactlyOnce), ("e", AtLeastOnce)]
    {
        office.offer(&mut session, &publication("t", payload, qos), &wanted(qos));
    }
    office.read(&mut session);
    session.on_puback(id(1), Success, &office.desk());
    session.on_pubrec(id(2), Success, &office.desk());
    lose(&mut session, &office);
    (office, session)
}

/// [MQTT-4.4.0-1] [MQTT-4.6.0-1] PUBREL for what was received, PUBLISH with DUP and the same packet identifier for what
/// was not acknowledged, in the order sent; then what waited.
#[test]
fn in_the_order_sent() {
    let (mut office, mut session) = interrupted();
    assert_eq!(
        office.offer(&mut session, &publication("t", "f", AtLeastOnce), &wanted(AtLeastOnce)),
        Offered::Queued
    );
    come_back(&mut session, u16::MAX, u32::MAX);
    assert!(session.pump(&mut office.desk()));
    let expected = ["PUBREL 2 0x00", "dup t=c@3", "dup t=d@4", "dup t=e@5", "t=f@6"];
    assert_eq!(summary(&office.read(&mut session)), expected);
    assert!(!session.pump(&mut office.desk()), "once is enough");
    // Those sent again are counted as sent.
    assert_eq!(office.ledger.sent.get(), 5 + 4);
    office.assert_balanced(&session);
}

/// What comes in while there is still something to send again waits behind it.
#[test]
fn nothing_overtakes_what_is_sent_again() {
    let (mut office, mut session) = interrupted();
    come_back(&mut session, u16::MAX, u32::MAX);
    let offered = office.offer(&mut session, &publication("t", "new", AtLeastOnce), &wanted(AtLeastOnce));
    assert_eq!(offered, Offered::Queued);
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)).last().unwrap(), "t=new@6");
}

/// [MQTT-3.3.4-9] The receive maximum of the new network connection holds for what is sent again too.
#[test]
fn a_smaller_window() {
    let (mut office, mut session) = interrupted();
    come_back(&mut session, 2, u32::MAX);
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["PUBREL 2 0x00", "dup t=c@3"]);
    assert!(!session.pump(&mut office.desk()));
    assert_eq!(session.on_pubcomp(id(2), &office.desk()), Acknowledged::Settled);
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["dup t=d@4"]);
    office.assert_balanced(&session);
}

/// [MQTT-3.3.4-10] A receive maximum that is used up holds back publishes alone: PUBREL goes out before them.
#[test]
fn releases_do_not_wait_for_the_window() {
    let (mut office, mut session) = (Office::new(), session(60));
    for payload in ["a", "b", "c", "d"] {
        office.offer(&mut session, &publication("t", payload, ExactlyOnce), &wanted(ExactlyOnce));
    }
    office.read(&mut session);
    for identifier in [2, 4] {
        session.on_pubrec(id(identifier), Success, &office.desk());
    }
    lose(&mut session, &office);
    come_back(&mut session, 1, u32::MAX);
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["dup t=a@1", "PUBREL 2 0x00", "PUBREL 4 0x00"]);
    assert!(!session.pump(&mut office.desk()));
    for identifier in [2, 4, 1] {
        session.on_pubrec(id(identifier), Success, &office.desk());
        session.on_pubcomp(id(identifier), &office.desk());
    }
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["dup t=c@3"]);
    office.assert_balanced(&session);
}

/// A client may acknowledge what it remembers before it is sent again; then it is not.
#[test]
fn acknowledged_before_it_is_sent_again() {
    let (mut office, mut session) = interrupted();
    come_back(&mut session, u16::MAX, u32::MAX);
    assert_eq!(session.on_pubrec(id(3), Success, &office.desk()), Acknowledged::Release);
    assert_eq!(session.on_puback(id(5), Success, &office.desk()), Acknowledged::Settled);
    session.pump(&mut office.desk());
    let expected = ["PUBREL 2 0x00", "PUBREL 3 0x00", "dup t=d@4"];
    assert_eq!(summary(&office.read(&mut session)), expected);
    office.assert_balanced(&session);
}

/// [MQTT-3.1.2-24] A client that came back with a smaller maximum packet size is not sent what does not fit.
#[test]
fn a_smaller_maximum_packet_size() {
    let (mut office, mut session) = (Office::new(), session(60));
    for payload in ["short", "much longer", "short"] {
        office.offer(&mut session, &publication("t", payload, AtLeastOnce), &wanted(AtLeastOnce));
    }
    lose(&mut session, &office);
    come_back(&mut session, u16::MAX, 8 + 5);
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["dup t=short@1", "dup t=short@3"]);
    assert_eq!(office.dropped(&session, DropReason::TooLargeForClient), 1);
    let bytes = session.outgoing.as_ref().unwrap().inflight_bytes;
    assert_eq!(bytes, 2 * publication("t", "short", AtLeastOnce).queued_bytes());
    office.assert_balanced(&session);
}

/// Only with its DISCONNECT did the session become durable: what it was sent before was not kept.
#[test]
fn durable_too_late() {
    let (mut office, mut session) = (Office::new(), session(0));
    office.offer(&mut session, &publication("t", "a", AtLeastOnce), &wanted(AtLeastOnce));
    office.read(&mut session);
    session.expiry_interval = 60;
    lose(&mut session, &office);
    come_back(&mut session, u16::MAX, u32::MAX);
    session.pump(&mut office.desk());
    assert!(office.read(&mut session).is_empty());
    assert_eq!(office.dropped(&session, DropReason::SessionGone), 1);
    assert_eq!(session.waiting(), 0);
    office.assert_balanced(&session);
}

/// Of QoS 0 in the outbox, what was written whole counts as delivered and the rest as lost.
#[test]
fn the_end_of_an_outbox() {
    let (mut office, mut session) = (Office::new(), session(0));
    for payload in ["a", "b", "c"] {
        office.offer(&mut session, &publication("t", payload, AtMostOnce), &wanted(AtMostOnce));
    }
    // Each takes 7 bytes.
    let outbox = &mut session.online.as_mut().unwrap().outbox;
    assert_eq!(outbox.advance(&mut office.pool, 10).all, 0);
    lose(&mut session, &office);
    assert_eq!(session.tally.delivered, 1);
    assert_eq!(office.dropped(&session, DropReason::ConnectionClosed), 2);
    office.assert_balanced(&session);
}

/// The session ends: whatever waits for it, in flight or not, is dropped.
#[test]
fn the_end_of_a_session() {
    let (mut office, mut session) = interrupted();
    office.offer(&mut session, &publication("t", "f", AtLeastOnce), &wanted(AtLeastOnce));
    session.take_waiting(usize::MAX, &office.ledger);
    assert_eq!(office.dropped(&session, DropReason::SessionGone), 5);
    assert_eq!(session.waiting(), 0);
    session.take_waiting(usize::MAX, &office.ledger);
    assert_eq!(office.dropped(&session, DropReason::SessionGone), 5);
    office.assert_balanced(&session);
}
