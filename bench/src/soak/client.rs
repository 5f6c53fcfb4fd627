//! A client: its profile, its session and the network connection that it has at the moment, if any.
//!
//! It speaks the protocol; what it does and when is its role's affair, which gets [`Event`]s.

use std::{
    collections::{HashMap, VecDeque},
    io,
    time::{Duration, Instant},
};

use super::{session::Session, world::World};
use crate::{
    exchange::{
        link::{End, Link},
        packets::{self, Message, Profile, Received},
    },
    wire::{Connack, PINGREQ, Version, acknowledge, packet_type},
};

/// How long a broker may take for the answer to CONNECT or PINGREQ, or to close what was taken over.
const ANSWER: Duration = Duration::from_secs(20);
/// Reason code of a connection that another one of the same client takes the place of.
const SESSION_TAKEN_OVER: u8 = 0x8E;

/// What happened to a client.
#[derive(Debug)]
pub(super) enum Event {
    /// The CONNECT was accepted.
    Up,
    /// A message came, for the first time as far as QoS 2 tells.
    Message {
        /// Topic name, also where an alias stood for it.
        topic: Vec<u8>,
        /// The message.
        payload: Vec<u8>,
        /// Sent because of a new subscription.
        retain: bool,
    },
    /// SUBACK, with its reason codes.
    Subscribed(Vec<u8>),
    /// UNSUBACK, with its reason codes.
    Unsubscribed(Vec<u8>),
    /// The broker ended the connection; with the reason code if it gave one.
    Ended(Option<u8>, End),
}

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// With DISCONNECT; in 5.0 with this session expiry interval in place of the former.
    Disconnect(Option<u32>),
    /// With DISCONNECT that asks for the will, 5.0.
    DisconnectWithWill,
    /// Without a word.
    Drop,
    /// Without a word, with a reset.
    Reset,
}

#[derive(Debug)]
struct Up {
    since: Instant,
    /// The broker's Receive Maximum.
    receive_maximum: u16,
    topic_alias_maximum: u16,
    /// Aliases that this client set, by topic name.
    aliases: HashMap<String, u16>,
}

/// A connection that another one took the place of; the broker has to close it.
#[derive(Debug)]
struct Stale {
    link: Link,
    version: Version,
    since: Instant,
    told: Option<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    /// Who it is. Changes only take effect with the next CONNECT.
    pub profile: Profile,
    /// Acknowledgements of what it receives are left out.
    pub withholds: bool,
    session: Session,
    number: u32,
    links: u32,
    link: Option<Link>,
    asked_at: Instant,
    up: Option<Up>,
    stale: Vec<Stale>,
    /// The broker is to have a session of it.
    kept: bool,
    /// Aliases that the broker set.
    broker_aliases: HashMap<u16, Vec<u8>>,
    told: Option<u8>,
    pinged_at: Option<Instant>,
    sent_at: Instant,
    events: VecDeque<Event>,
}

impl Client {
    /// A client that is offline; events of its sockets carry `number` in their upper half.
    pub(super) fn new(number: u32, profile: Profile) -> Self {
        let now = Instant::now();
        Self {
            profile,
            withholds: false,
            session: Session::default(),
            number,
            links: 0,
            link: None,
            asked_at: now,
            up: None,
            stale: Vec::new(),
            kept: false,
            broker_aliases: HashMap::new(),
            told: None,
            pinged_at: None,
            sent_at: now,
            events: VecDeque::new(),
        }
    }

    /// When the connection came up, if it is.
    pub(super) fn up_since(&self) -> Option<Instant> {
        self.up.as_ref().map(|up| up.since)
    }

    /// Whether the CONNECT was accepted.
    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Neither connected nor about to be, and nothing of it left to be closed.
    pub(super) fn is_gone(&self) -> bool {
        self.link.is_none() && self.stale.is_empty()
    }

    /// Its session outlives its connection.
    fn is_durable(&self) -> bool {
        match self.profile.version {
            Version::V3_1_1 => !self.profile.clean,
            Version::V5_0 => self.profile.expiry_seconds > 0,
        }
    }

    /// Network connections that it has.
    pub(super) fn links(&self) -> usize {
        usize::from(self.link.is_some()) + self.stale.len()
    }

