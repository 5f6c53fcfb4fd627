//! `pub`, `fanin`, `fanout`, `pairs`: as fast as it goes, or at `--rate`.

use std::time::Duration;

use super::Cast;
use crate::{
    arguments::Arguments,
    engine::{Amount, Phase},
    failure::Failure,
    process::Process,
    report::{Broker, Cpu, Load, Report},
};

/// Time given to stray duplicates after the last expected delivery.
const LINGER: Duration = Duration::from_millis(200);

/// Runs the scenario.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    if cast.fan_out() > 0 {
        engine.establish((0..arguments.subscribers).map(|number| cast.subscriber(number)))?;
    }
    engine.establish((0..arguments.publishers).map(|number| cast.publisher(number)))?;

    let (warm_up, measured) = split(arguments.amount, arguments.warmup);
    let mut stalled = false;
    if let Some(amount) = warm_up {
        stalled = engine.run(Phase { name: "warm-up", amount, rate: arguments.rate })?.stalled;
    }
    let broker = arguments.pid.map(Process::new);
    let mut load = None;
    if !stalled {
        let before = snapshot(broker.as_ref())?;
        let outcome = engine.run(Phase { name: "measured", amount: measured, rate: arguments.rate })?;
        let after = snapshot(broker.as_ref())?;
        stalled = outcome.stalled;
        let counted = if cast.fan_out() > 0 { outcome.deliveries } else { outcome.publishes };
        let cpu = |before: Snapshot, after: Snapshot| Cpu::new(after.cpu.since(before.cpu), counted);
        load = Some(Load {
            seconds: outcome.seconds,
            publishes: outcome.publishes,
            deliveries: outcome.deliveries,
            messages_per_second: counted as f64 / outcome.seconds,
            latency_us: engine.latency(),
            broker: before.broker.zip(after.broker).map(|(before, after)| Broker {
                cpu: cpu(before, after),
                resident_before: before.resident,
                resident_after: after.resident,
                resident_peak: outcome.resident_peak.max(after.resident),
            }),
            generator: cpu(before.own, after.own),
        });
        engine.hold(LINGER)?;
    }
    let report = Report { load, ..Report::of(arguments, &mut engine, stalled) };
    engine.close();
    Ok(report)
}

/// The amount of the warm-up and that of the measured phase.
pub(super) fn split(amount: Amount, share: f64) -> (Option<Amount>, Amount) {
    match amount {
        Amount::Time(time) => {
            let warm_up = time.mul_f64(share);
            ((!warm_up.is_zero()).then_some(Amount::Time(warm_up)), Amount::Time(time - warm_up))
        }
        Amount::Messages(messages) => {
            let warm_up = (f64::from(messages) * share) as u32;
            ((warm_up > 0).then_some(Amount::Messages(warm_up)), Amount::Messages(messages - warm_up))
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Snapshot {
    cpu: crate::process::CpuTime,
    resident: u64,
}

#[derive(Debug, Clone, Copy)]
struct Snapshots {
    broker: Option<Snapshot>,
    own: Snapshot,
}

fn snapshot(broker: Option<&Process>) -> Result<Snapshots, Failure> {
    let of = |process: &Process| -> Result<Snapshot, Failure> {
        Ok(Snapshot { cpu: process.cpu()?, resident: process.resident_exact()? })
    };
    Ok(Snapshots { broker: broker.map(of).transpose()?, own: of(&Process::own())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_and_measured_part_add_up() {
        let (warm_up, measured) = split(Amount::Messages(10), 0.25);
        assert_eq!((warm_up, measured), (Some(Amount::Messages(2)), Amount::Messages(8)));
        assert_eq!(split(Amount::Messages(3), 0.2), (None, Amount::Messages(3)));
        let seconds = |seconds| Amount::Time(Duration::from_secs(seconds));
        assert_eq!(split(seconds(10), 0.2), (Some(seconds(2)), seconds(8)));
        assert_eq!(split(seconds(10), 0.0), (None, seconds(10)));
    }
}
