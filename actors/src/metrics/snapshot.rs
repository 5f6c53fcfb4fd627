//! All figures of a node at one moment.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use auth_actor::{Outcome, QuestionKind};
use micro_mq_core::kept::kept_bytes;
use micro_mq_core::ledger::{DropReason, Ledger};

use crate::messages::{ObserveRetained, RetainedObservation, Takes};
use crate::stats::{ActorFigures, ActorKind};
use crate::transport::WebSocketRefusal;
use crate::worker::NodeShared;

/// The ledger of the node: the pages of all workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Publishes routed.
    pub published: u64,
    /// Publishes that matched no subscription.
    pub unmatched: u64,
    /// One per message and subscription that wants a copy of it.
    pub matched: u64,
    /// Came back with their sessions when the node started.
    pub restored: u64,
    /// Delivered.
    pub delivered: u64,
    /// Waiting: counted where they wait, not derived from the others.
    pub queued: u64,
    /// Dropped, by reason.
    pub dropped: Vec<(DropReason, u64)>,
}

impl LedgerTotals {
    /// Dropped, all reasons together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Whether every match is accounted for; always true when nothing is on its way between actors.
    pub fn is_balanced(&self) -> bool {
        self.matched + self.restored == self.delivered + self.queued + self.dropped_total()
    }

    /// Adds what a worker's page has of clients' messages.
    pub(crate) fn add(&mut self, page: &Ledger) {
        let own = &page.own;
        self.published += page.published.get().saturating_sub(own.published.get());
        self.unmatched += page.unmatched.get().saturating_sub(own.unmatched.get());
        self.matched += page.matched.get().saturating_sub(own.matched.get());
        self.restored += page.restored.get();
        self.delivered += page.delivered.get().saturating_sub(own.delivered.get());
        self.queued += page.kept.waiting.get().saturating_sub(page.kept.waiting_own.get());
        self.add_dropped(|reason| page.dropped(reason).saturating_sub(own.dropped(reason)));
    }

    /// Adds what a worker's page has of the node's own messages.
    pub(crate) fn add_own(&mut self, page: &Ledger) {
        let own = &page.own;
        self.published += own.published.get();
        self.unmatched += own.unmatched.get();
        self.matched += own.matched.get();
        self.delivered += own.delivered.get();
        self.queued += page.kept.waiting_own.get();
        self.add_dropped(|reason| own.dropped(reason));
    }

    fn add_dropped(&mut self, count_of: impl Fn(DropReason) -> u64) {
        if self.dropped.is_empty() {
            self.dropped = DropReason::ALL.iter().map(|reason| (*reason, 0)).collect();
        }
        for (reason, count) in &mut self.dropped {
            *count += count_of(*reason);
        }
    }
}

/// Sessions and what they have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Sessions, online and offline.
    pub sessions: usize,
    /// Those that a network connection holds.
    pub online: usize,
    /// Subscriptions, shared ones included.
    pub subscriptions: usize,
    /// Shared subscriptions.
    pub shared_subscriptions: usize,
    /// Bytes of all subscriptions, as limits count them.
    pub subscription_bytes: usize,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Since the node started.
    pub uptime: Duration,
    /// Network connections open.
    pub connections: usize,
    /// Messages on their way between workers.
    pub between_workers: usize,
    /// The ledger of clients' messages.
    pub ledger: LedgerTotals,
    /// That of the node's own, `$SYS`.
    pub own_ledger: LedgerTotals,
    /// PUBLISH packets of clients' messages put into outboxes.
    pub publishes_sent: u64,
    /// Bytes of their payloads.
    pub publish_bytes_sent: u64,
    /// Sessions.
    pub sessions: SessionCounts,
    /// Bytes of the messages that wait, and of wills.
    pub kept_bytes: u64,
    /// Retained messages.
    pub retained: RetainedObservation,
    /// The workers' counters together, by name.
    pub counters: Vec<(&'static str, u64)>,
    /// Network connections that ended, by reason code.
    pub ends: Vec<(u8, u64)>,
    /// WebSockets refused or closed for what their client did wrong, by reason.
    pub websocket_refusals: Vec<(WebSocketRefusal, u64)>,
    /// Questions to the auth actor that wait for an answer.
    pub auth_waiting: usize,
    /// Bytes of those.
    pub auth_waiting_bytes: usize,
    /// What came of each kind of question to the auth actor.
    pub auth_outcomes: Vec<(QuestionKind, Outcome, u64)>,
    /// The figures of each kind of actor, all threads together.
    pub actors: Vec<(ActorKind, ActorFigures)>,
}

impl Snapshot {
    /// One counter by its name; 0 if there is none.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.iter().find(|(other, _)| *other == name).map_or(0, |(_, count)| *count)
    }
}

