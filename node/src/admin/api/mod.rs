//! The admin API below `/api/v1`: one module for each kind of thing, and the OpenAPI document that describes it.

mod changes;
mod cluster;
mod groups;
mod nodes;
mod paging;
mod payload;
mod rates;
mod retained;
mod retained_changes;
mod sessions;
mod subscriptions;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use micro_mq_actors::AdminHandle;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::rates::Rates;
use super::problem::Failure;
use super::source::{AdminError, AdminSource};

/// What the operations share.
pub(super) struct Api {
    source: Arc<dyn AdminSource>,
    /// The name of this node.
    node: Arc<str>,
    rates: Rates,
}

impl Api {
    pub(super) fn new(source: Arc<dyn AdminSource>) -> Self {
        Self { source, node: name_of_this_machine(), rates: Rates::default() }
    }

    /// The node to ask.
    fn actors(&self) -> Result<Arc<AdminHandle>, Failure> {
        self.source.actors().ok_or_else(|| AdminError::Unavailable.into())
    }
}

/// Until a cluster gives nodes their names.
fn name_of_this_machine() -> Arc<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "micro-mq".into(),
        name => name.into(),
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Micro MQ admin API",
        description = "Lists have pages: ask for `next` of a page as `cursor`, with the same parameters, for the next \
                       one. What is wrong is answered as RFC 9457 has it, unknown parameters are refused.",
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = "nodes", description = "Nodes"),
        (name = "clients", description = "Clients that are connected"),
        (name = "sessions", description = "Sessions, of clients that are connected and of others"),
        (name = "subscriptions", description = "Who is subscribed to what"),
        (name = "groups", description = "Shared subscriptions"),
        (name = "topics", description = "What is subscribed to and what is retained"),
        (name = "retained", description = "Retained messages"),
        (name = "messages", description = "Messages that are published by hand"),
        (name = "listeners", description = "Where nodes listen for clients"),
        (name = "actors", description = "The actors of nodes"),
        (name = "ledger", description = "What became of messages"),
    ),
)]
struct Description;

fn described() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::listeners))
        .routes(routes!(nodes::actors))
        .routes(routes!(nodes::ledger))
        .routes(routes!(cluster::show))
        .routes(routes!(sessions::list_clients))
        .routes(routes!(sessions::client, changes::kick))
        .routes(routes!(changes::kick_many))
        .routes(routes!(changes::subscribe, changes::unsubscribe))
        .routes(routes!(sessions::list))
        .routes(routes!(changes::discard))
        .routes(routes!(changes::publish))
        .routes(routes!(subscriptions::list))
        .routes(routes!(groups::list))
        .routes(routes!(topics::list))
        .routes(routes!(topics::tree))
        .routes(routes!(retained::list))
        .routes(routes!(retained_changes::show, retained_changes::delete))
        .routes(routes!(retained_changes::delete_many))
}

/// The OpenAPI document of the admin API, in JSON.
pub fn document() -> String {
    let (_, document) = described().split_for_parts();
    document.to_json().expect("the document can be written")
}

/// What answers below `/api/v1`.
pub(super) fn router(api: Arc<Api>) -> Router {
    let document: Arc<str> = document().into();
    let (router, _) = described().split_for_parts();
    let json = [(hyper::header::CONTENT_TYPE, "application/json")];
    router
        .with_state(api)
        .route("/api/v1/openapi.json", get(move || async move { (json, document.to_string()) }))
}
