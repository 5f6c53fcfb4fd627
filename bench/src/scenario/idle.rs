//! `idle`: what it takes to hold connections that do nothing.

use std::time::Instant;

use super::Cast;
use crate::{
    arguments::Arguments,
    failure::Failure,
    process::Process,
    report::{Cpu, Idle, Report},
};

/// Connects all, holds them, and reads the broker's memory before and after.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    let broker = arguments.pid.map(Process::new);
    let cpu = || broker.as_ref().map(Process::cpu).transpose();
    let resident = || broker.as_ref().map(Process::resident_exact).transpose();

    let (cpu_before, resident_before, own_before) = (cpu()?, resident()?, Process::own().cpu()?);
    let started = Instant::now();
    engine.establish((0..arguments.connections).map(|number| cast.idle(number)))?;
    let seconds = started.elapsed().as_secs_f64();
    let (cpu_after, own_after) = (cpu()?, Process::own().cpu()?);
    engine.hold(arguments.hold)?;
    let resident_after = resident()?;

    let connections = u64::from(arguments.connections);
    let growth = resident_before.zip(resident_after).map(|(before, after)| after.saturating_sub(before));
    let idle = Idle {
        connections,
        seconds_to_connect: seconds,
        connects_per_second: connections as f64 / seconds,
        broker: cpu_before.zip(cpu_after).map(|(before, after)| Cpu::new(after.since(before), connections)),
        generator: Cpu::new(own_after.since(own_before), connections),
        resident_before,
        resident_after,
        resident_bytes_per_connection: growth.map(|bytes| bytes as f64 / connections as f64),
    };
    let report = Report { idle: Some(idle), ..Report::of(arguments, &mut engine, false) };
    engine.close();
    Ok(report)
}
