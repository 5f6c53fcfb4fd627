//! Retained messages: clients that set, replace and clear them, and clients that compare what is kept.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use super::{Role, ended_by_broker, trouble::Trouble};
use crate::exchange::packets::Message;
use crate::{
    soak::{
        board::Fault,
        client::{Client, Event, Leave},
        world::{Phase, World},
    },
    wire::Stamp,
};

/// Retained publishes of a writer come about this far apart.
const EVERY: (u32, u32) = (100, 500);
/// How long retained messages may take to arrive.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a checker goes on listening when it has all.
const LISTEN_ON: Duration = Duration::from_millis(300);

/// A durable client that owns some topics and keeps changing their retained messages, with QoS 1 or 2.
#[derive(Debug)]
pub(super) struct Writer {
    topics: Vec<u32>,
    qos: u8,
    due: Instant,
    trouble: Trouble,
}

impl Writer {
    /// Of these topics.
    pub(super) fn new(topics: Vec<u32>, qos: u8, trouble: Trouble, now: Instant) -> Self {
        Self { topics, qos, due: now, trouble }
    }
}

impl Role for Writer {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        self.trouble.tick(client, world)?;
        if world.phase != Phase::Load || !client.is_up() || world.now < self.due {
            return Ok(());
        }
        self.due = world.now + world.random.time(EVERY.0, EVERY.1);
        let number = world.random.pick(&self.topics);
        let topic = world.board.name(number).to_owned();
        let mut payload = Vec::new();
        if world.random.percent(25) {
            world.board.retained.remove(&topic);
        } else {
            let size = 16 + world.random.below(1_000);
            payload = world.board.next_payload(number, size as usize);
            let sequence = world.board.published(number);
            world.board.retained.insert(topic.clone(), sequence);
        }
        client.publish(Message { topic, payload, qos: self.qos, retain: true, expiry_seconds: None });
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

/// A client that connects when all is at rest, subscribes, and compares what it gets with what was published last.
#[derive(Debug)]
pub(super) struct Checker {
    filter: String,
    found: BTreeMap<String, u32>,
    /// When it asked; none before, and after it has compared.
    asked_at: Option<Instant>,
    complete_at: Option<Instant>,
    done: bool,
}

impl Checker {
    /// Of all topics below this filter.
    pub(super) fn new(filter: String) -> Self {
        Self { filter, found: BTreeMap::new(), asked_at: None, complete_at: None, done: true }
    }

    fn compare(&mut self, client: &mut Client, world: &mut World) {
        let kept = &world.board.retained;
        let differing = kept
            .iter()
            .filter(|(topic, sequence)| self.found.get(*topic) != Some(sequence))
            .chain(self.found.iter().filter(|(topic, _)| !kept.contains_key(*topic)))
            .count();
        if differing > 0 {
            let name = &client.profile.client_identifier;
            let sentence = format!("{name} found {differing} retained messages other than the last");
            world.board.blame(Fault::Retained, differing as u64, sentence);
        }
        client.leave(Leave::Disconnect(None), world);
        (self.asked_at, self.complete_at, self.done) = (None, None, true);
        self.found.clear();
    }
}

impl Role for Checker {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        match world.phase {
            Phase::Load | Phase::Settle => self.done = false,
            Phase::Check if !self.done && client.is_gone() => {
                client.connect(world)?;
                self.asked_at = Some(world.now);
            }
            Phase::Check | Phase::Quiet => {}
        }
        if self.complete_at.is_none() && self.found.len() >= world.board.retained.len() && client.is_up() {
            self.complete_at = Some(world.now);
        }
        let complete = self.complete_at.is_some_and(|at| world.now.duration_since(at) > LISTEN_ON);
        let late = self.asked_at.is_some_and(|at| world.now.duration_since(at) > PATIENCE);
        if complete || late {
            self.compare(client, world);
        }
        Ok(())
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        match event {
            Event::Up => client.subscribe(&[(self.filter.clone(), 1)]),
            Event::Message { topic, payload, retain } => {
                let sequence = Stamp::read(&payload).map_or(u32::MAX, |stamp| stamp.sequence);
                let again = self.found.insert(String::from_utf8_lossy(&topic).into_owned(), sequence);
                if again.is_some() || !retain {
                    let name = &client.profile.client_identifier;
                    world.board.misconduct(format!("{name} got a retained message again, or not as one"));
                }
            }
            Event::Ended(told, end) => ended_by_broker(client, told, &end, world),
            Event::Subscribed(_) | Event::Unsubscribed(_) => {}
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, phase: Phase) -> bool {
        client.is_gone() && (self.done || phase != Phase::Check)
    }
}
