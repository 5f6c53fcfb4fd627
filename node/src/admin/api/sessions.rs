//! Clients and sessions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use micro_mq_actors::dropped_by;
use micro_mq_actors::messages::{Looked, Sight, Surroundings, Visitor};
use micro_mq_api::{ClientsQuery, Page, ProtocolVersion, Session, SessionSort, SessionsQuery, Will};
use micro_mq_core::session::{self, NEVER_EXPIRES};

use super::Api;
use super::paging::{Request, Seen, Top};
use crate::admin::extract::{Name, Nothing, Query};
use crate::admin::problem::{Failure, Problems};

/// Clients that are connected.
///
/// Rates are those between this look and the one before.
#[utoipa::path(
    get, path = "/api/v1/clients", tag = "clients", operation_id = "clients_list", params(ClientsQuery),
    responses((status = 200, description = "A page of clients", body = Page<Session>), Problems),
)]
pub(super) async fn list_clients(
    State(api): State<Arc<Api>>,
    Query(query): Query<ClientsQuery>,
) -> Result<Json<Page<Session>>, Failure> {
    page(&api, query.into()).await.map(Json)
}

/// Sessions, online and offline.
///
/// Rates are those between this look and the one before.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", operation_id = "sessions_list", params(SessionsQuery),
    responses((status = 200, description = "A page of sessions", body = Page<Session>), Problems),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<Page<Session>>, Failure> {
    page(&api, query).await.map(Json)
}

