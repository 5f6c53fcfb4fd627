//! Histories that keep every promise, and histories that break one each.

use std::time::Duration;

use super::*;

/// A publisher's topic names, and those who listen.
struct Court {
    judge: Judge,
    at: Duration,
    one: event::Topic,
    two: event::Topic,
    will: event::Topic,
}

const SUBSCRIBER: Client = 0;
const MEMBER: Client = 1;
const OTHER_MEMBER: Client = 2;
const VISITOR: Client = 3;
const EXPIRING: Client = 4;

const TO_ALL: event::Audience = 0;
const TO_GROUP: event::Audience = 1;
const TO_VISITOR: event::Audience = 2;
const TO_EXPIRING: event::Audience = 3;

impl Court {
    /// All subscribed, but nobody has sent anything.
    fn new() -> Self {
        let mut judge = Judge::default();
        let one = judge.add_topic("t/1".into(), 1, false);
        let two = judge.add_topic("t/2".into(), 2, false);
        let will = judge.add_topic("w/2".into(), 2, true);
        for name in ["subscriber", "member", "other member"] {
            judge.add_client(name.into(), Durability::Lasting);
        }
        judge.add_client("visitor".into(), Durability::None);
        judge.add_client("expiring".into(), Durability::Expires(Duration::from_secs(3)));
        judge.add_audience("subscriber to #".into(), 2, &[SUBSCRIBER], |_| true);
        judge.add_audience("group".into(), 2, &[MEMBER, OTHER_MEMBER], |name| name.starts_with('t'));
        judge.add_audience("visitor to #".into(), 2, &[VISITOR], |_| true);
        judge.add_audience("expiring to t/1".into(), 1, &[EXPIRING], |name| name == "t/1");
        let mut court = Self { judge, at: Duration::ZERO, one, two, will };
        for client in [SUBSCRIBER, MEMBER, OTHER_MEMBER, VISITOR, EXPIRING] {
            court.connect(client, false);
        }
        court
    }

    fn take(&mut self, event: Event) -> &mut Self {
        self.at += Duration::from_millis(1);
        self.judge.take(self.at, event);
        self
    }

    fn connect(&mut self, client: Client, present: bool) -> &mut Self {
        self.take(Event::Connected { client, present })
    }

    fn subscribe(&mut self, client: Client, audience: event::Audience) -> &mut Self {
        self.take(Event::Subscribing { client, audience }).take(Event::Subscribed { client, audience })
    }

    fn unsubscribe(&mut self, client: Client, audience: event::Audience) -> &mut Self {
        self.take(Event::Unsubscribing { client, audience }).take(Event::Unsubscribed { client, audience })
    }

    fn send(&mut self, topic: event::Topic, sequence: u32) -> &mut Self {
        self.take(Event::Sent { topic, sequence, again: false })
    }

    fn acknowledge(&mut self, topic: event::Topic, sequence: u32) -> &mut Self {
        self.take(Event::Acknowledged { topic, sequence })
    }

    /// These were sent and acknowledged.
    fn publish(&mut self, topic: event::Topic, sequences: std::ops::Range<u32>) -> &mut Self {
        for sequence in sequences {
            self.send(topic, sequence).acknowledge(topic, sequence);
        }
        self
    }

    fn hear(&mut self, client: Client, topic: event::Topic, sequences: &[u32]) -> &mut Self {
        for &sequence in sequences {
            self.take(Event::Heard { client, topic, sequence });
        }
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.at += Duration::from_secs(seconds);
        self
    }

    /// The subscriber reconnects to its session.
    fn reconnect(&mut self) -> &mut Self {
        self.take(Event::Away { client: SUBSCRIBER }).connect(SUBSCRIBER, true)
    }

    /// What was found, by kind, in the order of the first of each.
    #[track_caller]
    fn found(self, expected: &[(Fault, u64)]) -> Verdict {
        let (mut verdict, _) = self.judge.finish();
        let mut faults = verdict.faults;
        for &(fault, times) in expected {
            assert_eq!(std::mem::take(faults.of(fault)), times, "{fault:?}: {:?}", verdict.violations);
        }
        assert_eq!(faults, Faults::default(), "{:?}", verdict.violations);
        verdict.violations.sort_by_key(|violation| violation.message);
        verdict
    }
}

