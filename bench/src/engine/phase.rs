//! One phase of publishing, from the first publish to the last delivery and acknowledgement.
//!
//! A run is a warm-up and a measured phase. Each ends settled, so that the CPU time read between them belongs to
//! the messages counted, to the last one.

use std::time::Duration;

use super::{Engine, pace::Pace, progress::Ticker};
use crate::failure::Failure;

/// How much is published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    /// So many messages by each publisher.
    Messages(u32),
    /// As many as go in this time.
    Time(Duration),
}

/// A phase to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    /// For progress lines.
    pub name: &'static str,
    /// How much is published.
    pub amount: Amount,
    /// Messages per second over all publishers; as fast as it goes without.
    pub rate: Option<f64>,
}

/// What happened in a phase.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// From the first publish to the last delivery or acknowledgement.
    pub seconds: f64,
    /// Messages published.
    pub publishes: u64,
    /// Messages delivered.
    pub deliveries: u64,
    /// Messages that flooders published.
    pub flooded: u64,
    /// Messages delivered to slow subscribers.
    pub slow_deliveries: u64,
    /// Largest resident memory of the broker seen, in bytes; 0 without a process to watch.
    pub resident_peak: u64,
    /// Deliveries or acknowledgements stopped coming before all were there.
    pub stalled: bool,
}

impl Outcome {
    /// That of two engines at the same time.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.max(other.seconds),
            publishes: self.publishes + other.publishes,
            deliveries: self.deliveries + other.deliveries,
            flooded: self.flooded + other.flooded,
            slow_deliveries: self.slow_deliveries + other.slow_deliveries,
            resident_peak: self.resident_peak.max(other.resident_peak),
            stalled: self.stalled || other.stalled,
        }
    }
}

/// Nanoseconds between two looks at the broker's memory.
const SAMPLE_NANOSECONDS: u64 = 250_000_000;

/// The state of a running phase.
struct Running {
    phase: Phase,
    start: u64,
    /// Publishes in all, once that is known.
    target: Option<u64>,
    publishes_before: u64,
    deliveries_before: u64,
    flooded_before: u64,
    slow_deliveries_before: u64,
    resident_peak: u64,
    next_sample: u64,
    ticker: Ticker,
    last_progress: (u64, u64),
}

impl Engine {
    /// Runs a phase with all publishers.
    pub(super) fn run(&mut self, phase: Phase) -> Result<Outcome, Failure> {
        let mut running = self.begin(phase);
        let mut stalled = false;
        while !self.settled(&running) {
            let waiting = self.advance(&mut running)?;
            self.serve(waiting)?;
            if self.has_stalled(&mut running) {
                stalled = true;
                break;
            }
        }
        if !stalled && self.traffic.fan_out() == 0 {
            stalled = !self.barrier(&self.publishers.clone(), &mut running)?;
        }
        if !stalled && !self.flooders.is_empty() {
            stalled = !self.barrier(&self.flooders.clone(), &mut running)?;
        }
        self.traffic.pace = None;
        (self.traffic.balance, self.traffic.others) = (0, 0);
        let seconds = (self.traffic.tick() - running.start) as f64 / 1e9;
        self.sample(&mut running)?;
        Ok(Outcome {
            seconds,
            publishes: self.traffic.publishes - running.publishes_before,
            deliveries: self.traffic.delivered - running.deliveries_before,
            flooded: self.traffic.flooded - running.flooded_before,
            slow_deliveries: self.traffic.slow_deliveries - running.slow_deliveries_before,
            resident_peak: running.resident_peak,
            stalled,
        })
    }

    fn begin(&mut self, phase: Phase) -> Running {
        let publishers = self.publishers.len() as u32;
        let ticker = self.ticker();
        let start = self.traffic.tick();
        self.traffic.latency.clear();
        let in_all = |messages: u32| u64::from(messages) * u64::from(publishers);
        let target = match (phase.amount, phase.rate) {
            (Amount::Messages(messages), _) => Some(in_all(messages)),
            (Amount::Time(time), Some(rate)) => Some((time.as_secs_f64() * rate) as u64),
            (Amount::Time(_), None) => None,
        };
        let each = match (phase.amount, phase.rate) {
            (_, Some(_)) => 0,
            (Amount::Messages(messages), None) => messages,
            (Amount::Time(_), None) => u32::MAX,
        };
        if let (Some(rate), Some(messages @ 1..)) = (phase.rate, target) {
            let engines = self.lane.1 as u32;
            self.traffic.pace = Some(Pace::new(start, rate, publishers, engines, messages));
        }
        for &index in &self.publishers {
            let Some(publisher) = self.connections[index].publisher() else { continue };
            publisher.begin(each);
            if each > 0 && !publisher.queued {
                publisher.queued = true;
                self.traffic.ready.push_back(index);
            }
        }
        Running {
            phase,
            start,
            target,
            publishes_before: self.traffic.publishes,
            deliveries_before: self.traffic.delivered,
            flooded_before: self.traffic.flooded,
            slow_deliveries_before: self.traffic.slow_deliveries,
            resident_peak: 0,
            next_sample: start,
            ticker,
            last_progress: (self.traffic.progress, start),
        }
    }

