//! The table of what knows which nodes there are.

use std::path::PathBuf;

use serde::Deserialize;

/// What keeps the members of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryKind {
    /// Nothing.
    #[default]
    None,
    /// Consul.
    Consul,
    /// etcd.
    Etcd,
    /// A list.
    Static,
}

/// Where the node is registered. Table `[registry]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// "none", "consul", "etcd" or "static". Default "none".
    pub provider: RegistryKind,
    /// `http://HOST:PORT` or `https://HOST:PORT` of Consul's agent, or of etcd; when one does not answer, the next is asked.
    /// Default ["http://127.0.0.1:8500"].
    pub addresses: Vec<String>,
    /// A file whose first line is the token of Consul's access control. Default "": none.
    pub token_file: PathBuf,
    /// The service that the nodes of a cluster register as. Default "micro-mq".
    pub service: String,
    /// The host by which others reach this node. Default "": the address of the listener, or cluster.node where that listens
    /// on all addresses.
    pub advertise: String,
    /// How long a node counts as there behind its last sign of life, in seconds, 3 to 3600. Default 15.
    pub time_to_live_seconds: u32,
    /// For "static": all nodes, `NAME=HOST:PORT`, where each takes connections. Default [].
    pub nodes: Vec<String>,
    /// PEM file with the CA of addresses that begin with https. Default "".
    pub tls_ca: PathBuf,
    /// PEM file with the certificate of this node, where the registry asks for one. Default "".
    pub tls_certificate: PathBuf,
    /// PEM file with its private key. Default "".
    pub tls_key: PathBuf,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            provider: RegistryKind::None,
            addresses: vec!["http://127.0.0.1:8500".to_owned()],
            token_file: PathBuf::new(),
            service: "micro-mq".to_owned(),
            advertise: String::new(),
            time_to_live_seconds: 15,
            nodes: Vec::new(),
            tls_ca: PathBuf::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
        }
    }
}
