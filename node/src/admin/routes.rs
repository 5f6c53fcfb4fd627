//! Which path is answered by what.

use std::error::Error;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use micro_mq_actors::Readiness;
use serde_json::{Value, json};
use tracing::warn;

use super::source::{AdminError, AdminSource};

/// Whole in memory: the longest, the metrics, takes some ten kilobytes.
pub(super) type Body = Full<Bytes>;

/// How long the node may take for an answer: workers answer between two turns, that is within milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

const CLIENTS: &str = "/api/v1/clients/";

/// Answers one request whose host has been admitted.
pub(super) async fn route(source: &dyn AdminSource, method: &Method, path: &str) -> Response<Body> {
    let Some(resource) = Resource::of(path) else {
        return error(StatusCode::NOT_FOUND, "no such path");
    };
    if method != Method::GET && method != Method::HEAD {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, answer(source, resource)).await {
        Ok(Ok(response)) => response,
        Ok(Err(cause)) => failed(path, &cause),
        Err(_) => {
            warn!(path, "the node did not answer the admin listener in time");
            error(StatusCode::GATEWAY_TIMEOUT, "the node did not answer in time")
        }
    }
}

/// `{"error": message}`
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    json(status, &json!({ "error": message }))
}

#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Live,
    Ready,
    Metrics,
    Ledger,
    Client(String),
}

impl Resource {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/health/live" => Self::Live,
            "/health/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/api/v1/ledger" => Self::Ledger,
            _ => Self::Client(percent_decoded(path.strip_prefix(CLIENTS)?)?),
        })
    }
}

async fn answer(source: &dyn AdminSource, resource: Resource) -> Result<Response<Body>, AdminError> {
    Ok(match resource {
        Resource::Live => json(StatusCode::OK, &json!({ "status": "live" })),
        Resource::Ready => match source.readiness() {
            Readiness::Ready => json(StatusCode::OK, &json!({ "status": "ready" })),
            Readiness::SessionsNotLoaded => not_ready("sessions are not loaded"),
            Readiness::StoreFull => not_ready("the disk of the session store is full"),
            Readiness::StoreStalls => not_ready("the session store keeps nothing"),
            Readiness::ShutsDown => not_ready("the node shuts down"),
        },
        Resource::Metrics => {
            response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", source.metrics().await?)
        }
        Resource::Ledger => json(StatusCode::OK, &source.ledger().await?),
        Resource::Client(client_identifier) => match source.client(client_identifier).await? {
            Some(ledger) => json(StatusCode::OK, &ledger),
            None => error(StatusCode::NOT_FOUND, "no session has this client identifier"),
        },
    })
}

fn not_ready(reason: &str) -> Response<Body> {
    json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "reason": reason, "status": "not ready" }))
}

fn failed(path: &str, cause: &AdminError) -> Response<Body> {
    let status = match cause {
        AdminError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        AdminError::Failed(_) => {
            warn!(path, error = %cause, cause = cause.source(), "the admin listener has no answer");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    error(status, &cause.to_string())
}

fn json(status: StatusCode, value: &Value) -> Response<Body> {
    response(status, "application/json", value.to_string())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One segment of a path; `None` unless it is UTF-8, percent-encoded throughout and not empty.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'/' => return None,
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                let digit = |at: usize| char::from(digits[at]).to_digit(16);
                decoded.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
                rest = tail;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok().filter(|decoded| !decoded.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let expected = expected.map(|client_identifier| Resource::Client(client_identifier.to_owned()));
        assert_eq!(Resource::of(path), expected, "{path}");
    }

    #[test]
    fn client_identifiers_are_percent_encoded() {
        check("/api/v1/clients/sensor-1", Some("sensor-1"));
        check("/api/v1/clients/a%20b%2Fc", Some("a b/c"));
        check("/api/v1/clients/%C3%A9", Some("é"));
        check("/api/v1/clients/a%2", None);
        check("/api/v1/clients/a%zz", None);
        check("/api/v1/clients/%FF", None);
        check("/api/v1/clients/a/b", None);
        check("/api/v1/clients/", None);
        check("/api/v1/clients", None);
        check("/api/v1/ledger/", None);
    }
}
