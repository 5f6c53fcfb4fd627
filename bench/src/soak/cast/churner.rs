//! Short lives: connect, subscribe, hear oneself, unsubscribe, hear oneself no more, leave; now and then leave half
//! open until the keep alive passes, or with bytes that are no packet.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Role, fresh, leave_somehow};
use crate::exchange::{link::End, packets::Message};
use crate::{
    order::{Arrival, Stream},
    soak::{
        client::{Client, Event},
        world::{Phase, World},
    },
    wire::{Stamp, Version},
};

/// Messages that it sends to itself.
const ECHOES: u32 = 5;
/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Keep alive of one that leaves half open, in seconds.
const SHORT_KEEP_ALIVE: u16 = 2;
/// When the broker surely closed a connection that is silent beyond that.
const SURELY_CLOSED: Duration = Duration::from_secs(4);
/// The reason code for bytes that are no packet, in 5.0.
const MALFORMED: u8 = 0x81;
/// The reason code of a keep alive that passed, in 5.0.
const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Connecting,
    Subscribing,
    /// Waits for its own messages.
    Listening,
    Unsubscribing,
    /// Has published to nobody, and waits for the answers.
    Finishing,
    /// Stays for a while.
    Lingering,
    /// Waits for the broker to close, for the keep alive or for what it sent.
    Expelled(u8),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Churner {
    topic: String,
    /// Others' topics, to pick from.
    filters: Vec<String>,
    qos: u8,
    state: State,
    /// When this state has to be over.
    until: Instant,
    own: Stream,
    heard: u32,
    half_open: bool,
}

impl Churner {
    /// With a topic of its own.
    pub(super) fn new(topic: String, filters: Vec<String>, world: &mut World) -> Self {
        Self {
            topic,
            filters,
            qos: 0,
            state: State::Away,
            until: world.now + world.random.time(0, 5_000),
            own: Stream::default(),
            heard: 0,
            half_open: false,
        }
    }

    fn enter(&mut self, state: State, time: Duration, world: &World) {
        (self.state, self.until) = (state, world.now + time);
    }

    fn begin(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        fresh(client, world);
        self.half_open = world.random.percent(5);
        if self.half_open {
            client.profile.keep_alive_seconds = SHORT_KEEP_ALIVE;
        }
        if world.random.percent(10) {
            client.profile.client_identifier.clear();
        }
        self.qos = world.random.below(3) as u8;
        (self.own, self.heard) = (Stream::default(), 0);
        client.connect(world)?;
        self.enter(State::Connecting, PATIENCE, world);
        Ok(())
    }

    fn publish(&self, from: u32, client: &mut Client) {
        for sequence in from..from + ECHOES {
            let payload = Stamp { publisher: u32::MAX, sequence, nanoseconds: 0 }.to_bytes().to_vec();
            let (topic, qos) = (self.topic.clone(), self.qos);
            client.publish(Message { topic, payload, qos, retain: false, expiry_seconds: None });
        }
    }

    fn finish(&mut self, client: &mut Client, world: &mut World) {
        if self.half_open {
            client.mute(true);
            // No PINGREQ any more.
            client.profile.keep_alive_seconds = 0;
            self.enter(State::Expelled(KEEP_ALIVE_TIMEOUT), PATIENCE, world);
        } else if world.random.percent(3) {
            // A packet of type 0.
            client.send_raw(&[0, 0]);
            self.enter(State::Expelled(MALFORMED), PATIENCE, world);
        } else {
            leave_somehow(client, world);
            let away = world.random.time(50, 4_000);
            self.enter(State::Away, away, world);
        }
    }

    fn own_message(&mut self, client: &Client, payload: &[u8], world: &mut World) {
        let name = &client.profile.client_identifier;
        let arrival = Stamp::read(payload).map(|stamp| self.own.arrived(stamp.sequence));
        self.heard += 1;
        if arrival != Some(Arrival::InOrder) || self.state != State::Listening {
            let (heard, state) = (self.heard, self.state);
            world.board.misconduct(format!("{name} heard itself: {arrival:?} as number {heard}, {state:?}"));
        }
    }
}

impl Role for Churner {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        match self.state {
            State::Away if world.phase == Phase::Load && world.now >= self.until => {
                self.begin(client, world)?
            }
            State::Finishing if client.is_idle() => {
                let linger = if world.random.percent(20) { (500, 8_000) } else { (10, 100) };
                let linger = world.random.time(linger.0, linger.1);
                self.enter(State::Lingering, linger, world);
            }
            State::Lingering if world.now >= self.until || world.phase != Phase::Load => {
                self.finish(client, world)
            }
            State::Away | State::Lingering => {}
            // What it waits for can only be read.
            State::Expelled(KEEP_ALIVE_TIMEOUT) if world.now + PATIENCE >= self.until + SURELY_CLOSED => {
                client.mute(false);
            }
            state if world.now >= self.until => {
                let name = &client.profile.client_identifier;
                world.board.misconduct(format!("{name} waited for {} s, {state:?}", PATIENCE.as_secs()));
                leave_somehow(client, world);
                self.enter(State::Away, PATIENCE, world);
            }
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        match (event, self.state) {
            (Event::Up, State::Connecting) => {
                let mut filters = vec![(self.topic.clone(), self.qos)];
                // What a full socket holds up would hold up the last word of the broker as well.
                let others = if self.half_open { 0 } else { world.random.below(3) };
                for _ in 0..others {
                    let filter = self.filters[world.random.below(self.filters.len() as u32) as usize].clone();
                    filters.push((filter, world.random.below(3) as u8));
                }
                client.subscribe(&filters);
                self.enter(State::Subscribing, PATIENCE, world);
            }
            (Event::Subscribed(codes), State::Subscribing) => {
                if codes.first() != Some(&self.qos) {
                    let name = &client.profile.client_identifier;
                    world.board.misconduct(format!("{name} got SUBACK {codes:02x?} for qos {}", self.qos));
                }
                self.enter(State::Listening, PATIENCE, world);
                self.publish(0, client);
            }
            (Event::Message { topic, payload, .. }, _) if topic == self.topic.as_bytes() => {
                self.own_message(client, &payload, world);
                if self.heard == ECHOES {
                    client.unsubscribe(&self.topic);
                    self.enter(State::Unsubscribing, PATIENCE, world);
                }
            }
            (Event::Unsubscribed(codes), State::Unsubscribing) => {
                if client.profile.version == Version::V5_0 && codes != [0] {
                    let name = &client.profile.client_identifier;
                    world.board.misconduct(format!("{name} got UNSUBACK {codes:02x?}"));
                }
                self.enter(State::Finishing, PATIENCE, world);
                self.publish(ECHOES, client);
            }
            (Event::Ended(told, End::Closed | End::Broken(_)), State::Expelled(code))
                if told == (client.profile.version == Version::V5_0).then_some(code) =>
            {
                world.board.counts.drops += 1;
                let away = world.random.time(50, 2_000);
                self.enter(State::Away, away, world);
            }
            (Event::Ended(told, end), state) => {
                let name = &client.profile.client_identifier;
                world.board.misconduct(format!("{name} was ended in {state:?}, told {told:02x?}: {end}"));
                self.enter(State::Away, PATIENCE, world);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, _phase: Phase) -> bool {
        client.is_gone() && self.state == State::Away
    }
}