    /// All was published, delivered and acknowledged.
    fn settled(&mut self, running: &Running) -> bool {
        let published = self.traffic.publishes - running.publishes_before;
        let own = running.target.is_some_and(|target| published >= target) && self.traffic.in_flight == 0;
        self.exchange();
        let Some(board) = &self.board else { return own && self.traffic.outstanding() == 0 };
        if own {
            board.settle(self.lane.0);
        }
        let settled = board.is_settled();
        if settled {
            board.wake_all();
        }
        settled
    }

    /// Publishes what is due; returns how long there is nothing to do but wait.
    fn advance(&mut self, running: &mut Running) -> Result<Duration, Failure> {
        let now = self.traffic.tick();
        let mut wait = self.longest_wait();
        if let Amount::Time(time) = running.phase.amount
            && running.target.is_none()
        {
            let end = running.start + time.as_nanos() as u64;
            if now >= end {
                self.stop();
                running.target = Some(self.traffic.publishes - running.publishes_before);
            } else {
                wait = wait.min(Duration::from_nanos(end - now));
            }
        }
        while let Some(publisher) = self.traffic.pace.as_mut().and_then(|pace| pace.next_due(now)) {
            let index = self.publishers[publisher as usize];
            let Some(publisher) = self.connections[index].publisher() else { continue };
            publisher.allow_one();
            if !publisher.queued {
                publisher.queued = true;
                self.traffic.ready.push_back(index);
            }
        }
        if now >= running.next_sample {
            self.sample(running)?;
            running.next_sample = now + SAMPLE_NANOSECONDS;
        }
        self.show(running, now);
        self.read_slowly(now)?;
        let flooding = self.flood()?;
        if self.pump()? || self.may_go_on() || flooding {
            return Ok(Duration::ZERO);
        }
        let due = self.traffic.pace.as_ref().and_then(|pace| pace.until_next(self.traffic.now));
        Ok(due.map_or(wait, |nanoseconds| wait.min(Duration::from_nanos(nanoseconds))))
    }

    /// Publishers wait for deliveries that other engines take, and some of these came meanwhile.
    fn may_go_on(&mut self) -> bool {
        let Some(board) = &self.board else { return false };
        let held = !self.traffic.ready.is_empty();
        board.hold(self.lane.0, held);
        // From here on, whoever takes the delivery that matters rings.
        self.exchange();
        held && self.traffic.is_open()
    }

    fn stop(&mut self) {
        for &index in &self.publishers {
            if let Some(publisher) = self.connections[index].publisher() {
                publisher.stop();
            }
        }
    }

    /// With nobody listening, a PINGRESP from each connection says that all its publishes were handled.
    fn barrier(&mut self, clients: &[usize], running: &mut Running) -> Result<bool, Failure> {
        self.await_pongs(clients, |engine| {
            engine.show(running, engine.traffic.now);
            engine.has_stalled(running)
        })
    }

    fn has_stalled(&self, running: &mut Running) -> bool {
        let (before, since) = running.last_progress;
        let progress = match &self.board {
            Some(board) if board.is_over() => return true,
            Some(board) => board.progress(),
            None => self.traffic.progress,
        };
        if progress != before {
            running.last_progress = (progress, self.traffic.now);
            return false;
        }
        self.traffic.now.saturating_sub(since) > self.settings.timeout.as_nanos() as u64
    }

    fn sample(&self, running: &mut Running) -> Result<(), Failure> {
        if let Some(broker) = &self.settings.broker {
            running.resident_peak = running.resident_peak.max(broker.resident()?);
        }
        Ok(())
    }

    fn show(&self, running: &mut Running, now: u64) {
        let publishes = self.traffic.publishes - running.publishes_before;
        let deliveries = self.traffic.delivered - running.deliveries_before;
        let own = [publishes, deliveries, self.traffic.in_flight];
        let name = running.phase.name;
        self.tell(&mut running.ticker, now, own, |[publishes, deliveries, in_flight]| {
            let outstanding = self.traffic.outstanding();
            format!(
                "{name}, {publishes} published, {deliveries} delivered, {outstanding} outstanding, \
                 {in_flight} unacknowledged"
            )
        });
    }
}
