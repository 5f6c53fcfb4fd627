//! What operators do: disconnect, discard, subscribe, publish, delete what is retained.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hyper::StatusCode;
use micro_mq_actors::AdminHandle;
use micro_mq_actors::messages::{Looked, Sight, Surroundings, Visitor};
use micro_mq_api::{
    Concerned, KickClients, Problem, Publish, Published, SessionsQuery, Subscribe, Subscribed, Subscriber,
};
use micro_mq_core::ids::client_hash;
use micro_mq_core::message::{Payload, Publication};
use micro_mq_core::session::Session;
use micro_mq_core::settings::MqttSettings;
use micro_mq_core::subscriptions::Subscription;
use micro_mq_core::worker::NotSubscribed;
use mqtt_codec::topic::{count_levels, matches, validate_topic_name};
use mqtt_codec::{QoS, ReasonCode, SubscriptionFilter, SubscriptionOptions};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::paging::{Request, Seen, Top};
use super::payload;
use super::sessions::Wanted;
use super::subscriptions::share_and_filter;
use crate::admin::extract::{Body, Name, Nothing, Query};
use crate::admin::problem::{BodyProblems, Failure, NotFound, Problems};

/// How many of those who are subscribed are named.
const SUBSCRIBERS_MAX: u16 = 100;
const NO_SESSION: &str = "no session has this client identifier";

/// Disconnect a client (5.0: 0x98). Its will is published, and its session stays if it outlives its network connection.
#[utoipa::path(
    delete, path = "/api/v1/clients/{client_identifier}", tag = "clients", operation_id = "clients_kick",
    params(("client_identifier" = String, Path, description = "Client identifier, percent-encoded")),
    responses(
        (status = 204, description = "It was told to go"),
        (status = 409, description = "It is offline", body = Problem, content_type = "application/problem+json"),
        NotFound,
        Problems,
    ),
)]
pub(super) async fn kick(
    State(api): State<Arc<Api>>,
    Name(client_identifier): Name,
    Query(Nothing {}): Query<Nothing>,
) -> Result<StatusCode, Failure> {
    let kicking = api.actors()?.look_at(&client_identifier, Kicking::default()).await?;
    match (kicking.seen, kicking.kicked) {
        (0, _) => Err(Failure::not_found(NO_SESSION)),
        (_, 0) => Err(Failure::new(StatusCode::CONFLICT, "the client is offline")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Disconnect all clients that fulfil some conditions, or say how many they are.
///
/// Without `dry_run: false` nobody is disconnected.
#[utoipa::path(
    post, path = "/api/v1/kick", tag = "clients", operation_id = "clients_kick_many", request_body = KickClients,
    responses((status = 200, description = "How many it were", body = Concerned), BodyProblems, Problems),
)]
pub(super) async fn kick_many(
    State(api): State<Arc<Api>>,
    Query(Nothing {}): Query<Nothing>,
    Body(kick): Body<KickClients>,
) -> Result<Json<Concerned>, Failure> {
    let dry_run = kick.dry_run.unwrap_or(true);
    if (KickClients { dry_run: None, ..kick.clone() }) == KickClients::default() {
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "no condition says who is meant"));
    }
    let wanted = Arc::new(Wanted::new(SessionsQuery {
        client_identifier: kick.client_identifier,
        prefix: kick.prefix,
        user_name: kick.user_name,
        protocol_version: kick.protocol_version,
        queued_min: kick.queued_min,
        dropped_min: kick.dropped_min,
        online: Some(true),
        ..SessionsQuery::default()
    }));
    let look = || Kicking { wanted: Some(Arc::clone(&wanted)), dry_run, ..Kicking::default() };
    let seen = api.actors()?.look_through(Sight::Sessions, look).await?;
    Ok(Json(Concerned { count: seen.iter().map(|kicking| kicking.kicked).sum(), dry_run }))
}

/// Ends network connections.
#[derive(Default)]
struct Kicking {
    wanted: Option<Arc<Wanted>>,
    dry_run: bool,
    seen: u64,
    kicked: u64,
}

impl Visitor for Kicking {
    fn visit(&mut self, session: &mut Session, _piece: usize, _surroundings: &Surroundings<'_>) -> Looked {
        self.seen += 1;
        if self.wanted.as_ref().is_none_or(|wanted| wanted.has(session))
            && let Some(online) = &mut session.online
            && online.requests.ending.is_none()
        {
            self.kicked += 1;
            if !self.dry_run {
                online.end(ReasonCode::AdministrativeAction);
            }
        }
        Looked::DONE
    }
}

