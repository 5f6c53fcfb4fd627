//! Publishes with QoS 1 and 2 at their rates, in turn over all topic names whose publisher can.

use std::time::{Duration, Instant};

use super::{
    cast::{Channels, Player},
    session::Message,
    world::World,
};

/// What could not be published for longer than this is not made up for.
const BACKLOG: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Load {
    channels: Channels,
    rates: [f64; 2],
    /// Publishes that are due.
    due: [f64; 2],
    next: [usize; 2],
    last: Instant,
}

impl Load {
    /// With these rates in messages per second.
    pub(super) const fn new(channels: Channels, rates: [f64; 2], now: Instant) -> Self {
        Self { channels, rates, due: [0.0; 2], next: [0; 2], last: now }
    }

    /// Publishes what is due.
    pub(super) fn tick(&mut self, players: &mut [Player], world: &mut World) {
        let passed = world.now.duration_since(self.last).min(BACKLOG).as_secs_f64();
        self.last = world.now;
        for (at, channel) in self.channels.iter().enumerate() {
            let most = self.rates[at] * BACKLOG.as_secs_f64();
            self.due[at] = (self.due[at] + self.rates[at] * passed).min(most.max(1.0));
            // A whole round without a publisher that can ends it.
            let mut refused = 0;
            while self.due[at] >= 1.0 && refused < channel.len() {
                let (player, topic) = channel[self.next[at] % channel.len()];
                self.next[at] = (self.next[at] + 1) % channel.len();
                let client = &mut players[player].client;
                if !client.has_room(world.window) {
                    refused += 1;
                    continue;
                }
                refused = 0;
                self.due[at] -= 1.0;
                let (sequence, qos) = (world.judge.topic(topic).next(), at as u8 + 1);
                client.publish(Message { topic, sequence, qos, change: None }, world);
            }
        }
    }
}
