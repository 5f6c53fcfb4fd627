//! What all workers of a node share, and how each reaches the others.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::task::Waker;
use std::time::Instant;

use actix::Addr;
use auth_actor::{Asker, Asking, Auth, Given, LivePolicy, NoAnswer, Question, Withdrawals};
use micro_mq_core::counters::Counters;
use micro_mq_core::kept::NodeKept;
use micro_mq_core::ledger::Ledger;
use micro_mq_core::message::Batch;
use micro_mq_core::pressure::IncompletePackets;
use micro_mq_core::records::WallClock;
use micro_mq_core::routing::{ToTrie, Work};
use micro_mq_core::rules::Rules;
use micro_mq_core::subscriptions::SubscriptionRoom;
use micro_mq_core::worker::NodeState;

use crate::client_lines::ClientLines;
use crate::cluster::{Cluster, Host};
use crate::messages::{CurrentAddress, ForTrie, RetainedAddress, SessionsAddress, TrieAddress};
use crate::stats::{ActorKind, ActorStats, WorkerStats};
use crate::store::{Restoration, SessionStore};
use crate::throttle::Throttle;
use crate::transport::WebSocketRefusals;

/// One worker, as every other sees it.
#[derive(Debug)]
pub struct Peer {
    /// Its topic trie.
    pub trie: CurrentAddress<TrieAddress>,
    /// Its sessions actor.
    pub sessions: CurrentAddress<SessionsAddress>,
    /// Its page of the ledger.
    pub ledger: Arc<Ledger>,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// WebSockets that it refused or closed.
    pub websocket_refusals: WebSocketRefusals,
    /// The figures of its actors.
    pub stats: WorkerStats,
}

impl Peer {
    /// A worker whose actors are still to be started.
    pub fn new(kept: &Arc<NodeKept>, subscription_room: &Arc<SubscriptionRoom>) -> Self {
        Self {
            trie: CurrentAddress::default(),
            sessions: CurrentAddress::default(),
            ledger: Arc::new(Ledger::of(kept)),
            counters: Arc::new(Counters::beside(subscription_room)),
            websocket_refusals: WebSocketRefusals::default(),
            stats: WorkerStats::default(),
        }
    }
}

/// Lines of the log that come once a second at most.
#[derive(Debug, Default)]
pub struct Throttles {
    /// At `connections_max`.
    pub connections_full: Throttle,
    /// A network connection could not be accepted.
    pub accept_error: Throttle,
}

/// See the module.
#[derive(Debug)]
pub struct NodeShared {
    /// What those share that decide.
    pub state: Arc<NodeState>,
    /// Decoding limits, from the settings.
    pub decode_limits: mqtt_codec::Limits,
    /// The workers.
    pub peers: Box<[Peer]>,
    /// Gives out retained messages.
    pub retained: CurrentAddress<RetainedAddress>,
    /// Keeps durable sessions.
    pub store: SessionStore,
    /// How far those have come back that it keeps.
    pub restoration: Restoration,
    /// Answers who may do what.
    pub auth: CurrentAddress<Addr<Auth>>,
    /// How that is asked, and what came of it.
    pub asking: Asking,
    /// What need not be asked.
    pub policy: LivePolicy,
    /// Whose connections its provider has ended.
    pub withdrawals: Withdrawals,
    /// The figures of the actors of the control thread.
    pub control_stats: Arc<WorkerStats>,
    /// Network connections open.
    pub connections: Arc<AtomicUsize>,
    /// Bytes of packets that are received in part.
    pub incomplete_packets: Arc<IncompletePackets>,
    /// Numbers the client identifiers that the node assigns.
    pub assigned: AtomicU64,
    /// Makes identifiers out of those numbers that nobody can guess.
    pub assigned_key: std::hash::RandomState,
    /// Lines of the log that come once a second at most.
    pub throttles: Throttles,
    /// What the log says of clients.
    pub client_lines: ClientLines,
    /// What it has of the cluster; none where it is alone.
    pub cluster: Option<Arc<Cluster>>,
}

impl Deref for NodeShared {
    type Target = NodeState;

    #[inline]
    fn deref(&self) -> &NodeState {
        &self.state
    }
}

impl NodeShared {
    /// Whether somebody may have to keep what clients are promised, beside publishes.
    #[inline]
    pub(crate) fn keeps_promises(&self) -> bool {
        !self.keepers.is_empty() || self.store.keeps_messages()
    }

    /// The rules in force, as what decides has to know them.
    #[inline]
    pub fn rules(&self) -> Rules {
        let in_force = self.policy.in_force();
        Rules { revision: in_force.revision, authorizes: in_force.policy.authorizes }
    }

    /// Asks the auth actor. The time counted as its handling is that of the whole question.
    ///
    /// # Errors
    /// There is no answer that counts: to the client it is a no.
    ///
    /// # Cancel safety
    /// Dropped, it withdraws the question.
    pub(crate) async fn ask_auth<Q: Question>(
        &self,
        asker: Asker,
        question: Q,
    ) -> Result<Given<Q::Answer>, NoAnswer> {
        let stats = self.control_stats.of(ActorKind::Auth);
        let _handling = Handling { stats, began: stats.handle(stats.send()) };
        self.asking.ask(self.auth.addr(), asker, question).await
    }
}

impl NodeShared {
    /// Sends a message to a worker's topic trie. What is sampled is timed from now on.
    #[inline]
    pub(crate) fn tell_trie(&self, worker: u16, mut message: ToTrie) {
        let peer = &self.peers[usize::from(worker)];
        let stats = peer.stats.of(ActorKind::TopicTrie);
        match &mut message {
            ToTrie::Work(Work::Route(route)) => route.sent_at = stats.send(),
            ToTrie::Work(Work::Answer(answer)) => answer.sent_at = stats.send(),
            ToTrie::Arrivals(routes) => routes.iter_mut().for_each(|route| route.sent_at = stats.send()),
            _ => {}
        }
        peer.trie.do_send(ForTrie(message));
    }
}

impl Host for NodeShared {
    fn has_room_for_arrivals(&self, waker: &Waker) -> bool {
        self.state.has_room_for_arrivals(waker)
    }

    fn arrive(&self, batch: Batch) {
        for (worker, route) in self.state.arrive(batch) {
            self.tell_trie(worker, ToTrie::Arrivals(vec![route]));
        }
    }

    fn moment(&self, at: WallClock) -> Instant {
        self.state.moment(at)
    }

    fn wall_clock(&self, at: Instant) -> WallClock {
        self.state.wall_clock(at)
    }
}

/// A question that is being answered; dropped, it is over, be it answered or not.
struct Handling<'a> {
    stats: &'a ActorStats,
    began: Option<Instant>,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.stats.handled(self.began);
    }
}
