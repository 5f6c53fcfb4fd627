//! When in doubt, no: what is not answered, or answered wrongly, is not allowed.

use auth_actor::{AuthSettings, Outcome, QuestionKind};
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Connect, Packet, ReasonCode};

use super::scripted::{Asking, PATIENT_MS, on_asking_nodes, user};
use super::{auth, auth_data, refused, scram_connect};
use crate::harness::{connect, identifier, numbered, options, settings, subscribe_packet, will};

/// What an answer may take where a test waits for it to be late.
const HASTY_MS: u64 = 1000;

fn with_will(connect: Connect, topic: &str) -> Connect {
    Connect { will: Some(will(topic, AtMostOnce, "w")), ..connect }
}

/// A CONNECT that could not be judged is told to come again: 0x88, return code 3 before 5.0. One whose will is refused is
/// not: 0x87, return code 5.
#[test]
fn connects() {
    on_asking_nodes(HASTY_MS, async |asking| {
        let node = &asking.node;
        for version in [V31, V311, V5] {
            refused(node, user(version, "client", "hangs"), ReasonCode::ServerUnavailable).await;
            for topic in ["hangs/x", "short/x", "long/x"] {
                let connect = with_will(connect(version, "client"), topic);
                refused(node, connect, ReasonCode::ServerUnavailable).await;
            }
            refused(node, with_will(connect(version, "client"), "no/x"), ReasonCode::NotAuthorized).await;
            refused(node, user(version, "client", "no"), ReasonCode::NotAuthorized).await;
            let connect = with_will(user(version, "client", "ann"), "fine/x");
            node.connect_with(connect).await.0.disconnect().await;
        }
        node.until_counters([("connects_refused", 18)]).await;
        assert_eq!(node.counter("connect_timeouts"), 0);
        let count = |kind, outcome| node.shared().asking.outcomes().of(kind, outcome);
        assert_eq!(count(QuestionKind::Login, Outcome::Late), 3);
        assert_eq!(count(QuestionKind::Permission, Outcome::Late), 3);
        assert_eq!(count(QuestionKind::Permission, Outcome::Malformed), 6);
        let page = node.running().admin_source().prometheus().await.unwrap();
        assert!(page.contains("micro_mq_auth_logins_total{outcome=\"late\"} 3\n"), "{page}");
        assert!(page.contains("micro_mq_auth_permissions_total{outcome=\"malformed\"} 6\n"), "{page}");
    });
}

/// The time that questions take does not count against the client: it is told, and not cut off.
#[test]
fn a_connect_waits_for_its_answer_and_not_for_its_own_deadline() {
    actix_rt::System::new().block_on(async {
        let mut settings = settings();
        settings.node.connect_timeout_ms = 1500;
        let auth = AuthSettings { answer_timeout_ms: 1600, ..AuthSettings::default() };
        let asking = Asking::start_with(1, settings, auth).await;
        refused(&asking.node, user(V5, "client", "hangs"), ReasonCode::ServerUnavailable).await;
        asking.node.stop().await;
    });
}

/// Steps of an enhanced authentication, at CONNECT (0x88) and as re-authentication (0x87) [MQTT-4.12.1-2].
#[test]
fn exchanges() {
    on_asking_nodes(HASTY_MS, async |asking| {
        let node = &asking.node;
        let unavailable = ReasonCode::ServerUnavailable;
        refused(node, scram_connect("hangs-at-once", b"x".to_vec()), unavailable).await;
        let begin = async |method: &str| {
            let mut client = node.open(V5).await;
            client.send(Packet::Connect(Box::new(scram_connect(method, b"x".to_vec())))).await;
            auth_data(&mut client, ReasonCode::ContinueAuthentication, method).await;
            client.send(auth(ReasonCode::ContinueAuthentication, method, b"proof".to_vec())).await;
            client
        };
        let mut client = begin("hangs").await;
        assert_eq!(client.expect_connack().await.reason_code, unavailable);
        client.expect_closed().await;

        let mut client = begin("fine").await;
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        client.send(auth(ReasonCode::ReAuthenticate, "fine", b"hangs".to_vec())).await;
        // It goes on meanwhile.
        client.ping().await;
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    });
}

