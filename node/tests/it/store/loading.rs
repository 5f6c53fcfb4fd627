//! What a node resumes from its session store.

use std::time::Duration;

use micro_mq_actors::Readiness;
use mqtt_codec::{Connect, Packet, QoS, ReasonCode, Will};

use super::{Expected, Kept, V5, V311, expiring, living_on, on_each};
use crate::harness::{connect, durable, will};
use crate::limits::refused;

/// A node resumes the sessions that its backend holds: their subscriptions match from the start, and their clients find
/// them present.
#[test]
fn sessions_of_the_backend_are_resumed() {
    on_each(async |workers| {
        let kept = Kept::default();
        for number in 0..10 {
            let own = format!("own/{number}");
            let client_identifier = format!("kept-{number}");
            kept.put(&client_identifier, 3600, &[(&own, QoS::AtLeastOnce), ("all/#", QoS::ExactlyOnce)]);
        }
        kept.put("short", 1, &[("all/#", QoS::AtLeastOnce)]);
        kept.put("member", 3600, &[("$share/group/shared", QoS::AtLeastOnce)]);
        let node = kept.start(workers).await;
        node.until("the sessions are there", |seen| seen.sessions.sessions == 12).await;
        // And in the tries of all workers.
        node.settle().await;
        let mut publisher = node.connect(V5, "publisher").await;
        assert_eq!(publisher.publish("all/1", QoS::ExactlyOnce, "waits").await, ReasonCode::Success);
        assert_eq!(publisher.publish("shared", QoS::AtLeastOnce, "one").await, ReasonCode::Success);
        for number in 0..10 {
            let mut client = node.resume(durable(V5, &format!("kept-{number}"))).await;
            assert_eq!(client.take_payload("waits").await.qos, QoS::ExactlyOnce);
            let topic = format!("own/{number}");
            assert_eq!(publisher.publish(&topic, QoS::ExactlyOnce, "own").await, ReasonCode::Success);
            assert_eq!(client.take_payload("own").await.qos, QoS::AtLeastOnce);
            client.expect_nothing().await;
        }
        node.resume(durable(V311, "member")).await.take_payload("one").await;
        // It expires as if it had been left when the node started.
        node.until("the short one is gone", |seen| seen.sessions.sessions == 12).await;
        let (_client, answer) = node.connect_with(expiring("short", 1)).await;
        assert!(!answer.session_present);
        node.stop().await;
    });
}

/// Sessions that cannot be loaded: whoever may have one is refused and told to come again, never admitted as if it had
/// none, and clean sessions go on. When they can be read they are resumed.
#[test]
fn a_load_that_fails() {
    on_each(async |workers| {
        let kept = Kept::default();
        kept.put("kept", 1000, &[("x", QoS::AtLeastOnce)]);
        kept.put("outdated", 1000, &[("x", QoS::AtLeastOnce)]);
        kept.set_away(true);
        let node = kept.start(workers).await;
        let mut clean = node.connect(V5, "clean").await;
        clean.subscribe("y", QoS::AtLeastOnce).await;
        assert_eq!(clean.publish("y", QoS::ExactlyOnce, "served").await, ReasonCode::Success);
        clean.take_payload("served").await;
        refused(&node, durable(V5, "kept"), ReasonCode::ServerUnavailable).await;
        refused(&node, durable(V311, "kept"), ReasonCode::ServerUnavailable).await;
        refused(&node, Connect { clean_start: true, ..expiring("kept", 60) }, ReasonCode::ServerUnavailable)
            .await;
        node.until_counters([("sessions_not_loaded", 3)]).await;
        assert_eq!(node.running().admin_source().readiness(), Readiness::SessionsNotLoaded);
        // A clean session ends what there was before it, also what nobody can read yet.
        node.connect(V311, "outdated").await.disconnect().await;
        kept.set_away(false);
        node.until("sessions are loaded", |_| node.running().admin_source().readiness() == Readiness::Ready)
            .await;
        kept.until(&[("kept", 1000, &[("x", QoS::AtLeastOnce)])]).await;
        assert_eq!(clean.publish("x", QoS::AtLeastOnce, "waits").await, ReasonCode::Success);
        node.resume(durable(V5, "kept")).await.take_payload("waits").await;
        let (outdated, answer) = node.connect_with(expiring("outdated", 60)).await;
        assert!(!answer.session_present);
        drop((clean, outdated));
        node.stop().await;
    });
}

