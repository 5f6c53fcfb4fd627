//! Publishes that a limit or a rule refuses: what the client is told, and that nothing of them goes anywhere.

use ProtocolVersion::{V5, V31, V311};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::{NotAuthorized, QuotaExceeded, Success, TopicNameInvalid};
use mqtt_codec::{Connect, Packet, ProtocolVersion, Publish, QoS, ReasonCode};

use super::publish;
use crate::ids::client_hash;
use crate::kept::Share;
use crate::protocol::Stepped;
use crate::protocol::refusal::Limit;
use crate::protocol::tests::{Client, answer};
use crate::settings::{DeniedPublish, Settings};
use crate::testing::id;

fn client(version: ProtocolVersion, change: impl FnOnce(&mut Settings)) -> Client {
    Client::with(&Connect::new(version, "client"), change)
}

fn packet(topic: &str, qos: QoS, identifier: u16) -> Packet {
    Packet::Publish(Publish { retain: true, ..publish(topic, "x", qos, identifier) })
}

/// Places that its publishes have among what is retained.
fn admitted(client: &Client) -> usize {
    client.retained.with_store(|store| store.of_client(client_hash("client")).messages)
}

/// A limit, how it is reached, and a publish beyond it; what 5.0 is told, and what counts it.
type Case = (Limit, fn(&mut Settings), &'static str, ReasonCode, &'static str);

const CASES: [Case; 3] = [
    (
        Limit::TopicLevels,
        |settings| settings.mqtt.topic_levels_max = 2,
        "a/b/c",
        TopicNameInvalid,
        "topic_levels_exceeded",
    ),
    (
        Limit::Retained,
        |settings| settings.session.retained_messages_max = 1,
        "b",
        QuotaExceeded,
        "retained_refused",
    ),
    (
        Limit::RetainedOfClient,
        |settings| settings.session.retained_bytes_per_client_max = 3,
        "b",
        QuotaExceeded,
        "retained_per_client_refused",
    ),
];

/// 5.0 is told in the turn of the publish; QoS 0 is dropped. What fits goes on all the same.
#[test]
fn limits_tell_a_client_of_5_0() {
    for (limit, change, topic, reason, counter) in CASES {
        let mut client = client(V5, change);
        client.send(&packet("a", AtLeastOnce, 1)).unwrap();
        for (qos, identifier) in [(AtLeastOnce, 2), (ExactlyOnce, 3), (AtMostOnce, 0)] {
            assert_eq!(client.send_more(&packet(topic, qos, identifier)), Ok(Stepped::Done));
        }
        client.send_more(&packet("a", AtLeastOnce, 4)).unwrap();
        let x = |topic: &str| (topic.to_owned(), "x".to_owned());
        let answers = vec![
            answer(1, false, None),
            answer(2, false, Some(reason)),
            answer(3, true, Some(reason)),
            answer(4, false, None),
        ];
        assert_eq!(client.batch(), (vec![x("a"), x("a")], answers), "{limit:?}");
        assert_eq!((client.counter(counter), client.counter("qos0_refused")), (3, 1), "{limit:?}");
        assert_eq!((client.online().unanswered, client.session.incoming.count()), (4, 0));
        assert_eq!(admitted(&client), 1);
    }
}

/// 3.x cannot be told: nothing is changed, nothing answered, and it is counted once however often it is tried; QoS 0 is
/// dropped.
#[test]
fn limits_hold_a_client_of_3_x() {
    for (limit, change, topic, _, counter) in CASES {
        for version in [V31, V311] {
            let mut client = client(version, change);
            client.send(&packet("a", AtLeastOnce, 1)).unwrap();
            assert_eq!(client.send(&packet(topic, AtMostOnce, 0)), Ok(Stepped::Done));
            assert_eq!((client.counter(counter), client.counter("qos0_refused")), (1, 1));
            let received = client.counter("publishes_received");
            for qos in [AtLeastOnce, ExactlyOnce] {
                client.again = false;
                for _ in 0..3 {
                    assert_eq!(client.send(&packet(topic, qos, 2)), Ok(Stepped::Refused(limit)));
                    client.again = true;
                }
            }
            assert!(client.fx.batch.is_empty() && client.fx.out.is_empty());
            assert_eq!(client.counter(counter), 3, "{limit:?}");
            assert_eq!(client.counter("publishes_received"), received);
            assert_eq!((client.online().unanswered, client.session.incoming.count()), (1, 0));
        }
    }
}

