//! Figures of the scenarios whose clients come and go.

use std::fmt;

use serde::Serialize;

use super::{Cpu, row, write_cpu, write_latency};
use crate::latency::Percentiles;

/// Figures of `connect`, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Connect {
    /// Connections of each round.
    pub connections: u32,
    /// How often all of them came and went.
    pub rounds: u32,
    /// Connections that came or went at once.
    pub handshakes: usize,
    /// The coming.
    pub connecting: Passage,
    /// The going.
    pub disconnecting: Passage,
}

/// Connections all coming, or all going.
#[derive(Debug, Serialize)]
pub(crate) struct Passage {
    /// Together, over all rounds.
    pub seconds: f64,
    /// How many in each of them.
    pub per_second: f64,
    /// The broker's CPU time, with `--pid`.
    pub broker: Option<Cpu>,
    /// The generator's.
    pub generator: Cpu,
}

/// Figures of `churn`, the measured part.
#[derive(Debug, Serialize)]
pub(crate) struct Churn {
    /// Clients that come and go.
    pub clients: u32,
    /// Connections made, used and closed.
    pub connections: u64,
    /// Length of the measured part.
    pub seconds: f64,
    /// Connections made, used and closed in each of them.
    pub connections_per_second: f64,
    /// From the first byte of a connection to its end.
    pub connection_us: Option<Percentiles>,
    /// From publish to delivery.
    pub latency_us: Option<Percentiles>,
    /// The broker's CPU time, with `--pid`.
    pub broker: Option<Cpu>,
    /// The generator's.
    pub generator: Cpu,
}

pub(super) fn write_connect(out: &mut fmt::Formatter<'_>, connect: &Connect) -> fmt::Result {
    let Connect { connections, rounds, handshakes, connecting, disconnecting } = connect;
    row(out, "connections", format_args!("{connections} in each of {rounds} rounds, {handshakes} at once"))?;
    write_passage(out, "connecting", connecting)?;
    write_passage(out, "disconnecting", disconnecting)
}

fn write_passage(out: &mut fmt::Formatter<'_>, name: &str, passage: &Passage) -> fmt::Result {
    let Passage { seconds, per_second, .. } = passage;
    row(out, name, format_args!("{per_second:.0} connections/s, {seconds:.2} s in all"))?;
    if let Some(cpu) = &passage.broker {
        write_cpu(out, "  broker CPU", cpu, "connection")?;
    }
    write_cpu(out, "  generator CPU", &passage.generator, "connection")
}

pub(super) fn write_churn(out: &mut fmt::Formatter<'_>, churn: &Churn) -> fmt::Result {
    let Churn { clients, connections, seconds, connections_per_second, .. } = churn;
    row(out, "connections", format_args!("{connections} of {clients} clients in {seconds:.2} s"))?;
    row(out, "rate", format_args!("{connections_per_second:.0} connections/s"))?;
    if let Some(duration) = &churn.connection_us {
        write_latency(out, "connection", duration)?;
    }
    if let Some(latency) = &churn.latency_us {
        write_latency(out, "latency", latency)?;
    }
    if let Some(cpu) = &churn.broker {
        write_cpu(out, "broker CPU", cpu, "connection")?;
    }
    write_cpu(out, "generator CPU", &churn.generator, "connection")
}