/// A publish that could not be judged is refused like one that is not allowed, in its turn, and the next one of that
/// topic name is asked for again.
#[test]
fn publishes() {
    on_asking_nodes(HASTY_MS, async |asking| {
        let node = &asking.node;
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("+/x", AtMostOnce).await;
        for topic in ["hangs/x", "short/x", "long/x", "no/x"] {
            let mut client = node.connect(V5, "client").await;
            client.publish(topic, AtMostOnce, "forbidden").await;
            assert_eq!(client.publish(topic, AtLeastOnce, "forbidden").await, ReasonCode::NotAuthorized);
            assert_eq!(client.publish(topic, ExactlyOnce, "forbidden").await, ReasonCode::NotAuthorized);
            assert_eq!(client.publish("fine/x", ExactlyOnce, "allowed").await, ReasonCode::Success);
            watcher.expect_payload("allowed").await;
        }
        let mut old = node.connect(V311, "old").await;
        // An acknowledgement like any other: 3.x has no other.
        assert_eq!(old.publish("no/x", AtLeastOnce, "forbidden").await, ReasonCode::Success);
        watcher.expect_nothing().await;
        node.until_counters([("publishes_not_authorized", 13)]).await;
        let late = node.shared().asking.outcomes().of(QuestionKind::Permission, Outcome::Late);
        assert_eq!(late, 3, "each publish is asked for");
    });
}

fn impatient(refused_publish_timeout_ms: u64) -> micro_mq_core::settings::Settings {
    let mut settings = settings();
    settings.mqtt.refused_publish_timeout_ms = refused_publish_timeout_ms;
    settings
}

/// A publish of 3.x that could not be judged is no denied one, which is acknowledged: there is no acknowledgement, and its
/// client is not read. It is asked for again, and goes through when it is allowed.
#[test]
fn publishes_of_3_x_are_asked_for_again() {
    actix_rt::System::new().block_on(async {
        let auth = AuthSettings { answer_timeout_ms: HASTY_MS, ..AuthSettings::default() };
        let asking = Asking::start_with(2, impatient(600_000), auth).await;
        let node = &asking.node;
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("+/x", AtMostOnce).await;
        let mut times = 0;
        for version in [V31, V311] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                let mut old = node.connect(version, "old").await;
                old.send_all(&[numbered(1, "held/x", qos), numbered(2, "fine/x", AtLeastOnce)]).await;
                times += 1;
                node.until("it is held", |seen| seen.counter("publishers_held") == times).await;
                old.expect_silence().await;
                asking.script.answer_held(true);
                node.until("it is asked again", |_| asking.script.held() == 1).await;
                asking.script.answer_held(true);
                let acknowledged = mqtt_codec::Ack::new(identifier(1), ReasonCode::Success);
                old.expect(match qos {
                    ExactlyOnce => Packet::PubRec(acknowledged),
                    _ => Packet::PubAck(acknowledged),
                })
                .await;
                assert!(matches!(old.next().await, Packet::PubAck(_)));
                for topic in ["held/x", "fine/x"] {
                    assert_eq!(watcher.expect_publish().await.topic, topic);
                }
                old.vanish().await;
            }
        }
        watcher.expect_nothing().await;
        node.until_counters([("publishes_not_authorized", times)]).await;
        assert_eq!(node.counter("publishers_held_closed"), 0);
        asking.node.stop().await;
    });
}

/// Without an answer the network connection ends, and nothing was acknowledged; QoS 0 is dropped.
#[test]
fn publishes_of_3_x_without_an_answer() {
    actix_rt::System::new().block_on(async {
        let auth = AuthSettings { answer_timeout_ms: 200, ..AuthSettings::default() };
        let asking = Asking::start_with(2, impatient(1500), auth).await;
        let node = &asking.node;
        for (topic, outcome) in [("hangs/x", Outcome::Late), ("short/x", Outcome::Malformed)] {
            let mut old = node.connect(V311, "old").await;
            old.send(Packet::Publish(crate::harness::publish(topic, AtMostOnce, "dropped"))).await;
            old.ping().await;
            old.send(numbered(1, topic, AtLeastOnce)).await;
            old.expect_closed().await;
            let asked = node.shared().asking.outcomes().of(QuestionKind::Permission, outcome);
            assert!(asked >= 3, "{topic} was asked for {asked} times");
        }
        node.until_counters([
            ("publishers_held", 2),
            ("publishers_held_closed", 2),
            ("qos0_refused", 2),
            ("publishes_not_authorized", 4),
        ])
        .await;
        assert_eq!(node.balanced_ledger().await.published, 0);
        asking.node.stop().await;
    });
}

