//! Slow readers: clean sessions that subscribe to much, do not read for long, read a little, and leave.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Role, ended_by_broker, fresh, leave_somehow};
use crate::soak::{
    client::{Client, Event},
    world::{Phase, World},
};

/// What the kernel takes for it, in bytes, so that the broker notices soon.
const RECEIVE_BUFFER: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct SlowReader {
    filters: Vec<(String, u8)>,
    /// When it turns from reading to not reading and back.
    turn: Instant,
    reads: bool,
    leaves: Instant,
}

impl SlowReader {
    /// Of these filters.
    pub(super) fn new(filters: Vec<(String, u8)>, world: &mut World) -> Self {
        let turn = world.now + world.random.time(0, 5_000);
        Self { filters, turn, reads: true, leaves: turn }
    }
}

impl Role for SlowReader {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        let under_load = world.phase == Phase::Load;
        if client.is_up() && (!under_load || world.now >= self.leaves) {
            leave_somehow(client, world);
            self.turn = world.now + world.random.time(500, 10_000);
        } else if client.is_up() && world.now >= self.turn {
            self.reads = !self.reads;
            client.mute(!self.reads);
            let (least, most) = if self.reads { (200, 2_000) } else { (5_000, 30_000) };
            self.turn = world.now + world.random.time(least, most);
        } else if client.is_gone() && under_load && world.now >= self.turn {
            fresh(client, world);
            client.profile.receive_buffer = Some(RECEIVE_BUFFER);
            // It sends no PINGREQ while it does not read.
            client.profile.keep_alive_seconds = 0;
            client.connect(world)?;
            self.reads = true;
        }
        Ok(())
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        match event {
            Event::Up => {
                client.subscribe(&self.filters);
                self.turn = world.now + world.random.time(500, 1_000);
                self.leaves = world.now + world.random.time(20_000, 90_000);
            }
            Event::Ended(told, end) => {
                ended_by_broker(client, told, &end, world);
                self.turn = world.now + Duration::from_secs(5);
            }
            Event::Message { .. } | Event::Subscribed(_) | Event::Unsubscribed(_) => {}
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, _phase: Phase) -> bool {
        client.is_gone()
    }
}
