//! Clients with a durable session that publish: steadily, now and then in bursts, now and then something large.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Role, ended_by_broker, trouble::Trouble};
use crate::exchange::packets::Message;
use crate::soak::{
    client::{Client, Event},
    world::{Phase, World},
};

/// Publishes of one burst.
const BURST: u32 = 200;
/// One message in so many is large.
const LARGE_ONE_IN: u32 = 1_000;
/// Bytes of a large message.
const LARGE: (u32, u32) = (64 << 10, 512 << 10);

/// One topic, and how often something is published to it.
#[derive(Debug)]
pub(super) struct Feed {
    /// Its number on the board.
    pub topic: u32,
    /// Of the publishes.
    pub qos: u8,
    /// Message expiry interval, 5.0.
    pub expiry_seconds: Option<u32>,
    /// Mean time between two messages.
    pub every: Duration,
    /// Bursts and large messages occur.
    pub wild: bool,
    /// When the next message is due.
    pub due: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Publisher {
    feeds: Vec<Feed>,
    burst_at: Instant,
    trouble: Trouble,
}

impl Publisher {
    /// Of these feeds.
    pub(super) fn new(feeds: Vec<Feed>, trouble: Trouble, world: &mut World) -> Self {
        let burst_at = world.now + world.random.time(5_000, 60_000);
        Self { feeds, burst_at, trouble }
    }

    fn publish(&mut self, client: &mut Client, world: &mut World) {
        let burst = world.now >= self.burst_at;
        if burst {
            self.burst_at = world.now + world.random.time(20_000, 60_000);
        }
        for feed in &mut self.feeds {
            if burst && feed.wild {
                (0..BURST).for_each(|_| send(feed, client, world));
            }
            if feed.due <= world.now {
                send(feed, client, world);
                let every = feed.every.as_millis() as u32;
                feed.due = world.now + world.random.time(every / 2, every + every / 2);
            }
        }
    }
}

fn send(feed: &Feed, client: &mut Client, world: &mut World) {
    let size = match world.random.below(LARGE_ONE_IN) {
        0 if feed.wild => LARGE.0 + world.random.below(LARGE.1 - LARGE.0),
        small => 16 + small % 240,
    };
    let payload = world.board.next_payload(feed.topic, size as usize);
    world.board.published(feed.topic);
    client.publish(Message {
        topic: world.board.name(feed.topic).to_owned(),
        payload,
        qos: feed.qos,
        retain: false,
        expiry_seconds: feed.expiry_seconds,
    });
}

impl Role for Publisher {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        if self.trouble.tick(client, world)? {
            self.feeds.iter().for_each(|feed| world.board.delayed(feed.topic));
        }
        if world.phase == Phase::Load && client.is_up() {
            self.publish(client, world);
        }
        Ok(())
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        if let Event::Ended(told, end) = event {
            ended_by_broker(client, told, &end, world);
            self.trouble.ended(world);
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, _phase: Phase) -> bool {
        client.is_up() && client.is_idle()
    }
}
