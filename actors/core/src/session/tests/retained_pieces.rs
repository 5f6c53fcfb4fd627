//! Retained messages that come in pieces: when they are asked for, and what becomes of those that come.

use std::sync::Arc;

use mqtt_codec::{QoS, ReasonCode, SubscriptionOptions};

use crate::ids::client_hash;
use crate::message::{Publication, StoredMessage};
use crate::moment::Moment;
use crate::retained::{Piece, Rest};
use crate::session::{Replay, ReplayPlace, Session};
use crate::subscriptions::Subscription;
use crate::testing::{Office, id, options, publication, session, summary};
use QoS::{AtLeastOnce, AtMostOnce};

const SINCE: u64 = 10;

/// Subscribes at one moment. Returns the number of the replay.
fn subscribe(session: &mut Session, filter: &str, options: SubscriptionOptions) -> u64 {
    let subscription = Subscription { options, identifier: 0 };
    session.subscriptions.insert(filter.into(), subscription);
    let (since, turn) = (Moment::at(SINCE), ReplayPlace::default());
    let replay = Replay { filter: filter.into(), subscription, after: None, since, turn };
    session.replays.get_or_insert_default().pending.push_back(replay)
}

fn retained(publication: Publication<'_>) -> Arc<StoredMessage> {
    Arc::new(StoredMessage::new(&Publication { stamp: SINCE - 1, retain: true, ..publication }))
}

fn piece(topics: &[&str], rest: Rest) -> Piece {
    let messages = topics.iter().map(|topic| retained(publication(topic, "x", AtLeastOnce))).collect();
    Piece { messages, rest }
}

/// What is asked for next, as long as no SUBSCRIBE waits for its SUBACK: filters, and the topic names to go on behind.
fn next(office: &Office, session: &mut Session) -> Vec<(String, Option<String>)> {
    let next = session.next_replays(session.epoch, true, &office.settings);
    next.iter()
        .map(|replay| (replay.filter.to_string(), replay.after.as_deref().map(str::to_owned)))
        .collect()
}

#[track_caller]
fn take(office: &mut Office, session: &mut Session, pieces: Vec<Piece>) -> Vec<String> {
    let asked = session.replays.as_ref().unwrap().pending.first(pieces.len(), u64::MAX);
    session.take_retained(asked.into_iter().zip(pieces).collect(), &mut office.desk());
    summary(&office.read(session))
}

fn behind(filter: &str, topic: &str) -> (String, Option<String>) {
    (filter.to_owned(), Some(topic.to_owned()))
}

#[test]
fn one_question_at_a_time_until_nothing_is_left() {
    let (mut office, mut session) = (Office::new(), session(60));
    subscribe(&mut session, "a/+", options(AtMostOnce));
    subscribe(&mut session, "b", options(AtMostOnce));
    assert_eq!(next(&office, &mut session), [("a/+".to_owned(), None), ("b".to_owned(), None)]);
    assert!(next(&office, &mut session).is_empty(), "it was asked, and has not answered");
    // The second subscription's come behind all of the first one's.
    let rest = Rest::Behind("a/2".into());
    let sent =
        take(&mut office, &mut session, vec![piece(&["a/1", "a/2"], rest), piece(&["b"], Rest::Nothing)]);
    assert_eq!(sent, ["retain a/1=x", "retain a/2=x"]);
    assert_eq!(next(&office, &mut session), [behind("a/+", "a/2"), ("b".to_owned(), None)]);
    let pieces = vec![piece(&["a/3"], Rest::Nothing), piece(&["b"], Rest::Nothing)];
    assert_eq!(take(&mut office, &mut session, pieces), ["retain a/3=x", "retain b=x"]);
    assert!(next(&office, &mut session).is_empty());
    assert!(session.replays.is_none(), "nothing is left of it");
}

