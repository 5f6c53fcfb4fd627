//! The simulated node: what a script does with it.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use auth_actor::{AuthSettings, Policy, Provider, ProviderKind};
use micro_mq_core::homes::{Homes, drawn_key};
use micro_mq_core::records::WallClock;
use micro_mq_core::routing::{InjectPanic, ToTrie};
use micro_mq_core::settings::Settings;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, advance, sleep};

use super::client::SimulatedClient;
use super::conditions::Conditions;
use super::disk::SimulatedDisk;
use super::interleaving::{Interleaving, News};
use super::invariants;
use super::judge::Broken;
use super::kept;
use crate::WebSocketOptions;
use crate::clock;
use crate::connection::{Accepted, begin, connect_patience, run_handshake};
use crate::messages::{CurrentAddress, ForTrie};
use crate::metrics::LedgerTotals;
use crate::node::{shared, start_auth, start_control, start_metrics, start_worker};
use crate::store::{MemoryBackend, start_store_here};
use crate::transport::{MemoryStream, Stream, Transport, websocket};
use crate::worker::{Keeper, NodeShared, Worker};

/// What a network connection holds that one end has written and the other has not read, per direction, in bytes.
const PIPE_BYTES: usize = 64 * 1024;
/// The clock's smallest step: tokio's timers know no shorter time.
const INSTANT: Duration = Duration::from_millis(1);
/// More turns of everybody than what one moment sets off takes.
const TURNS_PER_INSTANT: usize = 32;
/// More than it takes until a task that goes on behind a look at the sockets is ready again.
const TURNS_PER_DETOUR: usize = 4;
/// A little more than a client that is told to go may take to do so.
const PARTING_PATIENCE: Duration = Duration::from_millis(1200);
/// A little more than it takes until what is noted is with the disk.
const KEPT_WITHIN: Duration = Duration::from_millis(300);
const KEPT_TRIES: usize = 3;
/// How often that is waited for: while some go, the time of others may come.
const PARTING_ROUNDS_MAX: usize = 16;

/// See the module above.
pub struct SimulatedNode {
    pub(super) shared: Arc<NodeShared>,
    pub(super) workers: Vec<Rc<Worker>>,
    stop: watch::Sender<bool>,
    /// None: all take turns in the order in which they are woken.
    interleaving: Option<Rc<Interleaving>>,
    driver: Option<JoinHandle<()>>,
    /// How often the topic trie of each worker was made to panic.
    pub(super) broken_tries: RefCell<Vec<u64>>,
    birth: Birth,
    first_started: Instant,
}

/// What a node is started with.
#[derive(Debug, Clone)]
pub(super) struct Birth {
    pub(super) settings: Settings,
    pub(super) conditions: Conditions,
    pub(super) keepers: Vec<Arc<dyn Keeper>>,
    pub(super) disk: Option<SimulatedDisk>,
    /// How many went before.
    pub(super) lives: u64,
}

/// When the first of simulated nodes starts.
const TIME_OF_DAY: WallClock = WallClock(1_000_000_000_000);

impl std::fmt::Debug for SimulatedNode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SimulatedNode").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

impl SimulatedNode {
    pub(super) async fn start(birth: Birth) -> Self {
        Self::start_since(birth, Instant::now()).await
    }

    async fn start_since(birth: Birth, first_started: Instant) -> Self {
        let Birth { settings, conditions, keepers, disk, lives } = birth.clone();
        let Conditions { asks, interleaved_by } = conditions;
        let auth = AuthSettings { provider: ProviderKind::Mock, mock_allow: true, ..AuthSettings::default() };
        let provider = Provider::from_settings(&auth).expect("it needs nothing");
        provider.live_policy().advance(Policy { authenticates: asks, authorizes: asks });
        let workers = settings.node.workers.max(1);
        let time_of_day = WallClock(TIME_OF_DAY.0 + first_started.elapsed().as_millis() as u64);
        let homes = Homes::new(&drawn_key(), workers);
        let shared = Arc::new(shared(settings, &auth, &provider, homes, time_of_day, keepers, None));
        let switch = disk.as_ref().map(SimulatedDisk::switch).unwrap_or_default();
        let interleaving =
            interleaved_by.map(|seed| Rc::new(Interleaving::new(workers, seed.wrapping_add(lives), switch)));
        let here = |worker| interleaving.as_ref().map(|interleaving| interleaving.enter(worker));
        let place = here(None);
        start_control(&shared, provider.notices().1);
        let backend = match &disk {
            Some(disk) => disk.mount(),
            None => Box::new(MemoryBackend::new(&drawn_key())),
        };
        start_store_here(&shared.store, &shared.control_stats, backend);
        start_auth(&shared, provider);
        start_metrics(&shared, &Arc::new(CurrentAddress::default()));
        drop(place);
        let start = |id| {
            let _place = here(Some(id));
            start_worker(id as u16, &shared)
        };
        let workers = (0..workers).map(start).collect();
        let driver =
            interleaving.as_ref().map(|interleaving| actix_rt::spawn(Rc::clone(interleaving).drive()));
        let broken_tries = RefCell::new(vec![0; shared.peers.len()]);
        let stop = watch::channel(false).0;
        let node = Self { shared, workers, stop, interleaving, driver, broken_tries, birth, first_started };
        node.settle().await;
        node
    }

