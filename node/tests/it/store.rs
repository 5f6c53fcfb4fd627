//! The session store: what is committed to its backend, and what a node resumes from it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use auth_actor::AuthSettings;
use micro_mq_actors::sessions::{
    Change, MemoryBackend, SessionBackend, SessionChange, StoreError, StoredSession, Subscription,
};
use mqtt_codec::{Connect, Disconnect, DisconnectProperties, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{DEADLINE, TestNode, connect, durable, options, settings};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

/// Client identifier, session expiry interval, and topic filters with their QoS.
type Seen = (String, u32, Vec<(String, QoS)>);
/// The same, as a test writes it.
type Expected<'a> = (&'a str, u32, &'a [(&'a str, QoS)]);

/// A backend that a test sees and disturbs, and that outlives nodes.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    memory: MemoryBackend,
    /// How many commits fail from now on.
    fails: usize,
    /// Whether the next commit panics.
    panics: bool,
    /// How long a commit takes.
    takes: Duration,
    /// Commits that were begun.
    begun: usize,
}

impl SessionBackend for Kept {
    fn commit(&mut self, changes: Vec<SessionChange>) -> Result<(), StoreError> {
        let takes = {
            let mut inner = self.0.lock().unwrap();
            inner.begun += 1;
            inner.takes
        };
        std::thread::sleep(takes);
        let mut inner = self.0.lock().unwrap();
        if std::mem::take(&mut inner.panics) {
            drop(inner);
            panic!("a panic was injected into the session store");
        }
        if inner.fails > 0 {
            inner.fails -= 1;
            return Err(StoreError::Unavailable(io::Error::other("away")));
        }
        inner.memory.commit(changes)
    }

    fn load(&mut self) -> Result<Vec<(Arc<str>, StoredSession)>, StoreError> {
        self.0.lock().unwrap().memory.load()
    }
}

impl Kept {
    async fn start(&self, workers: usize) -> TestNode {
        let backend = self.clone();
        TestNode::start_on(workers, settings(), AuthSettings::default(), move || {
            Rc::new(RefCell::new(backend))
        })
        .await
    }

    /// Each session.
    fn seen(&self) -> Vec<Seen> {
        let sessions = self.0.lock().unwrap().memory.load().unwrap();
        let seen = sessions.into_iter().map(|(client, session)| {
            let filters = session.subscriptions.into_iter();
            let filters =
                filters.map(|(filter, subscription)| (filter.to_string(), subscription.options.qos));
            (client.to_string(), session.expiry_interval, filters.collect())
        });
        seen.collect()
    }

    async fn until(&self, expected: &[Expected<'_>]) {
        let expected: Vec<Seen> = expected
            .iter()
            .map(|(client, seconds, filters)| {
                let filters = filters.iter().map(|(filter, qos)| ((*filter).to_owned(), *qos));
                ((*client).to_owned(), *seconds, filters.collect())
            })
            .collect();
        let began = Instant::now();
        while self.seen() != expected {
            assert!(began.elapsed() < DEADLINE, "not in time: {expected:?}, but {:?}", self.seen());
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn put(&self, client_identifier: &str, expiry_interval: u32, filters: &[(&str, QoS)]) {
        let change = |change| SessionChange { client_identifier: client_identifier.into(), change };
        let mut changes = vec![change(Change::Exists { expiry_interval })];
        changes.extend(filters.iter().map(|(filter, qos)| {
            change(Change::Subscribed(
                (*filter).into(),
                Subscription { options: options(*qos), identifier: 0 },
            ))
        }));
        self.0.lock().unwrap().memory.commit(changes).unwrap();
    }
}

/// Runs a test with one worker, and with three.
fn on_each(test: impl AsyncFn(usize)) {
    for workers in [1, 3] {
        actix_rt::System::new().block_on(test(workers));
    }
}

fn expiring(client_identifier: &str, seconds: u32) -> Connect {
    let mut connect = durable(V5, client_identifier);
    connect.properties.session_expiry_interval = Some(seconds);
    connect
}

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

/// What becomes of durable sessions reaches the backend: that they exist, for how long, and what they subscribe to.
#[test]
fn changes_are_committed() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        let mut clean = node.connect(V5, "clean").await;
        clean.subscribe("not/kept", QoS::AtLeastOnce).await;
        let (mut client, _) = node.connect_with(expiring("a", 1000)).await;
        kept.until(&[("a", 1000, &[])]).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        client.subscribe("y/#", QoS::AtMostOnce).await;
        client.subscribe("$share/g/z", QoS::AtLeastOnce).await;
        let (x, y, z) = (("x", QoS::AtLeastOnce), ("y/#", QoS::AtMostOnce), ("$share/g/z", QoS::AtLeastOnce));
        kept.until(&[("a", 1000, &[z, x, y])]).await;
        client.subscribe("x", QoS::ExactlyOnce).await;
        client.unsubscribe(&["y/#", "unknown"]).await;
        let x = ("x", QoS::ExactlyOnce);
        kept.until(&[("a", 1000, &[z, x])]).await;
        client.disconnect().await;

        // Another interval by CONNECT, and another version.
        node.resume(expiring("a", 2000)).await.disconnect().await;
        kept.until(&[("a", 2000, &[z, x])]).await;
        node.resume(durable(V311, "a")).await.disconnect().await;
        kept.until(&[("a", 604_800, &[z, x])]).await;

        // A clean start begins without subscriptions.
        let (client, _) = node.connect_with(Connect { clean_start: true, ..expiring("a", 1000) }).await;
        kept.until(&[("a", 1000, &[])]).await;
        client.disconnect().await;
        node.connect(V5, "a").await.disconnect().await;
        kept.until(&[]).await;
        node.stop().await;
    });
}