    /// Whether the broker is to have a session of it.
    pub(super) fn has_session(&self) -> bool {
        self.kept || self.up.is_some()
    }

    /// All that it published was answered, and what it had taken over is closed.
    pub(super) fn is_idle(&self) -> bool {
        self.session.is_idle() && self.stale.is_empty()
    }

    /// What it waits for, for a sentence about one that does not come to rest.
    pub(super) fn waits_for(&self) -> String {
        let Self { session, stale, .. } = self;
        let (up, connecting) = (self.up.is_some(), self.link.is_some() && self.up.is_none());
        format!("up {up}, connecting {connecting}, {} taken over, {session}", stale.len())
    }

    /// What happened since the last call.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Begins to connect, if it is offline.
    pub(super) fn connect(&mut self, world: &mut World) -> io::Result<()> {
        if self.link.is_some() {
            return Ok(());
        }
        self.links = self.links.wrapping_add(1);
        let key = u64::from(self.number) << 32 | u64::from(self.links);
        let Profile { websocket, receive_buffer, .. } = self.profile;
        let mut link = Link::open(&world.epoll, world.endpoints, websocket, receive_buffer, key)?;
        packets::connect(link.out(), &self.profile);
        self.link = Some(link);
        self.broker_aliases.clear();
        (self.asked_at, self.sent_at) = (world.now, world.now);
        (self.pinged_at, self.told, self.withholds) = (None, None, false);
        Ok(())
    }

    /// Opens a second connection with the same client identifier, and forgets what comes on the first.
    pub(super) fn take_over(&mut self, world: &mut World) -> io::Result<()> {
        let Some(mut link) = self.link.take() else { return Ok(()) };
        self.up = None;
        self.kept = self.is_durable();
        link.mute(false);
        link.out().clear();
        self.settle(&mut link, world)?;
        self.stale.push(Stale { link, version: self.profile.version, since: world.now, told: None });
        world.board.counts.takeovers += 1;
        self.connect(world)
    }

    /// Ends the connection.
    pub(super) fn leave(&mut self, how: Leave, world: &mut World) {
        let Some(mut link) = self.link.take() else { return };
        self.up = None;
        let version = self.profile.version;
        self.kept = match (how, version) {
            (Leave::Disconnect(Some(seconds)), Version::V5_0) => seconds > 0,
            _ => self.is_durable(),
        };
        if matches!(how, Leave::Drop | Leave::Reset) {
            world.board.counts.drops += 1;
        }
        match how {
            Leave::Disconnect(expiry_seconds) => packets::disconnect(link.out(), version, 0, expiry_seconds),
            Leave::DisconnectWithWill => packets::disconnect(link.out(), version, 0x04, None),
            Leave::Drop => return,
            Leave::Reset => return link.reset(),
        }
        // A socket that takes no more is closed all the same.
        let _ = link.flush();
    }

    /// Reads nothing any more, or again.
    pub(super) fn mute(&mut self, muted: bool) {
        if let Some(link) = &mut self.link {
            link.mute(muted);
        }
    }

    /// Publishes; with QoS 0 only if it is online.
    pub(super) fn publish(&mut self, message: Message) {
        if message.qos > 0 {
            self.session.publish(message);
        } else if let (Some(link), Some(up)) = (&mut self.link, &mut self.up) {
            put_publish(link.out(), &self.profile, up, &message, 0);
        }
    }

    /// Subscribes to these filters.
    pub(super) fn subscribe(&mut self, filters: &[(String, u8)]) {
        let packet_identifier = self.session.next_identifier();
        if let Some(link) = &mut self.link {
            packets::subscribe(link.out(), self.profile.version, packet_identifier, filters);
        }
    }

    /// Ends the subscription to this filter.
    pub(super) fn unsubscribe(&mut self, filter: &str) {
        let packet_identifier = self.session.next_identifier();
        if let Some(link) = &mut self.link {
            packets::unsubscribe(link.out(), self.profile.version, packet_identifier, filter);
        }
    }

