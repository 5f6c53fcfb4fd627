//! The wills of one client, a new one with each CONNECT, and what has to become of each.

use std::time::{Duration, Instant};

use super::{
    event::{Event, Topic},
    session::Message,
    world::World,
};
use crate::exchange::packets;

/// A busy broker has had time to see a lost connection, and to publish its will.
const SURELY: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Testament {
    topic: Topic,
    delay_seconds: u32,
    /// The will of the last CONNECT, while nothing is known of its fate.
    open: Option<u32>,
    /// When it is due, unless the broker is killed before: it then may wait for its client to come back.
    due: Option<(Instant, u32)>,
}

impl Testament {
    /// Nothing written yet.
    pub(super) const fn new(topic: Topic, delay_seconds: u32) -> Self {
        Self { topic, delay_seconds, open: None, due: None }
    }

    /// How long a client stays away, at least, for its will to be due.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.delay_seconds.into()) + SURELY
    }

    /// The will of the CONNECT that is about to be sent. The former one may be published, or not.
    pub(super) fn write(&mut self, world: &mut World) -> packets::Will {
        let topic = self.topic;
        if let Some(sequence) = self.open.take() {
            world.tell(Event::Abandoned { topic, sequence });
        }
        self.due = None;
        let sequence = world.judge.topic(topic).next();
        self.open = Some(sequence);
        world.tell(Event::Sent { topic, sequence, again: false });
        let qos = world.judge.topic(topic).qos;
        let packets::Message { topic, payload, .. } =
            world.encode(Message { topic, sequence, qos, change: None });
        packets::Will { topic, payload, qos, delay_seconds: self.delay_seconds }
    }

    /// The connection was dropped without a DISCONNECT.
    pub(super) fn dropped(&mut self, world: &World) {
        self.due = Some((world.now + self.patience(), world.kills));
    }

    /// The broker has taken the DISCONNECT.
    pub(super) fn withdraw(&mut self, world: &mut World) {
        if let Some(sequence) = self.open.take() {
            world.tell(Event::Withdrawn { topic: self.topic, sequence });
        }
    }

    /// Time passes.
    pub(super) fn tick(&mut self, world: &mut World) {
        let Some((at, kills)) = self.due else { return };
        if kills != world.kills {
            self.due = None;
        } else if world.now >= at
            && let Some(sequence) = self.open.take()
        {
            self.due = None;
            world.tell(Event::Acknowledged { topic: self.topic, sequence });
        }
    }
}
