//! Figures of the scenarios that publish as much as they can, or at a rate.

use std::fmt;

use serde::Serialize;

use super::{Cpu, MEBIBYTE, row, write_cpu, write_latency};
use crate::latency::Percentiles;

/// Figures of a bulk run. A message is a delivery, or a publish where nobody listens.
#[derive(Debug, Serialize)]
pub(crate) struct Load {
    /// Length of the measured phase.
    pub seconds: f64,
    /// Messages published in it.
    pub publishes: u64,
    /// Messages delivered in it.
    pub deliveries: u64,
    /// Messages per second.
    pub messages_per_second: f64,
    /// From publish (or when it was due) to delivery.
    pub latency_us: Option<Percentiles>,
    /// With `--pid`.
    pub broker: Option<Broker>,
    /// The generator's own cost.
    pub generator: Cpu,
}

/// What the broker took.
#[derive(Debug, Serialize)]
pub(crate) struct Broker {
    /// CPU time of the measured phase.
    pub cpu: Cpu,
    /// Resident bytes before it.
    pub resident_before: u64,
    /// Resident bytes after it.
    pub resident_after: u64,
    /// Most resident bytes seen.
    pub resident_peak: u64,
}

pub(super) fn write_load(out: &mut fmt::Formatter<'_>, load: &Load) -> fmt::Result {
    let Load { seconds, publishes, deliveries, messages_per_second, .. } = load;
    row(out, "messages", format_args!("{publishes} published, {deliveries} delivered in {seconds:.2} s"))?;
    row(out, "rate", format_args!("{messages_per_second:.0} messages/s"))?;
    if let Some(latency) = &load.latency_us {
        write_latency(out, "latency", latency)?;
    }
    if let Some(broker) = &load.broker {
        write_cpu(out, "broker CPU", &broker.cpu, "message")?;
        let [before, after, peak] = [broker.resident_before, broker.resident_after, broker.resident_peak]
            .map(|bytes| bytes as f64 / MEBIBYTE);
        row(
            out,
            "broker memory",
            format_args!("{before:.1} MiB before, {after:.1} after, {peak:.1} at most"),
        )?;
    }
    write_cpu(out, "generator CPU", &load.generator, "message")
}
