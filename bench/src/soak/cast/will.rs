//! Clients with a will that leave in every way there is. Each will that is to be published is a message of its topic;
//! one that is not carries a number that a later one carries again, so watchers see both kinds of mistake.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Role, ended_by_broker};
use crate::exchange::packets::Will;
use crate::{
    soak::{
        client::{Client, Event, Leave},
        world::{Phase, World},
    },
    wire::Version,
};

/// Will delay of those who come back before it passes, in seconds.
const LONG_DELAY: u32 = 6;
/// Will delay of those who do not, in seconds.
const SHORT_DELAY: u32 = 1;
/// How long a session with a will delay lasts without connection, in seconds.
const EXPIRY: u32 = 60;
/// Beyond its delay, until a will was surely published.
const SURELY: Duration = Duration::from_secs(2);

/// How the present connection will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// DISCONNECT: no will.
    Disconnect,
    /// DISCONNECT with reason code 0x04: the will.
    DisconnectWithWill,
    /// Dropped or reset: the will.
    Lost,
    /// Taken over by its own next connection: the will.
    TakenOver,
    /// Dropped, and back before the delay passes: no will.
    LostAndBack,
    /// Dropped, and away until after the delay: the will.
    LostForLong,
}

#[derive(Debug)]
enum State {
    Away { until: Instant },
    Connecting(Ending),
    Online { until: Instant, ending: Ending },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Testator {
    topic: u32,
    qos: u8,
    state: State,
}

impl Testator {
    /// Of wills under this topic.
    pub(super) fn new(topic: u32, qos: u8, world: &mut World) -> Self {
        Self { topic, qos, state: State::Away { until: world.now + world.random.time(0, 5_000) } }
    }

    fn choose(&self, client: &mut Client, world: &mut World) -> Ending {
        let five = client.profile.version == Version::V5_0;
        let ending = match world.random.below(if five { 6 } else { 3 }) {
            0 => Ending::Disconnect,
            1 => Ending::Lost,
            2 => Ending::TakenOver,
            3 => Ending::DisconnectWithWill,
            4 => Ending::LostAndBack,
            _ => Ending::LostForLong,
        };
        let delay_seconds = match ending {
            Ending::LostAndBack => LONG_DELAY,
            Ending::LostForLong => SHORT_DELAY,
            _ => 0,
        };
        // A session that is left from before has to be resumed, so that its end does not publish the will.
        client.profile.clean = !client.has_session();
        client.profile.expiry_seconds = if delay_seconds > 0 { EXPIRY } else { 0 };
        self.put_will(client, delay_seconds, world);
        ending
    }

    fn put_will(&self, client: &mut Client, delay_seconds: u32, world: &World) {
        client.profile.will = Some(Will {
            topic: world.board.name(self.topic).to_owned(),
            payload: world.board.next_payload(self.topic, 0),
            qos: self.qos,
            delay_seconds,
        });
    }

    fn end(&mut self, ending: Ending, client: &mut Client, world: &mut World) -> io::Result<()> {
        if !matches!(ending, Ending::Disconnect | Ending::LostAndBack) {
            world.board.published(self.topic);
            // Its payload says when the connection began.
            world.board.delayed(self.topic);
            world.board.counts.wills += 1;
        }
        let mut away = world.random.time(50, 3_000);
        match ending {
            Ending::Disconnect => client.leave(Leave::Disconnect(Some(0)), world),
            Ending::DisconnectWithWill => client.leave(Leave::DisconnectWithWill, world),
            Ending::Lost => client.leave(lose(world), world),
            Ending::LostAndBack => {
                client.leave(Leave::Drop, world);
                away = world.random.time(300, 1_000);
            }
            Ending::LostForLong => {
                client.leave(Leave::Drop, world);
                away = Duration::from_secs(SHORT_DELAY.into()) + SURELY;
            }
            Ending::TakenOver => {
                client.profile.clean = true;
                self.put_will(client, 0, world);
                client.take_over(world)?;
                self.state = State::Connecting(Ending::Lost);
                return Ok(());
            }
        }
        self.state = State::Away { until: world.now + away };
        Ok(())
    }
}

fn lose(world: &mut World) -> Leave {
    if world.random.percent(50) { Leave::Drop } else { Leave::Reset }
}

impl Role for Testator {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        let under_load = world.phase == Phase::Load;
        match self.state {
            State::Away { until } if world.now >= until && (under_load || client.has_session()) => {
                let ending = self.choose(client, world);
                client.connect(world)?;
                self.state = State::Connecting(ending);
            }
            State::Online { .. } if !under_load => {
                self.end(Ending::Disconnect, client, world)?;
            }
            State::Online { until, ending } if world.now >= until => self.end(ending, client, world)?,
            State::Away { .. } | State::Connecting(_) | State::Online { .. } => {}
        }
        Ok(())
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        match (event, &self.state) {
            (Event::Up, &State::Connecting(ending)) => {
                self.state = State::Online { until: world.now + world.random.time(200, 8_000), ending };
            }
            (Event::Ended(told, end), _) => {
                ended_by_broker(client, told, &end, world);
                self.state = State::Away { until: world.now + Duration::from_secs(5) };
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, _phase: Phase) -> bool {
        client.is_gone() && !client.has_session()
    }
}
