//! `idle`: what it takes to hold connections that do nothing.

use std::time::{Duration, Instant};

use super::Cast;
use crate::{
    arguments::Arguments,
    engine::Crew,
    failure::Failure,
    process::Process,
    report::{AfterBurst, Cpu, Idle, Report},
    wire::PublishFrame,
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
    let mut stalled = false;
    let mut after_burst = None;
    if let Some(bytes) = arguments.burst_bytes {
        let (burst, failed) = cast.burst(&mut engine, bytes, broker.as_ref(), resident_before)?;
        (after_burst, stalled) = (Some(burst), failed);
    }
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
        after_burst,
    };
    let mut report = Report { idle: Some(idle), ..Report::of(arguments, &mut engine, stalled) };
    let expected = cast.echoes();
    report.faults.lost += expected.saturating_sub(engine.delivered());
    report.faults.duplicated += engine.delivered().saturating_sub(expected);
    report.clean &= report.faults.is_clean();
    engine.close();
    Ok(report)
}

/// Between two looks at the broker's memory.
const SAMPLE: Duration = Duration::from_millis(100);

impl Cast<'_> {
    /// Deliveries of the burst: those who subscribed hear themselves.
    fn echoes(&self) -> u64 {
        let heard = self.arguments.subscribe && self.arguments.burst_bytes.is_some();
        if heard { self.arguments.connections.into() } else { 0 }
    }

    /// One message from each connection, and what the broker keeps of it; true if it did not handle all.
    fn burst(
        &self,
        engine: &mut Crew,
        bytes: usize,
        broker: Option<&Process>,
        resident_before: Option<u64>,
    ) -> Result<(AfterBurst, bool), Failure> {
        let Arguments { version, settle, connections, .. } = *self.arguments;
        let frame = |number| PublishFrame::new(version, &self.idle_topic(number), 0, bytes);
        let started = Instant::now();
        let stalled = engine.burst(frame, self.echoes() > 0)?;
        let handled = Instant::now();
        let mut resident_peak = broker.map(Process::resident).transpose()?;
        while handled.elapsed() < settle {
            engine.hold(SAMPLE.min(settle - handled.elapsed().min(settle)))?;
            resident_peak = resident_peak.max(broker.map(Process::resident).transpose()?);
        }
        let resident_after = broker.map(Process::resident_exact).transpose()?;
        let growth = resident_before.zip(resident_after).map(|(before, after)| after.saturating_sub(before));
        let burst = AfterBurst {
            bytes,
            seconds: (handled - started).as_secs_f64(),
            settle_seconds: settle.as_secs_f64(),
            resident_peak: resident_peak.max(resident_after),
            resident_after,
            resident_bytes_per_connection: growth.map(|bytes| bytes as f64 / f64::from(connections)),
        };
        Ok((burst, stalled))
    }
}
