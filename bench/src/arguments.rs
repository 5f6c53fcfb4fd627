//! The command line: what was written, then what is meant, with the defaults of each scenario.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use lexopt::{Arg, ValueExt};

use crate::{
    engine::Amount,
    scenario::Scenario,
    transport::{CertificateError, Kind, Layers, Tls, Trust},
    websocket,
    wire::{Stamp, Version},
};

/// `mqtt-bench --help`.
pub(crate) const HELP: &str = "\
Load generator for any MQTT broker. It checks loss, duplicates and order of every message.

Usage: mqtt-bench SCENARIO [OPTION]...

Scenarios
  pub      publishers, and nobody listening
  fanin    many publishers, one subscriber
  fanout   one publisher, many subscribers
  pairs    as many publishers as subscribers, each with a topic of its own
  wild     many wildcard filters, topic names drawn at random, each matching two of them
  shared   one share group
  paced    pairs at a fixed rate
  slow     paced pairs, first alone, then beside subscribers that never read, or with a flood into these
  idle     connections that are merely held
  connect  all clients come, then all go, round after round
  churn    clients that connect, subscribe, publish one message to themselves and leave, again and again
  subscribe  a million exact subscriptions: time and memory
  retain   a million retained messages: time and memory
  soak     mixed traffic with churn; it has options of its own, see mqtt-bench soak --help

Servers
  relay    passes the bytes of a scenario on, the limit of the machine; see mqtt-bench relay --help

Results
  compare  shows result files side by side, with quotients; see mqtt-bench compare --help

Where and how
  --broker HOST:PORT     [127.0.0.1:1883]
  --pid PID              the broker's process: its CPU time and memory are reported
  --mqtt 3.1.1|5.0       protocol version [3.1.1]
  --tls                  TLS, with --ca FILE (PEM, whom to trust) or --insecure (any certificate is taken)
  --websocket            MQTT over WebSocket; with --tls within TLS
  --path PATH            of the WebSocket [/mqtt]
  --source ADDRESS       where connections come from; named several times, the addresses take turns [the kernel's
                         choice; to 127.0.0.1 a further address of that network for every 8000 connections]
  --keep-alive SECONDS   that clients announce; they send no PINGREQ [0, none]
  --threads N            of the generator; connections are dealt out to them in turn [1]
  --timeout SECONDS      give up after so long without any progress [15]

Load
  --publishers N         [pub 1, fanin 1000, fanout 1, pairs 500, wild 10, shared 10, paced 100,
                         slow 100, retain 10]
  --subscribers N        [fanin 1, fanout 1000, wild 1000, shared 10 (there also --members)]; as many
                         as publishers in pairs, paced and slow
  --qos 0|1|2            of publishes and subscriptions [0]
  --window N             QoS 1 and 2 publishes in flight, per publisher [20]
  --payload BYTES        from 16, the stamp of number, sequence and time [64; slow 1024]
  --burst N              most publishes in one write [64]
  --outstanding N        most deliveries outstanding [fanin 10000, fanout 50000, others 5000]
  --topic-per-publisher  each publisher has its own topic name (fanin, fanout, pub, shared)
  --rate N               messages per second over all publishers; latency then counts from the moment a
                         message was due [as fast as it goes; paced and slow 10000]
  --seconds S            publish for so long, warm-up included [5]
  --messages N           or: so many messages by each publisher
  --warmup SHARE         of seconds or messages, 0 to 0.9, not counted [0.2]

wild, subscribe
  --filters N            spread over the subscribers; in wild half with a + in their fifth level, half in their
                         fourth, in subscribe exact ones of 40 bytes [100000; subscribe 1000000]
  --per-packet N         topic filters in one SUBSCRIBE [100]

retain
  --topics N             of 40 bytes, each with a retained message [1000000]
  --keep                 leave the messages there; without, they are taken back in the end

slow
  --deaf N               subscribers that never read [1]
  --flood N              clients that publish QoS 0 as fast as their sockets take it, all the time; the pairs are then
                         measured beside that alone, and beside those subscribers, which hear nothing but the flood [0]
  --read-rate BYTES      what each of those subscribers reads in a second [0, never]

