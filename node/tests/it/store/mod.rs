//! The session store: what reaches its backend.

mod by_default;
mod disks;
mod gated;
mod inspected;
mod killed;
mod loading;

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use auth_actor::AuthSettings;
use micro_mq_actors::store::{Answer, Cursor, Home, MemoryBackend, Piece, SessionBackend, StoreError};
use micro_mq_core::homes::Homes;
use micro_mq_core::records::{Body, Connected, Entry, Of, Parted, Record, Subscribed, WallClock, records_of};
use mqtt_codec::{Connect, Disconnect, DisconnectProperties, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{DEADLINE, HOMES_KEY, TestNode, connect, durable, options, settings, time_of_day};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

/// Client identifier, session expiry interval, and topic filters with their QoS.
type Seen = (String, u32, Vec<(String, QoS)>);
/// The same, as a test writes it.
type Expected<'a> = (&'a str, u32, &'a [(&'a str, QoS)]);

/// A backend that a test sees and disturbs, and that outlives nodes.
#[derive(Clone)]
struct Kept(Arc<Mutex<Inner>>);

struct Inner {
    memory: MemoryBackend,
    /// Whether the next entry panics.
    panics: bool,
    /// Whether batches wait to be answered by the test.
    holds: bool,
    held: Vec<(Arc<Entry>, Answer)>,
    /// Efforts to make batches last.
    flushes: usize,
    /// Whether sessions cannot be read.
    is_away: bool,
    /// Each load waits for a word of the test.
    gate: Option<Receiver<()>>,
    /// Loads that were answered.
    loads: usize,
    /// Whether clients are told only of what is kept.
    outlives_process: bool,
}

fn away() -> StoreError {
    StoreError::Unavailable(io::Error::other("away"))
}

impl SessionBackend for Kept {
    fn append(&mut self, entry: Arc<Entry>, answer: Answer) {
        let mut inner = self.0.lock().unwrap();
        if std::mem::take(&mut inner.panics) {
            drop(inner);
            panic!("a panic was injected into the session store");
        }
        if inner.holds {
            inner.held.push((entry, answer));
        } else {
            inner.memory.apply(&entry);
            answer.kept();
        }
    }

    fn outlives_process(&self) -> bool {
        self.0.lock().unwrap().outlives_process
    }

    fn flush(&mut self) {
        self.0.lock().unwrap().flushes += 1;
    }

    fn load(&mut self, home: &Home, after: Option<&Cursor>) -> Result<Piece, StoreError> {
        let gate = self.0.lock().unwrap().gate.take();
        if let Some(gate) = &gate {
            let _ = gate.recv_timeout(DEADLINE);
        }
        let mut inner = self.0.lock().unwrap();
        inner.gate = gate;
        inner.loads += 1;
        if inner.is_away { Err(away()) } else { inner.memory.load(home, after) }
    }
}

impl Kept {
    async fn start(&self, workers: usize) -> TestNode {
        let backend = self.clone();
        TestNode::start_on(workers, settings(), AuthSettings::default(), move || Box::new(backend)).await
    }

    /// Loads wait from now on, each for a word through what is given back, or for its end.
    fn shut_gate(&self) -> Sender<()> {
        let (word, gate) = channel();
        self.0.lock().unwrap().gate = Some(gate);
        word
    }

    fn set_away(&self, is_away: bool) {
        self.0.lock().unwrap().is_away = is_away;
    }

    fn hold(&self, holds: bool) {
        self.0.lock().unwrap().holds = holds;
    }

    /// Waits until so many batches wait for an answer, and takes them.
    async fn take_held(&self, count: usize) -> Vec<(Arc<Entry>, Answer)> {
        let began = Instant::now();
        while self.0.lock().unwrap().held.len() < count {
            assert!(began.elapsed() < DEADLINE, "no batch comes");
            sleep(Duration::from_millis(5)).await;
        }
        std::mem::take(&mut self.0.lock().unwrap().held)
    }

    fn answer(&self, (entry, answer): (Arc<Entry>, Answer)) {
        self.0.lock().unwrap().memory.apply(&entry);
        answer.kept();
    }

