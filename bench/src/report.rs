//! What a run found: as JSON, and as lines to read.

mod connections;
mod flood;
mod idle;
mod kept;
mod load;
mod slow;

use std::fmt;

use serde::Serialize;

use crate::{
    arguments::Arguments, engine::Crew, latency::Percentiles, order::Faults, process::CpuTime,
    scenario::Scenario, transport::Kind, wire::Version,
};

pub(crate) use self::{
    connections::{Churn, Connect, Passage},
    flood::Flood,
    idle::{AfterBurst, Idle},
    kept::{Kept, Reading},
    load::{Broker, Load},
    slow::Slow,
};

/// The result of a run. Sizes are bytes, times are what their names say.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// Address and port.
    pub broker: String,
    /// The shape of the load.
    pub shape: Shape,
    /// Of those scenarios that publish as much as they can or at a rate, the measured part.
    pub load: Option<Load>,
    /// Of `slow`.
    pub slow: Option<Slow>,
    /// Of `idle`.
    pub idle: Option<Idle>,
    /// Of `connect`.
    pub connect: Option<Connect>,
    /// Of `churn`.
    pub churn: Option<Churn>,
    /// Of `subscribe`.
    pub subscribe: Option<Kept>,
    /// Of `retain`.
    pub retain: Option<Kept>,
    /// Over the whole run.
    pub faults: Faults,
    /// Publishes never acknowledged.
    pub unacknowledged: u64,
    /// What to know beside the figures.
    pub notes: Vec<String>,
    /// Every message arrived once and in order, and every publish was acknowledged.
    pub clean: bool,
}

/// The shape of the load, without which a figure says nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Shape {
    /// What lies between MQTT and TCP.
    pub transport: Kind,
    /// Threads of the generator.
    pub threads: usize,
    /// Protocol version.
    pub mqtt: Version,
    /// Of publishes and subscriptions.
    pub qos: u8,
    /// Publishing clients.
    pub publishers: u32,
    /// Subscribing clients.
    pub subscribers: u32,
    /// In flight per publisher.
    pub window: Option<u16>,
    /// Bytes of payload.
    pub payload: usize,
    /// Most publishes in one write.
    pub burst: u32,
    /// Most deliveries outstanding.
    pub outstanding: u64,
    /// Each publisher has its own topic name.
    pub topic_per_publisher: bool,
    /// Topic filters over all subscribers, where they have several.
    pub filters: Option<u32>,
    /// Messages per second over all publishers.
    pub rate: Option<f64>,
}

/// CPU time over a number of messages or connections.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cpu {
    /// User and system, all threads.
    pub seconds: f64,
    /// Microseconds for each message or connection.
    pub us_each: f64,
    /// Of that, in user mode.
    pub user_us_each: f64,
}

impl Cpu {
    /// Shares `time` out over `count` messages or connections.
    pub(crate) fn new(time: CpuTime, count: u64) -> Self {
        let each = |seconds: f64| seconds * 1e6 / count.max(1) as f64;
        Self { seconds: time.total(), us_each: each(time.total()), user_us_each: each(time.user) }
    }
}

