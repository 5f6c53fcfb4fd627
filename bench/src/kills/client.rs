//! A client: its profile, its session and the network connection that it has at the moment, if any.
//!
//! It speaks the protocol, resumes its session after each reconnect as MQTT asks for, and tells the histories; what it
//! does and when is its player's affair.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use super::{
    event::{self, Event},
    session::{Message, Outcome, Session, Step},
    subscription::Subscription,
    testament::Testament,
    world::World,
};
use crate::{
    exchange::{
        link::{End, Endpoints, Link},
        packets::{self, Profile, Received},
    },
    wire::{Connack, PINGREQ, Stamp, acknowledge, packet_type},
};

/// How long a broker may take for the answer to CONNECT, or to close behind a DISCONNECT.
const ANSWER: Duration = Duration::from_secs(30);
/// A PINGREQ is sent when nothing was for so long.
const SILENCE: Duration = Duration::from_secs(20);

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// With DISCONNECT.
    Disconnect,
    /// Without a word.
    Drop,
}

/// A PUBLISH that is no part of the histories.
#[derive(Debug)]
pub(super) struct Notice {
    /// Topic name.
    pub name: Vec<u8>,
    /// Number of the message by its stamp.
    pub sequence: Option<u32>,
    /// Sent because of a new subscription.
    pub retain: bool,
}

/// A connection.
#[derive(Debug)]
struct Opened {
    link: Link,
    /// Kills before it was opened.
    kills: u32,
    since: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    /// Its number.
    pub number: event::Client,
    /// Who it is.
    pub profile: Profile,
    /// Its side of the session.
    pub session: Session,
    /// What it subscribes to.
    pub subscriptions: Vec<Subscription>,
    /// Its wills, if it has any.
    pub testament: Option<Testament>,
    /// It looks at retained messages: what it hears are [`Notice`]s.
    pub looks: bool,
    /// What it heard so.
    pub notices: Vec<Notice>,
    links: u32,
    connection: Option<Opened>,
    /// The broker's Receive Maximum, once the CONNECT was accepted.
    up: Option<u16>,
    /// Behind a DISCONNECT, until the broker closes it.
    parting: Option<Opened>,
    /// The one that is being taken over.
    replaced: Option<Opened>,
    aliases: HashMap<u16, Vec<u8>>,
    sent_at: Instant,
}

impl Client {
    /// A client that is offline.
    pub(super) fn new(number: event::Client, profile: Profile, now: Instant) -> Self {
        Self {
            number,
            profile,
            session: Session::default(),
            subscriptions: Vec::new(),
            testament: None,
            looks: false,
            notices: Vec::new(),
            links: 0,
            connection: None,
            up: None,
            parting: None,
            replaced: None,
            aliases: HashMap::new(),
            sent_at: now,
        }
    }

    /// Whether the CONNECT was accepted.
    pub(super) const fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// No connection, and none that is being closed.
    pub(super) const fn is_gone(&self) -> bool {
        self.connection.is_none() && self.parting.is_none()
    }

