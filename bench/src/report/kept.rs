//! Figures of the scenarios that fill a broker: what each thing that it keeps takes.

use std::fmt;

use serde::Serialize;

use super::{Cpu, MEBIBYTE, row, write_cpu};
use crate::{
    failure::Failure,
    process::{CpuTime, Process},
};

/// Figures of `subscribe` and `retain`.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    /// Subscriptions or retained messages.
    pub count: u64,
    /// Until the broker had taken all of them.
    pub seconds: f64,
    /// How many it took in each of them.
    pub per_second: f64,
    /// The broker's CPU time, with `--pid`.
    pub broker: Option<Cpu>,
    /// The generator's.
    pub generator: Cpu,
    /// Resident bytes before the first, with all connections.
    pub resident_before: Option<u64>,
    /// Resident bytes with all.
    pub resident_after: Option<u64>,
    /// The difference, shared out.
    pub resident_bytes_each: Option<f64>,
}

/// CPU time and memory at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    broker: Option<(CpuTime, u64)>,
    own: CpuTime,
}

impl Reading {
    /// Of this moment.
    pub(crate) fn take(broker: Option<&Process>) -> Result<Self, Failure> {
        let of =
            |process: &Process| -> Result<_, Failure> { Ok((process.cpu()?, process.resident_exact()?)) };
        Ok(Self { broker: broker.map(of).transpose()?, own: Process::own().cpu()? })
    }
}

impl Kept {
    /// What `count` things took, of which the last was in after `seconds`.
    pub(crate) fn new(count: u64, seconds: f64, before: Reading, after: Reading) -> Self {
        let cpu = |before: CpuTime, after: CpuTime| Cpu::new(after.since(before), count);
        let broker = before.broker.zip(after.broker);
        let each = |grown: u64| grown as f64 / count.max(1) as f64;
        Self {
            count,
            seconds,
            per_second: count as f64 / seconds,
            broker: broker.map(|(before, after)| cpu(before.0, after.0)),
            generator: cpu(before.own, after.own),
            resident_before: broker.map(|(before, _)| before.1),
            resident_after: broker.map(|(_, after)| after.1),
            resident_bytes_each: broker.map(|(before, after)| each(after.1.saturating_sub(before.1))),
        }
    }

    /// Lines to read; `things` and `thing` name what was kept.
    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>, thing: &str, things: &str) -> fmt::Result {
        let Self { count, seconds, per_second, .. } = self;
        row(out, things, format_args!("{count} in {seconds:.2} s, {per_second:.0} {things}/s"))?;
        if let Some(cpu) = &self.broker {
            write_cpu(out, "broker CPU", cpu, thing)?;
        }
        if let (Some(each), Some(after)) = (self.resident_bytes_each, self.resident_after) {
            let after = after as f64 / MEBIBYTE;
            row(out, "broker memory", format_args!("{each:.1} B per {thing}, {after:.1} MiB in all"))?;
        }
        write_cpu(out, "generator CPU", &self.generator, thing)
    }
}