impl Report {
    /// Shape and faults of a run; the scenario adds its figures.
    pub(crate) fn of(arguments: &Arguments, engine: &mut Crew, stalled: bool) -> Self {
        let faults = engine.faults();
        let unacknowledged = engine.unacknowledged();
        let mut notes = Vec::new();
        if stalled {
            let seconds = arguments.timeout.as_secs_f64();
            notes.push(format!("gave up after {seconds} s without a delivery or an acknowledgement"));
        }
        if let Some(maximum) = engine.narrowed_window() {
            notes.push(format!("the broker's receive maximum narrowed the window to {maximum}"));
        }
        let crowd = arguments.scenario.is_crowd();
        let listening = !crowd && !matches!(arguments.scenario, Scenario::Pub | Scenario::Retain);
        Self {
            scenario: arguments.scenario,
            broker: arguments.broker.to_string(),
            shape: Shape {
                transport: arguments.transport(),
                threads: arguments.threads,
                mqtt: arguments.version,
                qos: arguments.qos,
                publishers: if crowd { 0 } else { arguments.publishers },
                subscribers: if listening { arguments.subscribers } else { 0 },
                window: (arguments.qos > 0 && !crowd).then_some(arguments.window),
                payload: arguments.payload,
                burst: arguments.burst,
                outstanding: arguments.outstanding,
                topic_per_publisher: arguments.topic_per_publisher,
                filters: matches!(arguments.scenario, Scenario::Wild | Scenario::Subscribe)
                    .then_some(arguments.filters),
                rate: arguments.rate,
            },
            load: None,
            slow: None,
            idle: None,
            connect: None,
            churn: None,
            subscribe: None,
            retain: None,
            faults,
            unacknowledged,
            notes,
            clean: faults.is_clean() && unacknowledged == 0 && !stalled,
        }
    }
}

const MEBIBYTE: f64 = (1 << 20) as f64;

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { transport, mqtt, qos, publishers, subscribers, payload, .. } = self.shape;
        let version = match mqtt {
            Version::V3_1_1 => "3.1.1",
            Version::V5_0 => "5.0",
        };
        write!(out, "{} against {}, MQTT {version}", self.scenario.name(), self.broker)?;
        if transport != Kind::Tcp {
            write!(out, " over {}", transport.name())?;
        }
        if !self.scenario.is_crowd() {
            write!(out, ", QoS {qos}, {publishers} -> {subscribers} clients, {payload} B")?;
        }
        if let Some(filters) = self.shape.filters {
            write!(out, ", {filters} filters")?;
        }
        if self.shape.threads > 1 {
            write!(out, ", {} threads", self.shape.threads)?;
        }
        if let Some(window) = self.shape.window {
            write!(out, ", window {window}")?;
        }
        writeln!(out)?;
        if let Some(load) = &self.load {
            load::write_load(out, load)?;
        }
        if let Some(slow) = &self.slow {
            slow::write_slow(out, slow)?;
        }
        if let Some(idle) = &self.idle {
            idle.write(out)?;
        }
        if let Some(connect) = &self.connect {
            connections::write_connect(out, connect)?;
        }
        if let Some(churn) = &self.churn {
            connections::write_churn(out, churn)?;
        }
        if let Some(kept) = &self.subscribe {
            kept.write(out, "subscription", "subscriptions")?;
        }
        if let Some(kept) = &self.retain {
            kept.write(out, "message", "messages")?;
        }
        let silent = matches!(self.scenario, Scenario::Idle | Scenario::Connect | Scenario::Subscribe);
        if !silent || !self.faults.is_clean() {
            let Faults { lost, duplicated, out_of_order } = self.faults;
            row(
                out,
                "checked",
                format_args!("{lost} lost, {duplicated} duplicated, {out_of_order} out of order"),
            )?;
        }
        if self.unacknowledged > 0 {
            row(out, "unacknowledged", format_args!("{}", self.unacknowledged))?;
        }
        self.notes.iter().try_for_each(|note| row(out, "note", format_args!("{note}")))
    }
}

fn row(out: &mut fmt::Formatter<'_>, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(out, "  {name:<15} {value}")
}

fn write_latency(out: &mut fmt::Formatter<'_>, name: &str, latency: &Percentiles) -> fmt::Result {
    let Percentiles { p50, p90, p99, p999, max } = latency;
    row(out, name, format_args!("p50 {p50:.0} us, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}"))
}

fn write_cpu(out: &mut fmt::Formatter<'_>, name: &str, cpu: &Cpu, each: &str) -> fmt::Result {
    let Cpu { seconds, us_each, user_us_each } = cpu;
    row(out, name, format_args!("{us_each:.3} us per {each} ({user_us_each:.3} user), {seconds:.2} s in all"))
}
