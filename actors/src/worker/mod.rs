//! What the actors of one worker share: its sessions, buffers, ledger page and timers, and the way to the others.
//!
//! Everything here belongs to one thread. It outlives the actors that use it, so that one which is started anew after a
//! panic finds the sessions as they were.

mod answers;
mod departures;
mod destinations;
mod keepers;
mod publish;
mod shared;
mod turns;

pub(crate) use departures::Departures;
pub use keepers::{Keeper, Promise};
pub use shared::{NodeShared, Peer, Throttles};
pub(crate) use turns::go_on_behind_sockets;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use micro_mq_core::counters::Counters;
use micro_mq_core::groups::{GivenBack, Groups};
use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::ledger::Ledger;
use micro_mq_core::message::{Batch, Publication, StoredMessage};
use micro_mq_core::moment::Moment;
use micro_mq_core::outbox::Outbox;
use micro_mq_core::pool::{BatchPool, BufferPool};
use micro_mq_core::protocol::Effects;
use micro_mq_core::routing::Owner;
use micro_mq_core::session::{Desk, FrameCache, Offered, Replay, SessionTable, Touch, Turn, Wakes, Wanted};
use micro_mq_core::subscriptions::Subscription;
use micro_mq_core::timers::{Timer, Timers};
use tokio::sync::Notify;

use crate::clock;
use crate::metrics::{ActorKind, ActorStats};
use crate::sessions::{Changes, Remains, Restoring, Tellings, WillsInDoubt};
use crate::topics::GiveBack;

/// What one turn of a connection reads at most, in bytes: shared by all connections of the worker.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// See the module.
pub struct Worker {
    /// Its number, from 0.
    pub id: u16,
    /// What all workers share.
    pub node: Arc<NodeShared>,
    /// Sessions whose home is here.
    pub sessions: RefCell<SessionTable>,
    /// Sessions that have ended, as far as what they leave is not dealt with.
    pub(crate) remains: RefCell<Remains>,
    /// Sessions whose groups are being told whether they are online.
    pub(crate) tellings: RefCell<Tellings>,
    /// Shared groups whose home is here.
    pub groups: RefCell<Groups>,
    /// Write buffers.
    pub pool: RefCell<BufferPool>,
    /// Frames of the message being delivered.
    pub frames: RefCell<FrameCache>,
    /// Connections to wake.
    pub wakes: RefCell<Wakes>,
    /// The read buffer.
    pub scratch: RefCell<Box<[u8]>>,
    /// What becomes due; set by [`set_timer`](Worker::set_timer).
    pub timers: RefCell<Timers>,
    /// Wakes who sees to what is due.
    alarm: RefCell<Option<Waker>>,
    /// This worker's page of the ledger.
    pub ledger: Arc<Ledger>,
    /// This worker's counters.
    pub counters: Arc<Counters>,
    /// What the step of a connection asks for.
    pub effects: RefCell<Effects>,
    /// Changes of durable sessions on their way to the session store.
    pub changes: RefCell<Changes>,
    /// Told when the store has kept all of them, or could not.
    pub changes_settled: Notify,
    /// How far the sessions have come back that the store keeps.
    pub restoring: RefCell<Restoring>,
    /// Wills that were allowed by earlier rules, until they are judged by those in force.
    pub wills_in_doubt: RefCell<WillsInDoubt>,
    /// When the latest subscription began.
    pub newest_subscription: Cell<Moment>,
    /// Set when the node shuts down: no client is taken in any more.
    pub stopping: Cell<bool>,
    batches: RefCell<BatchPool>,
    /// Batches for other workers.
    pub(crate) departures: RefCell<Departures>,
}

impl Worker {
    /// A worker without sessions.
    pub fn new(id: u16, node: Arc<NodeShared>) -> Rc<Self> {
        let peer = &node.peers[usize::from(id)];
        let (ledger, counters) = (Arc::clone(&peer.ledger), Arc::clone(&peer.counters));
        Rc::new(Self {
            id,
            sessions: RefCell::new(SessionTable::new(id)),
            remains: RefCell::default(),
            tellings: RefCell::default(),
            groups: RefCell::new(Groups::new(node.settings.session.shared_strategy)),
            pool: RefCell::default(),
            frames: RefCell::default(),
            wakes: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            timers: RefCell::new(Timers::new(clock::now())),
            alarm: RefCell::default(),
            ledger,
            counters,
            effects: RefCell::default(),
            changes: RefCell::default(),
            changes_settled: Notify::new(),
            restoring: RefCell::default(),
            wills_in_doubt: RefCell::default(),
            newest_subscription: Cell::default(),
            stopping: Cell::new(false),
            batches: RefCell::default(),
            departures: RefCell::new(Departures::new(node.peers.len())),
            node,
        })
    }

    /// This worker as the others see it.
    pub fn peer(&self) -> &Peer {
        &self.node.peers[usize::from(self.id)]
    }

    /// The figures of one kind of actor on this worker.
    pub fn stats(&self, kind: ActorKind) -> &ActorStats {
        self.peer().stats.of(kind)
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        self.batches.borrow_mut().take().unwrap_or_default()
    }

    /// Takes a batch back that nobody needs any more.
    pub fn recycle(&self, batch: Batch) {
        self.batches.borrow_mut().give(batch);
    }

    /// Sets a timer (see [`Timers::set`]).
    pub fn set_timer(&self, now: Instant, at: Instant, timer: Timer) {
        if self.timers.borrow_mut().set(now, at, timer) {
            self.sound_alarm();
        }
    }

    /// Sets a timer for the next tick (see [`Timers::set_next`]).
    pub fn set_timer_next(&self, timer: Timer) {
        if self.timers.borrow_mut().set_next(timer) {
            self.sound_alarm();
        }
    }

