//! The `[auth]` table of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `[auth]` table: who answers, and from what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Who answers. Default `anonymous`.
    pub provider: ProviderKind,
    /// What the provider `mock` answers: true allows everything, false refuses everything. Default true.
    pub mock_allow: bool,
    /// The file of users and rules that the provider `file` reads. No default.
    pub file: Option<PathBuf>,
    /// Where the provider `rpc` finds the auth service: "http://HOST:PORT", or "https://HOST:PORT". Default [].
    pub rpc_addresses: Vec<String>,
    /// The file with the token that the auth service knows this node by. Default "".
    pub rpc_token_file: PathBuf,
    /// PEM file with the CA of the auth service's certificate, for addresses with https. Default "".
    pub rpc_ca: PathBuf,
    /// For how long verdicts of the auth service are remembered, in seconds, while it tells of changes; 0: for no time.
    /// Default 60.
    pub rpc_cache_seconds: u32,
    /// What the provider `rpc` says about topics when the auth service cannot be asked: "deny" or "allow". Nobody logs in
    /// then in either case. Default "deny".
    pub when_unavailable: WhenUnavailable,
    /// How long an answer of the provider is waited for, in milliseconds, above 0; what is not answered until then is
    /// denied: CONNACK 0x88, PUBACK, PUBREC and SUBACK 0x87. Default 5000.
    pub answer_timeout_ms: u64,
    /// Questions to the provider that wait for an answer at a time, at least 2, half of them of clients that connect,
    /// half of clients that are connected; one more is denied, in the same way. Default 10000.
    pub questions_max: usize,
    /// Bytes of those questions (names, passwords, topics), with halves in the same way. Default 67108864 (64 MiB).
    pub questions_bytes_max: usize,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            provider: ProviderKind::Anonymous,
            mock_allow: true,
            file: None,
            rpc_addresses: Vec::new(),
            rpc_token_file: PathBuf::new(),
            rpc_ca: PathBuf::new(),
            rpc_cache_seconds: 60,
            when_unavailable: WhenUnavailable::Deny,
            answer_timeout_ms: 5000,
            questions_max: 10_000,
            questions_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// The providers by name.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Everybody may do everything; user names are believed.
    Anonymous,
    /// The same answer to everything, for tests.
    Mock,
    /// Users and rules of one TOML file.
    File,
    /// The auth service, asked over gRPC.
    Rpc,
}

/// What is said when who would say it cannot be asked.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnavailable {
    /// No.
    #[default]
    Deny,
    /// Yes.
    Allow,
}