#[test]
fn promises_that_are_kept() {
    let mut court = Court::new();
    let (one, two) = (court.one, court.two);
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..3).publish(two, 0..3);
    court.hear(SUBSCRIBER, one, &[0, 1, 2]).hear(SUBSCRIBER, two, &[0, 1, 2]);
    assert_eq!(court.judge.outstanding(), 0);
    assert_eq!(court.found(&[]).counts.delivered, 6);
}

#[test]
fn what_was_acknowledged_and_never_heard_is_lost() {
    let mut court = Court::new();
    let (one, two) = (court.one, court.two);
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..5).publish(two, 0..2).send(one, 5);
    court.hear(SUBSCRIBER, one, &[0, 1, 3]).hear(SUBSCRIBER, two, &[1]);
    assert_eq!(court.judge.outstanding(), 3);
    let verdict = court.found(&[(Fault::Lost, 3)]);
    let messages: Vec<_> = verdict.violations.iter().map(|violation| violation.message).collect();
    assert_eq!(messages, [Some((one, 2)), Some((one, 4)), Some((two, 0))]);
    assert_eq!(verdict.violations[0].sentence, "subscriber to # never heard message 2 of t/1");
    assert_eq!(verdict.violations[0].client, Some(SUBSCRIBER));
}

#[test]
fn nothing_is_promised_beside_a_subscription() {
    let mut court = Court::new();
    let one = court.one;
    // Before the SUBACK, behind the UNSUBSCRIBE, and not acknowledged when that was sent.
    court.publish(one, 0..1).take(Event::Subscribing { client: SUBSCRIBER, audience: TO_ALL }).send(one, 1);
    court.take(Event::Subscribed { client: SUBSCRIBER, audience: TO_ALL }).acknowledge(one, 1);
    court.publish(one, 2..3).send(one, 3).hear(SUBSCRIBER, one, &[2]);
    court.take(Event::Unsubscribing { client: SUBSCRIBER, audience: TO_ALL }).acknowledge(one, 3);
    court.publish(one, 4..6).take(Event::Unsubscribed { client: SUBSCRIBER, audience: TO_ALL });
    court.publish(one, 6..9).hear(SUBSCRIBER, one, &[4]);
    court.found(&[]);
}

#[test]
fn what_was_acknowledged_before_unsubscribe_is_promised() {
    let mut court = Court::new();
    let one = court.one;
    // Message 1 is not acknowledged, 2 is.
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..1).send(one, 1).publish(one, 2..3);
    court.unsubscribe(SUBSCRIBER, TO_ALL).acknowledge(one, 1).hear(SUBSCRIBER, one, &[0]);
    let verdict = court.found(&[(Fault::Lost, 1)]);
    assert_eq!(verdict.violations[0].message, Some((one, 2)));
}

#[test]
fn an_ended_subscription_stays_ended() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(SUBSCRIBER, TO_ALL).unsubscribe(SUBSCRIBER, TO_ALL).publish(one, 0..2);
    court.reconnect().hear(SUBSCRIBER, one, &[1]);
    court.found(&[(Fault::Subscription, 1)]);
}

#[test]
fn a_subscription_does_not_reach_back() {
    let mut court = Court::new();
    let one = court.one;
    court.publish(one, 0..4).subscribe(SUBSCRIBER, TO_ALL).hear(SUBSCRIBER, one, &[3]);
    court.found(&[(Fault::Subscription, 1)]);
}

#[test]
fn a_subscription_that_is_asked_for_again_goes_on() {
    let mut court = Court::new();
    let one = court.one;
    let asked = Event::Subscribing { client: SUBSCRIBER, audience: TO_ALL };
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..2).take(asked);
    court.take(Event::Subscribed { client: SUBSCRIBER, audience: TO_ALL }).hear(SUBSCRIBER, one, &[1]);
    court.found(&[(Fault::Lost, 1)]);
}