    /// All that it published and asked for was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.session.in_flight() == 0 && self.subscriptions.iter().all(Subscription::is_settled)
    }

    /// The window has room for another publish.
    pub(super) fn has_room(&self, window: usize) -> bool {
        self.up.is_some_and(|maximum| self.session.in_flight() < window.min(maximum.into()))
    }

    /// Begins to connect, if it is offline.
    pub(super) fn connect(&mut self, world: &mut World) -> io::Result<()> {
        if !self.is_gone() {
            return Ok(());
        }
        self.open(world)
    }

    /// Opens a second connection with the same client identifier.
    pub(super) fn take_over(&mut self, world: &mut World) -> io::Result<()> {
        if self.up.is_none() {
            return Ok(());
        }
        self.went(world);
        self.replaced = self.connection.take();
        self.open(world)
    }

    fn open(&mut self, world: &mut World) -> io::Result<()> {
        self.links = self.links.wrapping_add(1);
        if let Some(testament) = &mut self.testament {
            self.profile.will = Some(testament.write(world));
        }
        let key = u64::from(self.number) << 32 | u64::from(self.links);
        // A client of a cluster tries another node each time.
        let address = world.addresses[(self.number as usize + self.links as usize) % world.addresses.len()];
        let endpoints = Endpoints { tcp: address, websocket: address };
        let mut link = Link::open(&world.epoll, endpoints, false, None, key)?;
        packets::connect(link.out(), &self.profile);
        self.connection = Some(Opened { link, kills: world.kills, since: world.now });
        self.aliases.clear();
        self.sent_at = world.now;
        Ok(())
    }

    /// Ends the connection.
    pub(super) fn leave(&mut self, how: Leave, world: &mut World) {
        let Some(mut opened) = self.connection.take() else { return };
        let was_up = self.up.is_some();
        self.went(world);
        if how == Leave::Disconnect && was_up {
            packets::disconnect(opened.link.out(), self.profile.version, 0, None);
            // A socket that takes no more tells how it ended as it is read.
            let _ = opened.link.flush();
            self.parting = Some(Opened { since: world.now, ..opened });
        } else if was_up && let Some(testament) = &mut self.testament {
            testament.dropped(world);
        }
    }

    /// The connection is over, as far as this client knows.
    fn went(&mut self, world: &mut World) {
        self.replaced = None;
        for subscription in &mut self.subscriptions {
            subscription.disconnected();
        }
        if self.up.take().is_some() {
            world.tell(Event::Away { client: self.number });
        }
    }

    /// Publishes; the window has room.
    pub(super) fn publish(&mut self, message: Message, world: &mut World) {
        let Some(opened) = &mut self.connection else { return };
        let packet_identifier = self.session.publish(message);
        if let Some(change) = message.change {
            world.judge.retain(message.topic, message.sequence, change);
        }
        world.tell(Event::Sent { topic: message.topic, sequence: message.sequence, again: false });
        let encoded = world.encode(message);
        let version = self.profile.version;
        packets::publish(opened.link.out(), version, &encoded, packet_identifier, false, None);
    }

    /// A socket of this client has an event.
    pub(super) fn wake(&mut self, key: u64, flags: rustix::event::epoll::EventFlags, world: &mut World) {
        use rustix::event::epoll::EventFlags;
        let readable = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
        if self.parting.as_ref().is_some_and(|opened| opened.link.key() == key) {
            self.read_last(flags, world);
            return;
        }
        let Some(mut opened) = self.connection.take_if(|opened| opened.link.key() == key) else { return };
        let mut end = None;
        if flags.contains(EventFlags::OUT) {
            end = opened.link.writable().err();
        }
        if end.is_none() && readable {
            let mut answers = Vec::new();
            let mut buffer = std::mem::take(&mut world.buffer);
            let mut told = None;
            let mut refused = None;
            let read = opened.link.read(self.profile.version, &mut buffer, |packet| match packet {
                Received::Disconnect(code) => told = Some(code),
                Received::Connack(Connack { code, .. }) if code != 0 => refused = Some(code),
                packet => self.take(packet, &mut answers, world),
            });
            world.buffer = buffer;
            opened.link.out().append(&mut answers);
            end = read.err();
            if let Some(code) = refused {
                self.refused(code, world);
                return;
            }
            if let (Some(end), Some(code)) = (&end, told) {
                self.told(code, end, opened.kills, world);
            }
        }
        match end {
            None => self.connection = Some(opened),
            Some(end) => self.ended(&opened, &end, world),
        }
    }

    /// Sends what is to be sent.
    pub(super) fn pump(&mut self, world: &mut World) -> io::Result<()> {
        if let Some(testament) = &mut self.testament {
            testament.tick(world);
        }
        self.check_answers(world);
        let Some(mut opened) = self.connection.take() else { return Ok(()) };
        if self.up.is_some() {
            for subscription in &mut self.subscriptions {
                let session = &mut self.session;
                let version = self.profile.version;
                subscription.ask(
                    self.number,
                    version,
                    || session.next_identifier(),
                    opened.link.out(),
                    world,
                );
            }
            if opened.link.out().is_empty() && world.now.duration_since(self.sent_at) > SILENCE {
                opened.link.out().extend_from_slice(&PINGREQ);
            }
        }
        if !opened.link.out().is_empty() {
            self.sent_at = world.now;
        }
        // Reading tells how it ended.
        let _ = opened.link.flush();
        opened.link.register(&world.epoll)?;
        self.connection = Some(opened);
        Ok(())
    }

    /// Reads on behind a DISCONNECT, until the broker closes.
    fn read_last(&mut self, flags: rustix::event::epoll::EventFlags, world: &mut World) {
        let Some(mut opened) = self.parting.take() else { return };
        if flags.contains(rustix::event::epoll::EventFlags::OUT) {
            let _ = opened.link.writable();
        }
        let mut buffer = std::mem::take(&mut world.buffer);
        // What comes now is not looked at, and not acknowledged: it comes again.
        let read = opened.link.read(self.profile.version, &mut buffer, |_| {});
        world.buffer = buffer;
        match read {
            Ok(()) => self.parting = Some(opened),
            Err(End::Closed) if opened.kills == world.kills => {
                if let Some(testament) = &mut self.testament {
                    testament.withdraw(world);
                }
            }
            Err(_) => {}
        }
    }

    fn check_answers(&mut self, world: &mut World) {
        let now = world.now;
        let late = |opened: &Opened| now.duration_since(opened.since) > ANSWER;
        let waits = self.connection.as_ref().filter(|_| self.up.is_none());
        if waits.is_some_and(late) {
            self.connection = None;
            self.went(world);
            if world.is_up {
                let sentence = format!("{} got no CONNACK in time", self.profile.client_identifier);
                world.judge.misconduct(Some(self.number), sentence);
            }
        }
        if self.parting.take_if(|opened| late(opened)).is_some() {
            let sentence = format!("{} was not closed behind its DISCONNECT", self.profile.client_identifier);
            world.judge.misconduct(Some(self.number), sentence);
        }
    }

    /// Broken by the broker; by one that was not killed meanwhile that is a fault.
    fn ended(&mut self, opened: &Opened, end: &End, world: &mut World) {
        let was_up = self.up.is_some();
        self.went(world);
        if was_up && world.is_up && opened.kills == world.kills {
            let sentence = format!("the connection of {} ended: {end}", self.profile.client_identifier);
            world.judge.misconduct(Some(self.number), sentence);
        }
    }

    fn told(&self, code: u8, end: &End, kills: u32, world: &mut World) {
        if kills == world.kills {
            let code = crate::failure::Code(code);
            let sentence = format!("{} was told {code}, then {end}", self.profile.client_identifier);
            world.judge.misconduct(Some(self.number), sentence);
        }
    }

    /// A broker that is not ready yet may refuse; the client tries again.
    fn refused(&mut self, code: u8, world: &mut World) {
        const SERVER_UNAVAILABLE: [u8; 3] = [0x03, 0x88, 0x89];
        self.went(world);
        if !SERVER_UNAVAILABLE.contains(&code) {
            let code = crate::failure::Code(code);
            let sentence = format!("{} was refused: {code}", self.profile.client_identifier);
            world.judge.misconduct(Some(self.number), sentence);
        }
    }

    fn take(&mut self, packet: Received<'_>, answers: &mut Vec<u8>, world: &mut World) {
        match packet {
            Received::Connack(connack) => self.connected(connack, answers, world),
            Received::Publish(publish) => self.heard(&publish, answers, world),
            Received::Acknowledge(packet_type::PUBREL, packet_identifier, _) => {
                self.session.released(packet_identifier);
                acknowledge(answers, packet_type::PUBCOMP, packet_identifier);
            }
            Received::Acknowledge(kind, packet_identifier, code) => {
                match self.session.acknowledged(kind, packet_identifier, code) {
                    Outcome::Acknowledged(Message { topic, sequence, .. }) => {
                        world.tell(Event::Acknowledged { topic, sequence });
                    }
                    Outcome::Release => acknowledge(answers, packet_type::PUBREL, packet_identifier),
                    Outcome::Refused(Message { topic, sequence, .. }) => {
                        world.tell(Event::Abandoned { topic, sequence });
                    }
                    Outcome::Unexpected => {
                        let name = &self.profile.client_identifier;
                        let sentence =
                            format!("{name} got an acknowledgement of type {kind} for nothing, {code:#04x}");
                        world.judge.misconduct(Some(self.number), sentence);
                    }
                }
            }
            Received::Suback(packet_identifier, codes) | Received::Unsuback(packet_identifier, codes) => {
                for subscription in &mut self.subscriptions {
                    subscription.answered(self.number, packet_identifier, codes, world);
                }
            }
            Received::Pingresp | Received::Disconnect(_) => {}
        }
    }

    fn connected(&mut self, connack: Connack, answers: &mut Vec<u8>, world: &mut World) {
        let present = connack.session_present;
        self.replaced = None;
        self.up = Some(connack.receive_maximum);
        world.tell(Event::Connected { client: self.number, present });
        if !present {
            for Message { topic, sequence, .. } in self.session.forget() {
                world.tell(Event::Abandoned { topic, sequence });
            }
            for subscription in &mut self.subscriptions {
                subscription.forgotten(self.number, world);
            }
            return;
        }
        let version = self.profile.version;
        self.session.resume(|packet_identifier, message, step| match step {
            Step::Published => {
                let Message { topic, sequence, .. } = message;
                world.tell(Event::Sent { topic, sequence, again: true });
                packets::publish(answers, version, &world.encode(message), packet_identifier, true, None);
            }
            Step::Released | Step::ReleasedAgain => {
                acknowledge(answers, packet_type::PUBREL, packet_identifier);
            }
        });
    }

    fn heard(&mut self, publish: &packets::Publish<'_>, answers: &mut Vec<u8>, world: &mut World) {
        if publish.alias > 0 && !publish.topic.is_empty() {
            self.aliases.insert(publish.alias, publish.topic.to_vec());
        }
        let name: &[u8] = match publish.topic {
            [] => self.aliases.get(&publish.alias).map_or(&[], |name| name.as_slice()),
            topic => topic,
        };
        match publish.qos {
            0 => {}
            1 => acknowledge(answers, packet_type::PUBACK, publish.packet_identifier),
            _ => acknowledge(answers, packet_type::PUBREC, publish.packet_identifier),
        }
        if publish.qos == 2 && !self.session.received(publish.packet_identifier) {
            return;
        }
        let stamp = Stamp::read(publish.payload);
        if self.looks {
            let sequence = stamp.map(|stamp| stamp.sequence);
            self.notices.push(Notice { name: name.to_vec(), sequence, retain: publish.retain });
            return;
        }
        let known = stamp.filter(|stamp| {
            stamp.publisher < world.judge.topics() && {
                let topic = world.judge.topic(stamp.publisher);
                topic.name.as_bytes() == name && stamp.nanoseconds == u64::from(topic.qos)
            }
        });
        let who = &self.profile.client_identifier;
        let Some(Stamp { publisher: topic, sequence, .. }) = known else {
            let name = String::from_utf8_lossy(name);
            let sentence = format!("{who} heard a message of {name} that nobody published there");
            return world.judge.misconduct(Some(self.number), sentence);
        };
        if world.judge.delivery_qos(self.number, topic).is_some_and(|qos| qos != publish.qos) {
            let name = String::from_utf8_lossy(name);
            let sentence = format!("{who} heard message {sequence} of {name} with qos {}", publish.qos);
            world.judge.misconduct(Some(self.number), sentence);
        }
        world.tell(Event::Heard { client: self.number, topic, sequence });
    }
}
