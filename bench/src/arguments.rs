//! The command line: what was written, then what is meant, with the defaults of each scenario.

mod complete;
mod help;
mod written;

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

pub(crate) use self::{help::HELP, written::parse};
use crate::{
    engine::Amount,
    scenario::Scenario,
    transport::{CertificateError, Kind, Layers, Tls, Trust},
    websocket,
    wire::Version,
};

/// A complete order for one of the scenarios.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    /// What to run.
    pub scenario: Scenario,
    /// The broker.
    pub broker: SocketAddr,
    /// Host and port of the broker as they were written.
    pub authority: String,
    /// Threads of the generator.
    pub threads: usize,
    /// TLS, and whom it trusts.
    pub tls: Option<Trust>,
    /// WebSocket, and to which path.
    pub websocket: Option<String>,
    /// Where connections come from, in turn.
    pub sources: Vec<IpAddr>,
    /// The broker's process.
    pub pid: Option<u32>,
    /// Protocol version.
    pub version: Version,
    /// Longest time without progress.
    pub timeout: Duration,
    /// Keep alive in CONNECT, in seconds.
    pub keep_alive_seconds: u16,
    /// Publishing clients.
    pub publishers: u32,
    /// Subscribing clients.
    pub subscribers: u32,
    /// Of publishes and subscriptions.
    pub qos: u8,
    /// In flight per publisher, QoS 1 and 2.
    pub window: u16,
    /// Bytes of payload.
    pub payload: usize,
    /// Publishes in one write.
    pub burst: u32,
    /// Most deliveries outstanding.
    pub outstanding: u64,
    /// Each publisher has its own topic name.
    pub topic_per_publisher: bool,
    /// Messages per second.
    pub rate: Option<f64>,
    /// How much to publish, the warm-up included.
    pub amount: Amount,
    /// Share of the amount that is not counted.
    pub warmup: f64,
    /// Topic filters over all subscribers.
    pub filters: u32,
    /// Topic filters in one SUBSCRIBE.
    pub per_packet: u32,
    /// Topic names with a retained message.
    pub topics: u32,
    /// Retained messages are left there.
    pub keep: bool,
    /// Subscribers that never read.
    pub deaf: u32,
    /// Clients that publish as much as their sockets take.
    pub flood: u32,
    /// Bytes that subscribers read in a second that otherwise never read.
    pub read_rate: u64,
    /// Idle connections.
    pub connections: u32,
    /// Idle connections subscribe.
    pub subscribe: bool,
    /// Connections that come or go at once.
    pub handshakes: usize,
    /// How often all connections come and go.
    pub rounds: u32,
    /// Clients that come and go.
    pub clients: u32,
    /// Time before the memory of idle connections is read.
    pub hold: Duration,
    /// Each idle connection publishes one message of this size in the end.
    pub burst_bytes: Option<usize>,
    /// Time before memory is read again.
    pub settle: Duration,
    /// Result file.
    pub json: Option<PathBuf>,
    /// Between two progress lines, if there are to be any.
    pub progress: Option<Duration>,
}

impl Arguments {
    /// What lies between MQTT and TCP.
    pub(crate) fn layers(&self) -> Result<Layers, CertificateError> {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let host = host.trim_matches(['[', ']']);
        Ok(Layers {
            tls: self.tls.as_ref().map(|trust| Tls::new(host, trust)).transpose()?,
            websocket: self.websocket.as_ref().map(|path| websocket::request(&self.authority, path)),
        })
    }

    /// The name of these layers.
    pub(crate) const fn transport(&self) -> Kind {
        Kind::of(self.tls.is_some(), self.websocket.is_some())
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Order {
    /// A run.
    Run(Box<Arguments>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// A mistaken command line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgumentError {
    /// The parser's own sentence.
    #[error(transparent)]
    Syntax(#[from] lexopt::Error),
    /// A value that makes no sense.
    #[error("{option}: {problem}")]
    Value {
        /// The option.
        option: &'static str,
        /// What is wrong, with the value.
        problem: String,
    },
    /// No scenario, or an unknown one.
    #[error("{0}; one of {names}, soak, kills is needed", names = Scenario::names())]
    Scenario(String),
}

/// `value`, or an error that names the bounds.
pub(crate) fn within<T: PartialOrd + std::fmt::Display>(
    option: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, ArgumentError> {
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(ArgumentError::Value { option, problem: format!("{value} is not within {least} to {most}") })
}

/// A positive number of seconds, up to a day.
pub(crate) fn duration(option: &'static str, seconds: f64) -> Result<Duration, ArgumentError> {
    within(option, seconds, 0.001, 86_400.0).map(Duration::from_secs_f64)
}

/// The first address of `HOST:PORT`.
pub(crate) fn resolve(option: &'static str, broker: &str) -> Result<SocketAddr, ArgumentError> {
    let failed = |problem| ArgumentError::Value { option, problem };
    let mut addresses = broker.to_socket_addrs().map_err(|error| failed(format!("{broker}: {error}")))?;
    addresses.next().ok_or_else(|| failed(format!("{broker} has no address")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn run(line: &str) -> Result<Arguments, String> {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(Order::Run(arguments)) => Ok(*arguments),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[track_caller]
    fn refused(line: &str, sentence: &str) {
        assert_eq!(run(line).unwrap_err(), sentence);
    }

    #[test]
    fn defaults_depend_on_the_scenario() {
        let fanin = run("fanin").unwrap();
        assert_eq!((fanin.publishers, fanin.subscribers, fanin.outstanding), (1000, 1, 10_000));
        let fanout = run("fanout --qos 1 --subscribers 10").unwrap();
        assert_eq!((fanout.publishers, fanout.subscribers, fanout.outstanding), (1, 10, 50_000));
        let pairs = run("pairs --publishers 7").unwrap();
        assert_eq!((pairs.publishers, pairs.subscribers), (7, 7));
        assert_eq!(run("slow").unwrap().rate, Some(10_000.0));
    }

    #[test]
    fn mistakes_are_named() {
        refused(
            "",
            "no scenario is named; one of pub, fanin, fanout, pairs, wild, shared, paced, slow, idle, connect, \
             churn, subscribe, retain, soak, kills is needed",
        );
        refused(
            "fan",
            "unknown scenario fan; one of pub, fanin, fanout, pairs, wild, shared, paced, slow, idle, connect, \
             churn, subscribe, retain, soak, kills is needed",
        );
        refused("pub --qos 3", "--qos: 3 is not within 0 to 2");
        refused("pub --payload 8", "--payload: 8 is not within 16 to 209715200");
        refused("pub --messages 5 --seconds 2", "--messages: cannot be combined with --seconds");
        refused("pairs --subscribers 4", "--subscribers: pairs has no subscribers of its own choice");
        refused("pub --mqtt 3", "--mqtt: 3 is neither 3.1.1 nor 5.0");
        refused("pub --source ::1", "--source: ::1 does not reach 127.0.0.1");
        refused("pub --tls", "--tls: needs one of --ca FILE and --insecure");
        refused("pub --insecure", "--ca, --insecure: need --tls");
        refused("pub --path /", "--path: needs --websocket");
        refused("slow --read-rate 9", "--read-rate: needs --flood");
        refused("pub --what", "invalid option '--what'");
    }
}
