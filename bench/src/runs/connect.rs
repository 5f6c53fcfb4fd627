//! `connect`: all clients come, then all go, round after round.

use std::time::Instant;

use super::Cast;
use crate::{
    arguments::Arguments,
    failure::Failure,
    process::{CpuTime, Process},
    report::{Connect, Cpu, Passage, Report},
};

/// Time and CPU time of what happened so far in one direction.
#[derive(Debug, Default)]
struct Spent {
    seconds: f64,
    broker: CpuTime,
    own: CpuTime,
}

/// Runs the rounds.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    let broker = arguments.pid.map(Process::new);
    let (mut connecting, mut disconnecting) = (Spent::default(), Spent::default());
    for _ in 0..arguments.rounds {
        spend(&mut connecting, broker.as_ref(), || {
            engine.establish((0..arguments.connections).map(|number| cast.idle(number)))
        })?;
        spend(&mut disconnecting, broker.as_ref(), || engine.depart())?;
    }
    let count = u64::from(arguments.connections) * u64::from(arguments.rounds);
    let passage = |spent: Spent| Passage {
        seconds: spent.seconds,
        per_second: count as f64 / spent.seconds,
        broker: broker.is_some().then(|| Cpu::new(spent.broker, count)),
        generator: Cpu::new(spent.own, count),
    };
    let connect = Connect {
        connections: arguments.connections,
        rounds: arguments.rounds,
        handshakes: arguments.handshakes,
        connecting: passage(connecting),
        disconnecting: passage(disconnecting),
    };
    Ok(Report { connect: Some(connect), ..Report::of(arguments, &mut engine, false) })
}

fn spend(
    spent: &mut Spent,
    broker: Option<&Process>,
    act: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let cpu = || broker.map_or(Ok(CpuTime::default()), Process::cpu);
    let own = || Process::own().cpu();
    let (broker_before, own_before, started) = (cpu()?, own()?, Instant::now());
    act()?;
    spent.seconds += started.elapsed().as_secs_f64();
    spent.broker = spent.broker.plus(cpu()?.since(broker_before));
    spent.own = spent.own.plus(own()?.since(own_before));
    Ok(())
}
