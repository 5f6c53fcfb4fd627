//! What is registered: clients, roles, callers. As it is kept, and as it is judged by.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A client that is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) password: Hash,
    pub(crate) roles: Vec<String>,
    pub(crate) disabled: bool,
    pub(crate) created_at: i64,
    pub(crate) rotated_at: i64,
}

/// An argon2id hash, which no output shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hash(pub(crate) String);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(..)")
    }
}

/// A role of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) inherits: Vec<String>,
    pub(crate) rules: Vec<Rule>,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) deny: bool,
    pub(crate) publish: bool,
    pub(crate) subscribe: bool,
    pub(crate) topic: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permission = if self.deny { "deny" } else { "allow" };
        let action = match (self.publish, self.subscribe) {
            (true, false) => "publish",
            (false, true) => "subscribe",
            _ => "all",
        };
        write!(f, "{permission} {action} {}", self.topic)
    }
}

/// Who calls the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: CallerRole,
    /// SHA-256 of its token, which has 256 bits drawn at random.
    pub(crate) token_hash: [u8; 32],
}

/// What a caller may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerRole {
    /// Decisions.
    Node,
    /// Lists, checks and the audit log.
    Viewer,
    /// All that viewers may, and every change.
    Operator,
}

impl CallerRole {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Node, Self::Viewer, Self::Operator];

    /// As it is written.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditEntry {
    pub(crate) at: i64,
    pub(crate) caller: String,
    pub(crate) what: String,
    pub(crate) name: String,
}

/// Seconds since 1970, UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