#[test]
fn qos_2_comes_once() {
    let mut court = Court::new();
    let two = court.two;
    court.subscribe(SUBSCRIBER, TO_ALL).publish(two, 0..1).hear(SUBSCRIBER, two, &[0]).reconnect();
    court.hear(SUBSCRIBER, two, &[0]);
    let verdict = court.found(&[(Fault::Twice, 1)]);
    assert_eq!(verdict.violations[0].sentence, "subscriber heard message 0 of t/2 twice, with qos 2");
}

#[test]
fn qos_1_may_come_again_on_another_connection() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..2).hear(SUBSCRIBER, one, &[0, 1]).reconnect();
    court.hear(SUBSCRIBER, one, &[0, 1]);
    assert_eq!(court.found(&[]).counts.duplicates, 2);
}

#[test]
fn qos_1_does_not_come_again_on_one_connection() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..2).hear(SUBSCRIBER, one, &[0, 1, 1]);
    court.found(&[(Fault::Repeated, 1)]);
}

/// The broker cannot know that it is the same message.
#[test]
fn qos_1_that_was_published_again_may_come_again() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(SUBSCRIBER, TO_ALL).send(one, 0).take(Event::Sent {
        topic: one,
        sequence: 0,
        again: true,
    });
    court.acknowledge(one, 0).hear(SUBSCRIBER, one, &[0, 0]);
    assert_eq!(court.found(&[]).counts.duplicates, 1);
}

#[test]
fn the_first_copies_come_in_order() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..4).hear(SUBSCRIBER, one, &[0, 2, 1]).reconnect();
    // A second copy of an old one is no disorder.
    court.hear(SUBSCRIBER, one, &[2, 3]);
    court.found(&[(Fault::OutOfOrder, 1)]);
}

#[test]
fn a_lasting_session_is_present() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..2).take(Event::Killed);
    court.take(Event::Away { client: SUBSCRIBER }).connect(SUBSCRIBER, false);
    // What it missed is lost all the same.
    let verdict = court.found(&[(Fault::Session, 1), (Fault::Lost, 2)]);
    assert_eq!(verdict.violations[0].sentence, "subscriber has no session any more, which had to be there");
}

#[test]
fn a_clean_session_is_not_present_and_nothing_is_claimed_for_it() {
    let mut court = Court::new();
    let two = court.two;
    court.subscribe(VISITOR, TO_VISITOR).publish(two, 0..3).hear(VISITOR, two, &[2, 2, 0]);
    court.take(Event::Away { client: VISITOR }).connect(VISITOR, false);
    assert_eq!(court.judge.counts().unclaimed, 3);
    court.take(Event::Away { client: VISITOR }).connect(VISITOR, true);
    court.found(&[(Fault::Session, 1)]);
}

#[test]
fn a_session_expires_when_it_is_to() {
    // Seconds away, killed meanwhile, session present, sessions at fault, messages lost.
    let cases = [
        (1, false, true, 0, 2),
        (1, false, false, 1, 2),
        (1, true, false, 1, 2),
        (4, false, true, 0, 2),
        (4, false, false, 0, 0),
        (7, false, false, 0, 0),
        (7, false, true, 1, 2),
        (7, true, true, 0, 2),
        (19, true, true, 1, 2),
        (19, true, false, 0, 0),
    ];
    for (seconds, killed, present, session, lost) in cases {
        let mut court = Court::new();
        let one = court.one;
        court.subscribe(EXPIRING, TO_EXPIRING).publish(one, 0..2);
        court.take(Event::Away { client: EXPIRING });
        if killed {
            court.take(Event::Killed);
        }
        court.wait(seconds).connect(EXPIRING, present);
        court.found(&[(Fault::Session, session), (Fault::Lost, lost)]);
    }
}

#[test]
fn a_message_of_an_expired_session_must_not_come() {
    let mut court = Court::new();
    let one = court.one;
    court.subscribe(EXPIRING, TO_EXPIRING).take(Event::Away { client: EXPIRING }).wait(7);
    court.connect(EXPIRING, false).publish(one, 0..1).hear(EXPIRING, one, &[0]);
    court.found(&[(Fault::Subscription, 1)]);
}