/// A DISCONNECT that changes the session expiry interval, or ends the session, reaches the backend too.
#[test]
fn changes_at_disconnect_are_committed() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        let leave = |seconds| {
            let properties = DisconnectProperties {
                session_expiry_interval: Some(seconds),
                ..DisconnectProperties::default()
            };
            Disconnect { reason_code: ReasonCode::Success, properties }
        };
        let (mut client, _) = node.connect_with(expiring("a", 1000)).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        client.disconnect_with(leave(2000)).await;
        kept.until(&[("a", 2000, &[("x", QoS::AtLeastOnce)])]).await;
        node.resume(expiring("a", 1000)).await.disconnect_with(leave(0)).await;
        kept.until(&[]).await;
        // Resumed to end with its network connection.
        let (client, _) = node.connect_with(expiring("a", 1000)).await;
        client.disconnect().await;
        kept.until(&[("a", 1000, &[])]).await;
        node.resume(expiring("a", 0)).await.vanish().await;
        kept.until(&[]).await;
        // Expired.
        let (client, _) = node.connect_with(expiring("a", 1)).await;
        client.vanish().await;
        kept.until(&[("a", 1, &[])]).await;
        kept.until(&[]).await;
        node.stop().await;
    });
}

/// Changes that a backend could not keep are kept later, in the order they happened.
#[test]
fn changes_outlast_an_unavailable_backend() {
    on_each(async |workers| {
        let kept = Kept::default();
        {
            let mut inner = kept.0.lock().unwrap();
            inner.fails = 1;
            // Longer than the node takes to gather the next changes.
            inner.takes = Duration::from_millis(300);
        }
        let node = kept.start(workers).await;
        let (mut client, _) = node.connect_with(expiring("a", 1000)).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        let began = Instant::now();
        while kept.0.lock().unwrap().begun == 0 {
            assert!(began.elapsed() < DEADLINE, "no commit is begun");
            sleep(Duration::from_millis(5)).await;
        }
        // While the first commit is on its way, to fail.
        client.unsubscribe(&["x"]).await;
        client.subscribe("y", QoS::AtLeastOnce).await;
        kept.until(&[("a", 1000, &[("y", QoS::AtLeastOnce)])]).await;
        client.disconnect().await;
        node.stop().await;
    });
}

/// A backend that panics ends the session store actor; the next one finds the backend as it was, and no change is lost.
#[test]
fn changes_outlast_a_panic() {
    on_each(async |workers| {
        let kept = Kept::default();
        kept.0.lock().unwrap().panics = true;
        let node = kept.start(workers).await;
        let (mut client, _) = node.connect_with(expiring("a", 1000)).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        kept.until(&[("a", 1000, &[("x", QoS::AtLeastOnce)])]).await;
        assert_eq!(node.restarts(), 1);
        client.disconnect().await;
        node.stop_after_restarts(1).await;
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

/// A clean session leaves nothing in the backend.
#[test]
fn clean_sessions_are_not_kept() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        for version in [V311, V5] {
            let (mut client, _) = node.connect_with(connect(version, "clean")).await;
            client.subscribe("x", QoS::AtLeastOnce).await;
            client.disconnect().await;
        }
        let (client, _) = node.connect_with(expiring("fence", 1000)).await;
        kept.until(&[("fence", 1000, &[])]).await;
        client.disconnect().await;
        node.stop().await;
    });
}