/// The first piece is what was retained when the client subscribed: it waits for the client. The next ones are fetched at
/// the pace of the reader.
#[test]
fn the_next_piece_is_asked_for_when_the_outbox_is_half_empty() {
    let mut office = Office::with(|settings| settings.node.outbox_bytes_max = 40);
    let mut session = session(60);
    subscribe(&mut session, "#", options(AtMostOnce));
    let asked = session.next_replays(session.epoch, true, &office.settings);
    let first = piece(&["aaaaaaaaaa", "bbbbbbbbbb"], Rest::Behind("bbbbbbbbbb".into()));
    session.take_retained(vec![(asked[0].clone(), first)], &mut office.desk());
    assert!(next(&office, &mut session).is_empty(), "the client has not read");
    assert_eq!(office.read(&mut session).len(), 2);
    assert_eq!(next(&office, &mut session), [behind("#", "bbbbbbbbbb")]);
}

#[test]
fn what_finds_no_room_is_asked_for_again() {
    let mut office = Office::with(|settings| settings.session.queue_messages_max = 1);
    let mut session = session(60);
    session.online.as_mut().unwrap().inflight_max = 1;
    subscribe(&mut session, "+", options(AtLeastOnce));
    next(&office, &mut session);
    let sent = take(&mut office, &mut session, vec![piece(&["a", "b", "c"], Rest::Nothing)]);
    assert_eq!(sent, ["retain a=x@1"]);
    session.on_puback(id(1), ReasonCode::Success, &office.desk());
    session.pump(&mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["retain b=x@2"]);
    assert_eq!(next(&office, &mut session), [behind("+", "b")]);
    office.assert_balanced(&session);
}

/// [MQTT-3.8.3-3] What the client published itself is not sent to it by a subscription with No Local.
#[test]
fn what_is_passed_over() {
    let (mut office, mut session) = (Office::new(), session(60));
    subscribe(&mut session, "#", SubscriptionOptions { no_local: true, ..options(AtMostOnce) });
    next(&office, &mut session);
    let base = |topic| Publication { stamp: SINCE, retain: true, ..publication(topic, "x", AtMostOnce) };
    let messages = [
        Publication { publisher_hash: client_hash("client"), ..base("own") },
        Publication { stamp: SINCE + 1, ..base("newer") },
        Publication { expires_at: Some(office.now), ..base("expired") },
        base("sent"),
    ];
    let messages = messages.iter().map(|message| Arc::new(StoredMessage::new(message))).collect();
    let sent = take(&mut office, &mut session, vec![Piece { messages, rest: Rest::Nothing }]);
    assert_eq!(sent, ["retain sent=x"]);
    office.assert_balanced(&session);
}

#[test]
fn what_comes_for_a_subscription_that_is_gone_is_left() {
    let (mut office, mut session) = (Office::new(), session(60));
    subscribe(&mut session, "a", options(AtMostOnce));
    subscribe(&mut session, "b", options(AtMostOnce));
    let asked = session.next_replays(session.epoch, true, &office.settings);
    session.subscriptions.remove_entry("a");
    session.replays.as_mut().unwrap().pending.remove("a");
    let pieces = [piece(&["a"], Rest::Nothing), piece(&["b"], Rest::Nothing)];
    session.take_retained(asked.into_iter().zip(pieces).collect(), &mut office.desk());
    assert_eq!(summary(&office.read(&mut session)), ["retain b=x"]);
}

/// A SUBACK waits for its own first messages, and not for those of SUBSCRIBE packets before it.
#[test]
fn the_first_piece_of_a_subscribe_packet() {
    let (office, mut session) = (Office::new(), session(60));
    let first = subscribe(&mut session, "a", options(AtMostOnce));
    let second = subscribe(&mut session, "b", options(AtMostOnce));
    assert!(session.first_replays(&(second..second + 1)).is_none(), "others come first");
    let asked = session.first_replays(&(first..second)).unwrap();
    assert_eq!(asked.iter().map(|replay| &*replay.filter).collect::<Vec<_>>(), ["a"]);
    assert!(
        session.next_replays(session.epoch, false, &office.settings).is_empty(),
        "one question at a time"
    );
}

/// A network connection that has lost its session asks for nothing.
#[test]
fn whoever_holds_the_session_asks() {
    let (office, mut session) = (Office::new(), session(60));
    subscribe(&mut session, "a", options(AtMostOnce));
    assert!(session.next_replays(session.epoch - 1, true, &office.settings).is_empty());
    session.online = None;
    assert!(session.next_replays(session.epoch, true, &office.settings).is_empty());
}
