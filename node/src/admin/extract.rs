//! What a request is taken apart into; what cannot be is answered as a problem.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Failure;

/// The parameters behind the `?` of a request; unknown ones are refused by their types.
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        match serde_html_form::from_str(query) {
            Ok(parameters) => Ok(Self(parameters)),
            Err(error) => Err(Failure::bad_request(format!("the parameters cannot be used: {error}"))),
        }
    }
}

/// No parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// One name in a path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = name.map_err(|rejection| match rejection {
            PathRejection::FailedToDeserializePathParams(error) => {
                Failure::bad_request(format!("the path cannot be used: {}", error.body_text()))
            }
            _ => Failure::bad_request("the path cannot be used"),
        })?;
        Ok(Self(name))
    }
}

/// A body in JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                let text = "the body has to be application/json";
                Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
            }
            Err(rejection) => Err(Failure::new(rejection.status(), rejection.body_text())),
        }
    }
}