    /// Sends bytes that are no packet.
    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        if let Some(link) = &mut self.link {
            link.out().extend_from_slice(bytes);
        }
    }

    /// A socket of this client has an event.
    pub(super) fn wake(&mut self, key: u64, flags: rustix::event::epoll::EventFlags, world: &mut World) {
        use rustix::event::epoll::EventFlags;
        let readable = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
        if let Some(at) = self.stale.iter().position(|stale| stale.link.key() == key) {
            self.drain_stale(at, world);
            return;
        }
        let Some(mut link) = self.link.take_if(|link| link.key() == key) else { return };
        let mut end = None;
        if flags.contains(EventFlags::OUT) {
            end = link.writable().err();
        }
        if end.is_none() && readable && (!link.is_muted() || !flags.contains(EventFlags::IN)) {
            let version = self.profile.version;
            let mut answers = Vec::new();
            let mut buffer = std::mem::take(&mut world.buffer);
            let read = link.read(version, &mut buffer, |packet| self.take(packet, &mut answers, world));
            world.buffer = buffer;
            link.out().append(&mut answers);
            end = read.err();
        }
        match end {
            None => self.link = Some(link),
            Some(end) => self.ended(end),
        }
    }

    /// Sends what is to be sent: publishes that the window allows, PINGREQ, and what its role asked for.
    pub(super) fn pump(&mut self, world: &mut World) {
        self.check_answers(world);
        let Some(mut link) = self.link.take() else { return };
        if let Some(up) = &mut self.up {
            let receive_maximum = up.receive_maximum;
            let profile = &self.profile;
            self.session.send(receive_maximum, |message, packet_identifier| {
                put_publish(link.out(), profile, up, message, packet_identifier);
            });
            let keep_alive = Duration::from_secs(self.profile.keep_alive_seconds.into());
            let silent = world.now.duration_since(self.sent_at);
            if !keep_alive.is_zero()
                && !link.is_muted()
                && silent > keep_alive / 2
                && self.pinged_at.is_none()
            {
                link.out().extend_from_slice(&PINGREQ);
                self.pinged_at = Some(world.now);
            }
            if !link.out().is_empty() {
                self.sent_at = world.now;
            }
        }
        match self.settle(&mut link, world) {
            Ok(()) => self.link = Some(link),
            Err(end) => self.ended(End::Broken(end)),
        }
    }

    fn settle(&mut self, link: &mut Link, world: &World) -> io::Result<()> {
        match link.flush() {
            // Reading tells how it ended.
            Ok(()) | Err(_) => link.register(&world.epoll),
        }
    }

    fn ended(&mut self, end: End) {
        self.up = None;
        self.kept = self.is_durable();
        self.events.push_back(Event::Ended(self.told.take(), end));
    }

    fn check_answers(&mut self, world: &mut World) {
        let name = &self.profile.client_identifier;
        let waits = self.link.is_some() && self.up.is_none();
        if waits && world.now.duration_since(self.asked_at) > ANSWER {
            world.board.misconduct(format!("{name} got no CONNACK within {} s", ANSWER.as_secs()));
            self.asked_at = world.now;
        }
        if self.pinged_at.is_some_and(|at| world.now.duration_since(at) > ANSWER) {
            world.board.misconduct(format!("{name} got no PINGRESP within {} s", ANSWER.as_secs()));
            self.pinged_at = None;
        }
        if self.stale.iter().any(|stale| world.now.duration_since(stale.since) > ANSWER) {
            world
                .board
                .misconduct(format!("{name} was not closed within {} s of its takeover", ANSWER.as_secs()));
            self.stale.clear();
        }
    }

    /// Reads on a connection that was taken over, until it is closed.
    fn drain_stale(&mut self, at: usize, world: &mut World) {
        let stale = &mut self.stale[at];
        let mut buffer = std::mem::take(&mut world.buffer);
        let told = &mut stale.told;
        let read = stale.link.read(stale.version, &mut buffer, |packet| {
            if let Received::Disconnect(code) = packet {
                *told = Some(code);
            }
        });
        world.buffer = buffer;
        let Err(end) = read else { return };
        let stale = self.stale.swap_remove(at);
        let right = match stale.version {
            Version::V3_1_1 => stale.told.is_none(),
            Version::V5_0 => stale.told == Some(SESSION_TAKEN_OVER),
        };
        if !right || !matches!(end, End::Closed) {
            let name = &self.profile.client_identifier;
            let told = stale.told;
            world.board.misconduct(format!("{name} was taken over, and told {told:02x?}, then {end}"));
        }
    }

    fn take(&mut self, packet: Received<'_>, answers: &mut Vec<u8>, world: &mut World) {
        match packet {
            Received::Connack(connack) => self.connected(connack, answers, world),
            Received::Publish(publish) => self.heard(&publish, answers, world),
            Received::Acknowledge(packet_type::PUBREL, packet_identifier, _) => {
                self.session.released(packet_identifier);
                if !self.withholds {
                    acknowledge(answers, packet_type::PUBCOMP, packet_identifier);
                }
            }
            Received::Acknowledge(kind, packet_identifier, code) => {
                if !self.session.acknowledged(answers, kind, packet_identifier, code) {
                    let name = &self.profile.client_identifier;
                    world.board.misconduct(format!(
                        "{name} got an acknowledgement of type {kind} with reason code {code:#04x}"
                    ));
                }
            }
            Received::Suback(_, codes) => self.events.push_back(Event::Subscribed(codes.to_vec())),
            Received::Unsuback(_, codes) => self.events.push_back(Event::Unsubscribed(codes.to_vec())),
            Received::Pingresp => self.pinged_at = None,
            Received::Disconnect(code) => self.told = Some(code),
        }
    }

    fn connected(&mut self, connack: Connack, answers: &mut Vec<u8>, world: &mut World) {
        let name = &self.profile.client_identifier;
        let present = self.kept && !self.profile.clean;
        if connack.code != 0 || connack.session_present != present {
            world.board.misconduct(format!(
                "{name} got CONNACK {:#04x} with session present {}, expected {present}",
                connack.code, connack.session_present
            ));
        }
        if connack.session_present {
            self.session.resume(answers, self.profile.version);
        } else {
            self.session.forget();
        }
        world.board.counts.connects += 1;
        self.up = Some(Up {
            since: world.now,
            receive_maximum: connack.receive_maximum,
            topic_alias_maximum: connack.topic_alias_maximum,
            aliases: HashMap::new(),
        });
        self.kept = false;
        self.events.push_back(Event::Up);
    }

    fn heard(&mut self, publish: &packets::Publish<'_>, answers: &mut Vec<u8>, world: &mut World) {
        world.board.counts.received += 1;
        world.board.counts.received_bytes += publish.payload.len() as u64;
        if publish.alias > 0 && !publish.topic.is_empty() {
            self.broker_aliases.insert(publish.alias, publish.topic.to_vec());
        }
        let name = &self.profile.client_identifier;
        let known = match publish.topic {
            [] => self.broker_aliases.get(&publish.alias).cloned(),
            topic => Some(topic.to_vec()),
        };
        let Some(topic) = known.filter(|_| publish.alias <= self.profile.topic_alias_maximum) else {
            return world.board.misconduct(format!("{name} got topic alias {}, never set", publish.alias));
        };
        let answer = [0, packet_type::PUBACK, packet_type::PUBREC][usize::from(publish.qos.min(2))];
        if answer > 0 && !self.withholds {
            acknowledge(answers, answer, publish.packet_identifier);
        }
        if publish.qos < 2 || self.session.received(publish.packet_identifier) {
            self.events.push_back(Event::Message {
                topic,
                payload: publish.payload.to_vec(),
                retain: publish.retain,
            });
        }
    }
}

/// Appends a PUBLISH, with a topic alias where the broker takes one more or knows it.
fn put_publish(out: &mut Vec<u8>, profile: &Profile, up: &mut Up, message: &Message, packet_identifier: u16) {
    let alias = match up.aliases.get(&message.topic) {
        Some(&alias) => Some((alias, false)),
        None if up.aliases.len() < usize::from(up.topic_alias_maximum) => {
            let alias = up.aliases.len() as u16 + 1;
            up.aliases.insert(message.topic.clone(), alias);
            Some((alias, true))
        }
        None => None,
    };
    packets::publish(out, profile.version, message, packet_identifier, false, alias);
}