/// One client, or its session if it is offline.
#[utoipa::path(
    get, path = "/api/v1/clients/{client_identifier}", tag = "clients", operation_id = "clients_show",
    params(("client_identifier" = String, Path, description = "Client identifier, percent-encoded")),
    responses(
        (status = 200, description = "The client", body = Session),
        (status = 404, description = "No session has this client identifier", body = micro_mq_api::Problem,
         content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn client(
    State(api): State<Arc<Api>>,
    Name(client_identifier): Name,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Session>, Failure> {
    let visitor = One { node: Arc::clone(&api.node), seen: None };
    let seen = api.actors()?.look_at(&client_identifier, visitor).await?.seen;
    let mut seen = seen.ok_or_else(|| Failure::not_found("no session has this client identifier"))?;
    add_rates(&api, &mut seen);
    Ok(Json(*seen))
}

async fn page(api: &Api, query: SessionsQuery) -> Result<Page<Session>, Failure> {
    let request = Request::new(query.limit, query.cursor.as_deref(), query.sort, query.order)?;
    let wanted = Arc::new(Wanted::new(query));
    let look = || Many {
        wanted: Arc::clone(&wanted),
        node: Arc::clone(&api.node),
        sort: request.sort,
        top: Top::new(request.clone()),
    };
    let seen = api.actors()?.look_through(Sight::Sessions, look).await?;
    let mut page = Top::page(request.clone(), seen.into_iter().map(|many| many.top));
    page.items.iter_mut().for_each(|session| add_rates(api, session));
    Ok(page)
}

fn add_rates(api: &Api, session: &mut Session) {
    let counts = [session.delivered, session.dropped_total];
    if let Some([delivered, dropped]) = api.rates.of_session(&session.client_identifier, counts) {
        session.delivered_per_second = Some(delivered);
        session.dropped_per_second = Some(dropped);
    }
}

/// Which sessions are asked for, ready to be compared with.
pub(super) struct Wanted {
    client_identifiers: HashSet<String>,
    user_names: HashSet<String>,
    query: SessionsQuery,
}

impl Wanted {
    pub(super) fn new(mut query: SessionsQuery) -> Self {
        let client_identifiers = query.client_identifier.drain(..).collect();
        let user_names = query.user_name.drain(..).collect();
        Self { client_identifiers, user_names, query }
    }

    pub(super) fn has(&self, session: &session::Session) -> bool {
        let query = &self.query;
        let name = session.client_identifier();
        (self.client_identifiers.is_empty() || self.client_identifiers.contains(name))
            && query.prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
            && query.online.is_none_or(|online| session.online.is_some() == online)
            && query.durable.is_none_or(|durable| session.is_durable() == durable)
            && (self.user_names.is_empty()
                || session.user_name().is_some_and(|user| self.user_names.contains(user)))
            && (query.protocol_version.is_empty()
                || query.protocol_version.contains(&version(session.version)))
            && query.queued_min.is_none_or(|least| session.waiting() >= least)
            && query.dropped_min.is_none_or(|least| session.tally.dropped_total() >= least)
    }
}

struct Many {
    wanted: Arc<Wanted>,
    node: Arc<str>,
    sort: SessionSort,
    top: Top<SessionSort, Session>,
}

impl Visitor for Many {
    fn visit(
        &mut self,
        session: &mut session::Session,
        _piece: usize,
        surroundings: &Surroundings<'_>,
    ) -> Looked {
        if self.wanted.has(session) {
            let value = column(session, self.sort, surroundings);
            let name = (session.client_identifier(), "");
            self.top.offer(value, name, || row(session, &self.node, surroundings));
        }
        Looked::DONE
    }
}

struct One {
    node: Arc<str>,
    seen: Option<Box<Session>>,
}

impl Visitor for One {
    fn visit(
        &mut self,
        session: &mut session::Session,
        _piece: usize,
        surroundings: &Surroundings<'_>,
    ) -> Looked {
        let will = session.will.as_ref().map(|will| Will {
            topic: will.topic.to_string(),
            qos: will.qos as u8,
            retain: will.retain,
            payload_bytes: will.payload.len() as u64,
            delay_seconds: will.delay_seconds,
        });
        self.seen = Some(Box::new(Session { will, ..row(session, &self.node, surroundings) }));
        Looked::DONE
    }
}

fn column<'a>(session: &'a session::Session, sort: SessionSort, surroundings: &Surroundings<'_>) -> Seen<'a> {
    let (now, started) = (surroundings.now, surroundings.node.started);
    let online = session.online.as_ref();
    let outgoing = session.outgoing.as_ref();
    // Those who are online come behind those who are not.
    let behind_offline = |value: Option<u64>| value.map_or(0, |value| value + 1);
    Seen::Number(match sort {
        SessionSort::ClientIdentifier => return Seen::Text(session.client_identifier()),
        SessionSort::UserName => return Seen::Text(session.user_name().unwrap_or_default()),
        SessionSort::ProtocolVersion => session.version as u64,
        SessionSort::Online => online.is_some().into(),
        SessionSort::ConnectedSeconds => {
            behind_offline(online.map(|online| online.connected_at.elapsed(started, now).as_millis() as u64))
        }
        SessionSort::IdleSeconds => {
            behind_offline(online.map(|online| online.last_received.elapsed(started, now).as_millis() as u64))
        }
        SessionSort::KeepAliveSeconds => {
            behind_offline(online.map(|online| online.keep_alive_seconds.into()))
        }
        SessionSort::SessionExpiryInterval => session.expiry_interval.into(),
        SessionSort::Subscriptions => session.subscriptions.len() as u64,
        SessionSort::SubscriptionBytes => session.subscription_bytes as u64,
        SessionSort::Inflight => outgoing.map_or(0, |outgoing| outgoing.inflight.len() as u64),
        SessionSort::Queued => session.waiting(),
        SessionSort::QueuedBytes => outgoing.map_or(0, |outgoing| outgoing.bytes() as u64),
        SessionSort::OutboxBytes => online.map_or(0, |online| online.outbox.waiting_bytes() as u64),
        SessionSort::BytesSent => online.map_or(0, |online| online.bytes_sent.get()),
        SessionSort::AwaitingRelease => session.incoming.count() as u64,
        SessionSort::Matched => session.tally.matched,
        SessionSort::Delivered => session.tally.delivered,
        SessionSort::Returned => session.tally.returned(),
        SessionSort::DroppedTotal => session.tally.dropped_total(),
    })
}

fn row(session: &session::Session, node: &Arc<str>, surroundings: &Surroundings<'_>) -> Session {
    let Surroundings { node: state, worker, now } = *surroundings;
    let online = session.online.as_ref();
    let outgoing = session.outgoing.as_ref();
    let connected = online.map(|online| online.connected_at.elapsed(state.started, now));
    let tally = &session.tally;
    let dropped = dropped_by(tally).into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    Session {
        client_identifier: session.client_identifier().to_owned(),
        node: node.to_string(),
        worker,
        user_name: session.user_name().map(str::to_owned),
        protocol_version: version(session.version),
        online: online.is_some(),
        connected_at_ms: connected
            .map(|connected| state.wall_clock(now).0.saturating_sub(connected.as_millis() as u64)),
        connected_seconds: connected.map(|connected| connected.as_secs_f64()),
        idle_seconds: online.map(|online| online.last_received.elapsed(state.started, now).as_secs_f64()),
        keep_alive_seconds: online.map(|online| online.keep_alive_seconds),
        maximum_packet_size: online
            .map(|online| online.maximum_packet_size)
            .filter(|maximum| *maximum != u32::MAX),
        receive_maximum: online.map(|online| online.inflight_max),
        session_expiry_interval: session.expiry_interval,
        expires_in_seconds: expires_in(session, now),
        subscriptions: session.subscriptions.len() as u64,
        subscription_bytes: session.subscription_bytes as u64,
        inflight: outgoing.map_or(0, |outgoing| outgoing.inflight.len() as u64),
        queued: session.waiting(),
        queued_bytes: outgoing.map_or(0, |outgoing| outgoing.bytes() as u64),
        outbox_bytes: online.map_or(0, |online| online.outbox.waiting_bytes() as u64),
        bytes_sent: online.map_or(0, |online| online.bytes_sent.get()),
        awaiting_release: session.incoming.count() as u64,
        has_will: session.will.is_some(),
        matched: tally.matched,
        delivered: tally.delivered,
        returned: tally.returned(),
        dropped,
        dropped_total: tally.dropped_total(),
        delivered_per_second: None,
        dropped_per_second: None,
        will: None,
    }
}

fn expires_in(session: &session::Session, now: Instant) -> Option<f64> {
    let ends = session.expiry_interval != NEVER_EXPIRES;
    let at = session.absence.as_ref().filter(|_| ends && session.online.is_none())?.expires_at?;
    Some(at.saturating_duration_since(now).as_secs_f64())
}

fn version(version: mqtt_codec::ProtocolVersion) -> ProtocolVersion {
    match version {
        mqtt_codec::ProtocolVersion::V31 => ProtocolVersion::V31,
        mqtt_codec::ProtocolVersion::V311 => ProtocolVersion::V311,
        mqtt_codec::ProtocolVersion::V5 => ProtocolVersion::V5,
    }
}
