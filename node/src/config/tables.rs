//! The tables that only the process needs; those of the actors are described where the actors are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use auth_actor::{AuthSettings, CertificateName};
use micro_mq_actors::{AllowedOrigins, PacketsPerFrame};
use micro_mq_core::settings::{MqttSettings, SessionSettings, Settings, WorkerSettings};
use serde::Deserialize;

use super::cluster::{ClusterConfig, KafkaConfig};
use super::registry::RegistryConfig;

/// The words that let anybody on the network connect without authentication.
pub const ALLOW_ANONYMOUS_WORDS: &str = "yes, anybody on the network may connect";

/// The words that let anybody on the network read the admin listener, which knows no authentication.
pub const ALLOW_ADMIN_WORDS: &str = "yes, anybody on the network may read the admin listener";

/// Everything a process is told at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// `[mqtt]`, `[session]` and `[node]`.
    pub settings: Settings,
    /// `[auth]`
    pub auth: AuthSettings,
    /// `[store]`
    pub store: StoreConfig,
    /// `[cluster]`
    pub cluster: ClusterConfig,
    /// `[kafka]`
    pub kafka: KafkaConfig,
    /// `[registry]`
    pub registry: RegistryConfig,
    /// `[listener.NAME]`, by name, those switched off included.
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[security]`
    pub security: SecurityConfig,
}

impl NodeConfig {
    /// The listeners to open, by name.
    pub fn enabled_listeners(&self) -> impl Iterator<Item = (&str, &ListenerConfig)> {
        self.listeners
            .iter()
            .filter(|(_, listener)| listener.enabled)
            .map(|(name, listener)| (name.as_str(), listener))
    }
}

/// Where durable sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// As long as the process runs.
    Memory,
    /// In a folder.
    #[default]
    Disk,
}

/// When something counts as kept on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreDurability {
    /// Once it is there: it outlives the loss of power.
    #[default]
    Fsync,
    /// Once the operating system has it: it outlives the process.
    Written,
    /// Once it is on its way there.
    Deferred,
}

/// What outlives the process. Table `[store]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// "memory" or "disk". Default "disk".
    pub backend: StoreKind,
    /// The folder of "disk"; a relative one begins where the process was started. Default "./data".
    pub folder: PathBuf,
    /// "fsync", "written" or "deferred". Default "fsync".
    pub durability: StoreDurability,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { backend: StoreKind::Disk, folder: "./data".into(), durability: StoreDurability::Fsync }
    }
}

/// What MQTT is spoken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerKind {
    /// MQTT on plain TCP.
    #[default]
    Tcp,
    /// MQTT in the binary frames of a WebSocket, sub-protocols `mqtt` and `mqttv3.1` [MQTT-6.0.0-1].
    Websocket,
}

impl ListenerKind {
    /// As the configuration names it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Websocket => "websocket",
        }
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// They are not.
    #[default]
    None,
    /// They are, and may have none. One that is shown has to be valid.
    Optional,
    /// They are, and are turned away without one.
    Required,
}

/// One `[listener.NAME]` table: named, so that the environment can reach its keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// "tcp" or "websocket". Default "tcp".
    #[serde(rename = "type", default)]
    pub kind: ListenerKind,
    /// `address:port` to bind; port 0 picks a free one. Listener `tcp`: default 127.0.0.1:1883, `websocket`: default
    /// 127.0.0.1:8083; any other listener has to name one.
    pub bind: SocketAddr,
    /// Path of the WebSocket handshake; other paths get 404. Only for "websocket". Default "/mqtt".
    #[serde(default = "default_path")]
    pub path: String,
    /// MQTT packets in a binary frame that the node sends: "one", or "many" that are there. Only for "websocket". Default
    /// "one".
    #[serde(default)]
    pub packets_per_frame: PacketsPerFrame,
    /// Web pages that may connect, others get 403: origins and the words "same_host", "null" and "any". Only for
    /// "websocket". Default ["same_host"].
    #[serde(default)]
    pub origins: AllowedOrigins,
    /// PEM file with the certificate of the listener and those between it and its CA; with it the listener speaks TLS 1.2
    /// and 1.3 alone. Default "": no TLS.
    #[serde(default)]
    pub tls_certificate: PathBuf,
    /// PEM file with its private key: PKCS#8, PKCS#1 or SEC1, without a password. Default "".
    #[serde(default)]
    pub tls_key: PathBuf,
    /// The oldest version of TLS that is spoken: "1.2" or "1.3". Default "1.2".
    #[serde(default)]
    pub tls_version_min: TlsVersion,
    /// Whether clients are asked for a certificate: "none", "optional" or "required". Default "none".
    #[serde(default)]
    pub tls_client_certificates: ClientCertificates,
    /// PEM file with the CAs that the certificates of clients come from. Default "".
    #[serde(default)]
    pub tls_client_ca: PathBuf,
    /// PEM file with revocation lists of those CAs, and of those between them and a client. Default "".
    #[serde(default)]
    pub tls_crl: PathBuf,
    /// Which name of a certificate is the client's: "common_name", "subject", "san_dns", "san_uri" or "san_email". Default
    /// "common_name".
    #[serde(default)]
    pub tls_client_name: CertificateName,
    /// Whether the listener is opened. Default true.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
}

