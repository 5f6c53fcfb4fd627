//! A whole node: its threads, their actors, and how they start and stop.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::time::timeout;
use auth_actor::{Asking, Auth, AuthError, AuthSettings, Heard, Notices, Provider, Reload, Withdrawals};
use micro_mq_core::homes::Homes;
use micro_mq_core::ids::seed_client_hashes;
use micro_mq_core::matching::WORKERS_MAX;
use micro_mq_core::pressure::IncompletePackets;
use micro_mq_core::protocol::decode_limits;
use micro_mq_core::records::WallClock;
use micro_mq_core::settings::{Settings, WorkerSettings};
use micro_mq_core::worker::NodeState;
use tokio::sync::{oneshot, watch};
use tracing::warn;

use crate::admin::AdminHandle;
use crate::client_lines::ClientLines;
use crate::clock;
use crate::cluster::{Cluster, ClusterOptions, ClusterThreads, Host};
use crate::connection::{Listener, Listening, accept};
use crate::messages::{CurrentAddress, RetainedAddress, SessionsAddress, TrieAddress};
use crate::metrics::Metrics;
use crate::retained::Retained;
use crate::sessions::{Sessions, carry_out};
use crate::stats::{ActorKind, WorkerStats};
use crate::store::{NoBackend, Restoration, SessionBackend, SessionStore, start_store};
use crate::supervision::{Life, look_after};
use crate::threads::Threads;
use crate::topics::TopicTrie;
use crate::worker::{Keeper, NodeShared, Peer, Throttles, Worker};

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Limits, policies and intervals.
    pub settings: Settings,
    /// Who answers who may do what.
    pub auth: AuthSettings,
    /// The ports to listen on.
    pub listeners: Vec<Listener>,
    /// By which sessions and shared groups are spread over shards and workers: the same for as long as their state is kept,
    /// and a secret ([`drawn_key`](micro_mq_core::homes::drawn_key)).
    pub homes_key: [u8; 16],
    /// The time of day as it starts, by which what outlives it knows when it ends.
    pub time_of_day: WallClock,
    /// Who keeps what clients are promised.
    pub keepers: Vec<Arc<dyn Keeper>>,
    /// How it is a node of a cluster; none: it is alone.
    pub cluster: Option<ClusterOptions>,
}

/// A port that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listener.{name}.bind: cannot listen on {address}: {cause}")]
pub struct BindError {
    /// The listener's name in the configuration.
    pub name: String,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub cause: io::Error,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Ports could not be bound; all of those.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bind(Vec<BindError>),
    /// The file of users and rules could not be used.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// More workers than the directory has bits for.
    #[error("node.workers: {0} is more than {WORKERS_MAX}, or in a cluster than {CLUSTER_WORKERS_MAX}")]
    TooManyWorkers(usize),
    /// The session store has no thread.
    #[error("the thread of the session store could not be started")]
    StoreThread(#[source] io::Error),
    /// A thread ended before its actors were started.
    #[error("a thread of the node ended while it started")]
    ThreadEnded,
}

/// Workers of a node of a cluster at most: one bit stands for the other nodes.
const CLUSTER_WORKERS_MAX: usize = WORKERS_MAX - 1;

/// A node that runs.
pub struct RunningNode {
    pub(crate) shared: Arc<NodeShared>,
    metrics: Arc<CurrentAddress<Addr<Metrics>>>,
    listeners: Vec<(String, SocketAddr)>,
    notices: Notices,
    pub(crate) threads: Threads,
    opened: watch::Receiver<bool>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) accepting: Arc<AtomicBool>,
}

