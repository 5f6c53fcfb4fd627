//! With a backend that outlives the process clients are told of what changed only once it is kept.

use std::time::Instant;

use micro_mq_actors::Readiness;
use mqtt_codec::{Connect, Packet, QoS, ReasonCode, Will};

use super::{Kept, V5, V311, away, on_each};
use crate::harness::{DEADLINE, connect, durable, options, publish, subscribe_packet, will};
use crate::limits::refused;

fn lasting() -> Kept {
    let kept = Kept::default();
    kept.0.lock().unwrap().outlives_process = true;
    kept
}

/// CONNACK, SUBACK and UNSUBACK of a durable session; whoever has a clean one waits for nothing.
#[test]
fn answers_wait_until_it_is_kept() {
    on_each(async |workers| {
        let kept = lasting();
        let node = kept.start(workers).await;
        kept.hold(true);
        let mut client = node.open(V5).await;
        client.send(Packet::Connect(Box::new(durable(V5, "client")))).await;
        let subscribe = subscribe_packet(client.next_identifier(), &[("x", options(QoS::AtLeastOnce))]);
        client.send(Packet::Subscribe(subscribe)).await;
        let held = kept.take_held(1).await;
        let mut clean = node.connect(V5, "clean").await;
        clean.subscribe("x", QoS::AtLeastOnce).await;
        assert_eq!(
            clean.publish("x", QoS::AtLeastOnce, "not for who is not there").await,
            ReasonCode::Success
        );
        clean.take_payload("not for who is not there").await;
        client.expect_silence().await;

        held.into_iter().for_each(|batch| kept.answer(batch));
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        // What came behind the CONNECT was not looked at before, and waits for its own batch.
        let held = kept.take_held(1).await;
        client.expect_silence().await;
        held.into_iter().for_each(|batch| kept.answer(batch));
        let Packet::SubAck(answer) = client.next().await else { panic!("no SUBACK") };
        assert_eq!(answer.reason_codes, [ReasonCode::GrantedQoS1]);
        kept.hold(false);
        client.unsubscribe(&["x"]).await;
        kept.until(&[("client", 3600, &[])]).await;
        // Each of its network connections is kept.
        client.disconnect().await;
        kept.until_offline("client").await;
        kept.hold(true);
        let mut client = node.open(V5).await;
        client.send(Packet::Connect(Box::new(durable(V5, "client")))).await;
        let held = kept.take_held(1).await;
        client.expect_silence().await;
        held.into_iter().for_each(|batch| kept.answer(batch));
        assert!(client.expect_connack().await.session_present);
        client.ping().await;
        kept.hold(false);
        drop((client, clean));
        node.stop().await;
    });
}

/// What was not kept is sent again, and the answer waits.
#[test]
fn answers_wait_for_the_batch_that_is_sent_again() {
    on_each(async |workers| {
        let kept = lasting();
        let node = kept.start(workers).await;
        kept.hold(true);
        let mut client = node.open(V311).await;
        client.send(Packet::Connect(Box::new(durable(V311, "client")))).await;
        for (_, answer) in kept.take_held(1).await {
            answer.failed(away());
        }
        client.expect_silence().await;
        kept.take_held(1).await.into_iter().for_each(|batch| kept.answer(batch));
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        drop(client);
        node.stop().await;
    });
}

/// Whoever was not answered is closed without a packet, and who took over is answered.
#[test]
fn a_session_is_taken_over_before_it_is_kept() {
    on_each(async |workers| {
        let kept = lasting();
        let node = kept.start(workers).await;
        kept.hold(true);
        let mut first = node.open(V5).await;
        first.send(Packet::Connect(Box::new(durable(V5, "client")))).await;
        let held = kept.take_held(1).await;
        let mut second = node.open(V5).await;
        second.send(Packet::Connect(Box::new(durable(V5, "client")))).await;
        assert_eq!(first.next_or_end().await, None);
        second.expect_silence().await;
        kept.hold(false);
        held.into_iter().for_each(|batch| kept.answer(batch));
        assert_eq!(second.expect_connack().await.reason_code, ReasonCode::Success);
        drop(second);
        node.stop().await;
    });
}

/// A clean start is answered when the session that it ends has ended for good.
#[test]
fn the_end_of_a_session_is_kept_before_the_next_one_is_told() {
    on_each(async |workers| {
        let kept = lasting();
        kept.put("client", 1000, &[("x", QoS::AtLeastOnce)]);
        let node = kept.start(workers).await;
        // Who was online when the last node ended has gone.
        kept.until_offline("client").await;
        kept.hold(true);
        let mut client = node.open(V5).await;
        client.send(Packet::Connect(Box::new(connect(V5, "client")))).await;
        let held = kept.take_held(1).await;
        client.expect_silence().await;
        held.into_iter().for_each(|batch| kept.answer(batch));
        assert!(!client.expect_connack().await.session_present);
        kept.until(&[]).await;
        drop(client);
        node.stop().await;
    });
}