/// Gathers them. All of it is counted where it changes: nobody looks through sessions or groups for it.
pub async fn gather(node: &Arc<NodeShared>) -> Snapshot {
    let mut seen = Snapshot::default();
    if let Some(retained) = node.retained.addr()
        && let Ok(observed) = retained.send(ObserveRetained).await
    {
        seen.retained = observed;
    }
    for (peer, way) in node.peers.iter().zip(&node.ways) {
        seen.ledger.add(&peer.ledger);
        let held = &peer.counters.gauges;
        seen.sessions.online += held.online.get() as usize;
        seen.sessions.subscriptions += held.subscriptions.get() as usize;
        seen.sessions.shared_subscriptions += held.shared_subscriptions.get() as usize;
        // One count for all workers.
        seen.sessions.subscription_bytes = held.subscription_room.held();
        seen.own_ledger.add_own(&peer.ledger);
        seen.publishes_sent += peer.ledger.sent.get().saturating_sub(peer.ledger.own.sent.get());
        seen.publish_bytes_sent +=
            peer.ledger.sent_bytes.get().saturating_sub(peer.ledger.own.sent_bytes.get());
        seen.between_workers += way.inbound.waiting();
        for (at, (name, count)) in peer.counters.all().into_iter().enumerate() {
            match seen.counters.get_mut(at) {
                Some((_, sum)) => *sum += count,
                None => seen.counters.push((name, count)),
            }
        }
        for (at, (refusal, count)) in peer.websocket_refusals.all().enumerate() {
            match seen.websocket_refusals.get_mut(at) {
                Some((_, sum)) => *sum += count,
                None => seen.websocket_refusals.push((refusal, count)),
            }
        }
        for (code, count) in peer.counters.ends() {
            match seen.ends.iter_mut().find(|(other, _)| *other == code) {
                Some((_, sum)) => *sum += count,
                None => seen.ends.push((code, count)),
            }
        }
    }
    if let Some(cluster) = &node.cluster {
        seen.counters.extend(cluster.figures());
    }
    seen.kept_bytes = kept_bytes(&node.kept, node.peers.iter().map(|peer| &peer.ledger.kept));
    // Workers count for themselves meanwhile.
    seen.sessions.sessions = node.session_places.held().max(seen.sessions.online);
    seen.uptime = crate::clock::now().saturating_duration_since(node.started);
    seen.connections = node.connections.load(Relaxed);
    seen.auth_waiting = node.asking.waiting();
    seen.auth_waiting_bytes = node.asking.waiting_bytes();
    for kind in QuestionKind::ALL {
        let of = |outcome| (kind, outcome, node.asking.outcomes().of(kind, outcome));
        seen.auth_outcomes.extend(Outcome::ALL.map(of));
    }
    for kind in ActorKind::ALL {
        let mut figures = node.control_stats.of(kind).figures();
        node.peers.iter().for_each(|peer| figures.add(&peer.stats.of(kind).figures()));
        seen.actors.push((kind, figures));
    }
    seen
}

#[cfg(test)]
mod tests {
    use auth_actor::{AuthSettings, Provider};
    use micro_mq_core::admission::SessionPlace;
    use micro_mq_core::homes::{Homes, drawn_key};
    use micro_mq_core::records::WallClock;
    use micro_mq_core::settings::Settings;

    use super::*;

    /// However much there is, figures are read where it is counted: no actor of a worker is asked, not even there.
    #[actix::test]
    async fn nobody_looks_through_sessions_and_groups_for_figures() {
        let provider = Provider::from_settings(&AuthSettings::default()).expect("anonymous needs nothing");
        let auth = AuthSettings::default();
        let node = Arc::new(crate::node::shared(
            Settings::default(),
            &auth,
            &provider,
            Homes::new(&drawn_key(), 2),
            WallClock::default(),
            Vec::new(),
            None,
        ));
        (0..7).filter_map(|_| node.session_places.take(None, 0).ok()).for_each(SessionPlace::keep);
        for (peer, count) in node.peers.iter().zip([2, 3]) {
            peer.counters.gauges.online.add(count);
            (0..count).for_each(|_| peer.counters.gauges.subscribed("$share/g/t"));
            peer.counters.gauges.subscribed("t");
            peer.ledger.kept.waiting.add(10 * count);
            peer.ledger.matched.add(10 * count);
        }
        let seen = gather(&node).await;
        let sessions = SessionCounts {
            sessions: 7,
            online: 5,
            subscriptions: 7,
            shared_subscriptions: 5,
            subscription_bytes: 8436,
        };
        assert_eq!(seen.sessions, sessions);
        assert_eq!((seen.ledger.queued, seen.ledger.is_balanced()), (50, true));
    }
}