impl ListenerConfig {
    /// Whether it speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        !self.tls_certificate.as_os_str().is_empty()
    }
}

fn default_path() -> String {
    "/mqtt".to_owned()
}

fn default_enabled() -> bool {
    true
}

/// Health, metrics, admin API and console over HTTP. Table `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// `address:port` to bind; port 0 picks a free one. Default 127.0.0.1:18083.
    pub bind: SocketAddr,
    /// Names that requests may give this listener in their host header, beside addresses and `localhost`; without port.
    /// Default [].
    pub hosts: Vec<String>,
    /// Folder with the built files of the console, for those who work on it; "": those in the program. Default "".
    pub console_dir: PathBuf,
    /// Whether the admin listener is opened. Default true.
    pub enabled: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 18_083));
        Self { bind, hosts: Vec::new(), console_dir: PathBuf::new(), enabled: true }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is written to stderr. Table `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// "error", "warn", "info", "debug", "trace" or "off", and more after commas for single modules:
    /// "info,micro_mq_actors=debug". Default "info".
    pub level: String,
    /// "text" or "json". Default "text".
    pub format: LogFormat,
    /// Bytes of lines that wait for stderr to take them; further ones are lost and counted. Default 1048576 (1 MiB).
    pub queue_bytes_max: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, queue_bytes_max: 1024 * 1024 }
    }
}

/// What is only done when asked for in words. Table `[security]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// [`ALLOW_ANONYMOUS_WORDS`] to listen outside loopback although `[auth]` lets everybody in. Default "".
    pub allow_anonymous_outside_loopback: String,
    /// [`ALLOW_ADMIN_WORDS`] to bind the admin listener outside loopback. Default "".
    pub allow_admin_outside_loopback: String,
}

/// The tables as they stand in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tables {
    #[serde(default)]
    mqtt: MqttSettings,
    #[serde(default)]
    session: SessionSettings,
    #[serde(default)]
    store: StoreConfig,
    #[serde(default)]
    cluster: ClusterConfig,
    #[serde(default)]
    kafka: KafkaConfig,
    #[serde(default)]
    registry: RegistryConfig,
    #[serde(default)]
    node: WorkerSettings,
    #[serde(default)]
    auth: AuthSettings,
    #[serde(default)]
    listener: BTreeMap<String, ListenerConfig>,
    #[serde(default)]
    admin: AdminConfig,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    security: SecurityConfig,
}

impl From<Tables> for NodeConfig {
    fn from(tables: Tables) -> Self {
        let Tables {
            mqtt,
            session,
            store,
            cluster,
            kafka,
            registry,
            node,
            mut auth,
            listener,
            admin,
            log,
            security,
        } = tables;
        // TOML has no word for "none"; the documented default of `auth.file` is the empty path.
        auth.file = auth.file.filter(|file| !file.as_os_str().is_empty());
        Self {
            settings: Settings { mqtt, session, node },
            auth,
            store,
            cluster,
            kafka,
            registry,
            listeners: listener,
            admin,
            log,
            security,
        }
    }
}
