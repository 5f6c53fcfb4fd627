//! The configuration of a process: defaults, file, environment and command line, checked as a whole before anything
//! is opened.
//!
//! Each source is checked on its own first, so that a problem can name it; the crate `config` then lays the sources
//! over each other.

mod cluster;
mod combinations;
mod effective;
mod environment;
mod error;
mod key_type;
mod layer;
mod registry;
pub mod schema;
mod sources;
mod tables;

pub use cluster::{ClusterConfig, KafkaConfig};
pub use effective::{DEFAULTS_ORIGIN, Effective};
pub use environment::ENVIRONMENT_PREFIX;
pub use error::{ConfigError, Problem};
pub use key_type::{Item, KeyType};
pub use registry::{RegistryConfig, RegistryKind};
pub use sources::{DEFAULTS, Sources};
pub use tables::{
    ALLOW_ADMIN_WORDS, ALLOW_ANONYMOUS_WORDS, AdminConfig, ClientCertificates, ListenerConfig, ListenerKind,
    LogConfig, LogFormat, NodeConfig, SecurityConfig, StoreConfig, StoreDurability, StoreKind, TlsVersion,
};