/// End a session, with all that it has; its client, if it is connected, is told to go (5.0: 0x98).
#[utoipa::path(
    delete, path = "/api/v1/sessions/{client_identifier}", tag = "sessions", operation_id = "sessions_discard",
    params(("client_identifier" = String, Path, description = "Client identifier, percent-encoded")),
    responses((status = 204, description = "It ends"), NotFound, Problems),
)]
pub(super) async fn discard(
    State(api): State<Arc<Api>>,
    Name(client_identifier): Name,
    Query(Nothing {}): Query<Nothing>,
) -> Result<StatusCode, Failure> {
    let name = client_identifier.clone();
    let act = move |state: &mut micro_mq_core::worker::WorkerState, now| {
        state.sessions.find(&name).is_some_and(|key| state.discard_session(key, now))
    };
    match api.actors()?.act_at_home(&client_identifier, act).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found(NO_SESSION)),
    }
}

/// Subscribe a client's session. Retained messages are not sent for it.
#[utoipa::path(
    post, path = "/api/v1/clients/{client_identifier}/subscriptions", tag = "clients",
    operation_id = "clients_subscribe", request_body = Subscribe,
    params(("client_identifier" = String, Path, description = "Client identifier, percent-encoded")),
    responses(
        (status = 200, description = "It is in force", body = Subscribed),
        (status = 409, description = "There is no room for another subscription", body = Problem,
         content_type = "application/problem+json"),
        NotFound,
        BodyProblems,
        Problems,
    ),
)]
pub(super) async fn subscribe(
    State(api): State<Arc<Api>>,
    Name(client_identifier): Name,
    Query(Nothing {}): Query<Nothing>,
    Body(asked): Body<Subscribe>,
) -> Result<Json<Subscribed>, Failure> {
    let actors = api.actors()?;
    let qos = judged(&asked, &actors.shared().settings.mqtt)?;
    let options = SubscriptionOptions {
        qos,
        no_local: asked.no_local,
        retain_as_published: asked.retain_as_published,
        ..SubscriptionOptions::default()
    };
    let subscription = Subscription { options, identifier: 0 };
    let filter: Arc<str> = asked.filter.as_str().into();
    match actors.subscribe(&client_identifier, filter, subscription).await? {
        Ok(replaced) => Ok(Json(Subscribed { filter: asked.filter, qos: qos as u8, replaced })),
        Err(NotSubscribed::NoSession) => Err(Failure::not_found(NO_SESSION)),
        Err(full @ NotSubscribed::NoRoom) => Err(Failure::new(StatusCode::CONFLICT, full.to_string())),
    }
}

/// The QoS that is granted, as for a client's SUBSCRIBE.
fn judged(asked: &Subscribe, settings: &MqttSettings) -> Result<QoS, Failure> {
    let refused = |text: String| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, text);
    let filter = SubscriptionFilter::parse(&asked.filter)
        .map_err(|error| refused(format!("filter: is no topic filter: {error}")))?;
    let (qos, maximum) = (QoS::try_from(asked.qos), QoS::try_from(settings.maximum_qos));
    let qos = qos.map_err(|_| refused(format!("qos: {} is not within 0 to 2", asked.qos)))?;
    let plain = filter.topic_filter();
    let is_shared = filter.share_name().is_some();
    if is_shared && !settings.shared_subscription_available {
        return Err(refused("filter: shared subscriptions are switched off".to_owned()));
    }
    if is_shared && asked.no_local {
        return Err(refused("no_local: no shared subscription has it [MQTT-3.8.3-4]".to_owned()));
    }
    if plain.has_wildcard() && !settings.wildcard_subscription_available {
        return Err(refused("filter: wildcards are switched off".to_owned()));
    }
    if count_levels(plain.as_str()) > usize::from(settings.topic_levels_max) {
        return Err(refused("filter: more levels than this node admits".to_owned()));
    }
    Ok(qos.min(maximum.unwrap_or(QoS::ExactlyOnce)))
}

/// Which subscription.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichSubscription {
    /// Topic filter as the client wrote it, `$share/NAME/` included.
    filter: String,
}

