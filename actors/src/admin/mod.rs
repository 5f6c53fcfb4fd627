//! What the admin API asks of a running node, from any thread.

mod on_behalf;

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use micro_mq_core::ledger::{DropReason, Tally};
use serde::Serialize;

use crate::cluster::ClusterStatus;
use crate::messages::{CurrentAddress, LookThrough, ObserveClient, Sight, Takes, Visitor};
use crate::metrics::{LedgerTotals, Metrics, Render, Snapshot, TakeSnapshot};
use crate::stats::{ActorFigures, ActorKind};
use crate::store::Trouble;
use crate::worker::NodeShared;

/// An actor that should answer is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an actor of the node did not answer")]
pub struct Unanswered;

/// The ledger of the node: clients' messages, and apart from them the node's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeLedger {
    /// Publishes routed.
    pub published: u64,
    /// Publishes that matched no subscription.
    pub unmatched: u64,
    /// One per message and subscription that wants a copy of it.
    pub matched: u64,
    /// Came back with their sessions when the node started.
    pub restored: u64,
    /// QoS 0 written to the socket, QoS 1 and 2 acknowledged.
    pub delivered: u64,
    /// Waiting, those in flight included.
    pub queued: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Whether matched + restored = delivered + queued + dropped; may be false while messages are on their way between actors.
    pub balanced: bool,
    /// The same of the node's own messages, `$SYS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<Box<NodeLedger>>,
}

/// One client's part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientLedger {
    /// Client identifier.
    pub client_identifier: String,
    /// Whether a network connection holds the session.
    pub online: bool,
    /// Session expiry interval, in seconds.
    pub session_expiry_interval: u32,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// Messages that matched, were given to it as a member of a shared subscription, or came back with its session.
    pub matched: u64,
    /// Delivered to it.
    pub delivered: u64,
    /// Waiting for it.
    pub queued: u64,
    /// Given back to a shared subscription's group.
    pub returned: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// Whether a node serves everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It has not loaded all the sessions that the store keeps: clients that may have one are refused, and nobody is
    /// let in before it was tried.
    SessionsNotLoaded,
    /// The session store has no room on its disk: who is to be told of something that outlives the process waits.
    StoreFull,
    /// The session store keeps nothing for some seconds, for whatever reason: the same.
    StoreStalls,
    /// It is no member of its cluster yet, or does not know what other nodes have a match for: Kafka is away.
    ClusterAway,
    /// It accepts no network connections any more.
    ShutsDown,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct AdminHandle {
    shared: Arc<NodeShared>,
    metrics: Arc<CurrentAddress<Addr<Metrics>>>,
    accepting: Arc<AtomicBool>,
    listeners: Arc<[(String, SocketAddr)]>,
}

impl AdminHandle {
    pub(crate) fn new(
        shared: Arc<NodeShared>,
        metrics: Arc<CurrentAddress<Addr<Metrics>>>,
        accepting: Arc<AtomicBool>,
        listeners: Arc<[(String, SocketAddr)]>,
    ) -> Self {
        Self { shared, metrics, accepting, listeners }
    }

    /// What the threads of the node share.
    pub fn shared(&self) -> &Arc<NodeShared> {
        &self.shared
    }

    /// Where it listens: each listener's name and address.
    pub fn listeners(&self) -> &[(String, SocketAddr)] {
        &self.listeners
    }

    /// Whether the node serves everybody.
    pub fn readiness(&self) -> Readiness {
        if !self.accepting.load(Ordering::Acquire) {
            Readiness::ShutsDown
        } else if !self.shared.restoration.is_complete() {
            Readiness::SessionsNotLoaded
        } else if self.shared.cluster.as_ref().is_some_and(|cluster| !cluster.is_fresh()) {
            Readiness::ClusterAway
        } else {
            match self.shared.store.trouble() {
                Some(Trouble::DiskFull) => Readiness::StoreFull,
                Some(Trouble::Stalls) => Readiness::StoreStalls,
                None => Readiness::Ready,
            }
        }
    }

    /// What is to be seen of the cluster; none where the node is alone.
    pub fn cluster(&self) -> Option<ClusterStatus> {
        self.shared.cluster.as_ref().map(|cluster| cluster.status())
    }

    /// All figures in Prometheus' text format.
    ///
    /// # Errors
    /// When the metrics actor does not answer.
    pub async fn prometheus(&self) -> Result<String, Unanswered> {
        self.metrics.addr().ok_or(Unanswered)?.send(Render).await.map_err(|_| Unanswered)
    }

    /// The ledger of the node.
    ///
    /// # Errors
    /// When the metrics actor does not answer.
    pub async fn ledger(&self) -> Result<NodeLedger, Unanswered> {
        let metrics = self.metrics.addr().ok_or(Unanswered)?;
        let seen = metrics.send(TakeSnapshot).await.map_err(|_| Unanswered)?;
        let own = Some(Box::new(node_ledger(&seen.own_ledger)));
        Ok(NodeLedger { own, ..node_ledger(&seen.ledger) })
    }

