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
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self { provider: ProviderKind::Anonymous, mock_allow: true, file: None }
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
}
