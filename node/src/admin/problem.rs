//! Answers that say what is wrong, as RFC 9457 wants them.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use micro_mq_actors::Unanswered;
use micro_mq_api::Problem;
use utoipa::IntoResponses;

use super::source::AdminError;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request has no other answer.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl From<Unanswered> for Failure {
    fn from(_: Unanswered) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, AdminError::Unavailable.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let problem = Problem::new(self.status.as_u16(), title, self.detail);
        let body = serde_json::to_string(&problem).expect("a problem is some strings");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// The problems that every operation may answer with, as the OpenAPI document names them.
#[derive(IntoResponses)]
#[allow(dead_code)] // it is there for the document
pub(super) enum Problems {
    /// The request is not understood: an unknown parameter, or a value out of range.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] Problem),
    /// A web page of another origin may not ask.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// Another method is answered here; `Allow` names it.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(#[to_schema] Problem),
    /// The host of the request is not this listener.
    #[response(status = 421, content_type = "application/problem+json")]
    Misdirected(#[to_schema] Problem),
    /// The request is larger than what is read of it.
    #[response(status = 431, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// The node failed.
    #[response(status = 500, content_type = "application/problem+json")]
    Failed(#[to_schema] Problem),
    /// The node starts or stops.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] Problem),
    /// The node did not answer in time.
    #[response(status = 504, content_type = "application/problem+json")]
    Late(#[to_schema] Problem),
}

/// There is nothing of that name.
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[allow(dead_code)] // it is there for the document
pub(super) struct NotFound(#[to_schema] Problem);

/// What may be wrong with a body.
#[derive(IntoResponses)]
#[allow(dead_code)] // it is there for the document
pub(super) enum BodyProblems {
    /// The body is longer than two mebibytes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(#[to_schema] Problem),
    /// The body is not said to be `application/json`.
    #[response(status = 415, content_type = "application/problem+json")]
    NoJson(#[to_schema] Problem),
    /// The body is JSON, but has a field that is unknown, missing, or out of range.
    #[response(status = 422, content_type = "application/problem+json")]
    Unusable(#[to_schema] Problem),
}