/// Starts nodes.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Binds the ports and starts all actors. To be called inside of an actix system.
    ///
    /// # Errors
    /// When a port cannot be bound, or a thread cannot be started.
    pub async fn start(options: NodeOptions) -> Result<RunningNode, StartError> {
        Self::start_with(options, || Box::new(NoBackend)).await
    }

    /// The same, with another backend of the session store; it is made on the thread that uses it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        options: NodeOptions,
        backend: impl FnOnce() -> Box<dyn SessionBackend> + Send + 'static,
    ) -> Result<RunningNode, StartError> {
        let provider = Provider::from_settings(&options.auth)?;
        Self::start_on(options, provider, backend).await
    }

    /// The same, with another provider than `options.auth` names; the limits there hold for it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(
        options: NodeOptions,
        provider: Provider,
        backend: impl FnOnce() -> Box<dyn SessionBackend> + Send + 'static,
    ) -> Result<RunningNode, StartError> {
        let workers = workers(&options.settings.node);
        if workers > if options.cluster.is_some() { CLUSTER_WORKERS_MAX } else { WORKERS_MAX } {
            return Err(StartError::TooManyWorkers(workers));
        }
        let (listeners, sockets) = bind(&options, workers).map_err(StartError::Bind)?;
        let shared = Arc::new(shared(
            options.settings,
            &options.auth,
            &provider,
            Homes::new(&options.homes_key, workers),
            options.time_of_day,
            options.keepers,
            options.cluster.map(Cluster::new),
        ));
        let (stop, stopped) = watch::channel(false);
        // Nobody is let in before all workers can take clients over.
        let (open, opened) = watch::channel(false);
        let metrics = Arc::new(CurrentAddress::default());
        let store_ended =
            start_store(&shared.store, &shared.control_stats, backend).map_err(StartError::StoreThread)?;
        let mut arbiters = vec![Arbiter::new()];
        let (ready, started) = oneshot::channel();
        let (notices, heard) = provider.notices();
        arbiters[0].spawn_fn({
            let shared = Arc::clone(&shared);
            move || {
                start_control(&shared, heard);
                // The one who waits may have given up; then nothing waits for this thread.
                let _ = ready.send(());
            }
        });
        started.await.map_err(|_| StartError::ThreadEnded)?;
        let auth_arbiter = Arbiter::new();
        let (ready, started) = oneshot::channel();
        auth_arbiter.spawn_fn({
            let shared = Arc::clone(&shared);
            move || {
                start_auth(&shared, provider);
                let _ = ready.send(());
            }
        });
        started.await.map_err(|_| StartError::ThreadEnded)?;
        for (id, sockets) in sockets.into_iter().enumerate() {
            let (ready, started) = oneshot::channel();
            let arbiter = Arbiter::new();
            let (shared, opened, stopped) = (Arc::clone(&shared), opened.clone(), stopped.clone());
            arbiter.spawn_fn(move || {
                let worker = start_worker(id as u16, &shared);
                listen(&worker, sockets, &opened, &stopped);
                let _ = ready.send(());
            });
            arbiters.push(arbiter);
            started.await.map_err(|_| StartError::ThreadEnded)?;
        }
        let (ready, started) = oneshot::channel();
        arbiters[0].spawn_fn({
            let (shared, metrics) = (Arc::clone(&shared), Arc::clone(&metrics));
            move || {
                start_metrics(&shared, &metrics);
                let _ = ready.send(());
            }
        });
        // Who is told that the node is ready may ask for its figures.
        started.await.map_err(|_| StartError::ThreadEnded)?;
        let cluster = start_cluster(&shared);
        arbiters[0].spawn(open_when_ready(Arc::clone(&shared), open));
        let accepting = Arc::new(AtomicBool::new(true));
        let threads = Threads { arbiters, auth: auth_arbiter, store_ended, cluster };
        Ok(RunningNode { shared, metrics, listeners, notices, threads, opened, stop, accepting })
    }
}

/// Starts the threads of the cluster, where there is one.
fn start_cluster(shared: &Arc<NodeShared>) -> Option<ClusterThreads> {
    let host: Arc<dyn Host> = Arc::clone(shared) as _;
    shared.cluster.as_ref().map(|cluster| cluster.start(&host))
}

/// Lets clients in once the node knows who subscribes to what they publish.
async fn open_when_ready(shared: Arc<NodeShared>, open: watch::Sender<bool>) {
    // Sessions whose subscriptions are not known yet would miss what is published.
    shared.restoration.until_tried().await;
    if let Some(cluster) = &shared.cluster {
        // So would those of other nodes.
        cluster.until_ready().await;
    }
    open.send_replace(true);
}

/// How many workers a node with these settings has.
pub fn workers(settings: &WorkerSettings) -> usize {
    match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX),
        workers => workers,
    }
}

