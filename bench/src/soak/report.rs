//! What a soak tells while it runs: a line of JSON for each phase, and figures every few seconds.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    board::{Board, Counts, Faults},
    cast::Player,
    world::World,
};
use crate::latency::{Histogram, Percentiles};

/// Seconds since the start, and what is told.
#[derive(Serialize)]
struct Line<'a> {
    at: f64,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Told<'a> {
    /// A phase begins, with what the broker has to hold in it.
    Phase { name: &'a str, connections: usize, sessions: usize, retained: usize },
    /// Counts since the start.
    Figures { connections: usize, counts: Counts, faults: Faults },
    /// Latencies since the last such line, of messages whose publisher and subscriber were online.
    Latency { latency_us: Percentiles },
    /// The last line.
    End {
        clean: bool,
        latency_us: Option<Percentiles>,
        counts: Counts,
        faults: Faults,
        sentences: &'a [String],
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Report {
    started: Instant,
    /// Latencies since the start.
    latency: Histogram,
    latency_every: Duration,
    latency_at: Instant,
}

impl Report {
    /// Of a run that begins now and takes about so long.
    pub(super) fn new(started: Instant, length: Duration) -> Self {
        let latency_every = (length / 60).clamp(Duration::from_secs(5), Duration::from_secs(60));
        Self { started, latency: Histogram::default(), latency_every, latency_at: started + latency_every }
    }

    /// A phase begins.
    pub(super) fn phase(&self, name: &str, players: &[Player], world: &World) -> io::Result<()> {
        let connections = connections(players);
        let sessions = players.iter().filter(|player| player.client.has_session()).count();
        self.tell(Told::Phase { name, connections, sessions, retained: world.board.retained.len() })
    }

    /// Figures are due.
    pub(super) fn figures(&mut self, players: &[Player], world: &mut World) -> io::Result<()> {
        let Board { counts, faults, ref mut latency, .. } = world.board;
        self.tell(Told::Figures { connections: connections(players), counts, faults })?;
        if world.now < self.latency_at {
            return Ok(());
        }
        self.latency_at = world.now + self.latency_every;
        self.latency.add(latency);
        let latency_us = latency.percentiles();
        latency.clear();
        latency_us.map_or(Ok(()), |latency_us| self.tell(Told::Latency { latency_us }))
    }

    /// The run is over.
    pub(super) fn end(&mut self, clean: bool, board: &Board) -> io::Result<()> {
        self.latency.add(&board.latency);
        let Board { counts, faults, ref sentences, .. } = *board;
        self.tell(Told::End { clean, latency_us: self.latency.percentiles(), counts, faults, sentences })
    }

    fn tell(&self, told: Told<'_>) -> io::Result<()> {
        let line = serde_json::to_string(&Line { at: self.started.elapsed().as_secs_f64(), told })?;
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }
}

fn connections(players: &[Player]) -> usize {
    players.iter().map(|player| player.client.links()).sum()
}
