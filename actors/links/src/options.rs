//! How a node takes part.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls::{ClientConfig, ServerConfig};

use crate::greeting::NAME_BYTES_MAX;

/// How a node shows that it belongs to the cluster, and knows that others do.
#[derive(Clone)]
pub enum Security {
    /// By a key that all nodes have. What is told is not encrypted, so it is for loopback alone.
    Key(Vec<u8>),
    /// By certificates of one CA, each with the name of its node.
    Tls {
        /// Asks whoever dials for a certificate.
        server: Arc<ServerConfig>,
        /// Has a certificate to show.
        client: Arc<ClientConfig>,
    },
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Tls { .. } => "Tls",
        })
    }
}

/// What happens on links, in order for each other node. Told on the thread of the links, so whoever hears of it does
/// little and does not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// From now on something can be told to this node.
    Up(String),
    /// What was told to this node last may not have come there.
    Down(String),
    /// It told something. Nothing is said of whether anything can be told to it.
    Told(String, Bytes),
}

/// All that [`Links`](crate::Links) are told.
#[derive(Clone)]
pub struct LinksOptions {
    /// The node's name, a name of DNS.
    pub node: String,
    /// The cluster's: nodes of others are refused.
    pub cluster: String,
    /// Where to listen; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Who may take part.
    pub security: Security,
    /// The most bytes of what is told at once.
    pub told_bytes_max: usize,
    /// The most bytes that wait for one node; what is told beyond that is refused.
    pub queued_bytes_max: usize,
    /// Whom to tell of what happens.
    pub on_event: Arc<dyn Fn(Event) + Send + Sync>,
}

impl fmt::Debug for LinksOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinksOptions")
            .field("node", &self.node)
            .field("cluster", &self.cluster)
            .field("bind", &self.bind)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}

/// What cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LinksOptionsError {
    /// What a certificate could not say, or a greeting not hold.
    #[error(
        "the name of a node must have 1 to {NAME_BYTES_MAX} letters, digits, dots, hyphens and underscores"
    )]
    Node,
    /// A greeting could not hold it.
    #[error("the name of a cluster must have 1 to {NAME_BYTES_MAX} bytes")]
    Cluster,
    /// Whoever hears what is told would hear the wills of clients.
    #[error("without certificates nodes talk on loopback alone, and {0} is not")]
    Outside(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// The operating system has no thread left.
    #[error("no thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl LinksOptions {
    pub(crate) fn check(&self) -> Result<(), LinksOptionsError> {
        if !is_node_name(&self.node) {
            return Err(LinksOptionsError::Node);
        }
        if self.cluster.is_empty() || self.cluster.len() > NAME_BYTES_MAX {
            return Err(LinksOptionsError::Cluster);
        }
        if matches!(self.security, Security::Key(_)) && !self.bind.ip().to_canonical().is_loopback() {
            return Err(LinksOptionsError::Outside(self.bind));
        }
        Ok(())
    }
}

fn is_node_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_letter)
}
