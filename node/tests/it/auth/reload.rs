//! Nothing that was answered before users and rules were read anew serves after it.

use std::time::Duration;

use auth_actor::{Outcome, QuestionKind};
use micro_mq_core::pressure::{Room, Weight};
use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, Publish, ReasonCode};

use super::scripted::{Asking, PATIENT_MS, on_asking_nodes, user};
use super::{auth, auth_data, scram_connect};
use crate::harness::{
    Client, TestNode, connect, durable, identifier, numbered, options, publish, subscribe_packet, will,
};

/// What a connection remembers, on every worker at once.
#[test]
fn what_is_remembered() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut clients = Vec::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            let mut client = asking.node.connect(V5, name).await;
            let answer = client.publish("old/x", AtLeastOnce, "m").await;
            assert_eq!(answer, ReasonCode::NoMatchingSubscribers);
            clients.push(client);
        }
        asking.reload().await;
        for client in &mut clients {
            assert_eq!(client.publish("old/x", AtLeastOnce, "m").await, ReasonCode::NotAuthorized);
            let answer = client.publish("new/x", AtLeastOnce, "m").await;
            assert_eq!(answer, ReasonCode::NoMatchingSubscribers);
        }
    });
}

/// A publish, and those behind it, that wait for a yes given under the rules of before.
#[test]
fn publishes_that_wait() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut client = asking.node.connect(V5, "client").await;
        client.publish("old/x", AtLeastOnce, "m").await;
        let packets = [numbered(11, "held/x", AtLeastOnce), numbered(12, "old/x", AtLeastOnce)];
        client.send_all(&packets).await;
        asking.until_waiting(1).await;
        asking.reload().await;
        asking.script.answer_held(true);
        // It is asked for again, and nothing is said before that is answered.
        asking.node.until("it is asked again", |_| asking.script.held() == 1).await;
        asking.script.answer_held(false);
        for number in [11, 12] {
            let Packet::PubAck(ack) = client.next().await else { panic!("no PUBACK") };
            assert_eq!(
                (ack.packet_identifier, ack.reason_code),
                (identifier(number), ReasonCode::NotAuthorized)
            );
        }
    });
}

/// Publishes that were allowed, and wait for room at a worker when the rules change: what is allowed no more is refused,
/// in its turn, and nothing of it is routed or kept.
#[test]
fn publishes_that_wait_for_room() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("+/x", AtMostOnce).await;
        for version in [V311, V5] {
            asking.script.forget_reload();
            let mut client = node.connect(version, "client").await;
            let room = no_room(node);
            let kept = Publish { retain: true, ..publish("old/x", AtLeastOnce, "kept") };
            client
                .send_all(&[
                    numbered(1, "fine/x", AtLeastOnce),
                    numbered(2, "old/x", ExactlyOnce),
                    Packet::Publish(publish("old/x", AtMostOnce, "old")),
                    Packet::Publish(Publish { packet_identifier: Some(identifier(3)), ..kept }),
                    numbered(4, "fine/x", ExactlyOnce),
                ])
                .await;
            let before = node.counter("between_workers_full");
            node.until("all of it is judged", |_| {
                let allowed = node.shared().asking.outcomes().of(QuestionKind::Permission, Outcome::Allowed);
                allowed > 1 && node.shared().asking.waiting() == 0
            })
            .await;
            client.expect_silence().await;
            assert!(node.counter("between_workers_full") >= before);
            asking.reload().await;
            drop(room);
            let refused = if version == V5 { ReasonCode::NotAuthorized } else { ReasonCode::Success };
            let ack = |number, reason| Ack::new(identifier(number), reason);
            client.expect(Packet::PubAck(ack(1, ReasonCode::Success))).await;
            client.expect(Packet::PubRec(ack(2, refused))).await;
            client.expect(Packet::PubAck(ack(3, refused))).await;
            client.expect(Packet::PubRec(ack(4, ReasonCode::Success))).await;
            for _ in 0..2 {
                assert_eq!(watcher.expect_publish().await.topic, "fine/x");
            }
            watcher.expect_nothing().await;
            client.disconnect().await;
        }
        let mut late = node.connect(V5, "late").await;
        late.subscribe("+/x", AtMostOnce).await;
        late.expect_nothing().await;
        node.until_counters([("publishes_not_authorized", 6)]).await;
    });
}