#[test]
fn a_shared_message_goes_to_one_member() {
    let mut court = Court::new();
    let (one, two) = (court.one, court.two);
    court.subscribe(MEMBER, TO_GROUP).subscribe(OTHER_MEMBER, TO_GROUP).publish(one, 0..4).publish(two, 0..3);
    // In any order, and QoS 1 by two members if need be.
    court.hear(MEMBER, one, &[2, 0]).hear(OTHER_MEMBER, one, &[1, 0]);
    court.hear(MEMBER, two, &[0, 2]).hear(OTHER_MEMBER, two, &[0]);
    let verdict = court.found(&[(Fault::Lost, 2), (Fault::Twice, 1)]);
    assert_eq!(verdict.counts.duplicates, 1);
}

#[test]
fn wills_come_if_due_once_and_not_after_a_leave() {
    let mut court = Court::new();
    let will = court.will;
    court.subscribe(SUBSCRIBER, TO_ALL);
    // Due and heard; due and lost; nobody knows; taken back.
    court.publish(will, 0..2).send(will, 2).take(Event::Abandoned { topic: will, sequence: 2 });
    court.send(will, 3).take(Event::Withdrawn { topic: will, sequence: 3 }).hear(SUBSCRIBER, will, &[0, 3]);
    court.reconnect().hear(SUBSCRIBER, will, &[0]);
    let verdict = court.found(&[(Fault::Lost, 1), (Fault::Will, 1), (Fault::Twice, 1)]);
    assert_eq!((verdict.counts.wills_due, verdict.counts.wills_heard), (2, 1));
}

#[test]
fn what_nobody_sent_is_misconduct() {
    let mut court = Court::new();
    let (one, will) = (court.one, court.will);
    court.subscribe(SUBSCRIBER, TO_ALL).hear(SUBSCRIBER, one, &[7]).publish(will, 0..1);
    court.hear(SUBSCRIBER, will, &[0]).hear(MEMBER, will, &[0]);
    court.found(&[(Fault::Conduct, 2)]);
}

/// `acknowledged` changes are by now, `then` were as SUBSCRIBE was sent.
#[track_caller]
fn check_retained(changes: &[Change], acknowledged: u32, then: usize, message: Option<u32>, is_right: bool) {
    let mut court = Court::new();
    let one = court.one;
    for (sequence, &change) in (0..).zip(changes) {
        court.judge.retain(one, sequence, change);
        court.send(one, sequence);
    }
    for sequence in 0..acknowledged {
        court.acknowledge(one, sequence);
    }
    court.judge.retained_seen(VISITOR, one, Seen { acknowledged: then, message });
    court.found(&[(Fault::Retained, u64::from(!is_right))]);
}

#[test]
fn a_new_subscriber_gets_the_last_retained_message_or_a_later_one() {
    use Change::{Cleared, Set};
    check_retained(&[], 0, 0, None, true);
    check_retained(&[Set], 0, 0, None, true);
    check_retained(&[Set], 0, 0, Some(0), true);
    check_retained(&[Set], 1, 1, Some(0), true);
    check_retained(&[Set], 1, 1, None, false);
    check_retained(&[Set, Set], 1, 1, Some(0), true);
    check_retained(&[Set, Set], 2, 1, Some(1), true);
    check_retained(&[Set, Set], 2, 2, Some(0), false);
    check_retained(&[Set, Cleared], 2, 2, None, true);
    check_retained(&[Set, Cleared], 2, 2, Some(0), false);
    check_retained(&[Set, Cleared], 1, 1, None, true);
    check_retained(&[Set, Cleared, Set], 3, 2, None, true);
    check_retained(&[Set, Cleared, Set], 3, 3, None, false);
    check_retained(&[Set, Cleared, Set], 3, 3, Some(2), true);
}

#[test]
fn many_faults_of_one_kind_do_not_hide_another() {
    let mut court = Court::new();
    let (one, two) = (court.one, court.two);
    court.subscribe(SUBSCRIBER, TO_ALL).publish(one, 0..50).publish(two, 0..1);
    court.hear(SUBSCRIBER, two, &[0, 0]);
    let verdict = court.found(&[(Fault::Lost, 50), (Fault::Twice, 1)]);
    assert!(verdict.violations.len() <= 10);
}
