//! What a worker has, and what all workers of a node share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::copies::CopyRecords;
use super::departures::Departures;
use super::discards::Discards;
use super::elsewhere::Elsewhere;
use super::errand::Errand;
use super::keeper::Keeper;
use super::remains::{Remains, Tellings};
use crate::admission::SessionPlaces;
use crate::changes::Changes;
use crate::completion::Opened;
use crate::counters::Counters;
use crate::groups::Groups;
use crate::homes::Homes;
use crate::kept::NodeKept;
use crate::ledger::Ledger;
use crate::matching::Directory;
use crate::message::Batch;
use crate::moment::{Moment, PublishOrder};
use crate::pool::{BatchPool, BufferPool};
use crate::pressure::{Inbound, Waitlist};
use crate::records::WallClock;
use crate::retained::{RetainedMessages, RetainedUnderway};
use crate::routing::ToTrie;
use crate::session::{FrameCache, SessionTable, Wakes};
use crate::settings::Settings;
use crate::timers::{Timer, Timers};

/// What is on its way to one worker.
#[derive(Debug)]
pub struct WayTo {
    /// Messages.
    pub inbound: Arc<Inbound>,
    /// Retained ones among them.
    pub retained_underway: Arc<RetainedUnderway>,
    /// How many sessions and groups it has whose messages outlive the process.
    pub recorded_sessions: AtomicUsize,
}

impl WayTo {
    /// It has another session that is recorded.
    pub(super) fn note_recorded(&self) {
        self.recorded_sessions.fetch_add(1, Relaxed);
    }

    /// It has one of them no more.
    pub(super) fn forget_recorded(&self) {
        self.recorded_sessions.fetch_sub(1, Relaxed);
    }

    /// A group whose home it is has a durable member, or had one: its messages are recorded there, as those of sessions are.
    pub(crate) fn note_group(&self, was_durable: bool, is_durable: bool) {
        match (was_durable, is_durable) {
            (false, true) => self.note_recorded(),
            (true, false) => self.forget_recorded(),
            _ => {}
        }
    }

    /// Whether it has any.
    pub(super) fn has_recorded(&self) -> bool {
        self.recorded_sessions.load(Relaxed) > 0
    }

    /// Opens conditions for those publishes of a batch that this worker, a bit among all, may have to record before they are
    /// acknowledged.
    #[inline]
    pub(super) fn open(&self, batch: &Batch, worker: u64) -> Option<Box<Opened>> {
        if !self.has_recorded() {
            return None;
        }
        let items = batch.items().iter().enumerate().filter(|(_, item)| item.workers & worker != 0);
        Opened::new(items.filter_map(|(index, _)| batch.open(index)))
    }
}

/// What all workers of a node share.
#[derive(Debug)]
pub struct NodeState {
    /// What the node was told.
    pub settings: Arc<Settings>,
    /// Which worker is the home of what.
    pub homes: Homes,
    /// Which workers have a match.
    pub directory: Directory,
    /// The way to each worker.
    pub ways: Box<[WayTo]>,
    /// The order of all publishes.
    pub order: PublishOrder,
    /// The retained messages.
    pub retained_messages: RetainedMessages,
    /// Who keeps what clients are promised; nobody as long as nothing outlives the process.
    pub keepers: Box<[Arc<dyn Keeper>]>,
    /// The other nodes; none where this one is alone.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    /// Publishers that wait for room at a limit.
    pub waitlist: Arc<Waitlist>,
    /// What the messages that wait take.
    pub kept: Arc<NodeKept>,
    /// Places for sessions, on all workers, and for their names.
    pub session_places: Arc<SessionPlaces>,
    /// When the node started.
    pub started: Instant,
    /// The time of day at that moment.
    pub started_at: WallClock,
}

impl NodeState {
    /// A node that starts now.
    pub fn new(
        settings: Settings,
        homes: Homes,
        keepers: Vec<Arc<dyn Keeper>>,
        now: Instant,
        time_of_day: WallClock,
    ) -> Self {
        let workers = homes.workers();
        let waitlist = Arc::<Waitlist>::default();
        let inbound = || Arc::new(Inbound::new(&settings.node));
        Self {
            homes,
            directory: Directory::new(workers),
            ways: (0..workers)
                .map(|_| WayTo {
                    inbound: inbound(),
                    retained_underway: Arc::default(),
                    recorded_sessions: AtomicUsize::new(0),
                })
                .collect(),
            order: PublishOrder::default(),
            retained_messages: RetainedMessages::new(&settings.session, Arc::clone(&waitlist)),
            keepers: keepers.into(),
            elsewhere: None,
            kept: Arc::new(NodeKept::new(settings.node.queued_bytes_max).telling(&waitlist)),
            waitlist,
            session_places: Arc::new(SessionPlaces::new(&settings.session)),
            started: now,
            started_at: time_of_day,
            settings: Arc::new(settings),
        }
    }

