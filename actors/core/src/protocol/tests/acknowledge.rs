//! Acknowledgements from a client.

use ProtocolVersion::{V5, V311};
use QoS::{AtLeastOnce, ExactlyOnce};
use ReasonCode::{PacketIdentifierNotFound, Success, UnspecifiedError};
use mqtt_codec::{Ack, Packet, ProtocolVersion, QoS, ReasonCode};

use super::publish;
use crate::protocol::Stepped;
use crate::protocol::tests::Client;
use crate::testing::{id, publication, wanted};

fn ack(identifier: u16, reason: ReasonCode) -> Ack {
    Ack::new(id(identifier), reason)
}

/// A client that was sent `a@1` of QoS 1 and `b@2` of QoS 2.
fn receiver(version: ProtocolVersion) -> Client {
    let mut client = Client::new(version);
    for (payload, qos) in [("a", AtLeastOnce), ("b", ExactlyOnce)] {
        client.office.offer(&mut client.session, &publication("t", payload, qos), &wanted(qos));
    }
    client.office.read(&mut client.session);
    client
}

/// [MQTT-4.3.3-4] The exchanges of QoS 1 and QoS 2 towards a client.
#[test]
fn messages_to_the_client() {
    for version in [V5, V311] {
        let mut client = receiver(version);
        assert_eq!(client.send(&Packet::PubAck(ack(1, Success))), Ok(Stepped::Done));
        assert!(client.answers().is_empty());
        for _ in 0..2 {
            assert_eq!(client.send(&Packet::PubRec(ack(2, Success))), Ok(Stepped::Done));
            assert_eq!(client.answers(), ["PUBREL 2 0x00"]);
        }
        assert_eq!(client.send(&Packet::PubComp(ack(2, Success))), Ok(Stepped::Done));
        assert!(client.answers().is_empty());
        assert_eq!((client.session.tally.delivered, client.session.waiting()), (2, 0));
        client.office.assert_balanced(&client.session);
    }
}

/// Acknowledgements with packet identifiers that are not in use do not end the network connection. A PUBREC is answered,
/// so that the client can forget it.
#[test]
fn unknown_identifiers() {
    let mut client = receiver(V5);
    for (packet, answers) in [
        (Packet::PubAck(ack(9, Success)), vec![]),
        (Packet::PubAck(ack(2, Success)), vec![]),
        (Packet::PubRec(ack(9, Success)), vec!["PUBREL 9 0x92"]),
        (Packet::PubRec(ack(1, Success)), vec!["PUBREL 1 0x92"]),
        (Packet::PubRec(ack(9, UnspecifiedError)), vec![]),
        (Packet::PubComp(ack(9, Success)), vec![]),
        (Packet::PubComp(ack(2, Success)), vec![]),
        (Packet::PubComp(ack(2, PacketIdentifierNotFound)), vec![]),
        (Packet::PubRel(ack(9, Success)), vec!["PUBCOMP 9 0x92"]),
    ] {
        assert_eq!(client.send(&packet), Ok(Stepped::Done), "{packet:?}");
        assert_eq!(client.answers(), answers, "{packet:?}");
    }
    assert_eq!((client.session.tally.delivered, client.session.waiting()), (0, 2));
    // Before 5.0 an answer has no reason.
    let mut client = receiver(V311);
    client.send(&Packet::PubRel(ack(9, Success))).unwrap();
    client.send_more(&Packet::PubRec(ack(9, Success))).unwrap();
    assert_eq!(client.answers(), ["PUBCOMP 9 0x00", "PUBREL 9 0x00"]);
}

/// A PUBREC that refuses the message ends the exchange, and has no answer.
#[test]
fn a_refusing_pubrec() {
    let mut client = receiver(V5);
    client.send(&Packet::PubRec(ack(2, UnspecifiedError))).unwrap();
    assert!(client.answers().is_empty());
    assert_eq!(client.session.waiting(), 1);
    client.send(&Packet::PubAck(ack(1, UnspecifiedError))).unwrap();
    assert_eq!((client.session.tally.delivered, client.session.waiting()), (0, 0));
}

/// [MQTT-4.3.3-11] [MQTT-4.3.3-12] PUBREL frees the packet identifier: what comes next with it is another message. With
/// 5.0 it frees the place in the receive maximum too.
#[test]
fn pubrel() {
    for (version, unanswered) in [(V5, 0), (V311, 1)] {
        let mut client = Client::new(version);
        client.send(&Packet::Publish(publish("t", "x", ExactlyOnce, 7))).unwrap();
        client.send(&Packet::PubRel(ack(7, Success))).unwrap();
        assert_eq!(client.answers(), ["PUBCOMP 7 0x00"]);
        assert_eq!((client.session.incoming.count(), client.online().unanswered), (0, unanswered));
        client.send(&Packet::PubRel(ack(7, Success))).unwrap();
        let expected = if version == V5 { "PUBCOMP 7 0x92" } else { "PUBCOMP 7 0x00" };
        assert_eq!(client.answers(), [expected]);
        assert_eq!(client.online().unanswered, unanswered, "freed once");
        client.send(&Packet::Publish(publish("t", "y", ExactlyOnce, 7))).unwrap();
        assert_eq!(client.batch().0.len(), 1);
    }
}

/// A message from an earlier network connection took no place in this one's receive maximum.
#[test]
fn pubrel_for_an_earlier_connection() {
    let mut client = Client::new(V5);
    client.send(&Packet::Publish(publish("t", "x", ExactlyOnce, 7))).unwrap();
    client.session.epoch += 1;
    client.online().unanswered = 3;
    client.send(&Packet::PubRel(ack(7, Success))).unwrap();
    assert_eq!(client.answers(), ["PUBCOMP 7 0x00"]);
    assert_eq!(client.online().unanswered, 3);
}