    fn sound_alarm(&self) {
        if let Some(alarm) = &*self.alarm.borrow() {
            alarm.wake_by_ref();
        }
    }

    /// Notes who sees to what is due, to be woken when something is due sooner than all else.
    pub(crate) fn note_alarm(&self, waker: &Waker) {
        let mut alarm = self.alarm.borrow_mut();
        if !alarm.as_ref().is_some_and(|noted| noted.will_wake(waker)) {
            *alarm = Some(waker.clone());
        }
    }

    /// Wakes connections whose outboxes were appended to: at the end of a run all of them, before only those with
    /// enough for a good write.
    /// Returns whether others are due, in the next turn.
    pub fn wake_touched(&self, run_is_over: bool) -> bool {
        let mut wakes = self.wakes.borrow_mut();
        let mut sessions = self.sessions.borrow_mut();
        for key in wakes.take(run_is_over) {
            let Some(session) = sessions.get_mut(key) else { continue };
            session.publish_load();
            if let Some(online) = &mut session.online
                && online.touch != Touch::No
            {
                online.touch = Touch::No;
                online.wake();
            }
        }
        wakes.is_any_due()
    }

    /// Lets `act` decide about one session with all that deciding needs; none if the session is gone.
    pub fn with_desk<R>(
        &self,
        key: SessionKey,
        now: Instant,
        act: impl FnOnce(&mut micro_mq_core::session::Session, &mut Desk<'_>) -> R,
    ) -> Option<R> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(key)?;
        let (mut pool, mut frames) = (self.pool.borrow_mut(), self.frames.borrow_mut());
        let mut desk = Desk {
            settings: &self.node.settings,
            ledger: &self.ledger,
            pool: &mut pool,
            frames: &mut frames,
            now,
        };
        let result = act(session, &mut desk);
        session.publish_load();
        Some(result)
    }

    /// Offers one message to one session of this worker. The caller counted the match.
    pub fn offer(
        &self,
        key: SessionKey,
        publication: &Publication<'_>,
        wanted: &Wanted,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) {
        let offered = self.with_desk(key, now, |session, desk| {
            let offered = session.offer(publication, wanted, stored, desk);
            if offered == Offered::Sent {
                self.wakes.borrow_mut().touch(session.online.as_mut(), key);
            }
        });
        debug_assert!(offered.is_some(), "the caller looked the session up");
    }

    /// Notes that retained messages are to be sent for a subscription, which began at a moment, and whether the session
    /// had it before. Returns its number among those of the session.
    pub fn replay(
        &self,
        key: SessionKey,
        filter: Arc<str>,
        subscription: Subscription,
        (since, renews): (Moment, bool),
    ) -> u64 {
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(key) else { return 0 };
        let place = session.outgoing.as_ref().map_or(0, |outgoing| outgoing.appended);
        let turn = Turn { place, renews };
        let replay = Replay { filter, subscription, after: None, since, turn };
        // The network connection that subscribed may be gone, and another one hold the session.
        self.wakes.borrow_mut().touch(session.online.as_mut(), key);
        session.replays.get_or_insert_default().pending.push_back(replay)
    }

    /// A SUBSCRIBE with these replays is in force. Where its network connection has lost the session meanwhile nobody
    /// answers it, and the retained messages go to whichever has it then.
    pub fn note_unanswered(&self, key: SessionKey, asked_by: Epoch, replays: &Range<u64>) {
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(key) else { return };
        let is_answered = session.epoch == asked_by && session.online.is_some();
        if let Some(waiting) = session.replays.as_mut().filter(|_| !is_answered && !replays.is_empty()) {
            waiting.pending.answer(replays);
            self.wakes.borrow_mut().touch(session.online.as_mut(), key);
        }
    }

    /// A network connection is over: of the QoS 0 messages in its outbox, those written whole are delivered and the
    /// others lost.
    pub fn close_outbox(&self, key: SessionKey, outbox: Outbox) {
        if let Some(session) = self.sessions.borrow_mut().get_mut(key) {
            return session.close_outbox(outbox, &self.ledger);
        }
        self.ledger.close(outbox);
    }

    /// Wakes all connections: a panic may have lost which of them were appended to.
    pub fn wake_all(&self) {
        *self.wakes.borrow_mut() = Wakes::default();
        let mut sessions = self.sessions.borrow_mut();
        for key in sessions.keys() {
            if let Some(online) = sessions.get_mut(key).and_then(|session| session.online.as_mut()) {
                online.touch = Touch::No;
                online.wake();
            }
        }
    }

    /// Wakes a network connection, if it still holds its session.
    pub fn wake(&self, key: SessionKey, epoch: Epoch) {
        let is_held = self.sessions.borrow().get(key).is_some_and(|session| session.epoch == epoch);
        if let Some(waker) = self.waker_of(key).filter(|_| is_held) {
            waker.wake();
        }
    }

    /// What wakes the network connection that holds a session.
    pub(crate) fn waker_of(&self, key: SessionKey) -> Option<Waker> {
        self.sessions.borrow().get(key)?.online.as_ref()?.waker.clone()
    }

    /// Sends messages back to the homes of their groups: those of one client, or of one group.
    pub fn give_back(&self, owner: Owner, returned: Vec<GivenBack>) {
        let mut by_home: Vec<VecDeque<GivenBack>> = self.node.peers.iter().map(|_| VecDeque::new()).collect();
        for given in returned {
            by_home[usize::from(given.group.home)].push_back(given);
        }
        for (home, returned) in by_home.into_iter().enumerate() {
            if !returned.is_empty() {
                self.tell_trie(home as u16, GiveBack { owner, returned });
            }
        }
    }
}
