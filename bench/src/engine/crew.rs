//! Engines on threads of their own, used like one.
//!
//! Connections are dealt out in turn, so a pair is on one thread and the subscribers of a fan-out are on all. Between
//! two calls all engines rest. One engine alone runs on the thread of its caller.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Amount, Client, Cycles, Engine, Outcome, Phase, Settings, Subscription, board::Board};
use crate::{
    failure::Failure,
    latency::{Histogram, Percentiles},
    order::Faults,
    seen::Seen,
    wire::PublishFrame,
};

/// See the module.
pub(crate) struct Crew {
    engines: Vec<Engine>,
    board: Option<Arc<Board>>,
    groups: usize,
}

impl Crew {
    /// So many engines without connections.
    pub(crate) fn new(settings: &Settings, threads: usize) -> Result<Self, Failure> {
        let board = (threads > 1).then(|| Board::new(threads).map(Arc::new)).transpose();
        let board = board.map_err(Failure::Wait)?;
        let started = Instant::now();
        let engine = |lane| {
            let first = lane == 0;
            let settings = Settings {
                handshakes: (settings.handshakes / threads).max(1),
                broker: settings.broker.clone().filter(|_| first),
                ..settings.clone()
            };
            Engine::new(settings, started, (lane, threads), board.clone())
        };
        let engines = (0..threads).map(engine).collect::<Result<_, _>>()?;
        Ok(Self { engines, board, groups: settings.groups })
    }

    /// Connects further clients, and subscribes those that ask for it. Ends when all are up.
    pub(crate) fn establish(
        &mut self,
        clients: impl ExactSizeIterator<Item = Client>,
    ) -> Result<(), Failure> {
        if let [engine] = &mut self.engines[..] {
            return engine.establish(clients);
        }
        let hands = self.deal(clients);
        self.each(hands, |engine, hand| engine.establish(hand.into_iter())).map(drop)
    }

    /// Serves all connections for `time`: they hold, or stray deliveries come in.
    pub(crate) fn hold(&mut self, time: Duration) -> Result<(), Failure> {
        self.all(|engine| engine.hold(time)).map(drop)
    }

    /// Every client subscribes, all at the same time. Ends when all were granted.
    pub(crate) fn subscribe(
        &mut self,
        subscription: impl Fn(u32) -> Subscription + Sync,
    ) -> Result<(), Failure> {
        self.all(|engine| engine.subscribe(&subscription)).map(drop)
    }

    /// Every client publishes its frame, all at the same time, and hears it if it is `heard`; true if not all came.
    pub(crate) fn burst(
        &mut self,
        frame: impl Fn(u32) -> PublishFrame + Sync,
        heard: bool,
    ) -> Result<bool, Failure> {
        Ok(self.all(|engine| engine.burst(&frame, heard))?.contains(&true))
    }

    /// Deliveries so far, whatever they were.
    pub(crate) fn delivered(&self) -> u64 {
        self.engines.iter().map(Engine::delivered).sum()
    }

    /// All publishers publish copies of this frame from now on.
    pub(crate) fn reframe(&mut self, frame: &PublishFrame) {
        self.engines.iter_mut().for_each(|engine| engine.reframe(frame));
    }

    /// Serves the first client, and what shares its thread, until `goal` deliveries came in all, or nothing happened
    /// for as long as the time limit; returns how many came.
    pub(crate) fn receive(&mut self, goal: u64) -> Result<u64, Failure> {
        self.engines[0].receive(goal)
    }

    /// All clients leave. Ends when the broker closed all connections.
    pub(crate) fn depart(&mut self) -> Result<(), Failure> {
        self.all(Engine::depart).map(drop)
    }

    /// Further clients, and those of the last time, come and go again and again.
    pub(crate) fn churn(
        &mut self,
        further: impl Iterator<Item = Client>,
        amount: Amount,
    ) -> Result<Cycles, Failure> {
        let hands = self.deal(further);
        let cycles = self.each(hands, |engine, hand| engine.churn(hand.into_iter(), amount))?;
        Ok(cycles.into_iter().reduce(Cycles::and).unwrap_or_default())
    }

    /// Runs a phase with all publishers.
    pub(crate) fn run(&mut self, phase: Phase) -> Result<Outcome, Failure> {
        let of = self.engines.iter().map(Engine::publishers).sum::<usize>();
        if let Some(board) = &self.board {
            board.begin();
        }
        let outcomes = self.all(|engine| {
            // Each publisher's share of the rate is the same.
            let rate = phase.rate.map(|rate| rate * engine.publishers() as f64 / of as f64);
            engine.run(Phase { rate, ..phase })
        })?;
        Ok(outcomes.into_iter().reduce(Outcome::and).unwrap_or_default())
    }

    /// Duplicates, disorder, and what never came, over the whole run.
    pub(crate) fn faults(&mut self) -> Faults {
        let mut published = Vec::new();
        for engine in &mut self.engines {
            engine.count_published(&mut published);
        }
        let mut seen = Seen::new(self.groups);
        let mut faults = Faults::default();
        for engine in &self.engines {
            let Faults { lost, duplicated, out_of_order } = engine.faults(&published);
            faults.lost += lost;
            faults.duplicated += duplicated + seen.add(engine.seen());
            faults.out_of_order += out_of_order;
        }
        Faults { lost: faults.lost + seen.lost(&published), ..faults }
    }

    /// Publishes whose acknowledgement never came.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.engines.iter().map(Engine::unacknowledged).sum()
    }

    /// Latencies of the deliveries of the last phase.
    pub(crate) fn latency(&self) -> Option<Percentiles> {
        let mut latency = Histogram::default();
        self.engines.iter().for_each(|engine| latency.add(engine.latency()));
        latency.percentiles()
    }

    /// The broker's Receive Maximum, if it narrowed the window that was asked for.
    pub(crate) fn narrowed_window(&self) -> Option<u16> {
        self.engines.iter().find_map(Engine::narrowed_window)
    }

    /// Clients that never read and whose connection the broker closed.
    pub(crate) fn gone(&self) -> usize {
        self.engines.iter().map(Engine::gone).sum()
    }

    /// Says good-bye on every connection and closes it.
    pub(crate) fn close(self) {
        self.engines.into_iter().for_each(Engine::close);
    }

    fn deal(&self, clients: impl Iterator<Item = Client>) -> Vec<Vec<Client>> {
        let mut hands: Vec<Vec<Client>> = self.engines.iter().map(|_| Vec::new()).collect();
        let count = hands.len();
        clients.enumerate().for_each(|(number, client)| hands[number % count].push(client));
        hands
    }

    fn all<T: Send>(
        &mut self,
        act: impl Fn(&mut Engine) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let hands = vec![(); self.engines.len()];
        self.each(hands, |engine, ()| act(engine))
    }

    /// Has each engine act with what it was dealt, all at the same time; the first failure ends it for all.
    fn each<T: Send, H: Send>(
        &mut self,
        mut hands: Vec<H>,
        act: impl Fn(&mut Engine, H) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        if let [engine] = &mut self.engines[..]
            && let Some(hand) = hands.pop()
        {
            return Ok(vec![act(engine, hand)?]);
        }
        let (act, board) = (&act, self.board.as_deref());
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .engines
                .iter_mut()
                .zip(hands)
                .map(|(engine, hand)| {
                    scope.spawn(move || {
                        let outcome = act(engine, hand);
                        if let (Err(_), Some(board)) = (&outcome, board) {
                            board.give_up();
                        }
                        outcome
                    })
                })
                .collect();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            // All have to end before the first failure is told.
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }
}
