//! Which path is answered by what.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use micro_mq_actors::Readiness;
use serde_json::json;
use tracing::warn;

use super::api::{self, Api};
use super::problem::Failure;
use super::source::{AdminError, AdminSource};
use crate::console::Console;

/// How long the node may take for an answer: workers answer between two turns, that is within milliseconds.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// All that is answered, from a source; the console, if there is one, where nothing else is.
pub(super) fn router(source: Arc<dyn AdminSource>, console: Option<Console>) -> Router {
    let api = api::router(Arc::new(Api::new(Arc::clone(&source))));
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(source)
        .merge(api)
        .fallback(move |method: Method, uri: Uri, headers: HeaderMap| {
            let answer = file_of_console(console.as_ref(), &method, &uri, &headers);
            async move { answer }
        })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not answered here")
        })
}

fn file_of_console(console: Option<&Console>, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    match console.and_then(|console| console.answer(uri.path(), headers)) {
        None => Failure::not_found("no such path").into_response(),
        Some(_) if method != Method::GET && method != Method::HEAD => {
            let refused = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not answered here");
            ([(ALLOW, "GET,HEAD")], refused).into_response()
        }
        Some(file) => file.map(Body::from),
    }
}

/// The node took too long.
pub(super) fn late(uri: &Uri) -> Failure {
    warn!(path = uri.path(), "the node did not answer the admin listener in time");
    Failure::new(StatusCode::GATEWAY_TIMEOUT, "the node did not answer in time")
}

async fn live() -> impl IntoResponse {
    axum::Json(json!({ "status": "live" }))
}

async fn ready(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match not_ready_because(source.readiness()) {
        None => match source.registry_trouble() {
            None => axum::Json(json!({ "status": "ready" })).into_response(),
            Some(trouble) => axum::Json(json!({ "registry": trouble, "status": "ready" })).into_response(),
        },
        Some(reason) => {
            let body = json!({ "reason": reason, "status": "not ready" });
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
        }
    }
}

/// Why the node does not serve everybody; none if it does.
pub(super) fn not_ready_because(readiness: Readiness) -> Option<&'static str> {
    match readiness {
        Readiness::Ready => None,
        Readiness::SessionsNotLoaded => Some("sessions are not loaded"),
        Readiness::StoreFull => Some("the disk of the session store is full"),
        Readiness::StoreStalls => Some("the session store keeps nothing"),
        Readiness::ClusterAway => Some("kafka is away: what other nodes subscribe to is not known"),
        Readiness::ShutsDown => Some("the node shuts down"),
    }
}

async fn metrics(State(source): State<Arc<dyn AdminSource>>) -> Result<Response, Failure> {
    let page = source.metrics().await?;
    let mut response = page.into_response();
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

impl From<AdminError> for Failure {
    fn from(cause: AdminError) -> Self {
        let status = match &cause {
            AdminError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            AdminError::Failed(source) => {
                warn!(error = %cause, cause = %source, "the admin listener has no answer");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, cause.to_string())
    }
}
