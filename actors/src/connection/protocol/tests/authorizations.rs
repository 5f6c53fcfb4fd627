//! Where permission is needed: when the auth actor is asked, and how long its answers hold.

use auth_actor::Action;
use mqtt_codec::{Packet, ProtocolVersion, QoS, ReasonCode, Subscribe, SubscriptionFilter};

use super::{Client, answer, publish};
use crate::connection::effects::Change;
use crate::connection::protocol::Stepped;
use crate::testing::{id, options};
use QoS::AtLeastOnce;

fn client() -> Client {
    Client { authorizes: true, ..Client::new(ProtocolVersion::V5) }
}

fn message(topic: &str) -> Packet {
    Packet::Publish(publish(topic, "x", AtLeastOnce, 1))
}

/// The auth actor answers the questions of the last step.
fn answered(client: &mut Client, answers: &[bool], revision: u64) {
    let questions = std::mem::take(&mut client.fx.questions);
    assert_eq!(questions.len(), answers.len());
    client.protocol.permitted(questions, answers.to_vec(), revision);
}

/// A publish is asked about before anything is changed; answers are remembered by topic name.
#[test]
fn publishes() {
    for (allowed, settled) in [(true, None), (false, Some(ReasonCode::NotAuthorized))] {
        let mut client = client();
        assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
        assert_eq!(client.fx.questions, [(Action::Publish, "t".to_owned())]);
        assert!(client.fx.batch.is_empty());
        assert_eq!((client.online().unanswered, client.counter("publishes_received")), (0, 0));
        answered(&mut client, &[allowed], 1);
        for _ in 0..2 {
            assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
            assert_eq!(client.batch().1, [answer(1, false, settled)]);
        }
        assert_eq!(client.counter("publishes_not_authorized"), if allowed { 0 } else { 2 });
        assert_eq!(client.send(&message("u")), Ok(Stepped::NeedsPermission));
    }
}

/// Where nothing needs permission nobody is asked.
#[test]
fn without_authorization() {
    let mut client = Client::new(ProtocolVersion::V5);
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
    assert!(client.fx.questions.is_empty());
}

/// When the rules change, answers are asked for anew; the one that was just given still holds for the packet that it was
/// given for.
#[test]
fn a_new_revision() {
    let mut client = client();
    client.send(&message("t")).unwrap();
    answered(&mut client, &[true], 1);
    client.revision = 2;
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done), "asked a moment ago");
    assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
    answered(&mut client, &[false], 2);
    client.send(&message("t")).unwrap();
    assert_eq!(client.batch().1, [answer(1, false, Some(ReasonCode::NotAuthorized))]);
    // What was answered under the earlier rules is forgotten with them.
    client.send(&message("u")).unwrap();
    answered(&mut client, &[true], 2);
    client.send(&message("u")).unwrap();
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
}

/// Answers of two revisions do not mix.
#[test]
fn earlier_answers_are_forgotten() {
    let mut client = client();
    client.send(&message("old")).unwrap();
    answered(&mut client, &[true], 1);
    client.send(&message("old")).unwrap();
    client.send(&message("new")).unwrap();
    answered(&mut client, &[true], 2);
    client.revision = 2;
    assert_eq!(client.send(&message("new")), Ok(Stepped::Done));
    assert_eq!(client.send(&message("old")), Ok(Stepped::NeedsPermission));
}

/// A client that publishes to ever new topic names does not make the node remember them all.
#[test]
fn answers_are_bounded() {
    let mut client = client();
    for number in 0..256 {
        client.send(&message(&format!("t/{number}"))).unwrap();
        answered(&mut client, &[true], 1);
    }
    assert_eq!(client.send(&message("t/0")), Ok(Stepped::Done), "256 are remembered");
    client.send(&message("one more")).unwrap();
    answered(&mut client, &[true], 1);
    assert_eq!(client.send(&message("one more")), Ok(Stepped::Done));
    assert_eq!(client.send(&message("t/255")), Ok(Stepped::NeedsPermission), "all are asked for again");
}

fn subscribe(filters: &[&str]) -> Packet {
    let filters =
        filters.iter().map(|filter| (SubscriptionFilter::parse(filter).unwrap(), options(QoS::AtMostOnce)));
    Packet::Subscribe(Subscribe {
        packet_identifier: id(5),
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: filters.collect(),
    })
}

/// Each filter of a SUBSCRIBE is asked about, a shared one for the filter inside it; each time.
#[test]
fn subscriptions() {
    let mut client = client();
    let packet = subscribe(&["a", "$share/g/b", "c"]);
    for _ in 0..2 {
        assert_eq!(client.send(&packet), Ok(Stepped::NeedsPermission));
        let asked = ["a", "b", "c"].map(|filter| (Action::Subscribe, filter.to_owned()));
        assert_eq!(client.fx.questions, asked);
        assert!(client.fx.changes.is_empty());
        answered(&mut client, &[true, false, true], 1);
        assert_eq!(client.send(&packet), Ok(Stepped::Done));
        let [Change::Subscribe { reasons, .. }] = &client.fx.changes[..] else { panic!() };
        assert_eq!(*reasons, [ReasonCode::Success, ReasonCode::NotAuthorized, ReasonCode::Success]);
    }
    assert_eq!(client.counter("subscriptions_not_authorized"), 2);
    assert_eq!(client.session.subscriptions.len(), 2);
    // What may be subscribed to may not be published to.
    assert_eq!(client.send(&message("a")), Ok(Stepped::NeedsPermission));
}
