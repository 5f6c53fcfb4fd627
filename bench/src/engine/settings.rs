//! The shape of a run, as its engines need it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{process::Process, transport::Layers, wire::Version};

/// The shape of a run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The broker.
    pub address: SocketAddr,
    /// Where connections come from, in turn; the kernel's choice without any.
    pub sources: Vec<IpAddr>,
    /// What lies between MQTT and TCP.
    pub layers: Layers,
    /// Protocol version of all connections.
    pub version: Version,
    /// Keep alive of all connections, in seconds; nothing is sent to keep them.
    pub keep_alive_seconds: u16,
    /// Payload size in bytes.
    pub payload: usize,
    /// Most publishes in one write.
    pub burst: u32,
    /// Most deliveries outstanding.
    pub outstanding: u64,
    /// Deliveries that each publish brings about.
    pub fan_out: u64,
    /// Connections that come or go at once.
    pub handshakes: usize,
    /// Groups of subscribers that share the messages out among them.
    pub groups: usize,
    /// Longest time without any progress.
    pub timeout: Duration,
    /// The broker's process, whose memory is sampled.
    pub broker: Option<Process>,
    /// Between two progress lines.
    pub progress: Option<Duration>,
}
