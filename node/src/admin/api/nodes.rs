//! Nodes, their listeners and actors, and the ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use micro_mq_actors::stats::{ActorFigures, quantile};
use micro_mq_actors::{AdminHandle, NodeLedger};
use micro_mq_api::{Actor, ActorsQuery, Ledger, Listener, ListenersQuery, Node, NodesQuery, Page};

use super::Api;
use crate::admin::extract::{Nothing, Query};
use crate::admin::problem::{Failure, Problems};
use crate::admin::router::not_ready_because;

/// The nodes of the cluster.
#[utoipa::path(
    get, path = "/api/v1/nodes", tag = "nodes", operation_id = "nodes_list", params(NodesQuery),
    responses((status = 200, description = "All nodes", body = Page<Node>), Problems),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<NodesQuery>,
) -> Result<Json<Page<Node>>, Failure> {
    let own = node(&api, &*api.actors()?).await?;
    let is_wanted = |node: &Node| query.name.is_empty() || query.name.contains(&node.name);
    Ok(whole([own].into_iter().filter(is_wanted)))
}

/// Where nodes listen for clients.
#[utoipa::path(
    get, path = "/api/v1/listeners", tag = "listeners", operation_id = "listeners_list", params(ListenersQuery),
    responses((status = 200, description = "All listeners", body = Page<Listener>), Problems),
)]
pub(super) async fn listeners(
    State(api): State<Arc<Api>>,
    Query(query): Query<ListenersQuery>,
) -> Result<Json<Page<Listener>>, Failure> {
    let actors = api.actors()?;
    let listeners = actors.listeners().iter().map(|(name, address)| Listener {
        node: api.node.to_string(),
        name: name.clone(),
        address: address.to_string(),
    });
    Ok(whole(listeners.filter(|listener| query.name.is_empty() || query.name.contains(&listener.name))))
}

/// The actors of nodes, by thread and kind.
#[utoipa::path(
    get, path = "/api/v1/actors", tag = "actors", operation_id = "actors_list", params(ActorsQuery),
    responses((status = 200, description = "All actors", body = Page<Actor>), Problems),
)]
pub(super) async fn actors(
    State(api): State<Arc<Api>>,
    Query(query): Query<ActorsQuery>,
) -> Result<Json<Page<Actor>>, Failure> {
    let actors = api.actors()?.actors().into_iter();
    let actors = actors.map(|(worker, kind, figures)| actor(&api.node, worker, kind.label(), &figures));
    Ok(whole(actors.filter(|actor| query.kind.is_empty() || query.kind.contains(&actor.kind))))
}

/// What became of clients' messages since the node started, dropped ones by reason.
#[utoipa::path(
    get, path = "/api/v1/ledger", tag = "ledger", operation_id = "ledger_show",
    responses((status = 200, description = "The ledger", body = Ledger), Problems),
)]
pub(super) async fn ledger(
    State(api): State<Arc<Api>>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Ledger>, Failure> {
    Ok(Json(ledger_of(api.actors()?.ledger().await?)))
}

/// A list that is short enough to be one page.
fn whole<R>(items: impl Iterator<Item = R>) -> Json<Page<R>> {
    Json(Page { items: items.collect(), next: None, silent: Vec::new() })
}

async fn node(api: &Api, actors: &AdminHandle) -> Result<Node, Failure> {
    let seen = actors.snapshot().await?;
    let shared = actors.shared();
    let reason = not_ready_because(actors.readiness());
    let ledger = &seen.ledger;
    let counts = [ledger.published, ledger.delivered, ledger.dropped_total()];
    let rates = api.rates.of_node(&api.node, counts);
    Ok(Node {
        name: api.node.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        own: true,
        ready: reason.is_none(),
        reason: reason.map(str::to_owned),
        started_at_ms: shared.started_at.0,
        uptime_seconds: seen.uptime.as_secs_f64(),
        workers: shared.peers.len() as u64,
        connections: seen.connections as u64,
        connections_max: shared.settings.node.connections_max as u64,
        sessions: seen.sessions.sessions as u64,
        sessions_online: seen.sessions.online as u64,
        subscriptions: seen.sessions.subscriptions as u64,
        shared_subscriptions: seen.sessions.shared_subscriptions as u64,
        retained_messages: seen.retained.messages as u64,
        retained_bytes: seen.retained.bytes as u64,
        queued: ledger.queued,
        queued_bytes: seen.kept_bytes,
        published: ledger.published,
        unmatched: ledger.unmatched,
        delivered: ledger.delivered,
        dropped: ledger.dropped_total(),
        published_per_second: rates.map(|[published, _, _]| published),
        delivered_per_second: rates.map(|[_, delivered, _]| delivered),
        dropped_per_second: rates.map(|[_, _, dropped]| dropped),
    })
}

fn actor(node: &str, worker: Option<u16>, kind: &str, figures: &ActorFigures) -> Actor {
    let at = |counts: &[u64], share: f64| quantile(counts, share).as_ref().map(Duration::as_secs_f64);
    Actor {
        node: node.to_owned(),
        worker,
        kind: kind.to_owned(),
        live: figures.live,
        waiting: figures.queued(),
        handled: figures.handled,
        restarts: figures.restarts,
        waiting_p50_seconds: at(&figures.waiting, 0.5),
        waiting_p99_seconds: at(&figures.waiting, 0.99),
        handling_p50_seconds: at(&figures.handling, 0.5),
        handling_p99_seconds: at(&figures.handling, 0.99),
    }
}

fn ledger_of(ledger: NodeLedger) -> Ledger {
    Ledger {
        published: ledger.published,
        unmatched: ledger.unmatched,
        matched: ledger.matched,
        restored: ledger.restored,
        delivered: ledger.delivered,
        queued: ledger.queued,
        dropped: ledger.dropped.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        balanced: ledger.balanced,
        own: ledger.own.map(|own| Box::new(ledger_of(*own))),
    }
}