/// The ports that a node with these options could not bind at this moment.
pub fn bind_errors(options: &NodeOptions) -> Vec<BindError> {
    bind(options, workers(&options.settings.node)).err().unwrap_or_default()
}

/// Where each listener listens, and the sockets of each worker.
type Bound = (Vec<(String, SocketAddr)>, Vec<Vec<Listening>>);

fn bind(options: &NodeOptions, workers: usize) -> Result<Bound, Vec<BindError>> {
    let mut sockets: Vec<Vec<Listening>> = (0..workers).map(|_| Vec::new()).collect();
    let (mut listeners, mut errors) = (Vec::new(), Vec::new());
    let patience = Duration::from_millis(options.settings.node.connect_timeout_ms);
    for listener in &options.listeners {
        match listener.bind(workers, patience) {
            Ok((address, bound)) => {
                listeners.push((listener.name.clone(), address));
                for (worker, socket) in sockets.iter_mut().zip(bound) {
                    worker.push(socket);
                }
            }
            Err(cause) => {
                errors.push(BindError { name: listener.name.clone(), address: listener.address, cause })
            }
        }
    }
    if errors.is_empty() { Ok((listeners, sockets)) } else { Err(errors) }
}

/// What the actors of a node will share; none is started yet.
pub(crate) fn shared(
    settings: Settings,
    auth: &AuthSettings,
    provider: &Provider,
    homes: Homes,
    time_of_day: WallClock,
    mut keepers: Vec<Arc<dyn Keeper>>,
    cluster: Option<Arc<Cluster>>,
) -> NodeShared {
    seed_client_hashes(homes.seed());
    let workers = homes.workers();
    let subscription_room = Arc::default();
    let (decode_limits, node) = (decode_limits(&settings.mqtt), settings.node.clone());
    keepers.extend(cluster.iter().map(|cluster| Arc::clone(cluster) as _));
    let state = NodeState::new(settings, homes, keepers, clock::now(), time_of_day);
    let state = Arc::new(match &cluster {
        Some(cluster) => state.beside(Arc::clone(cluster) as _),
        None => state,
    });
    NodeShared {
        decode_limits,
        peers: (0..workers).map(|_| Peer::new(&state.kept, &subscription_room)).collect(),
        retained: CurrentAddress::default(),
        store: SessionStore::default(),
        restoration: Restoration::new(workers),
        auth: CurrentAddress::default(),
        asking: Asking::new(auth, provider.live_policy()),
        policy: provider.live_policy(),
        withdrawals: Withdrawals::default(),
        control_stats: Arc::default(),
        connections: Arc::default(),
        incomplete_packets: Arc::new(IncompletePackets::new(node.incomplete_packets_bytes_max)),
        assigned: AtomicU64::new(1),
        assigned_key: std::hash::RandomState::new(),
        throttles: Throttles::default(),
        client_lines: ClientLines::new(node.client_lines_per_second_max),
        cluster,
        state,
    }
}

/// Starts an actor, counts it, lets it be found, and looks after it.
fn start<A: Actor<Context = Context<A>>>(
    shared: &Arc<NodeShared>,
    kind: ActorKind,
    stats: impl Fn(&NodeShared) -> &WorkerStats + 'static,
    make: impl Fn() -> A + 'static,
    found: impl Fn(&NodeShared, Addr<A>) + 'static,
) {
    let shared = Arc::clone(shared);
    look_after(kind.label(), make, move |life, addr| {
        let stats = stats(&shared).of(kind);
        match life {
            Life::First => stats.started(),
            Life::Further => {
                stats.restarted();
                // Behind the start, which may take its time: what is sent until then is lost like what waited.
                stats.forget_waiting();
            }
        }
        found(&shared, addr);
    });
}

/// Starts the auth actor on this thread. It has one of its own: a provider that holds it up costs who asks, and neither
/// the other actors of the node nor its figures.
pub(crate) fn start_auth(shared: &Arc<NodeShared>, provider: Provider) {
    start(
        shared,
        ActorKind::Auth,
        |shared| &shared.control_stats,
        move || Auth::new(provider.clone()),
        |shared, addr| shared.auth.set(addr),
    );
}