idle, connect, subscribe
  --connections N        [19000; subscribe 1000]
  --subscribe            one subscription each
  --handshakes N         connections that come or go at once, in all scenarios but churn [64]
  --hold SECONDS         before memory is read [3]; in subscribe and retain before and behind

idle
  --burst-bytes N        then one message of so many bytes from each connection, which hears it if it subscribed
  --settle SECONDS       before memory is read again [5]

connect
  --rounds N             how often all connections come and go [3]

churn
  --clients N            that come and go [64]; --messages N is so many connections of each

Result
  --json FILE            write the result there as well
  --progress SECONDS     between two lines on standard error that tell how far it is [1 on a terminal, else none]
  --quiet                no such lines
  --help, --version

The exit status is 0 only if every message arrived once and in order; 2 means a mistaken command line.
";

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
    #[error("{0}; one of {names}, soak is needed", names = Scenario::names())]
    Scenario(String),
}

/// What was written; defaults come later.
#[derive(Debug, Default)]
struct Written {
    scenario: Option<Scenario>,
    broker: Option<String>,
    threads: Option<usize>,
    tls: bool,
    ca: Option<PathBuf>,
    insecure: bool,
    websocket: bool,
    path: Option<String>,
    sources: Vec<IpAddr>,
    pid: Option<u32>,
    version: Option<Version>,
    timeout: Option<f64>,
    keep_alive_seconds: Option<u16>,
    publishers: Option<u32>,
    subscribers: Option<u32>,
    qos: Option<u8>,
    window: Option<u16>,
    payload: Option<usize>,
    burst: Option<u32>,
    outstanding: Option<u64>,
    topic_per_publisher: bool,
    rate: Option<f64>,
    seconds: Option<f64>,
    messages: Option<u32>,
    warmup: Option<f64>,
    filters: Option<u32>,
    per_packet: Option<u32>,
    topics: Option<u32>,
    keep: bool,
    deaf: Option<u32>,
    flood: Option<u32>,
    read_rate: Option<u64>,
    connections: Option<u32>,
    subscribe: bool,
    handshakes: Option<usize>,
    rounds: Option<u32>,
    clients: Option<u32>,
    hold: Option<f64>,
    burst_bytes: Option<usize>,
    settle: Option<f64>,
    json: Option<PathBuf>,
    progress: Option<f64>,
    quiet: bool,
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

fn complete(written: Written) -> Result<Arguments, ArgumentError> {
    let scenario = written.scenario.ok_or_else(|| ArgumentError::Scenario("no scenario is named".into()))?;
    let defaults = scenario.defaults();
    let publishers = within("--publishers", written.publishers.unwrap_or(defaults.publishers), 1, 1_000_000)?;
    let subscribers = match defaults.subscribers {
        Some(subscribers) => {
            // A topic name of `wild` matches filters of two subscribers.
            let least = if scenario == Scenario::Wild { 2 } else { 1 };
            within("--subscribers", written.subscribers.unwrap_or(subscribers), least, 1_000_000)?
        }
        None if written.subscribers.is_some() => {
            let problem = format!("{} has no subscribers of its own choice", scenario.name());
            return Err(ArgumentError::Value { option: "--subscribers", problem });
        }
        None => publishers,
    };
    let amount = match (written.messages, written.seconds) {
        (Some(_), Some(_)) => {
            let problem = "cannot be combined with --seconds".into();
            return Err(ArgumentError::Value { option: "--messages", problem });
        }
        (Some(messages), None) => Amount::Messages(within("--messages", messages, 1, 1 << 30)?),
        (None, seconds) => Amount::Time(duration("--seconds", seconds.unwrap_or(5.0))?),
    };
    let authority = written.broker.unwrap_or_else(|| "127.0.0.1:1883".into());
    let broker = resolve("--broker", &authority)?;
    let refuse = |option, problem: &str| Err(ArgumentError::Value { option, problem: problem.into() });
    let tls = match (written.tls, written.ca, written.insecure) {
        (false, None, false) => None,
        (false, ..) => return refuse("--ca, --insecure", "need --tls"),
        (true, Some(file), false) => Some(Trust::Authorities(file)),
        (true, None, true) => Some(Trust::Anybody),
        (true, ..) => return refuse("--tls", "needs one of --ca FILE and --insecure"),
    };
    let websocket = match (written.websocket, written.path) {
        (false, Some(_)) => return refuse("--path", "needs --websocket"),
        (false, None) => None,
        (true, path) => Some(path.unwrap_or_else(|| "/mqtt".into())),
    };
    if let Some(source) = written.sources.iter().find(|source| source.is_ipv4() != broker.is_ipv4()) {
        let problem = format!("{source} does not reach {}", broker.ip());
        return Err(ArgumentError::Value { option: "--source", problem });
    }
    let rate = written.rate.or(defaults.rate);
    let progress = written.progress.or_else(|| io::stderr().is_terminal().then_some(1.0));
    let progress = progress.map(|seconds| duration("--progress", seconds)).transpose()?;
    Ok(Arguments {
        scenario,
        broker,
        authority,
        threads: within("--threads", written.threads.unwrap_or(1), 1, 256)?,
        tls,
        websocket,
        sources: written.sources,
        pid: written.pid,
        version: written.version.unwrap_or(Version::V3_1_1),
        timeout: duration("--timeout", written.timeout.unwrap_or(15.0))?,
        keep_alive_seconds: written.keep_alive_seconds.unwrap_or(0),
        publishers,
        subscribers,
        qos: within("--qos", written.qos.unwrap_or(0), 0, 2)?,
        window: within("--window", written.window.unwrap_or(20), 1, u16::MAX)?,
        payload: within("--payload", written.payload.unwrap_or(defaults.payload), Stamp::BYTES, 200 << 20)?,
        burst: within("--burst", written.burst.unwrap_or(64), 1, 1 << 16)?,
        outstanding: within(
            "--outstanding",
            written.outstanding.unwrap_or(defaults.outstanding),
            1,
            u64::MAX,
        )?,
        topic_per_publisher: written.topic_per_publisher,
        rate: rate.map(|rate| within("--rate", rate, 0.1, 1e8)).transpose()?,
        amount,
        warmup: within("--warmup", written.warmup.unwrap_or(0.2), 0.0, 0.9)?,
        filters: within("--filters", written.filters.unwrap_or(defaults.filters), 2, 100_000_000)?,
        per_packet: within("--per-packet", written.per_packet.unwrap_or(100), 1, 10_000)?,
        topics: within("--topics", written.topics.unwrap_or(1_000_000), 1, 1 << 30)?,
        keep: written.keep,
        deaf: within("--deaf", written.deaf.unwrap_or(1), 1, 1000)?,
        flood: within("--flood", written.flood.unwrap_or(0), 0, 1000)?,
        read_rate: within("--read-rate", written.read_rate.unwrap_or(0), 0, 1 << 40)?,
        connections: within(
            "--connections",
            written.connections.unwrap_or(defaults.connections),
            1,
            1_000_000,
        )?,
        subscribe: written.subscribe,
        handshakes: within("--handshakes", written.handshakes.unwrap_or(64), 1, 65_536)?,
        rounds: within("--rounds", written.rounds.unwrap_or(3), 1, 10_000)?,
        clients: within("--clients", written.clients.unwrap_or(64), 1, 100_000)?,
        hold: duration("--hold", written.hold.unwrap_or(3.0))?,
        burst_bytes: written
            .burst_bytes
            .map(|bytes| within("--burst-bytes", bytes, Stamp::BYTES, 200 << 20))
            .transpose()?,
        settle: duration("--settle", written.settle.unwrap_or(5.0))?,
        json: written.json,
        progress: progress.filter(|_| !written.quiet),
    })
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

/// The first address of `HOST:PORT`.
pub(crate) fn resolve(option: &'static str, broker: &str) -> Result<SocketAddr, ArgumentError> {
    let failed = |problem| ArgumentError::Value { option, problem };
    let mut addresses = broker.to_socket_addrs().map_err(|error| failed(format!("{broker}: {error}")))?;
    addresses.next().ok_or_else(|| failed(format!("{broker} has no address")))
}

#[cfg(test)]
mod tests {
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
             churn, subscribe, retain, soak is needed",
        );
        refused(
            "fan",
            "unknown scenario fan; one of pub, fanin, fanout, pairs, wild, shared, paced, slow, idle, connect, \
             churn, subscribe, retain, soak is needed",
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
        refused("pub --what", "invalid option '--what'");
    }
}