    /// The process is killed, wherever it is: all that it has in memory is gone, and its network connections end. After
    /// `downtime` another one starts, with so many workers, on what the disk has. Sessions may not be
    /// [loaded](Self::is_restored) then.
    ///
    /// # Panics
    /// When it has no disk, or its workers are not interleaved.
    pub async fn kill_and_restart(&mut self, downtime: Duration, workers: usize) {
        self.disk().expect("a node that outlives its process").fail();
        let driver = self.driver.take().expect("a node whose workers are interleaved");
        driver.abort();
        // It says that it was.
        let _ = driver.await;
        self.interleaving = None;
        advance(downtime).await;
        self.birth.settings.node.workers = workers;
        self.birth.lives += 1;
        *self = Self::start_since(self.birth.clone(), self.first_started).await;
    }

    /// What its sessions are kept on, if they outlive it.
    pub fn disk(&self) -> Option<&SimulatedDisk> {
        self.birth.disk.as_ref()
    }

    /// Whether the power has failed: nothing goes on until it is [started again](Self::kill_and_restart).
    pub fn is_off(&self) -> bool {
        self.disk().is_some_and(|disk| disk.failed_at().is_some())
    }

    /// Whether all sessions are back that are kept.
    pub fn is_restored(&self) -> bool {
        self.shared.restoration.is_complete()
    }

    /// A new network connection that this worker accepted.
    ///
    /// # Panics
    /// When there is no such worker.
    pub fn connect(&self, worker: usize) -> SimulatedClient {
        self.connect_with(worker, PIPE_BYTES)
    }

    /// The same; each direction holds so many bytes before its writer has to wait.
    ///
    /// # Panics
    /// When there is no such worker, or without room.
    pub fn connect_with(&self, worker: usize, pipe_bytes: usize) -> SimulatedClient {
        let (ours, stream, news) = self.pipe(pipe_bytes);
        self.take_in(worker, Transport::Plain(stream));
        SimulatedClient::new(ours, news)
    }