    /// Each session.
    fn seen(&self) -> Vec<Seen> {
        let inner = self.0.lock().unwrap();
        let sessions = inner.memory.shards().iter().flat_map(|(_, kept)| kept.sessions());
        let seen = sessions.map(|(client, session)| {
            let filters = session.subscriptions.iter();
            let filters =
                filters.map(|(filter, subscription)| (filter.to_string(), subscription.options.qos));
            (client.to_string(), session.expiry_interval, filters.collect())
        });
        let mut seen: Vec<Seen> = seen.collect();
        seen.sort();
        seen
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

    /// Waits until it is kept that the network connection of a client has ended.
    async fn until_offline(&self, client: &str) {
        let began = Instant::now();
        let is_offline = || {
            let inner = self.0.lock().unwrap();
            let mut shards = inner.memory.shards().iter();
            shards.any(|(_, kept)| kept.session(client).is_some_and(|session| session.parted.is_some()))
        };
        while !is_offline() {
            assert!(began.elapsed() < DEADLINE, "not in time");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The session of a client who left it so long ago, with a will of no delay there.
    fn put_gone(&self, client: &str, expiry_interval: u32, will: Option<&str>, ago: Duration) {
        let mut inner = self.0.lock().unwrap();
        let homes = Homes::new(&HOMES_KEY, 1);
        let mut entry = Entry::at(inner.memory.shards().highest().next());
        let body = |topic| Body { topic, properties: &[], payload: b"gone", qos: QoS::AtLeastOnce };
        let will = will.map(|topic| micro_mq_core::records::Will {
            body: body(topic),
            retain: false,
            delay_seconds: 1,
            expiry_seconds: None,
        });
        let (user_name, version, leaves_will) = (None, V5, will.is_some());
        let connected = Connected { client, user_name, version, expiry_interval, begins: true, will };
        let epoch = entry.push(&Record::Connected(connected), &homes).epoch();
        let at = WallClock(time_of_day().0 - ago.as_millis() as u64);
        let parted = Parted { of: Of { client, epoch }, at, expiry_interval, leaves_will };
        entry.push(&Record::Parted(parted), &homes);
        inner.memory.apply(&entry);
    }

    /// Whether the will of a client is kept.
    fn has_will(&self, client: &str) -> bool {
        let inner = self.0.lock().unwrap();
        let mut shards = inner.memory.shards().iter();
        shards.any(|(_, kept)| kept.session(client).is_some_and(|session| session.will.is_some()))
    }

    fn put(&self, client: &str, expiry_interval: u32, filters: &[(&str, QoS)]) {
        let mut inner = self.0.lock().unwrap();
        let homes = Homes::new(&HOMES_KEY, 1);
        let mut entry = Entry::at(inner.memory.shards().highest().next());
        let (user_name, version, will) = (None, V5, None);
        let connected = Connected { client, user_name, version, expiry_interval, begins: true, will };
        let epoch = entry.push(&Record::Connected(connected), &homes).epoch();
        let subscribed = filters.iter().map(|(filter, qos)| Subscribed {
            filter,
            options: options(*qos),
            identifier: 0,
            replays: false,
        });
        entry.push(&Record::Subscribed(Of { client, epoch }, subscribed.collect()), &homes);
        inner.memory.apply(&entry);
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            memory: MemoryBackend::new(&HOMES_KEY),
            panics: false,
            holds: false,
            outlives_process: false,
            held: Vec::new(),
            flushes: 0,
            is_away: false,
            gate: None,
            loads: 0,
        })))
    }
}

/// Runs a test with one worker, and with three.
fn on_each(test: impl AsyncFn(usize)) {
    for workers in [1, 3] {
        actix_rt::System::new().block_on(test(workers));
    }
}

/// A client identifier whose session lives on this one of two workers.
fn living_on(worker: u16, what: &str) -> String {
    let homes = Homes::new(&HOMES_KEY, 2);
    (0..).map(|number| format!("{what}-{number}")).find(|name| homes.of_client(name) == worker).unwrap()
}

fn expiring(client_identifier: &str, seconds: u32) -> Connect {
    let mut connect = durable(V5, client_identifier);
    connect.properties.session_expiry_interval = Some(seconds);
    connect
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
        kept.hold(true);
        let node = kept.start(workers).await;
        let (mut client, _) = node.connect_with(expiring("a", 1000)).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        let (_, answer) = kept.take_held(1).await.remove(0);
        // While the first batch is on its way, to fail.
        client.unsubscribe(&["x"]).await;
        client.subscribe("y", QoS::AtLeastOnce).await;
        kept.hold(false);
        answer.failed(away());
        kept.until(&[("a", 1000, &[("y", QoS::AtLeastOnce)])]).await;
        client.disconnect().await;
        node.stop().await;
    });
}

/// A batch is answered when the backend likes, by whatever thread. Until then the worker that sent it sends no other, and
/// everybody else goes on: its clients, other workers, and what they have to keep.
#[test]
fn a_late_answer_holds_up_its_worker_s_next_batch_alone() {
    actix_rt::System::new().block_on(async {
        let kept = Kept::default();
        kept.hold(true);
        let node = kept.start(2).await;
        let [near, far] = [0, 1].map(|worker| living_on(worker, "client"));
        let (mut client, _) = node.connect_with(expiring(&near, 1000)).await;
        let first = kept.take_held(1).await.remove(0);
        client.subscribe("x", QoS::AtLeastOnce).await;
        assert_eq!(client.publish("x", QoS::AtLeastOnce, "served").await, ReasonCode::Success);
        client.take_payload("served").await;
        let (other, _) = node.connect_with(expiring(&far, 1000)).await;
        let second = kept.take_held(1).await.remove(0);
        let (_, record) = records_of(second.0.bytes()).next().unwrap().unwrap();
        assert!(matches!(record, Record::Connected(connected) if connected.client == far));
        kept.hold(false);
        kept.answer(second);
        kept.until(&[(&far, 1000, &[])]).await;
        let answering = kept.clone();
        std::thread::spawn(move || answering.answer(first)).join().unwrap();
        let mut expected = [(&*near, 1000, &[("x", QoS::AtLeastOnce)] as &[_]), (&*far, 1000, &[])];
        expected.sort();
        kept.until(&expected).await;
        assert!(kept.0.lock().unwrap().flushes > 0);
        drop((client, other));
        node.stop().await;
    });
}

/// What changed last is kept when the node has shut down.
#[test]
fn a_shutdown_keeps_the_latest_changes() {
    on_each(async |workers| {
        let kept = Kept::default();
        let node = kept.start(workers).await;
        let (mut client, _) = node.connect_with(expiring("a", 1000)).await;
        kept.until(&[("a", 1000, &[])]).await;
        for number in 0..20 {
            client.subscribe(&format!("x/{number:02}"), QoS::AtLeastOnce).await;
        }
        drop(client);
        node.stop().await;
        assert_eq!(kept.seen()[0].2.len(), 20);
    });
}

/// A backend that panics loses what it was asked and no more: the batch is sent again.
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
