//! What ties the actors of one worker together: its state, which decides, and the way to all others, who are told what it
//! leaves to be done.
//!
//! Everything here belongs to one thread. It outlives the actors that use it, so that one which is started anew after a
//! panic finds the sessions as they were.

mod errands;
mod node_shared;

pub use micro_mq_core::worker::{Keeper, Promise};
pub use node_shared::{NodeShared, Peer, Throttles};

use std::cell::{RefCell, RefMut};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use micro_mq_core::counters::Counters;
use micro_mq_core::ledger::Ledger;
use micro_mq_core::protocol::Effects;
use micro_mq_core::worker::{WillsInDoubt, WorkerState};
use tokio::sync::{Notify, oneshot};

use crate::clock;
use crate::messages::Admit;
use crate::stats::{ActorKind, ActorStats};
use crate::store::Restoring;
use crate::turns::Turns;

/// What one turn of a connection reads at most, in bytes: shared by all connections of the worker.
pub(crate) const SCRATCH_BYTES: usize = 64 * 1024;

/// Steps of TLS handshakes between two looks at the sockets. One takes up to 4 ms of the processor, and clients that are
/// in wait for it.
const TLS_STEPS_PER_LOOK: usize = 4;

/// See the module.
pub struct Worker {
    /// Its number, from 0.
    pub id: u16,
    /// What all workers share.
    pub node: Arc<NodeShared>,
    state: RefCell<WorkerState>,
    /// The read buffer.
    pub scratch: RefCell<Box<[u8]>>,
    /// This worker's page of the ledger.
    pub ledger: Arc<Ledger>,
    /// This worker's counters.
    pub counters: Arc<Counters>,
    /// What the step of a connection asks for.
    pub effects: RefCell<Effects>,
    /// Those of TLS handshakes.
    pub(crate) tls_turns: Rc<Turns>,
    /// Told when the store has kept all changes of sessions, or could not.
    pub changes_settled: Notify,
    /// How far the sessions have come back that the store keeps.
    pub(crate) restoring: RefCell<Restoring>,
    /// Wills that were allowed by earlier rules, until they are judged by those in force.
    pub(crate) wills_in_doubt: RefCell<WillsInDoubt<Admit>>,
    /// Who waits until there are none.
    pub(crate) awaits_no_doubt: RefCell<Vec<oneshot::Sender<()>>>,
}

impl Worker {
    /// A worker without sessions.
    pub fn new(id: u16, node: Arc<NodeShared>) -> Rc<Self> {
        let peer = &node.peers[usize::from(id)];
        let (ledger, counters) = (Arc::clone(&peer.ledger), Arc::clone(&peer.counters));
        let state = WorkerState::new(
            id,
            Arc::clone(&node.state),
            Arc::clone(&ledger),
            Arc::clone(&counters),
            clock::now(),
        );
        Rc::new(Self {
            id,
            state: RefCell::new(state),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            ledger,
            counters,
            effects: RefCell::default(),
            tls_turns: Rc::new(Turns::new(TLS_STEPS_PER_LOOK)),
            changes_settled: Notify::new(),
            restoring: RefCell::default(),
            wills_in_doubt: RefCell::default(),
            awaits_no_doubt: RefCell::default(),
            node,
        })
    }

    /// What this worker has. When that is let go of, what it leaves to be done is carried out.
    #[inline]
    pub fn state(&self) -> Borrowed<'_> {
        Borrowed { state: self.state.borrow_mut(), worker: self }
    }

    /// What this worker has, to be looked at.
    #[cfg(feature = "simulation")]
    pub(crate) fn look(&self) -> std::cell::Ref<'_, WorkerState> {
        self.state.borrow()
    }

    /// This worker as the others see it.
    pub fn peer(&self) -> &Peer {
        &self.node.peers[usize::from(self.id)]
    }

    /// The figures of one kind of actor on this worker.
    pub fn stats(&self, kind: ActorKind) -> &ActorStats {
        self.peer().stats.of(kind)
    }
}

/// The state of a worker, for as long as one piece of work takes.
pub struct Borrowed<'a> {
    state: RefMut<'a, WorkerState>,
    worker: &'a Worker,
}

impl Deref for Borrowed<'_> {
    type Target = WorkerState;

    #[inline]
    fn deref(&self) -> &WorkerState {
        &self.state
    }
}

impl DerefMut for Borrowed<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut WorkerState {
        &mut self.state
    }
}

impl Drop for Borrowed<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.state.errands.is_empty() {
            self.worker.carry_out_errands(&mut self.state);
        }
    }
}