/// The last words of a client that went meanwhile are not routed: nobody could be told what is denied of them.
#[test]
fn publishes_that_wait_for_room_when_their_client_goes() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("+/x", AtMostOnce).await;
        let (mut client, _) = node.connect_with(durable(V5, "client")).await;
        client.publish("old/x", AtLeastOnce, "before").await;
        watcher.expect_payload("before").await;
        let room = no_room(node);
        let before = node.counter("between_workers_full");
        client.send(numbered(2, "old/x", ExactlyOnce)).await;
        node.until("it waits", |seen| seen.counter("between_workers_full") > before).await;
        asking.reload().await;
        let mut taken_over = std::mem::replace(&mut client, node.resume(durable(V5, "client")).await);
        taken_over.expect_disconnect(ReasonCode::SessionTakenOver).await;
        drop(room);
        watcher.expect_nothing().await;
        // It may be sent again, and is judged.
        client.send(numbered(2, "old/x", ExactlyOnce)).await;
        client.expect(Packet::PubRec(Ack::new(identifier(2), ReasonCode::NotAuthorized))).await;
        watcher.expect_nothing().await;
    });
}

/// Takes all room for messages on their way to any worker.
fn no_room(node: &TestNode) -> Vec<Room> {
    let all = Weight { messages: 1 << 30, bytes: 0 };
    node.shared().ways.iter().map(|way| way.inbound.enter(all)).collect()
}

/// The same for a SUBSCRIBE.
#[test]
fn subscribes_that_wait() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut client = asking.node.connect(V5, "client").await;
        let filters = ["held/#", "old/#", "new/#"].map(|name| (name, options(AtMostOnce)));
        client.send(Packet::Subscribe(subscribe_packet(identifier(7), &filters))).await;
        asking.until_waiting(1).await;
        asking.reload().await;
        asking.script.answer_held(true);
        asking.node.until("it is asked again", |_| asking.script.held() == 1).await;
        asking.script.answer_held(true);
        let Packet::SubAck(answer) = client.next().await else { panic!("no SUBACK") };
        let expected = [ReasonCode::Success, ReasonCode::NotAuthorized, ReasonCode::Success];
        assert_eq!(answer.reason_codes, expected);
    });
}

/// A user name and password, and a will, that were allowed before are judged again before the client is let in.
#[test]
fn connects_that_wait() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        for version in [V311, V5] {
            // The will holds up the CONNECT whose user was allowed already.
            let mut connect = user(version, "client", "held");
            connect.will = Some(will("held/x", AtMostOnce, "w"));
            let mut client = asking.node.open(version).await;
            client.send(Packet::Connect(Box::new(connect))).await;
            asking.node.until("the user is asked for", |_| asking.script.held() == 1).await;
            asking.script.answer_held(true);
            asking.node.until("the will is asked for", |_| asking.script.held() == 1).await;
            asking.reload().await;
            asking.script.answer_held(true);
            asking.node.until("the user is asked for again", |_| asking.script.held() == 1).await;
            asking.script.answer_held(false);
            assert_eq!(client.expect_connack().await.reason_code, ReasonCode::NotAuthorized);
            client.expect_closed().await;
        }
    });
}

/// Who has proved who it is under the users of before is told to come again; a re-authentication so ends.
#[test]
fn exchanges_that_wait() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let begin = async || {
            let mut client = asking.node.open(V5).await;
            client.send(Packet::Connect(Box::new(scram_connect("held", b"x".to_vec())))).await;
            auth_data(&mut client, ReasonCode::ContinueAuthentication, "held").await;
            client.send(auth(ReasonCode::ContinueAuthentication, "held", b"proof".to_vec())).await;
            asking.node.until("the proof is judged", |_| asking.script.held() == 1).await;
            client
        };
        let mut client = begin().await;
        asking.reload().await;
        asking.script.answer_held(true);
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::ServerUnavailable);
        client.expect_closed().await;

        let mut client = begin().await;
        asking.script.answer_held(true);
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        client.send(auth(ReasonCode::ReAuthenticate, "held", b"x".to_vec())).await;
        auth_data(&mut client, ReasonCode::ContinueAuthentication, "held").await;
        client.send(auth(ReasonCode::ContinueAuthentication, "held", b"proof".to_vec())).await;
        asking.node.until("the proof is judged", |_| asking.script.held() == 1).await;
        asking.reload().await;
        asking.script.answer_held(true);
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    });
}

// === wills ===

/// A client whose will was allowed, by the rules of before.
async fn with_will(asking: &Asking, client_identifier: &str, topic: &str) -> Client {
    let mut client = asking.node.open(V5).await;
    let mut connect = connect(V5, client_identifier);
    connect.will = Some(will(topic, AtLeastOnce, "w"));
    client.send(Packet::Connect(Box::new(connect))).await;
    if topic.starts_with("held") {
        asking.node.until("the will is judged", |_| asking.script.held() == 1).await;
        asking.script.answer_held(true);
    }
    assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
    client
}

async fn watcher(asking: &Asking) -> Client {
    let mut watcher = asking.node.connect(V5, "watcher").await;
    watcher.subscribe("+/w", AtMostOnce).await;
    watcher
}

