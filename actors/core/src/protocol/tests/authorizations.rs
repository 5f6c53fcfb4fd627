//! Where permission is needed: when the auth actor is asked, and how long its answers hold.

use std::time::{Duration, Instant};

use QoS::AtLeastOnce;
use mqtt_codec::{Packet, ProtocolVersion, QoS, ReasonCode, Subscribe, SubscriptionFilter};

use super::publish;
use crate::protocol::effects::SubscriptionChange;
use crate::protocol::permission::{Action, Authorized, Verdicts};
use crate::protocol::tests::{Client, answer};
use crate::protocol::{Limit, Stepped};
use crate::testing::{id, options};

fn client() -> Client {
    Client { authorizes: true, ..Client::new(ProtocolVersion::V5) }
}

fn message(topic: &str) -> Packet {
    Packet::Publish(publish(topic, "x", AtLeastOnce, 1))
}

/// The auth actor answers what the last step asked for.
fn answered(client: &mut Client, answers: &[bool], revision: u64) {
    assert_eq!(client.fx.wishes.len(), answers.len());
    given(client, Some(Verdicts { answer: answers.to_vec(), revision, until: None }));
}

/// There is no answer to what the last step asked for.
fn unanswered(client: &mut Client) {
    given(client, None);
}

fn given(client: &mut Client, verdicts: Option<Verdicts>) {
    let wishes = std::mem::take(&mut client.fx.wishes);
    client.protocol.permitted(Authorized { wishes, verdicts });
}

/// A publish is asked about before anything is changed; answers are remembered by topic name.
#[test]
fn publishes() {
    for (allowed, settled) in [(true, None), (false, Some(ReasonCode::NotAuthorized))] {
        let mut client = client();
        assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
        assert_eq!(client.fx.wishes, [(Action::Publish, "t".to_owned())]);
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

/// What could not be judged is refused: 5.0 is told, 3.x is not answered, and asked about again.
#[test]
fn publishes_without_an_answer() {
    let mut client = client();
    client.send(&message("t")).unwrap();
    unanswered(&mut client);
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
    assert_eq!(client.batch().1, [answer(1, false, Some(ReasonCode::NotAuthorized))]);
    let mut client = Client { authorizes: true, ..Client::new(ProtocolVersion::V311) };
    client.send(&message("t")).unwrap();
    for _ in 0..2 {
        unanswered(&mut client);
        assert_eq!(client.send(&message("t")), Ok(Stepped::Refused(Limit::Answer)));
        assert!(client.fx.batch.is_empty());
        client.again = true;
        assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
    }
    answered(&mut client, &[true], 1);
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
    assert_eq!(client.batch().1, [answer(1, false, None)]);
    assert_eq!(client.counter("publishes_not_authorized"), 1);
}

/// Where nothing needs permission nobody is asked.
#[test]
fn without_authorization() {
    let mut client = Client::new(ProtocolVersion::V5);
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
    assert!(client.fx.wishes.is_empty());
}

/// When the rules change, answers are asked for anew, the one that was just given and did not serve yet as well.
#[test]
fn a_new_revision() {
    let mut client = client();
    client.send(&message("t")).unwrap();
    answered(&mut client, &[true], 1);
    client.revision = 2;
    assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission), "asked a moment ago, of others");
    assert!(client.fx.batch.is_empty());
    answered(&mut client, &[false], 2);
    client.send(&message("t")).unwrap();
    assert_eq!(client.batch().1, [answer(1, false, Some(ReasonCode::NotAuthorized))]);
    // What was answered under the earlier rules is forgotten with them.
    client.send(&message("u")).unwrap();
    answered(&mut client, &[true], 2);
    client.send(&message("u")).unwrap();
    assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
    assert_eq!(client.batch().1, [answer(1, false, Some(ReasonCode::NotAuthorized))]);
}

/// A publish to which there is no answer is refused, and the next is asked for again, whatever the rules are by then.
#[test]
fn a_publish_without_an_answer() {
    let mut client = client();
    for revision in 1..3 {
        client.send(&message("t")).unwrap();
        unanswered(&mut client);
        client.revision = revision + 1;
        assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
        assert_eq!(client.batch().1, [answer(1, false, Some(ReasonCode::NotAuthorized))]);
    }
    assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
    unanswered(&mut client);
    assert_eq!(client.send(&message("u")), Ok(Stepped::NeedsPermission), "about another topic name");
    assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission), "it was about one packet");
    answered(&mut client, &[true], 3);
    client.send(&message("t")).unwrap();
    assert_eq!(client.batch().0, [("t".to_owned(), "x".to_owned())]);
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
        assert_eq!(client.fx.wishes, asked);
        assert!(client.fx.changes.is_empty());
        answered(&mut client, &[true, false, true], 1);
        assert_eq!(client.send(&packet), Ok(Stepped::Done));
        let [SubscriptionChange::Subscribe { reasons, .. }] = &client.fx.changes[..] else { panic!() };
        assert_eq!(*reasons, [ReasonCode::Success, ReasonCode::NotAuthorized, ReasonCode::Success]);
    }
    assert_eq!(client.counter("subscriptions_not_authorized"), 2);
    assert_eq!(client.session.subscriptions.len(), 2);
    // What may be subscribed to may not be published to.
    assert_eq!(client.send(&message("a")), Ok(Stepped::NeedsPermission));
}