/// While sessions are being loaded nobody is let in: what is published would miss those that are not there yet.
#[test]
fn a_load_that_takes_its_time() {
    on_each(async |workers| {
        let kept = Kept::default();
        kept.put("kept", 1000, &[("x", QoS::AtLeastOnce)]);
        let gate = kept.shut_gate();
        let node = kept.start(workers).await;
        let mut publisher = node.open(V5).await;
        publisher.send(Packet::Connect(Box::new(connect(V5, "publisher")))).await;
        for _ in 1..workers {
            gate.send(()).unwrap();
        }
        node.until("all but one worker have their sessions", |_| kept.0.lock().unwrap().loads == workers - 1)
            .await;
        assert_eq!(node.running().admin_source().readiness(), Readiness::SessionsNotLoaded);
        publisher.expect_silence().await;
        drop(gate);
        assert_eq!(publisher.expect_connack().await.reason_code, ReasonCode::Success);
        assert_eq!(publisher.publish("x", QoS::AtLeastOnce, "waits").await, ReasonCode::Success);
        node.resume(durable(V5, "kept")).await.take_payload("waits").await;
        assert_eq!(node.running().admin_source().readiness(), Readiness::Ready);
        drop(publisher);
        node.stop().await;
    });
}

/// Each worker gets its own sessions, in pieces, also when a piece cannot be read at first.
#[test]
fn a_load_of_many_pieces() {
    on_each(async |workers| {
        let kept = Kept::default();
        for number in 0..2000 {
            kept.put(&format!("kept-{number}"), 1000, &[("all", QoS::AtLeastOnce)]);
        }
        let gate = kept.shut_gate();
        let node = kept.start(workers).await;
        for _ in 0..workers + 1 {
            gate.send(()).unwrap();
        }
        node.until("a piece is there", |_| kept.0.lock().unwrap().loads > workers).await;
        kept.set_away(true);
        gate.send(()).unwrap();
        node.until("a piece is not read", |_| kept.0.lock().unwrap().loads > workers + 1).await;
        kept.set_away(false);
        drop(gate);
        // They are counted one after the other, while some come.
        let all = |of: usize| of == 2000;
        node.until("all are there", |seen| all(seen.sessions.sessions) && all(seen.sessions.subscriptions))
            .await;
        node.settle().await;
        let mut publisher = node.connect(V5, "publisher").await;
        assert_eq!(publisher.publish("all", QoS::AtLeastOnce, "to all").await, ReasonCode::Success);
        node.until("all have it", |seen| seen.ledger.queued == 2000).await;
        node.resume(durable(V5, "kept-1234")).await.take_payload("to all").await;
        drop(publisher);
        node.stop().await;
    });
}

/// A node on the backend of one that stopped goes on with its sessions.
#[test]
fn the_next_node_goes_on() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        let (mut client, _) = node.connect_with(durable(V311, "a")).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        kept.until(&[("a", 604_800, &[("x", QoS::AtLeastOnce)])]).await;
        drop(client);
        node.stop().await;
        // The number of workers may change, and with it the session's home.
        let node = kept.start(4 - workers).await;
        let mut client = node.resume(durable(V5, "a")).await;
        client.publish("x", QoS::AtLeastOnce, "still subscribed").await;
        client.take_payload("still subscribed").await;
        drop(client);
        node.stop().await;
    });
}