/// While what waits on the node is at its limit, QoS 1 and 2 are refused, whoever would have to wait; QoS 0, which waits for
/// nobody then, is not, nor is what was accepted before.
#[test]
fn what_waits_on_the_node() {
    for version in [V31, V311, V5] {
        let mut client = client(version, |settings| settings.node.queued_bytes_max = 1000);
        let plain = |qos, identifier| Packet::Publish(publish("t", "x", qos, identifier));
        client.send(&plain(ExactlyOnce, 1)).unwrap();
        let share = Share::take(client.office.ledger.kept.node(), 1000);
        for (qos, identifier) in [(AtLeastOnce, 2), (ExactlyOnce, 3)] {
            let stepped = client.send(&plain(qos, identifier)).unwrap();
            match version {
                V5 => {
                    let told = answer(identifier, qos == ExactlyOnce, Some(QuotaExceeded));
                    assert_eq!((stepped, client.batch()), (Stepped::Done, (vec![], vec![told])));
                }
                _ => assert_eq!(stepped, Stepped::Refused(Limit::QueuedBytes)),
            }
        }
        assert_eq!(client.send(&plain(ExactlyOnce, 1)), Ok(Stepped::Done));
        assert_eq!(client.batch(), (vec![], vec![answer(1, true, Some(Success))]));
        assert_eq!(client.send(&plain(AtMostOnce, 0)), Ok(Stepped::Done));
        assert_eq!(client.batch().0.len(), 1);
        assert_eq!((client.counter("queued_bytes_refused"), client.counter("qos0_refused")), (2, 0));
        drop(share);
        assert_eq!(client.send(&plain(AtLeastOnce, 2)), Ok(Stepped::Done));
    }
}

/// When there is room the same publish goes through.
#[test]
fn room_lets_a_held_publish_through() {
    let mut client = client(V311, |settings| settings.session.retained_messages_max = 1);
    client.send(&packet("a", AtLeastOnce, 1)).unwrap();
    assert_eq!(client.send(&packet("b", ExactlyOnce, 2)), Ok(Stepped::Refused(Limit::Retained)));
    client.retained.with_store(|store| store.forget_admitted("a"));
    client.again = true;
    assert_eq!(client.send(&packet("b", ExactlyOnce, 2)), Ok(Stepped::Done));
    assert_eq!(client.batch().1, [answer(2, true, None)]);
    assert!(client.session.incoming.contains(id(2)));
}

/// [MQTT-4.3.3-10] What was accepted and is sent again is answered, whatever the limits say by now.
#[test]
fn what_was_kept_is_not_refused_when_it_is_sent_again() {
    for version in [V31, V311, V5] {
        let mut client = client(version, |settings| settings.session.retained_messages_max = 1);
        client.send(&packet("a", ExactlyOnce, 1)).unwrap();
        client.retained.with_store(|store| store.forget_admitted("a"));
        client.send(&packet("b", AtMostOnce, 0)).unwrap();
        assert_eq!(client.send(&packet("a", ExactlyOnce, 1)), Ok(Stepped::Done));
        assert_eq!(client.batch(), (vec![], vec![answer(1, true, Some(Success))]));
        assert_eq!(admitted(&client), 1, "it is not kept a second time");
    }
}

/// [MQTT311-3.3.5-2] What is denied is acknowledged to 3.x, or ends its network connection; 5.0 is told whatever the setting
/// says.
#[test]
fn denied() {
    for (version, policy, closes) in [
        (V31, DeniedPublish::Acknowledge, false),
        (V311, DeniedPublish::Acknowledge, false),
        (V5, DeniedPublish::Acknowledge, false),
        (V31, DeniedPublish::Close, true),
        (V311, DeniedPublish::Close, true),
        (V5, DeniedPublish::Close, false),
    ] {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let mut client = client(version, |settings| settings.mqtt.denied_publish = policy);
            let stepped = client.send(&packet("$SYS/x", qos, 1));
            assert_eq!(stepped.as_ref().is_err_and(|violation| violation.reason == NotAuthorized), closes);
            let answers = match qos {
                AtMostOnce => vec![],
                _ if closes => vec![],
                _ => vec![answer(1, qos == ExactlyOnce, Some(NotAuthorized))],
            };
            assert_eq!(client.batch(), (vec![], answers), "{version:?} {policy:?} {qos:?}");
            assert_eq!(client.counter("publishes_not_authorized"), 1);
            assert_eq!((admitted(&client), client.counter("qos0_refused")), (0, 0));
        }
    }
}
