//! Retained messages.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use micro_mq_api::{Page, RetainedMessage, RetainedQuery};
use micro_mq_core::message::StoredMessage;
use micro_mq_core::retained::{EXAMINED_MAX, Rest, RetainedMessages};
use mqtt_codec::topic::validate_topic_filter;
use tokio::task::yield_now;

use super::Api;
use super::paging::{Request, Seen, Top};
use crate::admin::extract::Query;
use crate::admin::problem::{Failure, Problems};

/// Topic names that are examined before those who publish have their turn at the store.
const LOCKED_MAX: usize = 64;

/// Retained messages in the order of their topic names.
#[utoipa::path(
    get, path = "/api/v1/retained", tag = "retained", operation_id = "retained_list", params(RetainedQuery),
    responses((status = 200, description = "A page of retained messages", body = Page<RetainedMessage>), Problems),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<RetainedQuery>,
) -> Result<Json<Page<RetainedMessage>>, Failure> {
    let request = Request::<()>::new(query.limit, query.cursor.as_deref(), None, None)?;
    let filter = query.filter.as_deref().unwrap_or("#");
    validate_topic_filter(filter)
        .map_err(|error| Failure::bad_request(format!("filter: is no topic filter: {error}")))?;
    let actors = api.actors()?;
    let now = Instant::now();
    let most = usize::from(query.limit.unwrap_or(micro_mq_api::LIMIT_DEFAULT)) + 1;
    let after = request.after_name().map(Arc::from);
    let found = find(&actors.shared().retained_messages, filter, after, most, now).await;
    let mut top = Top::new(request.clone());
    for message in &found {
        top.offer(Seen::Text(message.topic()), (message.topic(), ""), || row(message, now));
    }
    Ok(Json(Top::page(request, [top])))
}

/// The next messages that match a filter, behind a topic name. The store is let go of between its pieces.
pub(super) async fn find(
    kept: &RetainedMessages,
    filter: &str,
    after: Option<Arc<str>>,
    most: usize,
    now: Instant,
) -> Vec<Arc<StoredMessage>> {
    let (mut found, mut rest) = (Vec::new(), after.map_or(Rest::All, Rest::Behind));
    while rest != Rest::Nothing && found.len() < most {
        let after = match &rest {
            Rest::Behind(topic) => Some(&**topic),
            _ => None,
        };
        let mut examined = EXAMINED_MAX - LOCKED_MAX;
        let mut piece = kept.with_store(|store| {
            store.find(filter, after, most - found.len(), usize::MAX, &mut examined, now)
        });
        found.append(&mut piece.messages);
        rest = piece.rest;
        yield_now().await;
    }
    found
}

fn row(message: &StoredMessage, now: Instant) -> RetainedMessage {
    let publication = message.publication();
    let expires_in = publication.expires_at.map(|at| at.saturating_duration_since(now));
    RetainedMessage {
        topic: message.topic().to_owned(),
        qos: publication.qos as u8,
        payload_bytes: publication.payload.len() as u64,
        expires_in_ms: expires_in.map(|expires_in| expires_in.as_millis() as u64),
    }
}