/// A will is judged by the rules in force when it is published.
#[test]
fn wills_of_clients_that_vanish() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut watcher = watcher(asking).await;
        let forbidden = with_will(asking, "a", "old/w").await;
        let allowed = with_will(asking, "b", "new/w").await;
        asking.reload().await;
        forbidden.vanish().await;
        allowed.vanish().await;
        assert_eq!(watcher.expect_publish().await.topic, "new/w");
        asking.node.until("the other is judged", |seen| seen.counter("wills_not_authorized") == 1).await;
        watcher.expect_nothing().await;
        asking.node.until_counters([("wills_published", 1)]).await;
    });
}

/// [MQTT-4.6.0-5] While a will is judged anew, its client does not come back: nothing that it publishes then stands
/// before its will, be it that the session was taken over or that its connection had ended before.
#[test]
fn wills_before_what_comes_next() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut watcher = watcher(asking).await;
        for vanishes in [false, true] {
            for allowed in [true, false] {
                let before = with_will(asking, "client", "held/w").await;
                asking.reload().await;
                let kept = match vanishes {
                    true => {
                        before.vanish().await;
                        None
                    }
                    false => Some(before),
                };
                let mut again = asking.node.open(V5).await;
                let packets = [
                    Packet::Connect(Box::new(connect(V5, "client"))),
                    Packet::Publish(publish("next/w", AtMostOnce, "next")),
                ];
                again.send_all(&packets).await;
                asking.node.until("the will is judged anew", |_| asking.script.held() == 1).await;
                watcher.expect_nothing().await;
                asking.script.answer_held(allowed);
                assert_eq!(again.expect_connack().await.reason_code, ReasonCode::Success);
                if allowed {
                    assert_eq!(watcher.expect_publish().await.topic, "held/w");
                }
                assert_eq!(watcher.expect_publish().await.topic, "next/w");
                again.disconnect().await;
                drop(kept);
            }
        }
        asking.node.until_counters([("wills_not_authorized", 2)]).await;
    });
}

/// A provider that hangs on very many wills holds up their clients for as long as an answer may take, and not for their
/// turn: whoever waits for longer is told to come again.
#[test]
fn who_waits_for_its_will_waits_for_a_bounded_time() {
    actix_rt::System::new().block_on(async {
        let asking = Asking::start(1, 3000).await;
        let mut clients = Vec::new();
        for number in 0..66 {
            clients.push(with_will(&asking, &format!("client-{number}"), "held/w").await);
        }
        asking.reload().await;
        let last = clients.pop().unwrap();
        drop(clients);
        // As many as are asked for at a time.
        asking.until_waiting(64).await;
        last.vanish().await;
        let mut again = asking.node.open(V5).await;
        again.send(Packet::Connect(Box::new(connect(V5, "client-65")))).await;
        assert_eq!(again.expect_connack().await.reason_code, ReasonCode::ServerUnavailable);
        again.expect_closed().await;
        asking.node.until("all are dropped", |seen| seen.counter("wills_not_authorized") == 66).await;
        asking.node.stop().await;
    });
}

/// A shutdown publishes those wills that are allowed by the rules in force, and waits for half of its time at most until
/// that is said.
#[test]
fn wills_at_a_shutdown() {
    actix_rt::System::new().block_on(async {
        let asking = Asking::start(3, PATIENT_MS).await;
        let mut watcher = watcher(&asking).await;
        let mut clients = Vec::new();
        for (name, topic) in [("a", "old/w"), ("b", "new/w"), ("c", "held/w")] {
            clients.push(with_will(&asking, name, topic).await);
        }
        asking.reload().await;
        // One that waits for a will to be judged is told that it comes too late.
        let mut again = asking.node.open(V5).await;
        again.send(Packet::Connect(Box::new(connect(V5, "c")))).await;
        asking.node.until("the will is judged anew", |_| asking.script.held() == 1).await;
        let waiting = actix_rt::spawn(async move {
            assert_eq!(again.expect_connack().await.reason_code, ReasonCode::ServerUnavailable);
            again.expect_closed().await;
        });
        let hearing = actix_rt::spawn(async move {
            assert_eq!(watcher.expect_publish().await.topic, "new/w");
            watcher.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        });
        let leaving: Vec<_> = clients
            .into_iter()
            .map(|mut client| actix_rt::spawn(async move { while client.next_or_end().await.is_some() {} }))
            .collect();
        let report = asking.node.into_running().shutdown(Duration::from_secs(6)).await;
        assert_eq!(report.connections_cut, 0);
        hearing.await.unwrap();
        waiting.await.unwrap();
        for client in leaving {
            client.await.unwrap();
        }
    });
}