/// End a subscription of a client's session.
#[utoipa::path(
    delete, path = "/api/v1/clients/{client_identifier}/subscriptions", tag = "clients",
    operation_id = "clients_unsubscribe",
    params(
        ("client_identifier" = String, Path, description = "Client identifier, percent-encoded"),
        WhichSubscription,
    ),
    responses((status = 204, description = "It is gone"), NotFound, Problems),
)]
pub(super) async fn unsubscribe(
    State(api): State<Arc<Api>>,
    Name(client_identifier): Name,
    Query(which): Query<WhichSubscription>,
) -> Result<StatusCode, Failure> {
    match api.actors()?.unsubscribe(&client_identifier, which.filter).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found("no session of this client identifier has this subscription")),
    }
}

/// Publish a message, and say who was subscribed to it.
#[utoipa::path(
    post, path = "/api/v1/messages", tag = "messages", operation_id = "messages_publish", request_body = Publish,
    responses((status = 200, description = "It is on its way", body = Published), BodyProblems, Problems),
)]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    Query(Nothing {}): Query<Nothing>,
    Body(message): Body<Publish>,
) -> Result<Json<Published>, Failure> {
    let refused = |text: String| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, text);
    let actors = api.actors()?;
    let settings = &actors.shared().settings;
    validate_topic_name(&message.topic)
        .map_err(|error| refused(format!("topic: is no topic name: {error}")))?;
    let qos = QoS::try_from(message.qos).ok().filter(|qos| *qos as u8 <= settings.mqtt.maximum_qos);
    let qos = qos.ok_or_else(|| refused(format!("qos: {} is not admitted here", message.qos)))?;
    if message.retain && !settings.mqtt.retain_available {
        return Err(refused("retain: is switched off".to_owned()));
    }
    let payload = payload::decoded(&message).map_err(refused)?;
    let published = subscribed(&actors, &message.topic).await?;
    let Publish { topic, retain, expiry_seconds, .. } = message;
    route(&actors, vec![Outgoing { topic, payload, qos, retain, expiry_seconds }]).await?;
    Ok(Json(published))
}

/// A message of no client.
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) expiry_seconds: Option<u32>,
}

/// Publishes messages at the home of their first topic name.
pub(super) async fn route(actors: &AdminHandle, messages: Vec<Outgoing>) -> Result<(), Failure> {
    let Some(first) = messages.first().map(|message| message.topic.clone()) else { return Ok(()) };
    let act = move |state: &mut micro_mq_core::worker::WorkerState, now| {
        let publication = |message| publication(message, now);
        let publications: Vec<_> = messages.iter().map(publication).collect();
        state.publish_on_behalf(&publications, now);
    };
    Ok(actors.act_at_home(&first, act).await?)
}

fn publication(message: &Outgoing, now: std::time::Instant) -> Publication<'_> {
    let lifetime = message.expiry_seconds.map(|seconds| std::time::Duration::from_secs(seconds.into()));
    Publication {
        topic: &message.topic,
        properties: &[],
        payload: Payload::Short(&message.payload),
        qos: message.qos,
        retain: message.retain,
        expires_at: lifetime.map(|lifetime| now + lifetime),
        publisher: None,
        // Whoever publishes by this way has one share of what is retained.
        publisher_hash: client_hash("$admin"),
        stamp: 0,
    }
}

/// Who is subscribed to a topic name.
async fn subscribed(actors: &AdminHandle, topic: &str) -> Result<Published, Failure> {
    let request = Request::<()>::new(Some(SUBSCRIBERS_MAX), None, None, None)?;
    let look = || Subscribers { topic: topic.into(), matched: 0, top: Top::new(request.clone()) };
    let seen = actors.look_through(Sight::Sessions, look).await?;
    let matched = seen.iter().map(|subscribers| subscribers.matched).sum();
    let subscribers = Top::page(request.clone(), seen.into_iter().map(|subscribers| subscribers.top)).items;
    Ok(Published { matched, subscribers })
}

struct Subscribers {
    topic: Box<str>,
    matched: u64,
    top: Top<(), Subscriber>,
}

impl Visitor for Subscribers {
    fn visit(&mut self, session: &mut Session, piece: usize, _surroundings: &Surroundings<'_>) -> Looked {
        let (name, mut rows) = (session.client_identifier(), 1);
        for (filter, subscription) in session.subscriptions.piece(piece) {
            rows += 1;
            if !matches(share_and_filter(filter).1, &self.topic) {
                continue;
            }
            self.matched += 1;
            self.top.offer(Seen::Text(name), (name, filter), || Subscriber {
                client_identifier: name.to_owned(),
                filter: filter.to_string(),
                qos: subscription.options.qos as u8,
                online: session.online.is_some(),
            });
        }
        Looked { rows, is_to_go_on: piece + 1 < session.subscriptions.pieces() }
    }
}
