//! The figures in the log: at each interval a line of the node, and one of each kind of actor that did something since the
//! last one. Of a node that nobody uses there is nothing but the first, though it counts itself and publishes `$SYS`.

use tracing::info;

use super::snapshot::Snapshot;
use crate::stats::quantile;

/// Counters that stand still as long as no client comes, goes or sends anything and nothing becomes due.
const SIGNS_OF_USE: &[&str] = &[
    "bytes_received",
    "connections_full",
    "keep_alive_timeouts",
    "grants_expired",
    "connections_withdrawn",
    "wills_published",
    "sessions_expired",
];

/// What was logged last.
#[derive(Debug, Default)]
pub(super) struct Logged {
    signs_of_use: u64,
    /// Messages handled by each kind of actor, and how often one was started anew.
    by_kind: Vec<(u64, u64)>,
}

impl Logged {
    /// Logs them.
    pub(super) fn log(&mut self, seen: &Snapshot) {
        info!(
            uptime_seconds = seen.uptime.as_secs(),
            connections = seen.connections,
            sessions = seen.sessions.sessions,
            subscriptions = seen.sessions.subscriptions,
            retained_messages = seen.retained.messages,
            published = seen.ledger.published,
            delivered = seen.ledger.delivered,
            queued = seen.ledger.queued,
            dropped = seen.ledger.dropped_total(),
            "figures"
        );
        let signs_of_use = SIGNS_OF_USE.iter().map(|name| seen.counter(name)).sum();
        let is_used = std::mem::replace(&mut self.signs_of_use, signs_of_use) != signs_of_use;
        let by_kind = seen.actors.iter().map(|(_, figures)| (figures.handled, figures.restarts)).collect();
        let before = std::mem::replace(&mut self.by_kind, by_kind);
        for (at, (kind, figures)) in seen.actors.iter().enumerate() {
            let (handled, restarts) = before.get(at).copied().unwrap_or_default();
            if !(is_used && figures.handled != handled || figures.restarts != restarts) {
                continue;
            }
            let micros = |counts: &[u64], q| quantile(counts, q).map(|duration| duration.as_micros() as u64);
            info!(
                actor = kind.label(),
                live = figures.live,
                queued = figures.queued(),
                handled = figures.handled,
                restarts = figures.restarts,
                waiting_p50_us = micros(&figures.waiting, 0.5),
                waiting_p99_us = micros(&figures.waiting, 0.99),
                handling_p50_us = micros(&figures.handling, 0.5),
                handling_p99_us = micros(&figures.handling, 0.99),
                "actors"
            );
        }
    }
}
