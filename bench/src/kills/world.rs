//! What all clients of a run share.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::fd::OwnedFd;

use super::{
    event::Event,
    history::History,
    judge::{Change, Judge},
    session::Message,
};
use crate::{exchange::packets, random::Random, wire::Stamp};

/// What the clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Publish, come and go.
    Load,
    /// Nothing more is published; durable clients come online, and all that is promised arrives.
    Drain,
    /// Retained messages are looked at for the last time.
    Check,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    /// Tells which sockets have something.
    pub epoll: OwnedFd,
    /// The broker's, or those of its nodes.
    pub addresses: Vec<SocketAddr>,
    /// When the run began.
    pub started: Instant,
    /// The moment of the current turn.
    pub now: Instant,
    /// What is to be done.
    pub phase: Phase,
    /// Chance.
    pub random: Random,
    /// Hears of everything.
    pub judge: Judge,
    /// Remembers the last of it.
    pub history: History,
    /// Grows with each kill and with each start: a connection of another number may be over for that reason.
    pub kills: u32,
    /// The broker is alive, as far as is known.
    pub is_up: bool,
    /// It is being killed, or not started again yet.
    pub is_held_down: bool,
    /// Publishes to the main load in flight are bounded by this for each client.
    pub window: usize,
    /// What sockets are read into.
    pub buffer: Vec<u8>,
}

impl World {
    /// Something happened.
    pub(super) fn tell(&mut self, event: Event) {
        let at = self.now - self.started;
        self.history.push(at, event);
        self.judge.take(at, event);
        if matches!(event, Event::Connected { .. }) && !self.is_up && !self.is_held_down {
            self.is_up = true;
            self.tell(Event::Ready);
        }
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.started
    }

    /// The PUBLISH of a message, to be encoded.
    pub(super) fn encode(&self, message: Message) -> packets::Message {
        let Message { topic, sequence, qos, change } = message;
        let stamp = Stamp { publisher: topic, sequence, nanoseconds: qos.into() };
        packets::Message {
            topic: self.judge.topic(topic).name.clone(),
            payload: if change == Some(Change::Cleared) { Vec::new() } else { stamp.to_bytes().to_vec() },
            qos,
            retain: change.is_some(),
            expiry_seconds: None,
        }
    }
}
