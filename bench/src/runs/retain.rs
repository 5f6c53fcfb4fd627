//! `retain`: what a broker takes for very many retained messages, time and memory.

use super::{Cast, NAME_BYTES};
use crate::{
    arguments::Arguments,
    engine::{Amount, Client, Phase, Publisher, Role, Subscription},
    failure::Failure,
    process::Process,
    report::{Kept, Reading, Report},
    wire::{Numbered, PublishFrame},
};

/// Messages that are looked for, evenly chosen: enough to notice a broker that keeps a part only.
const SAMPLES: u32 = 1000;

/// Publishes all, reads when the broker rests, looks for some of them, and takes them back.
pub(super) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let cast = Cast::new(arguments);
    let mut engine = cast.engine()?;
    let broker = arguments.pid.map(Process::new);
    engine.establish((0..arguments.publishers).map(|number| cast.keeper(number)))?;
    engine.hold(arguments.hold)?;

    let before = Reading::take(broker.as_ref())?;
    let amount = Amount::Messages(cast.topics_each());
    let kept = engine.run(Phase { name: "retaining", amount, rate: arguments.rate })?;
    engine.hold(arguments.hold)?;
    let after = Reading::take(broker.as_ref())?;

    let mut stalled = kept.stalled;
    let missing = if stalled { 0 } else { cast.look_for_samples()? };
    if !stalled && !arguments.keep {
        let nothing = cast.retained_frame(0);
        engine.reframe(&nothing);
        stalled = engine.run(Phase { name: "clearing", amount, rate: arguments.rate })?.stalled;
    }

    let kept = Kept::new(kept.publishes, kept.seconds, before, after);
    let mut report = Report { retain: Some(kept), ..Report::of(arguments, &mut engine, stalled) };
    if missing > 0 {
        report.faults.lost += missing;
        report.notes.push(format!("{missing} of the retained messages that were looked for were not there"));
        report.clean = false;
    }
    engine.close();
    Ok(report)
}

impl Cast<'_> {
    /// The same number for each publisher, rounded up.
    fn topics_each(&self) -> u32 {
        self.arguments.topics.div_ceil(self.arguments.publishers)
    }

    fn names(&self) -> Numbered {
        let last = self.topics_each().saturating_mul(self.arguments.publishers) - 1;
        Numbered::of_size(NAME_BYTES, &format!("{}/", self.base()), last)
    }

    /// An empty payload takes a retained message back.
    fn retained_frame(&self, payload: usize) -> PublishFrame {
        PublishFrame::new(self.arguments.version, self.names().template(), self.arguments.qos, payload)
            .retained()
    }

    fn keeper(&self, number: u32) -> Client {
        let Arguments { qos, payload, window, .. } = *self.arguments;
        let publisher = Publisher::new(number, self.retained_frame(payload), qos, window);
        Client {
            client_identifier: self.client_identifier('p', number),
            role: Role::Publisher(publisher.counting(self.names(), number * self.topics_each())),
            subscription: None,
        }
    }

    /// Returns how many of the samples did not come. The reader is gone before messages are taken back.
    fn look_for_samples(&self) -> Result<u64, Failure> {
        let Arguments { topics, qos, per_packet, .. } = *self.arguments;
        let numbers = (0..topics).step_by((topics / SAMPLES).max(1) as usize);
        let samples = numbers.len() as u64;
        let subscription = Subscription::many(self.names(), numbers, qos, per_packet as usize);
        let reader = Client {
            client_identifier: self.client_identifier('r', 0),
            role: Role::Idle,
            subscription: Some(subscription.with_retained()),
        };
        let mut engine = self.engine()?;
        engine.establish([reader].into_iter())?;
        let came = engine.receive(samples)?;
        engine.close();
        Ok(samples.saturating_sub(came))
    }
}
