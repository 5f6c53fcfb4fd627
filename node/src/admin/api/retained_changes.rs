//! Retained messages: read with their payloads, and deleted.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use hyper::StatusCode;
use micro_mq_api::{Concerned, DeleteRetained, RetainedPayload};
use mqtt_codec::QoS;
use mqtt_codec::topic::{validate_topic_filter, validate_topic_name};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::changes::{Outgoing, route};
use super::payload::encoded;
use super::retained::find;
use crate::admin::extract::{Body, Nothing, Query};
use crate::admin::problem::{BodyProblems, Failure, NotFound, Problems};

/// Messages that are looked for, or deleted, at once.
const AT_ONCE: usize = 64;

/// Which retained message.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichMessage {
    /// Topic name.
    topic: String,
}

impl WhichMessage {
    fn judged(self) -> Result<String, Failure> {
        validate_topic_name(&self.topic)
            .map_err(|error| Failure::bad_request(format!("topic: is no topic name: {error}")))?;
        Ok(self.topic)
    }
}

/// One retained message, with its payload.
#[utoipa::path(
    get, path = "/api/v1/retained/message", tag = "retained", operation_id = "retained_show", params(WhichMessage),
    responses((status = 200, description = "The message", body = RetainedPayload), NotFound, Problems),
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Query(which): Query<WhichMessage>,
) -> Result<Json<RetainedPayload>, Failure> {
    let topic = which.judged()?;
    let actors = api.actors()?;
    let now = Instant::now();
    let found = find(&actors.shared().retained_messages, &topic, None, 1, now).await;
    let message =
        found.first().ok_or_else(|| Failure::not_found("nothing is retained for this topic name"))?;
    let publication = message.publication();
    let (payload_base64, payload) = encoded(publication.payload.as_slice());
    let expires_in = publication.expires_at.map(|at| at.saturating_duration_since(now).as_millis() as u64);
    Ok(Json(RetainedPayload {
        topic,
        qos: publication.qos as u8,
        expires_in_ms: expires_in,
        payload_base64,
        payload,
    }))
}

/// Delete one retained message, as a client does: by an empty one, which those who are subscribed get.
#[utoipa::path(
    delete, path = "/api/v1/retained/message", tag = "retained", operation_id = "retained_delete",
    params(WhichMessage),
    responses((status = 204, description = "It is gone"), NotFound, Problems),
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Query(which): Query<WhichMessage>,
) -> Result<StatusCode, Failure> {
    let topic = which.judged()?;
    let actors = api.actors()?;
    let found = find(&actors.shared().retained_messages, &topic, None, 1, Instant::now()).await;
    if found.is_empty() {
        return Err(Failure::not_found("nothing is retained for this topic name"));
    }
    route(&actors, vec![deletion(topic)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete all retained messages that a topic filter matches, or say how many they are.
///
/// Without `dry_run: false` nothing is deleted.
#[utoipa::path(
    post, path = "/api/v1/retained/delete", tag = "retained", operation_id = "retained_delete_many",
    request_body = DeleteRetained,
    responses((status = 200, description = "How many it were", body = Concerned), BodyProblems, Problems),
)]
pub(super) async fn delete_many(
    State(api): State<Arc<Api>>,
    Query(Nothing {}): Query<Nothing>,
    Body(asked): Body<DeleteRetained>,
) -> Result<Json<Concerned>, Failure> {
    validate_topic_filter(&asked.filter).map_err(|error| {
        let text = format!("filter: is no topic filter: {error}");
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    })?;
    let (actors, now) = (api.actors()?, Instant::now());
    let dry_run = asked.dry_run.unwrap_or(true);
    let (mut count, mut after) = (0, None);
    loop {
        let found = find(&actors.shared().retained_messages, &asked.filter, after, AT_ONCE, now).await;
        count += found.len() as u64;
        let topics: Vec<_> = found.iter().map(|message| message.topic().to_owned()).collect();
        after = topics.last().map(|topic| Arc::from(topic.as_str()));
        if !dry_run {
            route(&actors, topics.into_iter().map(deletion).collect()).await?;
        }
        if found.len() < AT_ONCE {
            return Ok(Json(Concerned { count, dry_run }));
        }
    }
}

fn deletion(topic: String) -> Outgoing {
    Outgoing { topic, payload: Vec::new(), qos: QoS::AtMostOnce, retain: true, expiry_seconds: None }
}
