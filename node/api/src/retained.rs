//! Retained messages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A retained message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetainedMessage {
    /// Topic name.
    pub topic: String,
    /// QoS, 0 to 2.
    #[schema(minimum = 0, maximum = 2)]
    pub qos: u8,
    /// Bytes of its payload.
    pub payload_bytes: u64,
    /// In how many milliseconds it expires; null: never.
    pub expires_in_ms: Option<u64>,
}

/// Which retained messages are asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RetainedQuery {
    /// Rows at most, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// Where to go on: `next` of the page before, with the same parameters.
    pub cursor: Option<String>,
    /// A topic filter that the topic name matches; `#` does not match names that begin with `$`. Default: all but those.
    pub filter: Option<String>,
}
