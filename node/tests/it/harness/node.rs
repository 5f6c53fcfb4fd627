//! A node that is started, looked at, and stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant, SystemTime};

use actix_rt::time::sleep;
use auth_actor::{AuthSettings, Provider};
use micro_mq_actors::messages::{ObserveRetained, ObserveSessions, ObserveTrie, Takes};
use micro_mq_actors::metrics::{LedgerTotals, Snapshot, gather};
use micro_mq_actors::stats::ActorKind;
use micro_mq_actors::store::{MemoryBackend, SessionBackend};
use micro_mq_actors::worker::{Keeper, NodeShared};
use micro_mq_actors::{Listener, ListenerKind, Node, NodeOptions, RunningNode, WebSocketOptions};
use micro_mq_core::records::WallClock;
use micro_mq_core::settings::Settings;
use mqtt_codec::{ConnAck, Connect, ProtocolVersion, ReasonCode};

use super::{Client, DEADLINE, connect};

/// How often something that can only be looked at is looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// By which clients have their homes, in all nodes.
pub(crate) const HOMES_KEY: [u8; 16] = [5; 16];
/// What clients that are still connected have to go.
const GRACE: Duration = Duration::from_millis(100);

pub(crate) fn time_of_day() -> WallClock {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    WallClock(since.as_millis() as u64)
}

/// The default settings, without `$SYS` and log lines that a test did not ask for.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.mqtt.sys_interval_seconds = 0;
    settings.node.metrics_interval_seconds = 0;
    settings
}

