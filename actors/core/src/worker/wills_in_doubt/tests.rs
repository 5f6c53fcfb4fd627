use std::time::{Duration, Instant};

use mqtt_codec::{ProtocolVersion, QoS};

use super::{ASKED_MAX, Doubt, JUDGED_MAX, WillVerdict, WillsInDoubt};
use crate::ids::{SessionKey, client_hash};
use crate::protocol::Verdicts;
use crate::rules::Rules;
use crate::session::Will;
use crate::testing::{now, online, worker};
use crate::worker::WorkerState;

const WAIT_MAX: Duration = Duration::from_secs(5);

/// Rules that were replaced so often.
fn rules(revision: u64) -> Rules {
    Rules { revision, authorizes: true }
}

fn will(client: &str, revision: u64, allowed_until: Option<Instant>) -> Box<Will> {
    Box::new(Will {
        client_identifier: client.into(),
        user_name: Some("user".into()),
        grant: None,
        revision,
        allowed_until,
        topic: "will".into(),
        payload: "gone".into(),
        properties: Box::default(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_seconds: 0,
        expiry_seconds: None,
        share: None,
    })
}

/// A session of this name, online, with a will that was allowed under the first rules.
fn connect(worker: &mut WorkerState, client: &str) -> SessionKey {
    let session = worker.sessions.create(client, ProtocolVersion::V5);
    session.online = Some(online(ProtocolVersion::V5));
    session.will = Some(will(client, 0, None));
    session.key
}

/// What the auth actor answers under rules that were replaced so often.
fn answer(is_allowed: bool, revision: u64) -> Option<Verdicts> {
    Some(Verdicts { answer: vec![is_allowed], revision, until: None })
}

fn due(worker: &mut WorkerState, client: &str, rules: Rules) -> Option<Doubt> {
    let publisher = SessionKey { index: 0, generation: 1, worker: 0 };
    worker.route_due_will(publisher, client_hash(client), will(client, 0, None), rules, now())
}

fn published(worker: &WorkerState) -> (u64, u64) {
    (worker.counters.wills_published.get(), worker.counters.wills_not_authorized.get())
}

#[test]
fn a_will_counts_under_the_rules_that_allowed_it() {
    let now = now();
    let second = Duration::from_secs(1);
    for (rules, allowed_until, expected) in [
        (rules(3), None, true),
        (rules(4), None, false),
        (rules(3), Some(now + second), true),
        (rules(3), Some(now), false),
        // Nobody is refused anything any more.
        (Rules { authorizes: false, ..rules(4) }, Some(now), true),
    ] {
        assert_eq!(will("c", 3, allowed_until).is_allowed_still(rules, now), expected, "{rules:?}");
    }
}

#[test]
fn what_is_due_is_published_or_in_doubt() {
    let mut worker = worker();
    assert!(due(&mut worker, "c", rules(0)).is_none());
    assert_eq!(published(&worker), (1, 0));
    let doubt = due(&mut worker, "c", rules(1)).unwrap();
    assert_eq!(published(&worker), (1, 0));
    assert_eq!(
        (&*doubt.client_identifier, doubt.user_name.as_deref(), &*doubt.topic),
        ("c", Some("user"), "will")
    );
    worker.settle_doubt(&doubt, WillVerdict::Denied, now());
    assert_eq!(published(&worker), (1, 1));
    worker.settle_doubt(&doubt, WillVerdict::Allowed { revision: 1, until: None }, now());
    assert_eq!(published(&worker), (2, 1));
}

#[test]
fn what_an_answer_says() {
    let (mut worker, now) = (worker(), now());
    let doubt = due(&mut worker, "c", rules(1)).unwrap();
    let until = |revision, until| WillVerdict::Allowed { revision, until };
    for (answer, expected) in [
        (None, WillVerdict::Denied),
        (answer(true, 2), until(2, None)),
        (answer(false, 2), WillVerdict::Denied),
        // The rules have changed meanwhile.
        (answer(true, 1), WillVerdict::Open),
        (answer(false, 1), WillVerdict::Open),
        // Not what was asked for.
        (Some(Verdicts { answer: Vec::new(), revision: 2, until: None }), WillVerdict::Denied),
        (Some(Verdicts { answer: vec![true, true], revision: 2, until: None }), WillVerdict::Denied),
        // A time to live: it counts for as long as a CONNECT may have waited for it.
        (
            Some(Verdicts { answer: vec![true], revision: 2, until: Some(now) }),
            until(2, Some(now + WAIT_MAX)),
        ),
        (
            Some(Verdicts { answer: vec![true], revision: 2, until: Some(now + 2 * WAIT_MAX) }),
            until(2, Some(now + 2 * WAIT_MAX)),
        ),
    ] {
        let said = format!("{answer:?}");
        assert_eq!(doubt.judge_answer(answer, rules(2), now, WAIT_MAX), expected, "{said}");
    }
}

#[test]
fn a_will_is_not_asked_about_for_ever() {
    let mut worker = worker();
    let mut doubt = due(&mut worker, "c", rules(1)).unwrap();
    for _ in 0..JUDGED_MAX {
        assert_eq!(doubt.judge(rules(1)), WillVerdict::Open);
    }
    assert_eq!(doubt.judge(rules(1)), WillVerdict::Denied);
    let without = Rules { authorizes: false, ..rules(2) };
    assert_eq!(doubt.judge(without), WillVerdict::Allowed { revision: 2, until: None });
}

/// A client that comes back while its session has a will that may not be allowed any more.
#[test]
fn the_will_of_a_session() {
    let (mut worker, now) = (worker(), now());
    for (client, verdict, stays) in [
        ("allowed", WillVerdict::Allowed { revision: 1, until: None }, true),
        ("denied", WillVerdict::Denied, false),
    ] {
        let key = connect(&mut worker, client);
        let mut wills = WillsInDoubt::<&str>::default();
        assert!(!wills.hold_up(client, &worker.sessions, rules(0), now), "it was allowed by these");
        assert!(wills.hold_up(client, &worker.sessions, rules(1), now));
        wills.wait(client, "CONNECT", now + WAIT_MAX);
        let doubt = wills.next_to_ask().unwrap();
        worker.settle_doubt(&doubt, verdict, now);
        wills.note_judged(&doubt.client_identifier);
        assert_eq!(wills.take_judged(), ["CONNECT"]);
        let session = worker.sessions.get(key).unwrap();
        assert_eq!(session.will.is_some(), stays, "{client}");
        assert!(!wills.hold_up(client, &worker.sessions, rules(1), now), "it is judged");
    }
    assert_eq!(published(&worker), (0, 1));
}

/// One that took the session over has a will of its own, which is not what was asked about.
#[test]
fn the_will_of_a_later_network_connection_is_left_alone() {
    let (mut worker, now) = (worker(), now());
    let key = connect(&mut worker, "c");
    let mut wills = WillsInDoubt::<()>::default();
    assert!(wills.hold_up("c", &worker.sessions, rules(1), now));
    worker.sessions.get_mut(key).unwrap().epoch += 1;
    worker.settle_doubt(&wills.next_to_ask().unwrap(), WillVerdict::Denied, now);
    assert!(worker.sessions.get(key).unwrap().will.is_some());
}

/// Nothing that a client publishes afterwards overtakes any of its wills: its CONNECTs wait for all of them.
#[test]
fn a_connect_waits_for_all_wills_of_its_client_and_no_others() {
    let (mut worker, now) = (worker(), now());
    let mut wills = WillsInDoubt::default();
    for client in ["a", "a", "b"] {
        wills.push(due(&mut worker, client, rules(1)).unwrap());
    }
    for (client, connect) in [("a", 1), ("b", 2), ("a", 3)] {
        assert!(wills.hold_up(client, &worker.sessions, rules(1), now));
        wills.wait(client, connect, now + WAIT_MAX);
    }
    assert!(!wills.hold_up("c", &worker.sessions, rules(1), now));
    for (judged, go_on) in [("a", vec![]), ("b", vec![2]), ("a", vec![1, 3])] {
        assert!(!wills.is_idle());
        wills.next_to_ask().unwrap();
        wills.note_judged(judged);
        assert_eq!(wills.take_judged(), go_on);
    }
    assert!(wills.is_idle() && wills.next_to_ask().is_none());
}

#[test]
fn a_connect_waits_for_so_long() {
    let (mut worker, now) = (worker(), now());
    let mut wills = WillsInDoubt::default();
    wills.push(due(&mut worker, "a", rules(1)).unwrap());
    wills.wait("a", 1, now + WAIT_MAX);
    wills.wait("a", 2, now + 2 * WAIT_MAX);
    wills.wait("nobody is in doubt of this one", 3, now);
    assert!(wills.take_late(now + WAIT_MAX - Duration::from_millis(1)).is_empty());
    assert_eq!(wills.take_late(now + WAIT_MAX), [1]);
    wills.next_to_ask().unwrap();
    wills.note_judged("a");
    assert_eq!(wills.take_judged(), [2]);
    assert!(wills.take_late(now + 2 * WAIT_MAX).is_empty(), "it has gone on");
    wills.push(due(&mut worker, "a", rules(1)).unwrap());
    wills.wait("a", 4, now + WAIT_MAX);
    assert_eq!(wills.take_waiting(), [4]);
}

#[test]
fn so_many_are_asked_about_at_a_time() {
    let mut worker = worker();
    let mut wills = WillsInDoubt::<()>::default();
    (0..=ASKED_MAX).for_each(|_| wills.push(due(&mut worker, "a", rules(1)).unwrap()));
    for _ in 0..ASKED_MAX {
        wills.next_to_ask().unwrap();
    }
    assert!(wills.next_to_ask().is_none());
    wills.note_judged("a");
    assert!(wills.next_to_ask().is_some());
}
