//! How workers ask the backend of the session store, and the thread on which it answers.
//!
//! A worker has one entry and one load with the backend at a time, which bounds what waits here.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use micro_mq_core::records::Entry;

use super::backend::{Answer, Cursor, Home, IsFull, Piece, SessionBackend, StoreError};
use crate::clock;
use crate::stats::{ActorKind, WorkerStats};

/// What the backend is asked.
#[derive(Debug)]
enum Request {
    Append(Arc<Entry>, Answer),
    Load(Home, Option<Cursor>, oneshot::Sender<Result<Piece, StoreError>>),
    /// The node has shut down.
    End,
}

/// How long an entry may take to last before the store counts as one that stalls: far more than a busy disk takes.
const STALL_PATIENCE: Duration = Duration::from_secs(5);

/// What keeps the store from keeping what changes: it waits, and whoever is to be told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no room on its disk.
    DiskFull,
    /// It keeps nothing, for whatever reason, for some seconds.
    Stalls,
}

/// Where workers ask.
pub struct SessionStore {
    requests: mpsc::UnboundedSender<Request>,
    asked: Mutex<Option<mpsc::UnboundedReceiver<Request>>>,
    /// Known before the first sessions are loaded, and so before there are clients.
    outlives_process: Arc<AtomicBool>,
    keeps_messages: Arc<AtomicBool>,
    is_full: Arc<OnceLock<IsFull>>,
    /// Whether its disk is full.
    room: watch::Sender<bool>,
    /// By worker, since when it has an entry that does not last, however often it was sent.
    unkept: Mutex<BTreeMap<u16, Instant>>,
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionStore").finish_non_exhaustive()
    }
}

impl Default for SessionStore {
    fn default() -> Self {
        let (requests, asked) = mpsc::unbounded_channel();
        Self {
            requests,
            asked: Mutex::new(Some(asked)),
            outlives_process: Arc::default(),
            keeps_messages: Arc::default(),
            is_full: Arc::default(),
            room: watch::Sender::default(),
            unkept: Mutex::default(),
        }
    }
}

impl SessionStore {
    /// Hands an entry of a worker to the backend. Done when it lasts.
    ///
    /// # Errors
    /// When it was not kept: it is to be sent again.
    pub(crate) async fn append(&self, worker: u16, entry: Arc<Entry>) -> Result<(), StoreError> {
        let (answer, answered) = Answer::new();
        self.unkept.lock().entry(worker).or_insert_with(clock::now);
        self.ask(Request::Append(entry, answer));
        let kept = answered.await.unwrap_or(Err(StoreError::Unanswered));
        if kept.is_ok() {
            self.unkept.lock().remove(&worker);
        }
        kept
    }

    /// What keeps it from keeping anything, if there is something.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        if self.is_full.get().is_some_and(|is_full| is_full()) {
            return Some(Trouble::DiskFull);
        }
        let oldest = self.unkept.lock().values().min().copied();
        let waits = oldest.map(|since| clock::now().saturating_duration_since(since));
        waits.filter(|waits| *waits >= STALL_PATIENCE).map(|_| Trouble::Stalls)
    }

    /// Whether its disk is full, and when that changes.
    pub(crate) fn follow_room(&self) -> watch::Receiver<bool> {
        self.room.subscribe()
    }

    /// The next sessions of a home, behind those that are there.
    ///
    /// # Errors
    /// When they could not be read.
    pub(crate) async fn load(&self, home: Home, after: Option<Cursor>) -> Result<Piece, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Load(home, after, answer));
        answered.await.unwrap_or(Err(StoreError::Unanswered))
    }

    /// Whether clients are told of a change only once it is kept.
    pub(crate) fn outlives_process(&self) -> bool {
        self.outlives_process.load(Relaxed)
    }

    /// Whether messages are kept, too.
    pub(crate) fn keeps_messages(&self) -> bool {
        self.keeps_messages.load(Relaxed)
    }

    fn ask(&self, request: Request) {
        // Where nobody answers any more the request is dropped, which says so to whoever waits.
        let _ = self.requests.send(request);
    }

    /// Nobody asks any more.
    pub(crate) fn end(&self) {
        self.ask(Request::End);
    }
}