/// Runs a test on a node with one worker, and beside it on one with three, where sessions, groups and publishers have
/// different homes. Each node is stopped and judged afterwards.
pub(crate) fn on_nodes(settings: Settings, test: impl AsyncFn(&TestNode) + Sync) {
    let (settings, test) = (&settings, &test);
    std::thread::scope(|scope| {
        let run = |workers| {
            let name = format!("on {workers} worker(s)");
            let on_one = move || on_node(workers, settings.clone(), async |node| test(node).await);
            std::thread::Builder::new().name(name).spawn_scoped(scope, on_one).expect("a thread")
        };
        for running in [1, 3].map(run) {
            if let Err(panic) = running.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Runs a test on a node with so many workers.
pub(crate) fn on_node(workers: usize, settings: Settings, test: impl AsyncFnOnce(&TestNode)) {
    actix_rt::System::new().block_on(async {
        let node = TestNode::start_with(workers, settings, AuthSettings::default()).await;
        test(&node).await;
        node.stop().await;
    });
}

/// A node with a TCP and a WebSocket listener (path `/mqtt`) on free ports of 127.0.0.1.
pub(crate) struct TestNode {
    node: RunningNode,
    system: usize,
}

impl TestNode {
    pub(crate) async fn start_with(workers: usize, settings: Settings, auth: AuthSettings) -> Self {
        Self::start_on(workers, settings, auth, || Box::new(MemoryBackend::new(&HOMES_KEY))).await
    }

    /// On another backend of the session store.
    pub(crate) async fn start_on(
        workers: usize,
        settings: Settings,
        auth: AuthSettings,
        backend: impl FnOnce() -> Box<dyn SessionBackend> + Send + 'static,
    ) -> Self {
        let provider = Provider::from_settings(&auth).expect("a provider");
        Self::start_listening(
            workers,
            settings,
            auth,
            provider,
            WebSocketOptions::default(),
            Vec::new(),
            backend,
        )
        .await
    }

    /// Asking another provider than the settings name.
    pub(crate) async fn start_asking(
        workers: usize,
        settings: Settings,
        auth: AuthSettings,
        provider: Provider,
    ) -> Self {
        let backend = || -> Box<dyn SessionBackend> { Box::new(MemoryBackend::new(&HOMES_KEY)) };
        Self::start_listening(
            workers,
            settings,
            auth,
            provider,
            WebSocketOptions::default(),
            Vec::new(),
            backend,
        )
        .await
    }

    /// With somebody who keeps what clients are promised.
    pub(crate) async fn start_keeping(workers: usize, settings: Settings, keeper: Arc<dyn Keeper>) -> Self {
        let backend = || -> Box<dyn SessionBackend> { Box::new(MemoryBackend::new(&HOMES_KEY)) };
        let auth = AuthSettings::default();
        let provider = Provider::from_settings(&auth).expect("a provider");
        let websocket = WebSocketOptions::default();
        Self::start_listening(workers, settings, auth, provider, websocket, vec![keeper], backend).await
    }

    /// One worker, default settings, and a WebSocket listener with other options.
    pub(crate) async fn start_with_websocket(options: WebSocketOptions) -> Self {
        let backend = || -> Box<dyn SessionBackend> { Box::new(MemoryBackend::new(&HOMES_KEY)) };
        let auth = AuthSettings::default();
        let provider = Provider::from_settings(&auth).expect("a provider");
        Self::start_listening(1, settings(), auth, provider, options, Vec::new(), backend).await
    }

    async fn start_listening(
        workers: usize,
        mut settings: Settings,
        auth: AuthSettings,
        provider: Provider,
        websocket: WebSocketOptions,
        keepers: Vec<Arc<dyn Keeper>>,
        backend: impl FnOnce() -> Box<dyn SessionBackend> + Send + 'static,
    ) -> Self {
        watch_panics();
        settings.node.workers = workers;
        let listener = |name: &str, kind| Listener {
            name: name.to_owned(),
            kind,
            tls: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let listeners = vec![
            listener("tcp", ListenerKind::Tcp),
            listener("websocket", ListenerKind::WebSocket(Arc::new(websocket))),
        ];
        let options = NodeOptions {
            settings,
            auth,
            listeners,
            homes_key: HOMES_KEY,
            time_of_day: time_of_day(),
            keepers,
            cluster: None,
        };
        let node = Node::start_on(options, provider, backend).await.expect("a node on free ports starts");
        Self { node, system: actix_rt::System::current().id() }
    }

    fn listener(&self, name: &str) -> SocketAddr {
        self.node.listeners().iter().find(|(other, _)| other == name).expect("it was asked for").1
    }

    /// Where it speaks MQTT over TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener("tcp")
    }

    /// Where it speaks MQTT over WebSocket.
    pub(crate) fn websocket_address(&self) -> SocketAddr {
        self.listener("websocket")
    }

    pub(crate) fn running(&self) -> &RunningNode {
        &self.node
    }

    /// For a test that shuts it down itself.
    pub(crate) fn into_running(self) -> RunningNode {
        self.node
    }

    pub(crate) fn shared(&self) -> &Arc<NodeShared> {
        self.node.shared()
    }

    /// A network connection that has sent nothing.
    pub(crate) async fn open(&self, version: ProtocolVersion) -> Client {
        Client::open(self.address(), version, Arc::clone(self.shared())).await
    }

    /// A client that connected with a clean start.
    pub(crate) async fn connect(&self, version: ProtocolVersion, client_identifier: &str) -> Client {
        self.connect_with(connect(version, client_identifier)).await.0
    }

    /// A client whose CONNECT was accepted, and the CONNACK.
    pub(crate) async fn connect_with(&self, connect: Connect) -> (Client, ConnAck) {
        let mut client = self.open(connect.version).await;
        let answer = client.handshake(connect).await;
        assert_eq!(answer.reason_code, ReasonCode::Success, "{answer:?}");
        (client, answer)
    }

    /// A client whose session must have been there already, as far as its version is told.
    pub(crate) async fn resume(&self, connect: Connect) -> Client {
        let is_told = connect.version != ProtocolVersion::V31;
        let (client, answer) = self.connect_with(connect).await;
        assert_eq!(answer.session_present, is_told, "session present");
        client
    }

    /// All figures of the node.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        // What a client has received is counted when the turn is over that wrote it.
        for peer in &self.shared().peers {
            if let Some(sessions) = peer.sessions.addr() {
                let _ = sessions.send(ObserveSessions).await;
            }
        }
        gather(self.shared()).await
    }

    /// One counter, all workers together.
    #[track_caller]
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let counts = self.shared().peers.iter().map(|peer| {
            let all = peer.counters.all();
            all.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no counter {name}")).1
        });
        counts.sum()
    }

    /// Waits until counters, all workers together, are as wanted: a node may count what it did after a client has seen
    /// it.
    pub(crate) async fn until_counters<const COUNT: usize>(&self, wanted: [(&str, u64); COUNT]) {
        let began = Instant::now();
        loop {
            let seen = wanted.map(|(name, _)| (name, self.counter(name)));
            if seen == wanted {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "not in time: {wanted:?}: {seen:?}");
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until figures are as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let began = Instant::now();
        loop {
            let seen = self.snapshot().await;
            if wanted(&seen) {
                return seen;
            }
            assert!(began.elapsed() < DEADLINE, "not in time: {what}: {seen:?}");
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until a session is known to be offline or gone.
    pub(crate) async fn until_online(&self, online: usize) {
        self.until(&format!("{online} sessions online"), |seen| seen.sessions.online == online).await;
    }

    /// Waits until what was sent between actors before has arrived.
    pub(crate) async fn settle(&self) {
        settle(self.shared()).await;
    }

    /// How often actors were started anew.
    pub(crate) fn restarts(&self) -> u64 {
        let shared = self.shared();
        let of = |kind: &ActorKind| {
            let workers = shared.peers.iter().map(|peer| peer.stats.of(*kind).figures().restarts);
            workers.sum::<u64>() + shared.control_stats.of(*kind).figures().restarts
        };
        ActorKind::ALL.iter().map(of).sum()
    }

    /// The ledger, once what was sent between actors before has arrived and it adds up.
    pub(crate) async fn balanced_ledger(&self) -> LedgerTotals {
        self.settle().await;
        self.until("the ledger balances", |seen| seen.between_workers == 0 && seen.ledger.is_balanced())
            .await
            .ledger
    }

    /// Stops the node. Fails if an actor panicked, or if the ledger does not add up.
    pub(crate) async fn stop(self) {
        self.stop_after_restarts(0).await;
    }

    /// The same, for a test that made actors panic by `InjectPanic`.
    pub(crate) async fn stop_after_restarts(self, restarts: u64) {
        self.balanced_ledger().await;
        assert_eq!(self.restarts(), restarts, "actors that panicked and were started anew");
        let system = self.system;
        self.node.shutdown(GRACE).await;
        let panics = PANICS.lock().unwrap();
        let panics: Vec<_> = panics.iter().filter(|(of, _)| *of == system).map(|(_, what)| what).collect();
        assert!(panics.is_empty(), "threads of the node panicked: {panics:?}");
    }
}

/// Waits until what was sent between actors before has arrived: a message may go by two tries, a session's home and the
/// retained actor.
pub(crate) async fn settle(shared: &NodeShared) {
    for _ in 0..3 {
        for peer in &shared.peers {
            if let Some(trie) = peer.trie.addr() {
                let _ = trie.send(ObserveTrie).await;
            }
            if let Some(sessions) = peer.sessions.addr() {
                let _ = sessions.send(ObserveSessions).await;
            }
        }
        if let Some(retained) = shared.retained.addr() {
            let _ = retained.send(ObserveRetained).await;
        }
    }
}

/// Panics on threads of nodes, by the actix system that the thread belongs to; those injected are left out.
static PANICS: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::new());

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let system =
                thread.name().and_then(|name| name.strip_prefix("actix-rt|system:")?.split('|').next());
            let what = info.to_string();
            if let Some(system) = system.and_then(|system| system.parse().ok())
                && !what.contains("injected")
            {
                PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((system, what));
            }
            before(info);
        }));
    });
}
