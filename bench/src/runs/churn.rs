//! `churn`: clients that connect, subscribe, publish one message to themselves and leave, again and again.

use super::{Cast, load::split};
use crate::{
    arguments::Arguments,
    failure::Failure,
    process::Process,
    report::{Churn, Cpu, Report},
};

/// Runs the warm-up and the measured part.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    let (warm_up, measured) = split(arguments.amount, arguments.warmup);
    let mut clients = (0..arguments.clients).map(|number| cast.churner(number));
    if let Some(amount) = warm_up
        && engine.churn(clients.by_ref(), amount)?.stalled
    {
        return Ok(Report::of(arguments, &mut engine, true));
    }
    let broker = arguments.pid.map(Process::new);
    let cpu = || broker.as_ref().map(Process::cpu).transpose();
    let (before, own_before) = (cpu()?, Process::own().cpu()?);
    let cycles = engine.churn(clients, measured)?;
    let (after, own_after) = (cpu()?, Process::own().cpu()?);
    let churn = Churn {
        clients: arguments.clients,
        connections: cycles.completed,
        seconds: cycles.seconds,
        connections_per_second: cycles.completed as f64 / cycles.seconds,
        connection_us: cycles.duration.percentiles(),
        latency_us: engine.latency(),
        broker: before.zip(after).map(|(before, after)| Cpu::new(after.since(before), cycles.completed)),
        generator: Cpu::new(own_after.since(own_before), cycles.completed),
    };
    Ok(Report { churn: Some(churn), ..Report::of(arguments, &mut engine, cycles.stalled) })
}
