//! A client and when it is there: always, half of the time, taking itself over, or until its session expires.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{
    super::{
        client::{Client, Leave},
        world::{Phase, World},
    },
    looker::Looker,
    writer::Writer,
};

/// Between two attempts to connect, in milliseconds.
const RETRY: (u32, u32) = (20, 80);
/// Between two changes of a subscription, in milliseconds.
const CHANGE: (u32, u32) = (500, 3_000);

/// When a client is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Unless the broker is not.
    Always,
    /// With times away, in milliseconds as the others.
    ComesAndGoes { here: (u32, u32), away: (u32, u32) },
    /// A second connection takes the place of the first, now and then.
    TakesOver { every: (u32, u32) },
    /// Away for less than its session expiry interval, or for longer.
    Expires,
}

/// What else it does.
#[derive(Debug)]
pub(super) enum Part {
    /// Publishes what the load gives it, or listens.
    None,
    /// Publishes retained messages.
    Writes(Writer),
    /// Looks at retained messages as a new subscriber.
    Looks(Looker),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Player {
    /// The client.
    pub client: Client,
    pub(super) presence: Presence,
    /// It ends subscriptions and makes them again.
    pub(super) changes: bool,
    pub(super) part: Part,
    /// When it comes or goes.
    pub(super) until: Instant,
    retry_at: Instant,
    /// It is where it wants to be: away.
    pub(super) is_away: bool,
    pub(super) change_at: Instant,
}

impl Player {
    pub(super) fn new(client: Client, presence: Presence, world: &World) -> Self {
        let now = world.now;
        Self {
            client,
            presence,
            changes: false,
            part: Part::None,
            until: now,
            retry_at: now,
            is_away: false,
            change_at: now,
        }
    }

    /// Called some hundred times a second.
    pub(crate) fn tick(&mut self, world: &mut World) -> io::Result<()> {
        if let Part::Looks(looker) = &mut self.part {
            return looker.tick(&mut self.client, world);
        }
        if let Part::Writes(writer) = &mut self.part {
            writer.tick(&mut self.client, world);
        }
        let is_load = world.phase == Phase::Load;
        if !self.client.is_up() {
            let stays_away = self.is_away && is_load && world.now < self.until;
            if stays_away {
                return Ok(());
            }
            if self.client.is_gone() && (self.is_away || world.now >= self.retry_at) {
                self.is_away = false;
                self.client.connect(world)?;
                self.retry_at = world.now + world.random.time(RETRY.0, RETRY.1);
                self.stay(world);
            }
            return Ok(());
        }
        if !is_load {
            return Ok(());
        }
        if self.changes && world.now >= self.change_at && !self.client.subscriptions.is_empty() {
            let chosen = world.random.below(self.client.subscriptions.len() as u32);
            self.client.subscriptions[chosen as usize].toggle();
            self.change_at = world.now + world.random.time(CHANGE.0, CHANGE.1);
        }
        if world.now >= self.until { self.go(world) } else { Ok(()) }
    }

    /// It has nothing more to do in this phase.
    pub(crate) fn is_at_rest(&self, world: &World) -> bool {
        match &self.part {
            Part::Looks(looker) => looker.is_at_rest(world),
            Part::Writes(_) | Part::None => self.client.is_up() && self.client.is_idle(),
        }
    }

    /// The broker is to remember it.
    pub(crate) const fn is_claimed(&self) -> bool {
        !self.client.profile.clean || matches!(self.part, Part::Looks(_))
    }

    /// The broker is ready, and this one wants to be there.
    pub(crate) fn is_missed(&self) -> bool {
        !self.is_away && !self.client.is_up() && matches!(self.part, Part::None)
    }

    /// How long it stays, once it is connected.
    fn stay(&mut self, world: &mut World) {
        let Some((least, most)) = (match self.presence {
            Presence::Always => None,
            Presence::ComesAndGoes { here, .. } => Some(here),
            Presence::TakesOver { every } => Some(every),
            Presence::Expires => Some((500, 2_000)),
        }) else {
            return;
        };
        self.until = world.now + world.random.time(least, most);
    }

    fn go(&mut self, world: &mut World) -> io::Result<()> {
        let time = match self.presence {
            Presence::Always => return Ok(()),
            Presence::TakesOver { .. } => {
                self.client.take_over(world)?;
                self.stay(world);
                return Ok(());
            }
            Presence::ComesAndGoes { away: (least, most), .. } => world.random.time(least, most),
            // The session expires after 3 s; some stay so long that it surely has, whatever happened to the broker.
            Presence::Expires => match world.random.below(10) {
                0..6 => world.random.time(100, 2_000),
                6..9 => world.random.time(6_500, 8_000),
                _ => world.random.time(18_500, 20_000),
            },
        };
        let how = if world.random.percent(50) { Leave::Disconnect } else { Leave::Drop };
        self.client.leave(how, world);
        let patience =
            self.client.testament.as_ref().map_or(Duration::ZERO, |testament| testament.patience());
        (self.is_away, self.until) = (true, world.now + time + patience);
        Ok(())
    }
}
