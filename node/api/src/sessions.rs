//! Clients and their sessions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::page::Order;

/// Version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ProtocolVersion {
    /// MQTT 3.1
    #[serde(rename = "3.1")]
    V31,
    /// MQTT 3.1.1
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.0
    #[serde(rename = "5.0")]
    V5,
}

/// A session, and the client that holds it if it is online.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Client identifier.
    pub client_identifier: String,
    /// The node that has it.
    pub node: String,
    /// The worker of that node which is its home.
    pub worker: u16,
    /// Who the client showed itself to be; null if it did not.
    pub user_name: Option<String>,
    /// Version of its present or last network connection.
    pub protocol_version: ProtocolVersion,
    /// Whether a network connection holds it.
    pub online: bool,
    /// Since when, in milliseconds since 1970, to the tenth of a second; null if it is offline.
    pub connected_at_ms: Option<u64>,
    /// For how long, in seconds; null if it is offline.
    pub connected_seconds: Option<f64>,
    /// How long ago the last packet came from the client, in seconds; null if it is offline.
    pub idle_seconds: Option<f64>,
    /// Keep alive, in seconds; 0: none; null if it is offline.
    pub keep_alive_seconds: Option<u16>,
    /// The client's maximum packet size, in bytes; null if it named none, or is offline.
    pub maximum_packet_size: Option<u32>,
    /// QoS 1 and 2 messages that may be unacknowledged at a time; null if it is offline.
    pub receive_maximum: Option<u16>,
    /// Session expiry interval, in seconds; 0: it ends with its network connection; 4294967295: never.
    pub session_expiry_interval: u32,
    /// In how many seconds it ends; null if it is online, or never does.
    pub expires_in_seconds: Option<f64>,
    /// Its subscriptions.
    pub subscriptions: u64,
    /// Bytes of those, as limits count them.
    pub subscription_bytes: u64,
    /// Messages sent and not acknowledged.
    pub inflight: u64,
    /// Messages that wait for it: those in flight, those in its queue, and QoS 0 not yet written.
    pub queued: u64,
    /// Bytes of the messages that wait, as far as they are kept.
    pub queued_bytes: u64,
    /// Bytes that wait to be written to its network connection.
    pub outbox_bytes: u64,
    /// Bytes written to its network connection.
    pub bytes_sent: u64,
    /// QoS 2 messages received from it and not released.
    pub awaiting_release: u64,
    /// Whether it has a will message.
    pub has_will: bool,
    /// Messages that matched, were given to it as a member of a shared subscription, or came back with its session.
    pub matched: u64,
    /// Delivered to it.
    pub delivered: u64,
    /// Given back to the groups of its shared subscriptions.
    pub returned: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Dropped, all reasons together.
    pub dropped_total: u64,
    /// Messages delivered to it per second since the page before showed it, as long as somebody looks more often than every
    /// 30 seconds; null at the first look.
    pub delivered_per_second: Option<f64>,
    /// Messages dropped per second, likewise.
    pub dropped_per_second: Option<f64>,
    /// Its will message; in the answer about one client alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub will: Option<Will>,
}

/// A will message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Will {
    /// Topic name.
    pub topic: String,
    /// QoS, 0 to 2.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Bytes of its payload.
    pub payload_bytes: u64,
    /// Will delay interval, in seconds.
    pub delay_seconds: u32,
}

/// What sessions are sorted by; those that are equal there by their client identifiers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the field of that name
pub enum SessionSort {
    #[default]
    ClientIdentifier,
    UserName,
    ProtocolVersion,
    Online,
    ConnectedSeconds,
    IdleSeconds,
    KeepAliveSeconds,
    SessionExpiryInterval,
    Subscriptions,
    SubscriptionBytes,
    Inflight,
    Queued,
    QueuedBytes,
    OutboxBytes,
    BytesSent,
    AwaitingRelease,
    Matched,
    Delivered,
    Returned,
    DroppedTotal,
}

macro_rules! sessions_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
        #[serde(default, deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// Rows at most, 1 to 1000. Default 100.
            #[param(minimum = 1, maximum = 1000)]
            pub limit: Option<u16>,
            /// Where to go on: `next` of the page before, with the same parameters.
            pub cursor: Option<String>,
            /// What it is sorted by. Default `client_identifier`.
            #[param(inline)]
            pub sort: Option<SessionSort>,
            /// Whether the smallest or the largest comes first. Default `asc`.
            #[param(inline)]
            pub order: Option<Order>,
            /// Client identifiers: one of these.
            pub client_identifier: Vec<String>,
            /// How the client identifier begins.
            pub prefix: Option<String>,
            /// User names: one of these.
            pub user_name: Vec<String>,
            /// Versions of MQTT: one of these.
            #[param(inline)]
            pub protocol_version: Vec<ProtocolVersion>,
            /// Whether the session outlives its network connection.
            pub durable: Option<bool>,
            /// At least so many messages wait.
            pub queued_min: Option<u64>,
            /// At least so many messages were dropped.
            pub dropped_min: Option<u64>,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

sessions_query!(
    /// Which sessions are asked for.
    SessionsQuery {
        /// Whether a network connection holds the session.
        online: Option<bool>,
    }
);

sessions_query!(
    /// Which clients, that is sessions that are online, are asked for.
    ClientsQuery {}
);

impl From<ClientsQuery> for SessionsQuery {
    fn from(query: ClientsQuery) -> Self {
        let ClientsQuery {
            limit,
            cursor,
            sort,
            order,
            client_identifier,
            prefix,
            user_name,
            protocol_version,
            durable,
            queued_min,
            dropped_min,
        } = query;
        Self {
            limit,
            cursor,
            sort,
            order,
            client_identifier,
            prefix,
            user_name,
            protocol_version,
            durable,
            queued_min,
            dropped_min,
            online: Some(true),
        }
    }
}
