//! What clients do, at random.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{Connect, Disconnect, Packet, ProtocolVersion, PublishProperties, ReasonCode, TopicName};
use tokio::time::Instant;

use super::client::Link;
use super::session::{Session, Will};
use super::world::{Ghost, World};

impl World<'_> {
    /// One client does one thing.
    pub(crate) fn act(&mut self) {
        let client = self.random.below(self.clients.len());
        let (is_connected, reads) =
            self.clients[client].link.as_ref().map_or((false, false), |link| (link.connected, link.reads));
        if self.clients[client].link.is_none() {
            if self.clients[client].said_goodbye != self.round && self.random.percent(70) {
                self.connect(client);
            }
            return;
        }
        if !is_connected {
            // It does not know yet whether it is taken in. Where it could not tell which session that was, it waits.
            if self.clients[client].session.as_ref().is_some_and(|session| session.doubtful) {
                return;
            }
            match self.random.below(4) {
                0 => self.hang_up(client),
                1 => self.connect(client),
                _ => {}
            }
            return;
        }
        if !reads {
            match self.random.below(6) {
                0..=2 => self.link(client).reads = true,
                3 => self.hang_up(client),
                4 => self.connect(client),
                _ => self.acknowledge(client),
            }
            return;
        }
        match self.random.below(100) {
            0..=39 => self.publish_some(client),
            40..=64 => self.acknowledge(client),
            65..=77 => self.subscribe(client),
            78..=83 => self.unsubscribe(client),
            84..=89 => self.hang_up(client),
            90..=92 => self.disconnect(client),
            93..=95 => self.connect(client),
            96..=97 => {
                let link = self.link(client);
                link.stops_reading = link.keep_alive == 0;
            }
            _ => self.link(client).send(&Packet::PingReq),
        }
    }

    // === connections ===

    /// Connects, or takes over; the packets of a new session may come right behind.
    pub(crate) fn connect(&mut self, client: usize) {
        if self.overtakes && self.clients[client].connected_in == self.round {
            return;
        }
        self.clients[client].connected_in = self.round;
        let clean_start = self.random.percent(25);
        let expiry = match self.random.below(4) {
            0 => 0,
            1 => 5 + self.random.below(10) as u32,
            _ => 100_000,
        };
        let keep_alive = if self.random.percent(30) { 4 + self.random.below(17) as u16 } else { 0 };
        let pipe = if keep_alive > 0 { 65_536 } else { self.random.pick(&[300, 1000, 65_536]) };
        let receive_maximum = self.random.percent(40).then(|| 1 + self.random.below(4) as u16);
        let aliases = if self.random.percent(30) { 1 + self.random.below(3) as u16 } else { 0 };
        let will = self.random.percent(40).then(|| self.will(client));
        self.connect_with(client, clean_start, expiry, keep_alive, pipe, receive_maximum, aliases, will);
        if clean_start && self.random.percent(40) {
            self.subscribe(client);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of CONNECT")]
    pub(crate) fn connect_with(
        &mut self,
        index: usize,
        clean_start: bool,
        expiry: u32,
        keep_alive: u16,
        pipe: usize,
        receive_maximum: Option<u16>,
        aliases: u16,
        will: Option<Will>,
    ) {
        let now = Instant::now();
        self.remember(index);
        if self.clients[index].link.is_some() {
            let wire = self.lose_link(index, true, now, now);
            self.ghosts.push(Ghost { wire, since: now });
        }
        let client = &self.clients[index];
        let version = client.version;
        let max = self.node.shared().settings.mqtt.session_expiry_interval_max_seconds;
        let (expiry, asked) = match version {
            ProtocolVersion::V5 => (expiry.min(max), expiry),
            _ if clean_start => (0, 0),
            _ => (max, 0),
        };
        let mut connect = Connect { clean_start, keep_alive, ..Connect::new(version, &client.name) };
        if version == ProtocolVersion::V5 {
            let properties = &mut connect.properties;
            properties.session_expiry_interval = (asked > 0).then_some(asked);
            properties.receive_maximum = receive_maximum.and_then(NonZeroU16::new);
            properties.topic_alias_maximum = (aliases > 0).then_some(aliases);
            properties.maximum_packet_size = client.packet_bytes_max.and_then(NonZeroU32::new);
        }
        connect.will = will.as_ref().map(encoded_will);
        let number = self.number();
        let worker = self.random.below(self.node.workers());
        let was_there = self.node.has_session(&self.clients[index].name);
        let wire = crate::client::network_connection(self.node, worker, pipe, number);
        if clean_start || self.clients[index].session.is_none() {
            self.end_session(index);
            self.clients[index].outgoing.clear();
            self.clients[index].session = Some(Session::new(number, expiry));
        }
        let client = &mut self.clients[index];
        let session = client.session.as_mut().expect("it was just made, or was there");
        session.expiry = expiry;
        session.will = None;
        session.doubtful_wills.clear();
        let mut link = Link {
            number,
            wire,
            version,
            clean_start,
            expiry,
            keep_alive,
            will,
            connected: false,
            connected_at: now,
            session_present: was_there && !clean_start,
            reads: true,
            stops_reading: false,
            last_sent: now,
            owed: Default::default(),
            aliases: Default::default(),
            fresh: Vec::new(),
            acknowledged: Vec::new(),
            resent: BTreeMap::new(),
        };
        link.send(&Packet::Connect(Box::new(connect.clone())));
        client.link = Some(link);
        self.trace(|| format!("{connect:?} at worker {worker}, a pipe of {pipe}"));
    }

    pub(crate) fn will(&mut self, client: usize) -> Will {
        let number = self.number() as usize;
        let mut message = self.message(client, "will");
        message.payload = format!("w{client}-{number}").into();
        if self.clients[client].version != ProtocolVersion::V5 {
            message.expiry = None;
        }
        let delay = match self.clients[client].version {
            ProtocolVersion::V5 if self.random.percent(60) => 1 + self.random.below(15) as u32,
            _ => 0,
        };
        Will { message, delay }
    }

    /// Ends the network connection without a word, with bytes in flight or without.
    pub(crate) fn hang_up(&mut self, client: usize) {
        if self.random.percent(30) && self.link(client).connected && self.link(client).reads {
            // In the middle of a packet, which the node must not act upon.
            let name = format!("half{client}");
            let message = self.message(client, &name);
            let publish = self.publish_packet(client, &message, None, false);
            let bytes = self.link(client).encoded(&publish);
            let cut = self.random.below(bytes.len());
            self.link(client).send_bytes(&bytes[..cut]);
        }
        let now = Instant::now();
        self.trace(|| format!("{} hangs up", self.clients[client].name));
        let wire = self.lose_link(client, true, now, now);
        wire.hang_up();
    }

    /// DISCONNECT, with the will or without.
    pub(crate) fn disconnect(&mut self, client: usize) {
        let now = Instant::now();
        self.remember(client);
        let version = self.link(client).version;
        let mut packet = Disconnect::new(ReasonCode::Success);
        if version == ProtocolVersion::V5 {
            if self.random.percent(40) {
                packet.reason_code = ReasonCode::DisconnectWithWillMessage;
            }
            if self.link(client).expiry > 0 && self.random.percent(40) {
                let expiry = if self.random.percent(30) { 0 } else { 5 + self.random.below(10) as u32 };
                packet.properties.session_expiry_interval = Some(expiry);
            }
        }
        self.trace(|| format!("{} > {packet:?}", self.clients[client].name));
        if let Some(session) = &mut self.clients[client].session
            && let Some(expiry) = packet.properties.session_expiry_interval
        {
            session.expiry = expiry;
        }
        let with_will = packet.reason_code != ReasonCode::Success;
        self.link(client).send(&Packet::Disconnect(packet));
        self.clients[client].said_goodbye = self.round;
        let wire = self.lose_link(client, with_will, now, now);
        // What is behind a full pipe would never arrive.
        if self.random.percent(50) && wire.unsent() == 0 {
            wire.hang_up();
        } else {
            self.ghosts.push(Ghost { wire, since: now });
        }
    }
}

fn encoded_will(will: &Will) -> mqtt_codec::Will {
    let message = &will.message;
    mqtt_codec::Will {
        qos: message.qos,
        retain: message.retain,
        topic: TopicName::new(message.topic).expect("one of the pool"),
        payload: message.payload.clone(),
        delay_interval: will.delay,
        properties: PublishProperties {
            message_expiry_interval: message.expiry,
            ..PublishProperties::default()
        },
    }
}
