//! `subscribe`: what a broker takes for very many exact subscriptions, time and memory.

use std::time::Instant;

use super::{Cast, NAME_BYTES};
use crate::{
    arguments::Arguments,
    engine::Subscription,
    failure::Failure,
    process::Process,
    report::{Kept, Reading, Report},
    wire::Numbered,
};

/// Connects all, reads, subscribes, and reads again when the broker rests.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let Arguments { connections, filters, per_packet, qos, hold, .. } = *arguments;
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    let broker = arguments.pid.map(Process::new);
    engine.establish((0..connections).map(|number| cast.idle(number)))?;
    engine.hold(hold)?;

    let before = Reading::take(broker.as_ref())?;
    let names = Numbered::of_size(NAME_BYTES, &format!("{}/", cast.base()), filters - 1);
    let started = Instant::now();
    engine.subscribe(|number| {
        let numbers = (number..filters).step_by(connections as usize);
        Subscription::many(names.clone(), numbers, qos, per_packet as usize)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    engine.hold(hold)?;
    let after = Reading::take(broker.as_ref())?;

    let kept = Kept::new(filters.into(), seconds, before, after);
    let report = Report { subscribe: Some(kept), ..Report::of(arguments, &mut engine, false) };
    engine.close();
    Ok(report)
}