/// Who asks the backend on behalf of the workers.
struct StoreThread {
    stats: Arc<WorkerStats>,
    backend: Box<dyn SessionBackend>,
}

impl StoreThread {
    /// Returns whether there will be more requests.
    fn serve(&mut self, request: Request) -> bool {
        if matches!(request, Request::End) {
            return false;
        }
        let stats = Arc::clone(&self.stats);
        let stats = stats.of(ActorKind::SessionStore);
        let timer = stats.handle(stats.send());
        self.guard(|backend| match request {
            Request::Append(entry, answer) => backend.append(entry, answer),
            Request::Load(home, after, answer) => {
                // The sessions actor that asked may be gone; its successor asks again.
                let _ = answer.send(backend.load(&home, after.as_ref()));
            }
            Request::End => {}
        });
        stats.handled(timer);
        true
    }

    /// Serves a request, and all that wait behind it, as one.
    fn serve_all(&mut self, first: Request, asked: &mut mpsc::UnboundedReceiver<Request>) -> bool {
        let mut more = self.serve(first);
        while more && let Ok(request) = asked.try_recv() {
            more = self.serve(request);
        }
        self.guard(|backend| backend.flush());
        more
    }

    /// A panic loses what the backend was asked: whoever waits for an answer hears that there is none.
    fn guard(&mut self, ask: impl FnOnce(&mut dyn SessionBackend)) {
        let backend = &mut *self.backend;
        if panic::catch_unwind(AssertUnwindSafe(|| ask(backend))).is_err() {
            error!("the backend of the session store panicked; it is asked on");
            self.stats.of(ActorKind::SessionStore).restarted();
        }
    }
}

/// Starts the thread of the session store, on which `backend` is made. Completed when it ends, behind
/// [`SessionStore::end`], or when nobody has the store any more.
///
/// # Errors
/// What the operating system says if it has no thread left.
pub(crate) fn start_store(
    store: &SessionStore,
    stats: &Arc<WorkerStats>,
    backend: impl FnOnce() -> Box<dyn SessionBackend> + Send + 'static,
) -> std::io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    let (asked, stats) = (store.asked.lock().take(), Arc::clone(stats));
    let outlives_process = Arc::clone(&store.outlives_process);
    let keeps_messages = Arc::clone(&store.keeps_messages);
    let is_full = Arc::clone(&store.is_full);
    let room = store.room.clone();
    std::thread::Builder::new().name("store".to_owned()).spawn(move || {
        let Some(mut asked) = asked else { return };
        stats.of(ActorKind::SessionStore).started();
        let mut backend = backend();
        backend.tell_of_full_disk(tell(room));
        outlives_process.store(backend.outlives_process(), Relaxed);
        keeps_messages.store(backend.keeps_messages(), Relaxed);
        let _ = is_full.set(backend.is_full());
        let mut thread = StoreThread { stats, backend };
        while let Some(request) = asked.blocking_recv()
            && thread.serve_all(request, &mut asked)
        {}
        drop(thread);
        // Whoever waits for the end may have lost patience.
        let _ = ended.send(());
    })?;
    Ok(end)
}

fn tell(room: watch::Sender<bool>) -> Box<dyn Fn(bool) + Send + Sync> {
    Box::new(move |is_full| _ = room.send_if_modified(|was| std::mem::replace(was, is_full) != is_full))
}

/// Serves the session store on this thread, for a simulated node: its backend never blocks.
#[cfg(feature = "simulation")]
pub(crate) fn start_store_here(
    store: &SessionStore,
    stats: &Arc<WorkerStats>,
    mut backend: Box<dyn SessionBackend>,
) {
    let Some(mut asked) = store.asked.lock().take() else { return };
    backend.tell_of_full_disk(tell(store.room.clone()));
    stats.of(ActorKind::SessionStore).started();
    store.outlives_process.store(backend.outlives_process(), Relaxed);
    store.keeps_messages.store(backend.keeps_messages(), Relaxed);
    let _ = store.is_full.set(backend.is_full());
    let mut thread = StoreThread { stats: Arc::clone(stats), backend };
    actix_rt::spawn(async move {
        while let Some(request) = asked.recv().await
            && thread.serve_all(request, &mut asked)
        {}
    });
}