/// As long as they cannot be loaded, each clean session of a new client has to be remembered: beyond a bound such a CONNECT
/// is refused as well.
#[test]
fn clean_sessions_without_end_while_a_load_fails() {
    on_each(async |workers| {
        let kept = Kept::default();
        kept.set_away(true);
        let node = kept.start(workers).await;
        let name = |number: usize| format!("{number}-{}", "x".repeat(60_000));
        let mut admitted = 0;
        while node.counter("sessions_not_loaded") == 0 {
            let mut client = node.open(V5).await;
            let answer = client.handshake(connect(V5, &name(admitted))).await;
            match answer.reason_code {
                ReasonCode::Success => client.disconnect().await,
                reason => assert_eq!(reason, ReasonCode::ServerUnavailable),
            }
            admitted += 1;
            assert!(admitted <= 200 * workers, "nobody is refused");
        }
        // One that is known may come again, and when they can be read anybody may.
        node.connect(V5, &name(0)).await.disconnect().await;
        kept.set_away(false);
        node.until("sessions are loaded", |_| node.running().admin_source().readiness() == Readiness::Ready)
            .await;
        node.connect(V5, &name(admitted)).await.disconnect().await;
        node.stop().await;
    });
}

/// What was due while nobody ran is done when all workers have their sessions: whoever is subscribed to a will gets it,
/// wherever it is loaded. It is recorded, and not done again by the next node.
#[test]
fn what_was_due_is_done_when_all_is_loaded() {
    actix_rt::System::new().block_on(async {
        let kept = Kept::default();
        let (gone, subscribers) = ([0, 1].map(|worker| living_on(worker, "gone")), [0, 1]);
        let subscribers = subscribers.map(|worker| living_on(worker, "subscriber"));
        for (gone, subscriber) in gone.iter().zip(&subscribers) {
            kept.put_gone(gone, 1000, Some("will"), Duration::from_secs(100));
            kept.put(subscriber, 1000, &[("will", QoS::AtLeastOnce)]);
        }
        kept.put_gone("expired", 60, None, Duration::from_secs(100));
        let gate = kept.shut_gate();
        let node = kept.start(2).await;
        gate.send(()).unwrap();
        node.until("a worker has its sessions", |_| kept.0.lock().unwrap().loads == 1).await;
        node.settle().await;
        assert_eq!(node.counter("wills_published"), 0);
        drop(gate);
        node.until("all have the wills", |seen| seen.ledger.queued == 4).await;
        assert_eq!(node.counter("wills_published"), 2);
        let mut expected: Vec<Expected<'_>> = gone.iter().map(|gone| (&**gone, 1000, &[] as &[_])).collect();
        expected
            .extend(subscribers.iter().map(|name| (&**name, 1000, &[("will", QoS::AtLeastOnce)] as &[_])));
        expected.sort();
        kept.until(&expected).await;
        // Who was online when the last node ended has gone now.
        kept.until_offline(&subscribers[0]).await;
        kept.until_offline(&subscribers[1]).await;
        node.stop().await;
        assert!(gone.iter().all(|gone| !kept.has_will(gone)));
    });
}

/// Wills that are published since the node shuts down are not published again by the next one.
#[test]
fn wills_of_a_shutdown_are_over() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        let with_will = |name: &str| {
            let mut connect = expiring(name, 1000);
            connect.will = Some(Will { delay_interval: 500, ..will("will", QoS::AtLeastOnce, "gone") });
            connect
        };
        let (away, _) = node.connect_with(with_will("away")).await;
        away.vanish().await;
        let (_here, _) = node.connect_with(with_will("here")).await;
        kept.until(&[("away", 1000, &[]), ("here", 1000, &[])]).await;
        kept.until_offline("away").await;
        assert!(kept.has_will("away") && kept.has_will("here"));
        node.stop().await;
        assert!(!kept.has_will("away") && !kept.has_will("here"));
    });
}
