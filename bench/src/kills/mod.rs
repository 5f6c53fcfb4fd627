//! `mqtt-bench kills`: a broker is killed under load at random moments and started again, and the histories of all
//! clients tell whether it kept what it had promised.

mod arguments;
mod broker;
mod cast;
mod client;
mod event;
mod history;
mod judge;
mod load;
mod report;
mod sequences;
mod session;
mod subscription;
mod testament;
mod world;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

pub(crate) use self::arguments::{Arguments, HELP, parse};
use self::{
    broker::Broker,
    cast::Player,
    event::Event,
    history::History,
    judge::{Faults, Judge},
    load::Load,
    report::{Broken, Kill, Report},
    world::{Phase, World},
};

/// Between two turns of all clients.
const TICK: Duration = Duration::from_millis(5);
/// Between two looks at what is to be delivered, in the end.
const LOOK: Duration = Duration::from_millis(100);
/// Events of one wait.
const EVENTS_PER_WAIT: usize = 256;
/// How long a broker may take to accept clients.
const READY_MAX: Duration = Duration::from_secs(120);
/// What comes twice has so long to come.
const REST: Duration = Duration::from_secs(1);
/// How long the last look at retained messages may take, longer than a client waits for one of them.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// Longest time that a broker stays down, in milliseconds.
const DOWN_MAX: u32 = 200;
/// One in so many kills comes while the broker recovers from the last.
const EARLY_PERCENT: u32 = 15;

/// Runs to the end; returns the verdict, and where the broker's files are if they were left.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<(Report, Option<PathBuf>)> {
    let (broker, addresses) = Broker::new(arguments)?;
    let now = Instant::now();
    let mut world = World {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        addresses,
        started: now,
        now,
        phase: Phase::Load,
        random: crate::random::Random::new(arguments.seed),
        judge: Judge::default(),
        history: History::default(),
        kills: 0,
        is_up: false,
        is_held_down: false,
        window: arguments.window,
        buffer: Vec::new(),
    };
    let (players, channels) = cast::assemble(&mut world);
    let load = Load::new(channels, arguments.rates, now);
    let events = Vec::with_capacity(EVENTS_PER_WAIT);
    let mut run =
        Run { world, players, load, broker, events, tick_at: now, kills: Vec::new(), killed_at: None };
    run.until_ready()?;
    let seconds = run.load(arguments)?;
    let drain_seconds = run.drain(arguments.drain)?;
    run.check()?;
    run.finish(arguments, seconds, drain_seconds)
}

struct Run {
    world: World,
    players: Vec<Player>,
    load: Load,
    broker: Broker,
    events: Vec<epoll::Event>,
    tick_at: Instant,
    kills: Vec<Kill>,
    /// When the last kill's start was, until all clients are back.
    killed_at: Option<Instant>,
}

impl Run {
    /// Load with kills; returns its length in seconds.
    fn load(&mut self, arguments: &Arguments) -> anyhow::Result<f64> {
        let started = self.world.now;
        for _ in 0..arguments.kills {
            let mean = arguments.between.as_millis() as u32;
            let time = if self.world.random.percent(EARLY_PERCENT) {
                self.world.random.time(0, 300)
            } else {
                self.world.random.time(mean / 5, mean.saturating_mul(9) / 5)
            };
            self.serve_for(time)?;
            self.kill()?;
        }
        let left = arguments.length.saturating_sub(self.world.now - started);
        // What was promised before the last kill is to be heard under load as well.
        let behind = if arguments.kills > 0 { arguments.between.min(Duration::from_secs(2)) } else { left };
        self.serve_for(left.max(behind))?;
        Ok((self.world.now - started).as_secs_f64())
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        let outstanding = self.world.judge.outstanding();
        let count = |of: &dyn Fn(&Player) -> usize| self.players.iter().map(of).sum();
        let kill = Kill {
            at: self.world.elapsed().as_secs_f64(),
            connected: count(&|player| usize::from(player.client.is_up())),
            qos1_in_flight: count(&|player| player.client.session.count(1, false)),
            qos2_in_flight: count(&|player| player.client.session.count(2, false)),
            qos2_released: count(&|player| player.client.session.count(2, true)),
            outstanding,
            ..Kill::default()
        };
        self.kills.push(kill);
        self.broker.kill(self.kills.len() as u32)?;
        self.world.kills += 1;
        (self.world.is_up, self.world.is_held_down) = (false, true);
        self.world.tell(Event::Killed);
        let down = self.world.random.time(0, DOWN_MAX);
        self.serve_for(down)?;
        let begun = Instant::now();
        while !self.broker.start()? {
            if begun.elapsed() > READY_MAX {
                bail!("the command that kills the broker did not end within {} s", READY_MAX.as_secs());
            }
            self.serve()?;
        }
        // Connections that were made meanwhile may have been the killed broker's.
        self.world.kills += 1;
        self.world.is_held_down = false;
        self.killed_at = Some(self.world.now);
        self.until_ready()
    }