/// A SUBSCRIBE that waits while the rules change is judged by the new ones.
#[test]
fn a_subscribe_under_a_new_revision() {
    let mut client = client();
    let packet = subscribe(&["a", "b"]);
    client.send(&packet).unwrap();
    answered(&mut client, &[true, true], 1);
    client.revision = 2;
    assert_eq!(client.send(&packet), Ok(Stepped::NeedsPermission));
    assert!(client.fx.changes.is_empty() && client.session.subscriptions.is_empty());
    answered(&mut client, &[false, true], 2);
    client.send(&packet).unwrap();
    assert_eq!(reasons(&client), [ReasonCode::NotAuthorized, ReasonCode::Success]);
}

#[track_caller]
fn reasons(client: &Client) -> Vec<ReasonCode> {
    let [SubscriptionChange::Subscribe { reasons, .. }] = &client.fx.changes[..] else { panic!() };
    reasons.clone()
}

/// Without an answer no filter of a SUBSCRIBE is granted.
#[test]
fn a_subscribe_without_an_answer() {
    let mut client = client();
    let packet = subscribe(&["a", "b"]);
    client.send(&packet).unwrap();
    unanswered(&mut client);
    client.send(&packet).unwrap();
    assert_eq!(reasons(&client), [ReasonCode::NotAuthorized; 2]);
    assert!(client.session.subscriptions.is_empty());
    assert_eq!(client.counter("subscriptions_not_authorized"), 2);
}

/// Verdicts that were left over, as the packet that they were for needed none any more, are not taken for those of
/// another.
#[test]
fn verdicts_are_for_the_packet_that_asked() {
    let mut client = client();
    client.send(&subscribe(&["a", "b"])).unwrap();
    answered(&mut client, &[true, true], 1);
    client.authorizes = false;
    client.send(&subscribe(&["a", "b"])).unwrap();
    assert_eq!(reasons(&client), [ReasonCode::Success; 2]);
    client.authorizes = true;
    assert_eq!(client.send(&subscribe(&["c", "d"])), Ok(Stepped::NeedsPermission));
    assert_eq!(client.send(&subscribe(&["a", "b"])), Ok(Stepped::NeedsPermission));
}

/// One publish is allowed until then.
fn allowed_until(client: &mut Client, until: Instant) {
    given(client, Some(Verdicts { answer: vec![true], revision: 1, until: Some(until) }));
}

/// A verdict serves the packet that waits for it, and those behind it until it ends.
#[test]
fn a_verdict_that_ends() {
    for (seconds, known_after_one) in [(0, false), (1, false), (2, true)] {
        let mut client = client();
        assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
        let end = client.office.now + Duration::from_secs(seconds);
        allowed_until(&mut client, end);
        assert_eq!(client.send(&message("t")), Ok(Stepped::Done));
        client.office.now += Duration::from_secs(1);
        let expected = if known_after_one { Stepped::Done } else { Stepped::NeedsPermission };
        assert_eq!(client.send(&message("t")), Ok(expected), "{seconds} s");
    }
}

/// However long it may be remembered, it ends with the rules that were in force.
#[test]
fn a_verdict_ends_with_the_rules() {
    let mut client = client();
    assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
    let end = client.office.now + Duration::from_secs(60);
    allowed_until(&mut client, end);
    client.revision = 2;
    assert_eq!(client.send(&message("t")), Ok(Stepped::NeedsPermission));
}

/// Asked about over and over, a topic name is remembered once, and those beside it stay.
#[test]
fn what_ends_at_once_takes_no_more_room_each_time() {
    let mut client = client();
    let (brief, lasting) = ("b".repeat(40_000), "l".repeat(20_000));
    assert_eq!(client.send(&message(&lasting)), Ok(Stepped::NeedsPermission));
    answered(&mut client, &[true], 1);
    for _ in 0..3 {
        assert_eq!(client.send(&message(&brief)), Ok(Stepped::NeedsPermission));
        let end = client.office.now;
        allowed_until(&mut client, end);
        assert_eq!(client.send(&message(&brief)), Ok(Stepped::Done));
    }
    assert_eq!(client.send(&message(&lasting)), Ok(Stepped::Done));
}
