//! Temporary members of a shared group: clean sessions that join, take part for a while, and leave in every way.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Role, ended_by_broker, fresh, leave_somehow};
use crate::soak::{
    client::{Client, Event},
    world::{Phase, World},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Visitor {
    filter: String,
    audience: usize,
    /// When it comes, or goes.
    next: Instant,
}

impl Visitor {
    /// Of the group with this filter.
    pub(super) fn new(filter: String, audience: usize, world: &mut World) -> Self {
        Self { filter, audience, next: world.now + world.random.time(0, 10_000) }
    }
}

impl Role for Visitor {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        let under_load = world.phase == Phase::Load;
        if client.is_up() && (!under_load || world.now >= self.next) {
            leave_somehow(client, world);
            self.next = world.now + world.random.time(200, 5_000);
        } else if client.is_gone() && under_load && world.now >= self.next {
            fresh(client, world);
            client.connect(world)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        match event {
            Event::Up => {
                client.subscribe(&[(self.filter.clone(), 1)]);
                self.next = world.now + world.random.time(1_000, 20_000);
            }
            Event::Message { topic, payload, .. } => {
                let since = client.up_since().unwrap_or(world.now);
                world.board.heard(self.audience, &topic, &payload, since);
            }
            Event::Ended(told, end) => {
                ended_by_broker(client, told, &end, world);
                self.next = world.now + Duration::from_secs(5);
            }
            Event::Subscribed(_) | Event::Unsubscribed(_) => {}
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, _phase: Phase) -> bool {
        client.is_gone()
    }
}
