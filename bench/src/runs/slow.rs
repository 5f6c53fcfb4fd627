//! `slow`: what subscribers that read slowly or never cost the others, and the broker's memory.

use super::{Cast, load::split};
use crate::{
    arguments::Arguments,
    engine::Phase,
    failure::Failure,
    process::Process,
    report::{Flood, Report, Slow},
};

/// Runs the pairs alone, then as long beside the deaf subscribers, which hear every message. With a flood that one is
/// there all the time, first with nobody listening to it, then with the deaf.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    engine.establish((0..arguments.subscribers).map(|number| cast.subscriber(number)))?;
    engine.establish((0..arguments.publishers).map(|number| cast.publisher(number)))?;
    engine.establish((0..arguments.flood).map(|number| cast.flooder(number)))?;

    let rate = arguments.rate;
    let (warm_up, amount) = split(arguments.amount, arguments.warmup);
    if let Some(amount) = warm_up
        && engine.run(Phase { name: "warm-up", amount, rate })?.stalled
    {
        return Ok(Report::of(arguments, &mut engine, true));
    }
    let alone = engine.run(Phase { name: "alone", amount, rate })?;
    let alone_latency = engine.latency();
    if alone.stalled {
        return Ok(Report::of(arguments, &mut engine, true));
    }

    let broker = arguments.pid.map(Process::new);
    let resident = || broker.as_ref().map(Process::resident_exact).transpose();
    let resident_before = resident()?;
    engine.establish((0..arguments.deaf).map(|number| cast.deaf(number)))?;
    let beside = engine.run(Phase { name: "beside", amount, rate })?;
    let beside_latency = engine.latency();
    let resident_peak = resident()?.map(|after| after.max(beside.resident_peak));

    let slow = Slow {
        deaf: arguments.deaf,
        closed_by_broker: engine.gone(),
        flood: (arguments.flood > 0).then(|| Flood::new(arguments, alone, beside)),
        seconds_each: beside.seconds,
        alone_us: alone_latency,
        beside_us: beside_latency,
        p99_ratio: alone_latency.zip(beside_latency).map(|(alone, beside)| beside.p99 / alone.p99),
        resident_before,
        resident_growth: resident_before.zip(resident_peak).map(|(before, peak)| peak.saturating_sub(before)),
    };
    let report = Report { slow: Some(slow), ..Report::of(arguments, &mut engine, beside.stalled) };
    engine.close();
    Ok(report)
}
