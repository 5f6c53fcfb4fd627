//! What was written, option by option.

use std::{ffi::OsString, net::IpAddr, path::PathBuf};

use lexopt::{Arg, ValueExt};

use super::{ArgumentError, Order, complete::complete};
use crate::{scenario::Scenario, wire::Version};

/// What was written; defaults come later.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub scenario: Option<Scenario>,
    pub broker: Option<String>,
    pub threads: Option<usize>,
    pub tls: bool,
    pub ca: Option<PathBuf>,
    pub insecure: bool,
    pub websocket: bool,
    pub path: Option<String>,
    pub sources: Vec<IpAddr>,
    pub pid: Option<u32>,
    pub version: Option<Version>,
    pub timeout: Option<f64>,
    pub keep_alive_seconds: Option<u16>,
    pub publishers: Option<u32>,
    pub subscribers: Option<u32>,
    pub qos: Option<u8>,
    pub window: Option<u16>,
    pub payload: Option<usize>,
    pub burst: Option<u32>,
    pub outstanding: Option<u64>,
    pub topic_per_publisher: bool,
    pub rate: Option<f64>,
    pub seconds: Option<f64>,
    pub messages: Option<u32>,
    pub warmup: Option<f64>,
    pub filters: Option<u32>,
    pub per_packet: Option<u32>,
    pub topics: Option<u32>,
    pub keep: bool,
    pub deaf: Option<u32>,
    pub flood: Option<u32>,
    pub read_rate: Option<u64>,
    pub connections: Option<u32>,
    pub subscribe: bool,
    pub handshakes: Option<usize>,
    pub rounds: Option<u32>,
    pub clients: Option<u32>,
    pub hold: Option<f64>,
    pub burst_bytes: Option<usize>,
    pub settle: Option<f64>,
    pub json: Option<PathBuf>,
    pub progress: Option<f64>,
    pub quiet: bool,
}

/// Reads the command line without the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Order, ArgumentError> {
    let mut written = Written::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(Order::Help),
            Arg::Long("version") => return Ok(Order::Version),
            Arg::Long("broker") => written.broker = Some(parser.value()?.string()?),
            Arg::Long("threads") => written.threads = Some(parser.value()?.parse()?),
            Arg::Long("tls") => written.tls = true,
            Arg::Long("ca") => written.ca = Some(parser.value()?.into()),
            Arg::Long("insecure") => written.insecure = true,
            Arg::Long("websocket") => written.websocket = true,
            Arg::Long("path") => written.path = Some(parser.value()?.string()?),
            Arg::Long("source") => written.sources.push(parser.value()?.parse()?),
            Arg::Long("pid") => written.pid = Some(parser.value()?.parse()?),
            Arg::Long("mqtt") => written.version = Some(version(&parser.value()?.string()?)?),
            Arg::Long("keep-alive") => written.keep_alive_seconds = Some(parser.value()?.parse()?),
            Arg::Long("timeout") => written.timeout = Some(parser.value()?.parse()?),
            Arg::Long("publishers") => written.publishers = Some(parser.value()?.parse()?),
            Arg::Long("subscribers" | "members") => written.subscribers = Some(parser.value()?.parse()?),
            Arg::Long("qos") => written.qos = Some(parser.value()?.parse()?),
            Arg::Long("window") => written.window = Some(parser.value()?.parse()?),
            Arg::Long("payload") => written.payload = Some(parser.value()?.parse()?),
            Arg::Long("burst") => written.burst = Some(parser.value()?.parse()?),
            Arg::Long("outstanding") => written.outstanding = Some(parser.value()?.parse()?),
            Arg::Long("topic-per-publisher") => written.topic_per_publisher = true,
            Arg::Long("rate") => written.rate = Some(parser.value()?.parse()?),
            Arg::Long("seconds") => written.seconds = Some(parser.value()?.parse()?),
            Arg::Long("messages") => written.messages = Some(parser.value()?.parse()?),
            Arg::Long("warmup") => written.warmup = Some(parser.value()?.parse()?),
            Arg::Long("filters") => written.filters = Some(parser.value()?.parse()?),
            Arg::Long("per-packet") => written.per_packet = Some(parser.value()?.parse()?),
            Arg::Long("topics") => written.topics = Some(parser.value()?.parse()?),
            Arg::Long("keep") => written.keep = true,
            Arg::Long("deaf") => written.deaf = Some(parser.value()?.parse()?),
            Arg::Long("flood") => written.flood = Some(parser.value()?.parse()?),
            Arg::Long("read-rate") => written.read_rate = Some(parser.value()?.parse()?),
            Arg::Long("connections") => written.connections = Some(parser.value()?.parse()?),
            Arg::Long("subscribe") => written.subscribe = true,
            Arg::Long("handshakes") => written.handshakes = Some(parser.value()?.parse()?),
            Arg::Long("rounds") => written.rounds = Some(parser.value()?.parse()?),
            Arg::Long("clients") => written.clients = Some(parser.value()?.parse()?),
            Arg::Long("hold") => written.hold = Some(parser.value()?.parse()?),
            Arg::Long("burst-bytes") => written.burst_bytes = Some(parser.value()?.parse()?),
            Arg::Long("settle") => written.settle = Some(parser.value()?.parse()?),
            Arg::Long("json") => written.json = Some(parser.value()?.into()),
            Arg::Long("progress") => written.progress = Some(parser.value()?.parse()?),
            Arg::Long("quiet") => written.quiet = true,
            Arg::Value(value) if written.scenario.is_none() => written.scenario = Some(scenario(&value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Order::Run(Box::new(complete(written)?)))
}

fn version(text: &str) -> Result<Version, ArgumentError> {
    match text {
        "3.1.1" | "311" | "4" => Ok(Version::V3_1_1),
        "5.0" | "5" => Ok(Version::V5_0),
        _ => Err(ArgumentError::Value {
            option: "--mqtt",
            problem: format!("{text} is neither 3.1.1 nor 5.0"),
        }),
    }
}

fn scenario(value: &OsString) -> Result<Scenario, ArgumentError> {
    let text = value.to_string_lossy();
    Scenario::by_name(&text).ok_or_else(|| ArgumentError::Scenario(format!("unknown scenario {text}")))
}
