//! With a backend that outlives the process clients are told of what changed only once it is kept.

use mqtt_codec::{Packet, QoS, ReasonCode};

use super::{Kept, V5, V311, away, on_each};
use crate::harness::{connect, durable, options, subscribe_packet};

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
        node.until("the session is there", |seen| seen.sessions.sessions == 1).await;
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