/// Starts the actors of the control thread on this one, but the metrics actor.
pub(crate) fn start_control(shared: &Arc<NodeShared>, heard: Heard) {
    actix_rt::spawn(carry_out(Arc::clone(shared), heard));
    let node = Arc::clone(shared);
    start(
        shared,
        ActorKind::Retained,
        |shared| &shared.control_stats,
        move || Retained::new(Arc::clone(&node)),
        |shared, addr| shared.retained.set(RetainedAddress::of(&addr)),
    );
}

/// The metrics actor comes last: it asks all others.
pub(crate) fn start_metrics(shared: &Arc<NodeShared>, metrics: &Arc<CurrentAddress<Addr<Metrics>>>) {
    let (node, metrics) = (Arc::clone(shared), Arc::clone(metrics));
    start(
        shared,
        ActorKind::Metrics,
        |shared| &shared.control_stats,
        move || Metrics::new(Arc::clone(&node)),
        move |_, addr| metrics.set(addr),
    );
}

/// Starts a worker with its actors on this thread.
pub(crate) fn start_worker(id: u16, shared: &Arc<NodeShared>) -> Rc<Worker> {
    let worker = Worker::new(id, Arc::clone(shared));
    let place = usize::from(id);
    // Nobody looks after it: nothing ends it.
    worker.peer().trie.set(TrieAddress::of(&TopicTrie::new(Rc::clone(&worker)).start()));
    worker.stats(ActorKind::TopicTrie).started();
    let sessions = Rc::clone(&worker);
    start(
        shared,
        ActorKind::Sessions,
        move |shared| &shared.peers[place].stats,
        move || Sessions::new(Rc::clone(&sessions)),
        move |shared, addr| shared.peers[place].sessions.set(SessionsAddress::of(&addr)),
    );
    worker
}

/// Accepts on a worker's sockets, once the node is open and until it stops.
fn listen(
    worker: &Rc<Worker>,
    sockets: Vec<Listening>,
    opened: &watch::Receiver<bool>,
    stopped: &watch::Receiver<bool>,
) {
    for socket in sockets {
        let (worker, mut opened, stopped) = (Rc::clone(worker), opened.clone(), stopped.clone());
        actix_rt::spawn(async move {
            if opened.wait_for(|opened| *opened).await.is_err() {
                // The node gave up while it started.
                return;
            }
            if let Err(error) = accept(worker, socket, stopped).await {
                warn!(%error, "a listener ended");
            }
        });
    }
}

/// How long a reload may take before the log says that it does.
const RELOAD_PATIENCE: Duration = Duration::from_secs(5);
impl RunningNode {
    /// Where it listens: each listener's name and address.
    pub fn listeners(&self) -> &[(String, SocketAddr)] {
        &self.listeners
    }

    /// Waits until it accepts network connections: until each worker has the sessions that the store keeps, or has heard
    /// that they cannot be loaded.
    pub async fn until_open(&self) {
        // An error says that the node gave up: then it never does.
        if self.opened.clone().wait_for(|opened| *opened).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// How to end network connections by what they were let in by: of certificates that are revoked, above all.
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// What its actors share.
    pub fn shared(&self) -> &Arc<NodeShared> {
        &self.shared
    }

    /// What the admin API asks.
    pub fn admin_source(&self) -> Arc<AdminHandle> {
        let (shared, metrics) = (Arc::clone(&self.shared), Arc::clone(&self.metrics));
        let listeners = self.listeners.as_slice().into();
        Arc::new(AdminHandle::new(shared, metrics, Arc::clone(&self.accepting), listeners))
    }

    /// Reads the file of users and rules anew.
    pub fn reload_auth(&self) {
        let Some(auth) = self.shared.auth.addr() else { return };
        actix_rt::spawn(async move {
            let mut reload = std::pin::pin!(auth.send(Reload));
            let reloaded = match timeout(RELOAD_PATIENCE, &mut reload).await {
                Ok(reloaded) => reloaded,
                Err(_) => {
                    warn!("the file of users and rules is still being read; what was read before holds");
                    reload.await
                }
            };
            match reloaded {
                // Whoever read it has said what.
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    warn!(%error, cause, "users and rules could not be read anew; the old ones hold");
                }
                Err(_) => warn!("the auth actor did not answer"),
            }
        });
    }
}
