//! What the client's acknowledgements do.

use mqtt_codec::{QoS, ReasonCode};

use crate::ledger::DropReason;
use crate::session::Acknowledged;
use crate::session::state::Session;
use crate::testing::{Office, id, publication, session, summary, wanted};
use Acknowledged::{Release, Settled, Unknown};
use QoS::{AtLeastOnce, ExactlyOnce};
use ReasonCode::{ImplementationSpecificError, NoMatchingSubscribers, Success};

/// A session with `a@1` of QoS 1 and `b@2` of QoS 2 in flight.
fn in_flight() -> (Office, Session) {
    let (mut office, mut session) = (Office::new(), session(60));
    for (payload, qos) in [("a", AtLeastOnce), ("b", ExactlyOnce)] {
        office.offer(&mut session, &publication("t", payload, qos), &wanted(qos));
    }
    office.read(&mut session);
    (office, session)
}

fn inflight_bytes(session: &Session) -> usize {
    session.outgoing.as_ref().unwrap().inflight_bytes
}

/// [MQTT-4.3.2-3] A PUBACK settles a QoS 1 message, whatever success it names.
#[test]
fn puback_settles() {
    for reason in [Success, NoMatchingSubscribers] {
        let (mut office, mut session) = in_flight();
        assert_eq!(session.on_puback(id(1), reason, &office.desk()), Settled);
        assert_eq!(session.on_puback(id(1), reason, &office.desk()), Unknown);
        assert_eq!((session.tally.delivered, session.waiting()), (1, 1));
        office.assert_balanced(&session);
    }
}

/// [MQTT-4.3.3-4] PUBREC asks for PUBREL, as often as it comes; PUBCOMP settles.
#[test]
fn pubrec_and_pubcomp_settle() {
    let (mut office, mut session) = in_flight();
    assert_eq!(session.on_pubcomp(id(2), &office.desk()), Unknown, "before its PUBREC");
    assert_eq!(session.on_pubrec(id(2), Success, &office.desk()), Release);
    assert_eq!(session.on_pubrec(id(2), Success, &office.desk()), Release);
    assert_eq!((session.tally.delivered, session.waiting()), (0, 2));
    assert_eq!(session.on_pubcomp(id(2), &office.desk()), Settled);
    assert_eq!(session.on_pubcomp(id(2), &office.desk()), Unknown);
    assert_eq!(session.on_pubrec(id(2), Success, &office.desk()), Unknown);
    assert_eq!((session.tally.delivered, session.waiting()), (1, 1));
    office.assert_balanced(&session);
}

/// An error in place of success ends the exchange, and the message counts as refused.
#[test]
fn errors_settle_too() {
    let (mut office, mut session) = in_flight();
    assert_eq!(session.on_puback(id(1), ImplementationSpecificError, &office.desk()), Settled);
    assert_eq!(session.on_pubrec(id(2), ImplementationSpecificError, &office.desk()), Settled);
    assert_eq!((session.tally.delivered, session.waiting()), (0, 0));
    assert_eq!(office.dropped(&session, DropReason::RefusedByClient), 2);
    assert_eq!(inflight_bytes(&session), 0);
    office.assert_balanced(&session);
}

/// An error after the message was received frees nothing: only PUBCOMP does.
#[test]
fn a_late_error_does_not_settle() {
    let (mut office, mut session) = in_flight();
    session.on_pubrec(id(2), Success, &office.desk());
    assert_eq!(session.on_pubrec(id(2), ImplementationSpecificError, &office.desk()), Release);
    assert_eq!(session.on_pubcomp(id(2), &office.desk()), Settled);
    assert_eq!(session.tally.delivered, 1);
    office.assert_balanced(&session);
}

/// Acknowledgements of the wrong kind, or for packet identifiers that are not in use, change nothing.
#[test]
fn unknown_ones_change_nothing() {
    let (mut office, mut session) = in_flight();
    let before = inflight_bytes(&session);
    for identifier in [3, 2, 65_535] {
        assert_eq!(session.on_puback(id(identifier), Success, &office.desk()), Unknown);
    }
    for identifier in [1, 3] {
        assert_eq!(session.on_pubrec(id(identifier), Success, &office.desk()), Unknown);
        assert_eq!(session.on_pubrec(id(identifier), ImplementationSpecificError, &office.desk()), Unknown);
        assert_eq!(session.on_pubcomp(id(identifier), &office.desk()), Unknown);
    }
    assert_eq!((session.tally.delivered, session.waiting(), inflight_bytes(&session)), (0, 2, before));
    office.assert_balanced(&session);
    session.outgoing = None;
    assert_eq!(session.on_puback(id(1), Success, &office.desk()), Unknown, "nothing was ever sent");
}

/// Bytes of what is in flight are counted as long as the message may have to be sent again: until PUBACK or PUBREC.
#[test]
fn bytes_in_flight() {
    let (mut office, mut session) = in_flight();
    let one = publication("t", "a", AtLeastOnce).queued_bytes();
    assert_eq!(inflight_bytes(&session), 2 * one);
    session.on_pubrec(id(2), Success, &office.desk());
    assert_eq!(inflight_bytes(&session), one);
    session.on_pubrec(id(2), Success, &office.desk());
    session.on_pubcomp(id(2), &office.desk());
    assert_eq!(inflight_bytes(&session), one);
    session.on_puback(id(1), Success, &office.desk());
    assert_eq!(inflight_bytes(&session), 0);
}

/// [MQTT-4.9.0-2] An acknowledgement opens the window; a PUBREC does not, since its exchange is not over.
#[test]
fn acknowledgements_open_the_window() {
    let (mut office, mut session) = in_flight();
    session.online.as_mut().unwrap().inflight_max = 2;
    for payload in ["c", "d"] {
        office.offer(&mut session, &publication("t", payload, AtLeastOnce), &wanted(AtLeastOnce));
    }
    session.on_pubrec(id(2), Success, &office.desk());
    assert!(!session.pump(&mut office.desk()));
    session.on_pubcomp(id(2), &office.desk());
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["t=c@3"]);
    session.on_puback(id(3), Success, &office.desk());
    assert!(session.pump(&mut office.desk()));
    assert_eq!(summary(&office.read(&mut session)), ["t=d@4"]);
    office.assert_balanced(&session);
}
