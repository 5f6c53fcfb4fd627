//! `mqtt-bench soak`: mixed traffic with churn for as long as one likes, checked message by message.
//!
//! Phases of load alternate with phases of rest. For the latter the temporary clients leave, the durable ones come
//! online, and everything that was promised has to have arrived; then the broker's memory, files, connections,
//! sessions and ledger can be compared with those of other phases of rest, to the byte or the piece.

mod arguments;
mod board;
mod cast;
mod client;
mod report;
mod session;
mod world;

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

pub(crate) use self::arguments::{Arguments, HELP, parse};
use self::{
    board::{Board, Faults},
    cast::Player,
    client::Leave,
    report::Report,
    world::{Phase, World},
};

/// Between two turns of all clients.
const TICK: Duration = Duration::from_millis(10);
/// Events of one wait.
const EVENTS_PER_WAIT: usize = 256;
/// How long all that was promised may take to arrive when nothing more is published.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// Between two lines of figures.
const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// Runs to the end; true if the broker made no mistake.
pub(crate) fn run(arguments: &Arguments) -> io::Result<bool> {
    let now = Instant::now();
    let mut world = World {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        endpoints: arguments.endpoints,
        now,
        phase: Phase::Settle,
        random: crate::random::Random::new(arguments.seed),
        board: Board::new(now),
        buffer: Vec::new(),
    };
    let players = cast::assemble(&mut world);
    let events = Vec::with_capacity(EVENTS_PER_WAIT);
    let mut soak = Soak {
        world,
        players,
        events,
        report: Report::new(now, arguments.length),
        tick_at: now,
        figures_at: now,
    };
    let complete = soak.phases(arguments)?;
    let faults = soak.world.board.faults;
    let clean = complete && faults == Faults::default();
    soak.report.end(clean, &soak.world.board)?;
    Ok(clean)
}

struct Soak {
    world: World,
    players: Vec<Player>,
    events: Vec<epoll::Event>,
    report: Report,
    tick_at: Instant,
    figures_at: Instant,
}

impl Soak {
    /// False if all did not come to rest.
    fn phases(&mut self, arguments: &Arguments) -> io::Result<bool> {
        let end = Instant::now() + arguments.length;
        loop {
            if !self.rest(arguments.quiet)? {
                return Ok(false);
            }
            if Instant::now() >= end {
                break;
            }
            self.enter(Phase::Load)?;
            self.serve_for(arguments.load)?;
        }
        self.farewell(arguments.quiet)
    }

    /// Comes to rest, compares, and rests.
    fn rest(&mut self, time: Duration) -> io::Result<bool> {
        self.enter(Phase::Settle)?;
        let settled = self.serve_until(|soak| soak.at_rest() && soak.world.board.outstanding() == 0)?;
        if !settled {
            let restless =
                self.players.iter().filter(|player| !player.role.at_rest(&player.client, self.world.phase));
            for player in restless.take(5) {
                let name = &player.client.profile.client_identifier;
                self.world
                    .board
                    .misconduct(format!("{name} did not come to rest: {}", player.client.waits_for()));
            }
            self.world.board.give_up();
            return Ok(false);
        }
        self.world.board.settle();
        self.enter(Phase::Check)?;
        self.tick()?;
        if !self.serve_until(Self::at_rest)? {
            self.world.board.misconduct("the retained messages were not compared in time".into());
            return Ok(false);
        }
        self.enter(Phase::Quiet)?;
        self.serve_for(time)?;
        Ok(true)
    }

    /// All durable sessions end, and all connections; then nothing is left of the run but retained messages.
    fn farewell(&mut self, time: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + SETTLE_MAX;
        while self.players.iter().any(|player| player.client.has_session() || !player.client.is_gone()) {
            if Instant::now() > deadline {
                self.world.board.misconduct("not all sessions could be ended".into());
                return Ok(false);
            }
            self.wait()?;
            for Player { client, .. } in &mut self.players {
                if client.is_up() {
                    client.leave(Leave::Disconnect(Some(0)), &mut self.world);
                } else if client.has_session() {
                    // 3.1.1 ends a session by beginning another.
                    client.profile.clean = true;
                    client.connect(&mut self.world)?;
                }
                while client.next_event().is_some() {}
                client.pump(&mut self.world);
            }
        }
        self.report.phase("gone", &self.players, &self.world)?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.wait()?;
        }
        Ok(true)
    }

    fn enter(&mut self, phase: Phase) -> io::Result<()> {
        self.world.phase = phase;
        let name = match phase {
            Phase::Load => "load",
            Phase::Settle => "settle",
            Phase::Check => "check",
            Phase::Quiet => "quiet",
        };
        self.report.phase(name, &self.players, &self.world)
    }

    fn at_rest(&self) -> bool {
        self.players.iter().all(|player| player.role.at_rest(&player.client, self.world.phase))
    }

    fn serve_for(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.serve()?;
        }
        Ok(())
    }

    /// False if it took too long.
    fn serve_until(&mut self, reached: impl Fn(&Self) -> bool) -> io::Result<bool> {
        let deadline = Instant::now() + SETTLE_MAX;
        while !reached(self) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            self.serve()?;
        }
        Ok(true)
    }

    /// Waits for sockets until the next tick at most, and serves those that have something.
    fn serve(&mut self) -> io::Result<()> {
        self.wait()?;
        if self.world.now >= self.tick_at {
            self.tick()?;
            self.tick_at = self.world.now + TICK;
        }
        if self.world.now >= self.figures_at {
            self.report.figures(&self.players, &mut self.world)?;
            self.figures_at = self.world.now + FIGURES_EVERY;
        }
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        self.events.clear();
        match epoll::wait(&self.world.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.world.now = Instant::now();
        for at in 0..self.events.len() {
            let epoll::Event { data, flags } = self.events[at];
            let key = data.u64();
            let player = &mut self.players[(key >> 32) as usize];
            player.client.wake(key, flags, &mut self.world);
            play(player, &mut self.world)?;
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        for player in &mut self.players {
            player.role.tick(&mut player.client, &mut self.world)?;
            play(player, &mut self.world)?;
        }
        Ok(())
    }
}

/// Hands events on, and sends what came of them.
fn play(player: &mut Player, world: &mut World) -> io::Result<()> {
    while let Some(event) = player.client.next_event() {
        player.role.event(event, &mut player.client, world)?;
    }
    player.client.pump(world);
    Ok(())
}
