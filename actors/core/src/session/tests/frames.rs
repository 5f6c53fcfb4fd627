//! The bytes of what is sent: encoded once for all who get the same, each with its own packet identifier, topic alias
//! and remaining lifetime.

use bytes::Bytes;
use mqtt_codec::{Limits, Packet, ProtocolVersion, Publish, QoS, Sender, decode};
use std::time::Duration;

use crate::ledger::DropReason;
use crate::message::{Payload, Publication};
use crate::queue::Identifiers;
use crate::session::Storing;
use crate::session::deliver::{Offered, Wanted};
use crate::session::online::Online;
use crate::session::state::Session;
use crate::testing::{Office, online, online_with_aliases, publication, session, wanted};
use ProtocolVersion::{V5, V311};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn member(version: ProtocolVersion) -> Session {
    let mut session = session(0);
    session.version = version;
    session.online = Some(online(version));
    session
}

#[track_caller]
fn publishes(office: &mut Office, session: &mut Session) -> Vec<Publish> {
    let packets = office.read(session).into_iter();
    packets
        .map(|packet| match packet {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// One message to subscribers of every shape, twice each: nobody gets the bytes of another.
#[test]
fn one_message_to_many() {
    let shapes: Vec<_> = [V311, V5]
        .into_iter()
        .flat_map(|version| [AtMostOnce, AtLeastOnce, ExactlyOnce].map(|qos| (version, qos)))
        .flat_map(|(version, qos)| [false, true].map(|retain| (version, qos, retain)))
        .collect();
    // The remaining length of the last takes two bytes, so the packet identifier stands a byte later.
    for payload in ["", "x", &"y".repeat(200)] {
        let mut office = Office::new();
        let mut sessions: Vec<_> = shapes.iter().map(|(version, ..)| member(*version)).collect();
        let message = publication("some/topic", payload, ExactlyOnce);
        for round in 1..=2 {
            let mut stored = Storing::default();
            for ((version, qos, retain), session) in shapes.iter().zip(&mut sessions) {
                let wanted = Wanted { retain: *retain, ..wanted(*qos) };
                let offered = session.offer(&message, &wanted, &mut stored, &mut office.desk());
                assert_eq!(offered, Offered::Sent);
                let [publish] = &publishes(&mut office, session)[..] else { panic!() };
                assert_eq!((publish.qos, publish.retain, publish.dup), (*qos, *retain, false), "{version:?}");
                assert_eq!(
                    (publish.topic.as_str(), &publish.payload[..]),
                    ("some/topic", payload.as_bytes())
                );
                let identifier = publish.packet_identifier.map(|identifier| identifier.get());
                assert_eq!(identifier, (*qos != AtMostOnce).then_some(round));
            }
        }
    }
}

/// Subscribers with subscription identifiers get a message of their own, each with its identifiers and no other's.
#[test]
fn one_message_to_subscribers_with_identifiers() {
    let mut office = Office::new();
    let message = publication("t", "x", AtLeastOnce);
    let mut stored = Storing::default();
    for identifiers in [&[][..], &[3], &[4], &[3, 4], &[]] {
        let mut session = member(V5);
        let sent = match identifiers {
            [] => Identifiers::None,
            [one] => Identifiers::One(*one),
            many => Identifiers::Many(many.into()),
        };
        let wanted = Wanted { identifiers: sent, ..wanted(AtLeastOnce) };
        session.offer(&message, &wanted, &mut stored, &mut office.desk());
        let [publish] = &publishes(&mut office, &mut session)[..] else { panic!() };
        assert_eq!(publish.properties.subscription_identifiers, identifiers);
    }
}

/// Another message makes another frame, though its shape is the same.
#[test]
fn frames_are_forgotten_between_messages() {
    let (mut office, mut session) = (Office::new(), member(V5));
    for payload in ["one", "two"] {
        let message = publication("t", payload, AtMostOnce);
        assert_eq!(office.offer(&mut session, &message, &wanted(AtMostOnce)), Offered::Sent);
    }
    let payloads: Vec<_> = publishes(&mut office, &mut session).into_iter().map(|p| p.payload).collect();
    assert_eq!(payloads, ["one", "two"]);
}

/// A long payload is not copied: all outboxes hold the same memory.
#[test]
fn long_payloads_are_linked() {
    let payload = Bytes::from(vec![7; 5000]);
    let message = Publication { payload: Payload::Long(&payload), ..publication("t", "", AtLeastOnce) };
    let mut office = Office::new();
    for aliases in [0, 1] {
        let mut session = member(V5);
        if aliases > 0 {
            session.online = Some(online_with_aliases(aliases));
        }
        for qos in [AtMostOnce, AtLeastOnce] {
            assert_eq!(office.offer(&mut session, &message, &wanted(qos)), Offered::Sent);
        }
        let outbox = &session.online.as_ref().unwrap().outbox;
        let mut slices = [std::io::IoSlice::new(&[]); crate::outbox::SLICES_PER_WRITE];
        let count = outbox.slices(&mut slices);
        let linked = slices[..count].iter().filter(|slice| slice.as_ptr() == payload.as_ptr()).count();
        assert_eq!(linked, 2);
        let payloads = publishes(&mut office, &mut session);
        assert!(payloads.iter().all(|publish| publish.payload == payload));
    }
}

/// [MQTT-3.3.2-6] The lifetime that is left, in whole seconds.
#[test]
fn remaining_lifetime() {
    let mut office = Office::new();
    let message = Publication {
        expires_at: Some(office.now + Duration::from_secs(10)),
        ..publication("t", "x", AtMostOnce)
    };
    for (passed, expected) in [(0, 10), (2500, 8), (2500, 5)] {
        office.pass(Duration::from_millis(passed));
        let mut session = member(V5);
        office.offer(&mut session, &message, &wanted(AtMostOnce));
        let [publish] = &publishes(&mut office, &mut session)[..] else { panic!() };
        assert_eq!(publish.properties.message_expiry_interval, Some(expected));
    }
    let mut session = member(V5);
    office.offer(&mut session, &publication("t", "x", AtMostOnce), &wanted(AtMostOnce));
    assert_eq!(publishes(&mut office, &mut session)[0].properties.message_expiry_interval, None);
}

/// [MQTT-3.1.2-26] [MQTT-3.1.2-27] A topic name is sent whole once, with its alias, and by the alias alone from then on;
/// topic names beyond the client's maximum are sent whole each time.
#[test]
fn topic_aliases() {
    let (mut office, mut session) = (Office::new(), session(0));
    session.online = Some(online_with_aliases(2));
    for topic in ["a", "b", "c", "a", "b", "c"] {
        office.offer(&mut session, &publication(topic, "x", AtMostOnce), &wanted(AtMostOnce));
    }
    let found: Vec<_> = publishes(&mut office, &mut session)
        .into_iter()
        .map(|publish| (publish.topic, publish.properties.topic_alias.map(|alias| alias.get())))
        .collect();
    let expected = [("a", Some(1)), ("b", Some(2)), ("c", None), ("", Some(1)), ("", Some(2)), ("c", None)];
    let expected = expected.map(|(topic, alias)| (topic.to_owned(), alias));
    assert_eq!(found, expected);
}

/// Setting an alias takes three bytes: where the packet would be too large with it, it is sent without one, and the
/// alias stays free.
#[test]
fn an_alias_never_makes_a_packet_too_large() {
    for (qos, bare) in [(AtMostOnce, 9), (AtLeastOnce, 11)] {
        for (maximum_packet_size, aliases) in [
            (bare - 1, vec![]),
            (bare, vec![None, None]),
            (bare + 2, vec![None, None]),
            (bare + 3, vec![Some(1), Some(1)]),
        ] {
            let (mut office, mut session) = (Office::new(), session(0));
            session.online = Some(Online { maximum_packet_size, ..online_with_aliases(9) });
            for _ in 0..2 {
                let offered = office.offer(&mut session, &publication("abc", "x", qos), &wanted(qos));
                let too_large = Offered::Dropped(DropReason::TooLargeForClient);
                let expected = if aliases.is_empty() { too_large } else { Offered::Sent };
                assert_eq!(offered, expected, "{qos:?} {maximum_packet_size}");
            }
            let found: Vec<_> = publishes(&mut office, &mut session)
                .into_iter()
                .map(|publish| publish.properties.topic_alias.map(|alias| alias.get()))
                .collect();
            assert_eq!(found, aliases, "{qos:?} {maximum_packet_size}");
        }
    }
}

/// The bytes of a PUBLISH to a 3.1.1 client, one by one: no properties, whatever the message brought along.
#[test]
fn a_3_1_1_client_gets_no_properties() {
    let (mut office, mut session) = (Office::new(), member(V311));
    let message = Publication {
        properties: b"\x03\x00\x01c",
        expires_at: Some(office.now + Duration::from_secs(10)),
        ..publication("t", "x", AtLeastOnce)
    };
    office.offer(&mut session, &message, &wanted(AtLeastOnce));
    let outbox = &mut session.online.as_mut().unwrap().outbox;
    let (bytes, _) = crate::testing::drain(outbox, &mut office.pool);
    assert_eq!(bytes, b"\x32\x06\x00\x01t\x00\x01x");
    assert!(decode(&bytes, V311, Sender::Server, &Limits::default()).is_ok());
}