/// What is refused for want of an answer is answered in its turn.
#[test]
fn acknowledgements_keep_their_order() {
    on_asking_nodes(HASTY_MS, async |asking| {
        let mut client = asking.node.connect(V5, "client").await;
        let topics = ["a/x", "hangs/x", "b/x", "short/x", "a/x"];
        let packets: Vec<_> =
            topics.iter().zip(1..).map(|(topic, number)| numbered(number, topic, AtLeastOnce)).collect();
        client.send_all(&packets).await;
        for number in 1..=5 {
            let Packet::PubAck(ack) = client.next().await else { panic!("no PUBACK") };
            assert_eq!(ack.packet_identifier, identifier(number));
            assert_eq!(ack.reason_code == ReasonCode::NotAuthorized, number % 2 == 0);
        }
    });
}

/// A filter is granted by a verdict alone: an answer that is late, or of another length than the SUBSCRIBE, grants none.
#[test]
fn subscribes() {
    on_asking_nodes(HASTY_MS, async |asking| {
        for (version, refused) in [(V5, 0x87), (V311, 0x80)] {
            let mut client = asking.node.connect(version, "client").await;
            for (doubtful, fine) in
                [("hangs/#", refused), ("short/#", refused), ("long/#", refused), ("no/#", 1)]
            {
                let filters =
                    ["fine/1", doubtful, "$share/g/fine/2"].map(|name| (name, options(AtLeastOnce)));
                let answer = client.subscribe_packet(subscribe_packet(identifier(7), &filters)).await;
                let codes: Vec<u8> = answer.reason_codes.iter().map(|code| *code as u8).collect();
                assert_eq!(codes, [fine, refused, fine], "{doubtful}");
            }
            client.disconnect().await;
        }
        asking.node.until_counters([("subscriptions_not_authorized", 20)]).await;
    });
}

/// As many questions wait as may: one more is refused at once, clients that connect and those that are connected each
/// with room of their own.
#[test]
fn a_bounded_number_of_questions_waits() {
    actix_rt::System::new().block_on(async {
        let auth =
            AuthSettings { answer_timeout_ms: PATIENT_MS, questions_max: 4, ..AuthSettings::default() };
        let asking = Asking::start_with(3, settings(), auth).await;
        let mut clients = Vec::new();
        for name in ["a", "b", "c", "d"] {
            clients.push(asking.node.connect(V5, name).await);
        }
        for client in &mut clients[2..] {
            client.send(numbered(1, "held/x", AtLeastOnce)).await;
        }
        asking.until_waiting(2).await;
        assert_eq!(clients[0].publish("fine/x", AtLeastOnce, "m").await, ReasonCode::NotAuthorized);
        // Those that connect have room.
        for name in ["e", "f"] {
            let mut client = asking.node.open(V5).await;
            client.send(Packet::Connect(Box::new(user(V5, name, "held")))).await;
            clients.push(client);
        }
        asking.until_waiting(4).await;
        refused(&asking.node, user(V5, "g", "ann"), ReasonCode::ServerUnavailable).await;
        let full = |kind| asking.node.shared().asking.outcomes().of(kind, Outcome::Full);
        assert_eq!(QuestionKind::ALL.map(full), [1, 0, 1]);

        asking.node.until("all are held", |_| asking.script.held() == 4).await;
        asking.script.answer_held(true);
        asking.until_waiting(0).await;
        let answer = clients[0].publish("fine/x", AtLeastOnce, "m").await;
        assert_eq!(answer, ReasonCode::NoMatchingSubscribers);
        for client in &mut clients[4..] {
            assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        }
        drop(clients);
        asking.node.stop().await;
    });
}