/// A client that hangs up while it waits is noticed, unless it left something that is stepped through when it is kept.
#[test]
fn who_waits_may_hang_up() {
    on_each(async |workers| {
        let kept = lasting();
        let node = kept.start(workers).await;
        kept.hold(true);
        let mut gone = node.open(V5).await;
        gone.send(Packet::Connect(Box::new(durable(V5, "gone")))).await;
        let held = kept.take_held(1).await;
        gone.vanish().await;
        node.until_online(0).await;
        let mut left = node.open(V5).await;
        left.send(Packet::Connect(Box::new(durable(V5, "left something")))).await;
        let publish = publish("x", QoS::AtMostOnce, "last words");
        left.send(Packet::Publish(publish)).await;
        let mut clean = node.connect(V5, "clean").await;
        clean.subscribe("x", QoS::AtMostOnce).await;
        drop(left);
        kept.hold(false);
        held.into_iter().for_each(|batch| kept.answer(batch));
        clean.take_payload("last words").await;
        kept.until_offline("gone").await;
        kept.until_offline("left something").await;
        drop(clean);
        node.stop().await;
    });
}

/// Where the store takes nothing, what waits for it has a bound: beyond, who asks for a durable session is told to come
/// again, as is who ends one, and clean sessions go on. When it takes something again all can.
#[test]
fn what_waits_for_the_store_is_bounded() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        kept.hold(true);
        let large = || {
            let will = Will { payload: vec![b'x'; 60_000].into(), ..will("will", QoS::AtMostOnce, "") };
            Connect { will: Some(will), ..durable(V5, "large") }
        };
        let mut admitted = 0;
        while node.counter("changes_full") == 0 {
            let mut client = node.open(V5).await;
            match client.handshake(large()).await.reason_code {
                ReasonCode::Success => admitted += 1,
                reason => assert_eq!(reason, ReasonCode::ServerUnavailable),
            }
            assert!(admitted < 2000, "nobody is refused");
        }
        assert!(admitted > 1000, "{admitted} of 60,000 bytes each");
        refused(&node, durable(V311, "large"), ReasonCode::ServerUnavailable).await;
        refused(&node, connect(V5, "large"), ReasonCode::ServerUnavailable).await;
        assert_eq!(node.counter("changes_full"), 3);
        let clean = node.connect(V5, "clean").await;
        kept.hold(false);
        kept.take_held(1).await.into_iter().for_each(|batch| kept.answer(batch));
        let began = Instant::now();
        // What waited goes to the store behind the first batch, and takes a moment.
        let (client, answer) = loop {
            let mut client = node.open(V5).await;
            let answer = client.handshake(durable(V5, "large")).await;
            if answer.reason_code == ReasonCode::Success {
                break (client, answer);
            }
            assert_eq!(answer.reason_code, ReasonCode::ServerUnavailable);
            assert!(began.elapsed() < DEADLINE, "the store takes everything again");
        };
        assert!(answer.session_present);
        drop((client, clean));
        node.stop().await;
    });
}

/// A store that keeps nothing for some seconds is named by `/health/ready`, and all resumes when it goes on.
#[test]
fn a_store_that_stalls_is_named() {
    on_each(async |workers| {
        let kept = lasting();
        let node = kept.start(workers).await;
        let readiness = || node.running().admin_source().readiness();
        kept.hold(true);
        let mut client = node.open(V5).await;
        client.send(Packet::Connect(Box::new(durable(V5, "client")))).await;
        let held = kept.take_held(1).await;
        let mut clean = node.connect(V5, "clean").await;
        node.until("the store stalls", |_| readiness() == Readiness::StoreStalls).await;
        // What was not kept is sent again, which does not make it a store that works.
        held.into_iter().for_each(|(_, answer)| answer.failed(away()));
        let held = kept.take_held(1).await;
        assert_eq!(readiness(), Readiness::StoreStalls);
        clean.subscribe("x", QoS::AtLeastOnce).await;
        client.expect_silence().await;
        kept.hold(false);
        held.into_iter().for_each(|batch| kept.answer(batch));
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        node.until("all is well", |_| readiness() == Readiness::Ready).await;
        drop((client, clean));
        node.stop().await;
    });
}
