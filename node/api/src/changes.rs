//! What operators change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sessions::ProtocolVersion;

/// Which clients are to be disconnected. All conditions have to hold; with none of them nobody is meant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KickClients {
    /// Client identifiers: one of these.
    pub client_identifier: Vec<String>,
    /// How the client identifier begins; empty: all.
    pub prefix: Option<String>,
    /// User names: one of these.
    pub user_name: Vec<String>,
    /// Versions of MQTT: one of these.
    pub protocol_version: Vec<ProtocolVersion>,
    /// At least so many messages wait.
    pub queued_min: Option<u64>,
    /// At least so many messages were dropped.
    pub dropped_min: Option<u64>,
    /// Only says how many it would be. Default true.
    pub dry_run: Option<bool>,
}

/// How many something concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Concerned {
    /// How many.
    pub count: u64,
    /// Whether it was not done, but only counted.
    pub dry_run: bool,
}

/// A subscription to be made on a client's behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Topic filter, with `$share/NAME/` for a shared subscription.
    #[schema(min_length = 1)]
    pub filter: String,
    /// The highest QoS of what is sent to it. Default 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether the client does not get what it publishes itself. Default false.
    #[serde(default)]
    pub no_local: bool,
    /// Whether RETAIN is sent on as it was published. Default false.
    #[serde(default)]
    pub retain_as_published: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subscribed {
    /// Topic filter.
    pub filter: String,
    /// The QoS that was granted.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether there was one to the same filter before, which it replaced.
    pub replaced: bool,
}

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Topic name.
    #[schema(min_length = 1)]
    pub topic: String,
    /// Payload, as text; not both this and `payload_base64`.
    #[serde(default)]
    pub payload: Option<String>,
    /// Payload, in base64.
    #[serde(default)]
    pub payload_base64: Option<String>,
    /// QoS. Default 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether it is to be retained. Default false.
    #[serde(default)]
    pub retain: bool,
    /// In how many seconds it expires; null: never.
    #[serde(default)]
    pub expiry_seconds: Option<u32>,
}

/// Who was subscribed to a message as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Subscriptions that matched; of a shared one that of each member, though only one of them gets it.
    pub matched: u64,
    /// The first hundred of them, by client identifier.
    pub subscribers: Vec<Subscriber>,
}

/// Somebody who is subscribed to a topic name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subscriber {
    /// Client identifier.
    pub client_identifier: String,
    /// The topic filter that matched.
    pub filter: String,
    /// The highest QoS of what is sent to it.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Whether it is online.
    pub online: bool,
}

/// A retained message with its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetainedPayload {
    /// Topic name.
    pub topic: String,
    /// QoS.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// In how many milliseconds it expires; null: never.
    pub expires_in_ms: Option<u64>,
    /// Payload in base64.
    pub payload_base64: String,
    /// Payload as text; null if it is no UTF-8.
    pub payload: Option<String>,
}

/// Which retained messages are to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRetained {
    /// A topic filter that the topic name matches.
    #[schema(min_length = 1)]
    pub filter: String,
    /// Only says how many it would be. Default true.
    #[serde(default)]
    pub dry_run: Option<bool>,
}
