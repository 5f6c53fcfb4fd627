//! Sets, replaces and clears retained messages, one change at a time.

use std::time::Instant;

use super::super::{
    client::Client,
    event::Topic,
    judge::Change,
    session::Message,
    world::{Phase, World},
};

/// Between two changes, in milliseconds.
const EVERY: (u32, u32) = (20, 150);

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    topics: Vec<Topic>,
    next_at: Instant,
}

impl Writer {
    pub(super) const fn new(topics: Vec<Topic>, now: Instant) -> Self {
        Self { topics, next_at: now }
    }

    pub(super) fn tick(&mut self, client: &mut Client, world: &mut World) {
        if world.phase != Phase::Load || world.now < self.next_at || !client.has_room(1) {
            return;
        }
        self.next_at = world.now + world.random.time(EVERY.0, EVERY.1);
        let topic = world.random.pick(&self.topics);
        let change = if world.random.percent(25) { Change::Cleared } else { Change::Set };
        let (sequence, qos) = (world.judge.topic(topic).next(), world.judge.topic(topic).qos);
        client.publish(Message { topic, sequence, qos, change: Some(change) }, world);
    }
}