    /// The same over a WebSocket, with the node's default options. Its handshake is done.
    ///
    /// # Panics
    /// As [`connect_with`](Self::connect_with), and with less room than the handshake takes.
    pub fn connect_websocket(&self, worker: usize, pipe_bytes: usize) -> SimulatedClient {
        let (ours, stream, news) = self.pipe(pipe_bytes);
        let mut client = SimulatedClient::new_websocket(ours, news);
        if let Stream::Memory(stream) = &stream {
            stream.announce();
        }
        let message_bytes_max = self.shared.settings.mqtt.maximum_packet_size_bytes as usize;
        let options = WebSocketOptions::default();
        let opening = pin!(websocket(stream, &options, message_bytes_max));
        let Poll::Ready(Ok((transport, _))) = opening.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a WebSocket that does not open at once, in a pipe of {pipe_bytes} bytes");
        };
        let answer = client.receive();
        assert_eq!(answer, Ok(Vec::new()), "nothing but the answer of the handshake");
        self.take_in(worker, transport);
        client
    }

    fn take_in(&self, worker: usize, transport: Transport) {
        let _place = self.interleaving.as_ref().map(|interleaving| interleaving.enter(Some(worker)));
        begin(&self.workers[worker], self.stop.subscribe(), |worker, permit| {
            let deadline = clock::now() + connect_patience(&worker);
            run_handshake(
                worker,
                Accepted {
                    transport,
                    received: Vec::new(),
                    peer: None,
                    permit,
                    deadline,
                    foreign: None,
                    shown: None,
                },
            )
        });
    }

    /// The client's end, the node's, and how the former tells the latter of news, if it is told late.
    fn pipe(&self, bytes: usize) -> (DuplexStream, Stream, Option<News>) {
        let (ours, theirs) = tokio::io::duplex(bytes);
        let socket = self.interleaving.as_ref().map(|interleaving| interleaving.socket());
        let (readiness, news) = socket.unzip();
        (ours, Stream::Memory(Box::new(MemoryStream::new(theirs, readiness))), news)
    }

    /// Returns when nobody has anything left to do but to wait for the clock or for a client. A millisecond passes.
    pub async fn settle(&self) {
        if let Some(interleaving) = &self.interleaving {
            interleaving.hurry(true);
        }
        // A clock that stands still goes on only when no task of the thread can.
        sleep(INSTANT).await;
        // What is due at the very moment at which that ends is dealt with in this moment as well.
        let Some(interleaving) = &self.interleaving else {
            for _ in 0..TURNS_PER_INSTANT {
                yield_now().await;
            }
            return;
        };
        let mut idle = 0;
        while idle < TURNS_PER_DETOUR {
            idle = if interleaving.is_busy() { 0 } else { idle + 1 };
            yield_now().await;
        }
        interleaving.hurry(false);
    }

    /// Lets the node go on by one step, which on a node whose workers are interleaved is one of them that goes on.
    pub async fn step(&self) {
        yield_now().await;
    }

    /// Lets time pass at once: what becomes due in between is late, as on a machine that stood still, and in order.
    pub async fn jump(&self, time: Duration) {
        advance(time).await;
        self.settle().await;
    }

    /// The same, and does not wait for what that brings.
    pub async fn rush(&self, time: Duration) {
        advance(time).await;
    }

    /// Lets time pass step by step, everything in its time.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Lets the topic trie of a worker panic, and waits until it goes on. At rest nothing is lost.
    ///
    /// # Panics
    /// When there is no such worker.
    pub async fn break_trie(&self, worker: usize) {
        self.broken_tries.borrow_mut()[worker] += 1;
        self.shared.peers[worker].trie.do_send(ForTrie(ToTrie::Panic(InjectPanic::InTurn)));
        self.settle().await;
    }

    /// Whether its workers take turns in an order that a seed draws.
    pub fn is_interleaved(&self) -> bool {
        self.interleaving.is_some()
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What its actors share: settings, counters, figures.
    pub fn shared(&self) -> &Arc<NodeShared> {
        &self.shared
    }

    /// The ledger of the whole node.
    pub fn ledger(&self) -> LedgerTotals {
        let mut totals = LedgerTotals::default();
        for worker in &self.workers {
            totals.add(&worker.ledger);
        }
        totals
    }

    /// That of the node's own messages.
    pub fn own_ledger(&self) -> LedgerTotals {
        let mut totals = LedgerTotals::default();
        self.workers.iter().for_each(|worker| totals.add_own(&worker.ledger));
        totals
    }

    /// Whether a client has a session, be it online or not.
    pub fn has_session(&self, client_identifier: &str) -> bool {
        self.workers.iter().any(|worker| worker.look().sessions.find(client_identifier).is_some())
    }

    /// Waits until all network connections that are about to end have ended, and compares everything that the node
    /// keeps twice or counts.
    ///
    /// # Errors
    /// What does not agree.
    pub async fn check(&self) -> Result<(), Broken> {
        self.settle().await;
        for _ in 0..PARTING_ROUNDS_MAX {
            if !invariants::is_any_parting(self) {
                break;
            }
            self.pass(PARTING_PATIENCE).await;
            self.settle().await;
        }
        invariants::check(self).await?;
        let Some(disk) = self.disk() else { return Ok(()) };
        let mut checked = Ok(());
        // Something may become due just then.
        for _ in 0..KEPT_TRIES {
            self.pass(KEPT_WITHIN).await;
            self.settle().await;
            checked = disk.kept().map_or(Ok(()), |kept| kept::check(self, &kept));
            if checked.is_ok() {
                break;
            }
        }
        checked
    }

    /// Ends all sessions and removes all retained messages, and checks that nothing remains. The clients must have hung
    /// up, or been sent away.
    ///
    /// # Errors
    /// What remains.
    pub async fn clear(&self) -> Result<(), Broken> {
        self.check().await?;
        for worker in &self.workers {
            let keys = worker.look().sessions.keys();
            keys.into_iter().for_each(|key| worker.state().end_session(key));
        }
        // Wills that were delayed are published now, and may be retained.
        self.settle().await;
        invariants::forget_retained(self);
        self.check().await?;
        invariants::check_nothing_remains(self)
    }
}