    fn until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.world.is_up {
            if started.elapsed() > READY_MAX {
                bail!("the broker did not accept a client within {} s", READY_MAX.as_secs());
            }
            self.serve()?;
        }
        if let (Some(kill), Some(killed_at)) = (self.kills.last_mut(), self.killed_at) {
            kill.ready_ms = Some((self.world.now - killed_at).as_secs_f64() * 1e3);
        }
        Ok(())
    }

    /// Nothing more is published, and all arrives that is promised; returns how long that took, in seconds.
    fn drain(&mut self, patience: Duration) -> anyhow::Result<f64> {
        let started = self.world.now;
        self.world.phase = Phase::Drain;
        let (mut done, mut progress_at) = (self.progress(), started);
        let mut complete_at: Option<Instant> = None;
        loop {
            self.serve_for(LOOK)?;
            let now = self.world.now;
            if self.progress() != done {
                (done, progress_at) = (self.progress(), now);
            }
            let is_complete = self.is_at_rest() && self.world.judge.outstanding() == 0;
            complete_at = complete_at.filter(|_| is_complete).or_else(|| is_complete.then_some(now));
            if let Some(at) = complete_at
                && now.duration_since(at.max(progress_at)) > REST
            {
                return Ok((at.max(progress_at) - started).as_secs_f64());
            }
            if now.duration_since(progress_at) > patience {
                self.name_restless();
                return Ok((progress_at - started).as_secs_f64());
            }
        }
    }

    /// Retained messages are looked at for the last time.
    fn check(&mut self) -> anyhow::Result<()> {
        self.world.phase = Phase::Check;
        let deadline = Instant::now() + CHECK_MAX;
        while !self.is_at_rest() {
            if Instant::now() > deadline {
                self.name_restless();
                return Ok(());
            }
            self.serve()?;
        }
        Ok(())
    }

    fn finish(
        self,
        arguments: &Arguments,
        seconds: f64,
        drain_seconds: f64,
    ) -> anyhow::Result<(Report, Option<PathBuf>)> {
        let Self { world, players, broker, kills, .. } = self;
        let clients = players.len();
        let (verdict, names) = world.judge.finish();
        let clean = verdict.faults == Faults::default();
        let broken = verdict.violations.iter().map(|violation| Broken {
            fault: violation.fault,
            sentence: violation.sentence.clone(),
            history: world.history.lines(violation, &names),
        });
        let report = Report {
            clean,
            seed: arguments.seed,
            seconds,
            drain_seconds,
            clients,
            counts: verdict.counts,
            faults: verdict.faults,
            kills,
            broken: broken.collect(),
        };
        if let Some(file) = &arguments.json {
            let json = serde_json::to_string_pretty(&report).context("cannot encode the verdict")?;
            fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
        }
        let folder = broker.end(clean).context("cannot end the broker")?;
        Ok((report, folder))
    }

    /// What grows while a broker delivers, or takes up clients.
    fn progress(&self) -> u64 {
        let counts = self.world.judge.counts();
        counts.delivered + counts.duplicates + counts.acknowledged + counts.connects + counts.subscribed
    }

    fn is_at_rest(&self) -> bool {
        self.players.iter().filter(|player| player.is_claimed()).all(|player| player.is_at_rest(&self.world))
    }

    fn name_restless(&mut self) {
        let restless = self.players.iter().filter(|it| it.is_claimed() && !it.is_at_rest(&self.world));
        let sentences: Vec<_> = restless
            .map(|Player { client, .. }| {
                let (name, in_flight) = (&client.profile.client_identifier, client.session.in_flight());
                let state = if client.is_up() { "connected" } else { "offline" };
                (client.number, format!("{name} did not come to rest: {state}, {in_flight} in flight"))
            })
            .collect();
        for (client, sentence) in sentences {
            self.world.judge.misconduct(Some(client), sentence);
        }
    }

    fn serve_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.serve()?;
        }
        Ok(())
    }

    /// Waits for sockets until the next tick at most, and serves those that have something.
    fn serve(&mut self) -> anyhow::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        self.events.clear();
        match epoll::wait(&self.world.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for sockets"),
        }
        self.world.now = Instant::now();
        for at in 0..self.events.len() {
            let epoll::Event { data, flags } = self.events[at];
            let key = data.u64();
            let client = &mut self.players[(key >> 32) as usize].client;
            client.wake(key, flags, &mut self.world);
            client.pump(&mut self.world)?;
        }
        if self.world.now < self.tick_at {
            return Ok(());
        }
        self.tick_at = self.world.now + TICK;
        if !self.world.is_held_down {
            self.broker.check()?;
        }
        if self.world.phase == Phase::Load {
            self.load.tick(&mut self.players, &mut self.world);
        }
        for player in &mut self.players {
            player.tick(&mut self.world)?;
            player.client.pump(&mut self.world)?;
        }
        if let Some(killed_at) = self.killed_at
            && self.world.is_up
            && !self.players.iter().any(Player::is_missed)
        {
            self.killed_at = None;
            if let Some(kill) = self.kills.last_mut() {
                kill.all_back_ms = Some((self.world.now - killed_at).as_secs_f64() * 1e3);
            }
        }
        Ok(())
    }
}
