//! What the admin API asks of a running node, from any thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use micro_mq_core::ledger::{DropReason, Tally};
use serde::Serialize;

use crate::messages::{CurrentAddress, ObserveClient, Takes};
use crate::metrics::{LedgerTotals, Metrics, Render, TakeSnapshot};
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
    /// It accepts no network connections any more.
    ShutsDown,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct AdminHandle {
    shared: Arc<NodeShared>,
    metrics: Arc<CurrentAddress<Addr<Metrics>>>,
    accepting: Arc<AtomicBool>,
}

impl AdminHandle {
    pub(crate) fn new(
        shared: Arc<NodeShared>,
        metrics: Arc<CurrentAddress<Addr<Metrics>>>,
        accepting: Arc<AtomicBool>,
    ) -> Self {
        Self { shared, metrics, accepting }
    }

    /// Whether the node serves everybody.
    pub fn readiness(&self) -> Readiness {
        if !self.accepting.load(Ordering::Acquire) {
            Readiness::ShutsDown
        } else if !self.shared.restoration.is_complete() {
            Readiness::SessionsNotLoaded
        } else {
            match self.shared.store.trouble() {
                Some(Trouble::DiskFull) => Readiness::StoreFull,
                Some(Trouble::Stalls) => Readiness::StoreStalls,
                None => Readiness::Ready,
            }
        }
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

fn dropped_by(tally: &Tally) -> BTreeMap<&'static str, u64> {
    DropReason::ALL.iter().map(|reason| (reason.label(), tally.dropped(*reason))).collect()
}