    /// One client's part of the ledger; none if it has no session.
    ///
    /// # Errors
    /// When the home of its session does not answer.
    pub async fn client_ledger(&self, client_identifier: String) -> Result<Option<ClientLedger>, Unanswered> {
        let home = usize::from(self.shared.homes.of_client(&client_identifier));
        let sessions = self.shared.peers[home].sessions.addr().ok_or(Unanswered)?;
        let question = ObserveClient { client_identifier: client_identifier.clone() };
        let seen = sessions.send(question).await.map_err(|_| Unanswered)?;
        Ok(seen.map(|seen| ClientLedger {
            client_identifier,
            online: seen.online,
            session_expiry_interval: seen.expiry_interval,
            subscriptions: seen.subscriptions,
            matched: seen.tally.matched,
            delivered: seen.tally.delivered,
            queued: seen.waiting,
            returned: seen.tally.returned(),
            dropped: dropped_by(&seen.tally),
        }))
    }

    /// All figures of the node.
    ///
    /// # Errors
    /// When the metrics actor does not answer.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, Unanswered> {
        self.metrics.addr().ok_or(Unanswered)?.send(TakeSnapshot).await.map_err(|_| Unanswered)
    }

    /// The figures of the actors by thread, the workers' first, and kind; of the control thread those of all that are no
    /// worker's.
    pub fn actors(&self) -> Vec<(Option<u16>, ActorKind, ActorFigures)> {
        let workers = self.shared.peers.iter().enumerate().map(|(id, peer)| (Some(id as u16), &peer.stats));
        let threads = workers.chain([(None, &*self.shared.control_stats)]);
        let of_thread = |(thread, stats): (Option<u16>, &crate::stats::WorkerStats)| {
            let is_workers = |kind: &ActorKind| kind.is_of_worker() == thread.is_some();
            let kinds = ActorKind::ALL.into_iter().filter(is_workers);
            kinds.map(|kind| (thread, kind, stats.of(kind).figures())).collect::<Vec<_>>()
        };
        threads.flat_map(of_thread).collect()
    }

    /// Shows what all workers have to a visitor each, and returns those with what they gathered.
    ///
    /// # Errors
    /// When a worker does not answer.
    ///
    /// # Cancel safety
    /// Dropped, it ends the look.
    pub async fn look_through<V: Visitor>(
        &self,
        sight: Sight,
        make: impl Fn() -> V,
    ) -> Result<Vec<V>, Unanswered> {
        let asker = Arc::new(());
        let mut underway = Vec::new();
        for peer in &self.shared.peers {
            let (visitor, sight, asker) = (Box::new(make()), sight.clone(), Arc::downgrade(&asker));
            let sessions = peer.sessions.addr().ok_or(Unanswered)?;
            underway.push(sessions.send(LookThrough { visitor, sight, asker }));
        }
        let mut seen = Vec::with_capacity(underway.len());
        for look in underway {
            seen.push(known(look.await.map_err(|_| Unanswered)?));
        }
        Ok(seen)
    }

    /// Shows a visitor the session of one client identifier, if there is one.
    ///
    /// # Errors
    /// When the home of that client identifier does not answer.
    pub async fn look_at<V: Visitor>(&self, client_identifier: &str, visitor: V) -> Result<V, Unanswered> {
        let home = usize::from(self.shared.homes.of_client(client_identifier));
        let sessions = self.shared.peers[home].sessions.addr().ok_or(Unanswered)?;
        let asker = Arc::new(());
        let look = LookThrough {
            visitor: Box::new(visitor),
            sight: Sight::Client(client_identifier.to_owned()),
            asker: Arc::downgrade(&asker),
        };
        sessions.send(look).await.map(known).map_err(|_| Unanswered)
    }
}

fn known<V: Visitor>(visitor: Box<dyn Visitor>) -> V {
    let visitor: Box<dyn Any> = visitor;
    *visitor.downcast().expect("a visitor comes back as what it was sent as")
}

fn node_ledger(totals: &LedgerTotals) -> NodeLedger {
    NodeLedger {
        published: totals.published,
        unmatched: totals.unmatched,
        matched: totals.matched,
        restored: totals.restored,
        delivered: totals.delivered,
        queued: totals.queued,
        dropped: totals.dropped.iter().map(|(reason, count)| (reason.label(), *count)).collect(),
        balanced: totals.is_balanced(),
        own: None,
    }
}

/// What a client's part of the ledger has as dropped, by reason.
pub fn dropped_by(tally: &Tally) -> BTreeMap<&'static str, u64> {
    DropReason::ALL.iter().map(|reason| (reason.label(), tally.dropped(*reason))).collect()
}
