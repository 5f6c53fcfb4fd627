//! What befalls a durable client: it goes offline in every way there is, and comes back to its session.

use std::{io, time::Instant};

use crate::soak::{
    client::{Client, Leave},
    world::{Phase, World},
};

#[derive(Debug)]
enum State {
    Well {
        until: Instant,
    },
    /// The connection goes on, but the client does not read or does not acknowledge, and then drops it.
    Ailing {
        until: Instant,
    },
    Away {
        until: Instant,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Trouble {
    state: State,
    /// Shortest and longest time without trouble, in milliseconds; none for a client that just holds on.
    well: Option<(u32, u32)>,
}

impl Trouble {
    /// A client that connects at once.
    pub(super) fn new(now: Instant, well: Option<(u32, u32)>) -> Self {
        Self { state: State::Away { until: now }, well }
    }

    /// True if the connection was ended in this turn.
    pub(super) fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<bool> {
        let under_load = world.phase == Phase::Load;
        match self.state {
            State::Well { until } => {
                if !under_load || world.now < until || !client.is_up() {
                    return Ok(false);
                }
                self.strike(client, world)?;
                Ok(true)
            }
            State::Ailing { until } => {
                if under_load && world.now < until {
                    return Ok(false);
                }
                client.leave(Leave::Drop, world);
                self.go_away(world);
                Ok(true)
            }
            State::Away { until } => {
                if under_load && world.now < until {
                    return Ok(false);
                }
                client.connect(world)?;
                self.recover(world);
                Ok(false)
            }
        }
    }

    /// The broker ended the connection.
    pub(super) fn ended(&mut self, world: &mut World) {
        self.go_away(world);
    }

    fn strike(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        let until = world.now + world.random.time(100, 800);
        match world.random.below(100) {
            0..25 => client.leave(Leave::Disconnect(None), world),
            25..45 => client.leave(Leave::Drop, world),
            45..55 => client.leave(Leave::Reset, world),
            55..70 => {
                client.mute(true);
                self.state = State::Ailing { until };
                return Ok(());
            }
            70..85 => {
                client.withholds = true;
                self.state = State::Ailing { until };
                return Ok(());
            }
            _ => {
                client.take_over(world)?;
                self.recover(world);
                return Ok(());
            }
        }
        self.go_away(world);
        Ok(())
    }

    fn go_away(&mut self, world: &mut World) {
        let away = if world.random.percent(30) { (2_000, 20_000) } else { (50, 2_000) };
        self.state = State::Away { until: world.now + world.random.time(away.0, away.1) };
    }

    fn recover(&mut self, world: &mut World) {
        // Where nothing befalls it, a day is longer than any run.
        let (least, most) = self.well.unwrap_or((86_400_000, 86_400_000));
        self.state = State::Well { until: world.now + world.random.time(least, most) };
    }
}
