//! Subscriptions.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use micro_mq_actors::messages::{Looked, Sight, Surroundings, Visitor};
use micro_mq_api::{Page, Subscription, SubscriptionSort, SubscriptionsQuery};
use micro_mq_core::ids::shared_part;
use micro_mq_core::session::Session;
use mqtt_codec::topic::{matches, validate_topic_name};

use super::Api;
use super::paging::{Request, Seen, Top};
use crate::admin::extract::Query;
use crate::admin::problem::{Failure, Problems};

/// Subscriptions; with `matches`, who would get what is published to a topic name.
#[utoipa::path(
    get, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "subscriptions_list",
    params(SubscriptionsQuery),
    responses((status = 200, description = "A page of subscriptions", body = Page<Subscription>), Problems),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<SubscriptionsQuery>,
) -> Result<Json<Page<Subscription>>, Failure> {
    let request = Request::new(query.limit, query.cursor.as_deref(), query.sort, query.order)?;
    if let Some(topic) = &query.matches {
        validate_topic_name(topic)
            .map_err(|error| Failure::bad_request(format!("matches: is no topic name: {error}")))?;
    }
    let wanted = Arc::new(Wanted::new(query));
    let look = || Many {
        wanted: Arc::clone(&wanted),
        node: Arc::clone(&api.node),
        sort: request.sort,
        top: Top::new(request.clone()),
    };
    let seen = api.actors()?.look_through(Sight::Sessions, look).await?;
    Ok(Json(Top::page(request.clone(), seen.into_iter().map(|many| many.top))))
}

/// The parts of `$share/NAME/FILTER`; of a plain filter none and itself.
pub(super) fn share_and_filter(full_filter: &str) -> (Option<&str>, &str) {
    match shared_part(full_filter) {
        Some(filter) => {
            let share = full_filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
            (share.map(|(name, _)| name), filter)
        }
        None => (None, full_filter),
    }
}

struct Wanted {
    client_identifiers: HashSet<String>,
    filters: HashSet<String>,
    shares: HashSet<String>,
    query: SubscriptionsQuery,
}

impl Wanted {
    fn new(mut query: SubscriptionsQuery) -> Self {
        Self {
            client_identifiers: query.client_identifier.drain(..).collect(),
            filters: query.filter.drain(..).collect(),
            shares: query.share.drain(..).collect(),
            query,
        }
    }

    fn has_session(&self, session: &Session) -> bool {
        let name = session.client_identifier();
        (self.client_identifiers.is_empty() || self.client_identifiers.contains(name))
            && self.query.client_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
            && self.query.online.is_none_or(|online| session.online.is_some() == online)
    }

    fn has(&self, full_filter: &str, qos: u8) -> bool {
        let query = &self.query;
        let (share, filter) = share_and_filter(full_filter);
        (self.filters.is_empty() || self.filters.contains(full_filter))
            && query.prefix.as_ref().is_none_or(|prefix| full_filter.starts_with(prefix.as_str()))
            && query.shared.is_none_or(|shared| share.is_some() == shared)
            && (self.shares.is_empty() || share.is_some_and(|share| self.shares.contains(share)))
            && (query.qos.is_empty() || query.qos.contains(&qos))
            && query.matches.as_ref().is_none_or(|topic| matches(filter, topic))
    }
}

struct Many {
    wanted: Arc<Wanted>,
    node: Arc<str>,
    sort: SubscriptionSort,
    top: Top<SubscriptionSort, Subscription>,
}

impl Visitor for Many {
    fn visit(&mut self, session: &mut Session, piece: usize, _surroundings: &Surroundings<'_>) -> Looked {
        let client_identifier = session.client_identifier();
        let by_client = self.sort == SubscriptionSort::ClientIdentifier;
        if !self.wanted.has_session(session)
            || (by_client && !self.top.may_take(Seen::Text(client_identifier)))
        {
            return Looked::DONE;
        }
        let mut rows = 1;
        for (filter, subscription) in session.subscriptions.piece(piece) {
            rows += 1;
            let options = subscription.options;
            if !self.wanted.has(filter, options.qos as u8) {
                continue;
            }
            let value = match self.sort {
                SubscriptionSort::ClientIdentifier => Seen::Text(client_identifier),
                SubscriptionSort::Filter => Seen::Text(filter),
                SubscriptionSort::Qos => Seen::Number(options.qos as u64),
            };
            self.top.offer(value, (client_identifier, filter), || Subscription {
                client_identifier: client_identifier.to_owned(),
                node: self.node.to_string(),
                filter: filter.to_string(),
                share: share_and_filter(filter).0.map(str::to_owned),
                qos: options.qos as u8,
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                identifier: Some(subscription.identifier).filter(|identifier| *identifier > 0),
                online: session.online.is_some(),
            });
        }
        Looked { rows, is_to_go_on: piece + 1 < session.subscriptions.pieces() }
    }
}