    /// The same, as a node of a cluster.
    #[must_use]
    pub fn beside(self, elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// The time of day at a moment, as the clock on the wall was when the node started.
    pub fn wall_clock(&self, at: Instant) -> WallClock {
        let since = at.saturating_duration_since(self.started);
        WallClock(self.started_at.0.saturating_add(since.as_millis() as u64))
    }

    /// The moment of a time of day: as good as now for one before the node started.
    pub fn moment(&self, at: WallClock) -> Instant {
        self.started + Duration::from_millis(at.0.saturating_sub(self.started_at.0))
    }

    /// How many workers there are.
    #[inline]
    pub fn workers(&self) -> usize {
        self.ways.len()
    }
}

/// What one worker has. See the module above.
#[derive(Debug)]
pub struct WorkerState {
    /// Its number, from 0.
    pub id: u16,
    /// What all workers share.
    pub node: Arc<NodeState>,
    /// Sessions whose home is here.
    pub sessions: SessionTable,
    /// Sessions that have ended, as far as what they leave is not dealt with.
    pub remains: Remains,
    /// Messages that are dropped in pieces; none if there are none.
    pub discards: Option<Box<Discards>>,
    /// Sessions whose groups are being told whether they are online.
    pub tellings: Tellings,
    /// Shared groups whose home is here.
    pub groups: Groups,
    /// Write buffers.
    pub pool: BufferPool,
    /// Frames of the message being delivered.
    pub frames: FrameCache,
    /// Connections to wake.
    pub wakes: Wakes,
    /// What becomes due; set by [`set_timer`](Self::set_timer).
    pub timers: Timers,
    /// Wakes who sees to what is due.
    pub(super) alarm: Option<Waker>,
    /// This worker's page of the ledger.
    pub ledger: Arc<Ledger>,
    /// This worker's counters.
    pub counters: Arc<Counters>,
    /// Changes of durable sessions on their way to the session store.
    pub changes: Changes,
    /// What is to be recorded of messages to them.
    pub copies: CopyRecords,
    /// When the latest subscription began.
    pub newest_subscription: Moment,
    /// Set when the node shuts down: no client is taken in any more.
    pub stopping: bool,
    pub(super) batches: BatchPool,
    /// Batches for other workers.
    pub departures: Departures,
    /// What others are to do, in order.
    pub errands: Vec<Errand>,
}

impl WorkerState {
    /// A worker without sessions.
    pub fn new(
        id: u16,
        node: Arc<NodeState>,
        ledger: Arc<Ledger>,
        counters: Arc<Counters>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            sessions: SessionTable::new(id),
            remains: Remains::default(),
            discards: None,
            tellings: Tellings::default(),
            groups: Groups::new(node.settings.session.shared_strategy),
            pool: BufferPool::default(),
            frames: FrameCache::default(),
            wakes: Wakes::default(),
            timers: Timers::new(now),
            alarm: None,
            ledger,
            counters,
            changes: Changes::default(),
            copies: CopyRecords::default(),
            newest_subscription: Moment::default(),
            stopping: false,
            batches: BatchPool::default(),
            departures: Departures::new(node.workers()),
            errands: Vec::new(),
            node,
        }
    }

    /// This worker, as a bit among all.
    #[inline]
    pub fn bit(&self) -> u64 {
        1 << self.id
    }

    /// What is on its way to this worker.
    #[inline]
    pub fn way(&self) -> &WayTo {
        &self.node.ways[usize::from(self.id)]
    }

    /// An empty batch.
    #[inline]
    pub fn batch(&mut self) -> Batch {
        self.batches.take().unwrap_or_default()
    }

    /// Takes a batch back that nobody needs any more.
    #[inline]
    pub fn recycle(&mut self, batch: Batch) {
        self.batches.give(batch);
    }

    /// Sets a timer (see [`Timers::set`]).
    pub fn set_timer(&mut self, now: Instant, at: Instant, timer: Timer) {
        if self.timers.set(now, at, timer) {
            self.sound_alarm();
        }
    }

    /// Sets a timer for the next tick (see [`Timers::set_next`]).
    pub fn set_timer_next(&mut self, timer: Timer) {
        if self.timers.set_next(timer) {
            self.sound_alarm();
        }
    }

    fn sound_alarm(&self) {
        if let Some(alarm) = &self.alarm {
            alarm.wake_by_ref();
        }
    }

    /// Notes who sees to what is due, to be woken when something is due sooner than all else.
    pub fn note_alarm(&mut self, waker: &Waker) {
        if !self.alarm.as_ref().is_some_and(|noted| noted.will_wake(waker)) {
            self.alarm = Some(waker.clone());
        }
    }

    /// Sends a message to a worker's topic trie, behind all that was published here before.
    pub(crate) fn tell_trie(&mut self, worker: u16, message: ToTrie) {
        if worker != self.id {
            self.depart();
        }
        self.errands.push(Errand::ToTrie(worker, message));
    }
}
