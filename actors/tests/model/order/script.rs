//! What clients do, at random: most of it in one segment, and at once.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use mqtt_codec::{
    Connect, Disconnect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS,
    ReasonCode, RetainHandling, Subscribe, SubscriptionFilter, SubscriptionOptions, TopicName, Unsubscribe,
};
use tokio::time::Instant;

use super::client::{Link, Session, Will};
use super::history::{Moment, Published, Request, Wanted};
use super::world::World;

/// The topic names that messages are published to; few, so that they meet.
const TOPICS: [&str; 3] = ["a", "a/b", "b"];
/// Filters of clients that tell by its identifier which subscription a message came through.
pub(super) const FILTERS: [&str; 8] = ["a", "a", "a/b", "b", "a/#", "#", "+", "+/b"];
/// Filters that do not overlap.
pub(super) const NAMES: [&str; 3] = TOPICS;
pub(super) const EVERYTHING: [&str; 1] = ["#"];
/// No session of a run lasts that long, in seconds.
pub(super) const FOREVER: u32 = 100_000;
/// Some do, and some wills wait so long, in seconds.
const SHORT: u32 = 2;
/// Publishes and other packets in one segment, at most.
const SEGMENT_PACKETS_MAX: usize = 4;

/// How a client leaves a network connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It connects anew, and the old one stays open.
    TakenOver,
    /// It closes without a word.
    Closed,
    /// DISCONNECT, perhaps with another expiry of its session.
    Said { with_will: bool, expiry: Option<u32> },
}

impl World<'_> {
    /// One client does one thing.
    pub(super) fn act(&mut self) -> Result<(), String> {
        let client = self.random.below(self.clients.len());
        let Some(link) = &self.clients[client].link else {
            self.connect(client);
            return Ok(());
        };
        if !link.is_connected {
            if link.session_present.is_some() && self.random.percent(30) {
                let segment = self.segment(client);
                self.send(client, &segment);
            }
            return self.look(client);
        }
        match self.random.below(100) {
            0..=44 => {
                let segment = self.segment(client);
                self.send(client, &segment);
            }
            45..=64 => self.look(client)?,
            65..=74 => self.acknowledge(client),
            75..=86 => {
                self.leave(client, Leaving::TakenOver);
                self.connect(client);
            }
            87..=91 => {
                self.leave(client, Leaving::Closed);
                if self.random.percent(70) {
                    self.connect(client);
                }
            }
            _ => {
                let with_will =
                    self.clients[client].version == ProtocolVersion::V5 && self.random.percent(30);
                let is_durable =
                    self.clients[client].session.as_ref().is_some_and(|session| session.expiry > 0);
                let changes = self.clients[client].version == ProtocolVersion::V5 && is_durable;
                let expiry = (changes && self.random.percent(30)).then_some(0);
                self.leave(client, Leaving::Said { with_will, expiry });
                if self.random.percent(70) {
                    self.connect(client);
                }
            }
        }
        Ok(())
    }

    /// A client takes in what is there, or a little of it.
    fn look(&mut self, client: usize) -> Result<(), String> {
        let bytes_max = if self.clients[client].is_slow { 1 + self.random.below(200) } else { usize::MAX };
        self.receive(client, bytes_max)?;
        if self.random.percent(70) {
            self.acknowledge(client);
        }
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, client: usize) {
        let Some(link) = &mut self.clients[client].link else { return };
        let mut bytes = Vec::new();
        while let Some(packet) = link.owed.pop_front() {
            bytes.extend(link.encoded(&packet));
        }
        link.wire.send(&bytes);
    }

    fn send(&mut self, client: usize, segment: &[u8]) {
        if let Some(link) = &mut self.clients[client].link {
            link.wire.send(segment);
        }
    }

    // === connections ===

    /// Connects; more may come right behind, in the same segment.
    pub(super) fn connect(&mut self, client: usize) {
        let clean_start = self.random.percent(40);
        let expiry = self.random.pick(&[FOREVER, FOREVER, SHORT, 0, 0]);
        let pipe = if self.clients[client].is_slow { 300 } else { 65_536 };
        self.connect_with(client, clean_start, expiry, pipe);
        // Whoever does not know which session that is waits for the answer.
        let is_known = self.clients[client].link.as_ref().is_some_and(|link| link.session_present.is_some());
        if is_known && self.random.percent(60) {
            let segment = self.segment(client);
            self.send(client, &segment);
        }
    }

    pub(super) fn connect_with(&mut self, index: usize, clean_start: bool, expiry: u32, pipe: usize) {
        let version = self.clients[index].version;
        let will = self.random.percent(50).then(|| self.will(index));
        let number = self.number();
        let client = &self.clients[index];
        let expiry = match version {
            ProtocolVersion::V5 => expiry,
            _ if clean_start => 0,
            _ => FOREVER,
        };
        let mut connect = Connect { clean_start, ..Connect::new(version, &client.name) };
        if version == ProtocolVersion::V5 {
            connect.properties.session_expiry_interval = (expiry > 0).then_some(expiry);
            if self.random.percent(30) {
                connect.properties.receive_maximum = NonZeroU16::new(1 + self.random.below(3) as u16);
            }
        }
        if let Some(at) = will {
            let will = &self.wills[at];
            connect.will = Some(mqtt_codec::Will {
                qos: will.qos,
                retain: will.retain,
                topic: TopicName::new(&self.history.topics[will.topic]).expect("a topic name"),
                payload: format!("w{at}").into(),
                delay_interval: will.delay,
                properties: PublishProperties::default(),
            });
        }
        let session_present = self.session_present(index, clean_start);
        if session_present == Some(false) {
            self.end_session(index, true);
            self.clients[index].session = Some(Session::new(number, expiry));
        }
        if session_present == Some(true) {
            self.come_back(index, expiry);
        }
        let worker = self.random.below(self.node.workers());
        let wire = crate::client::network_connection(self.node, worker, pipe, number);
        let mut link = Link {
            number,
            wire,
            version,
            is_connected: false,
            expiry,
            session_present,
            will,
            unacknowledged: Default::default(),
            asked: Default::default(),
            owed: Default::default(),
        };
        let bytes = link.encoded(&Packet::Connect(Box::new(connect)));
        link.wire.send(&bytes);
        self.clients[index].link = Some(link);
        self.trace(|| {
            format!(
                "{} > CONNECT clean {clean_start} expiry {expiry} will {will:?} at worker {worker}",
                self.clients[index].name
            )
        });
    }

    fn will(&mut self, client: usize) -> usize {
        let topic = self.random.pick(&TOPICS);
        let will = Will {
            client,
            topic: self.topic(topic),
            qos: self.qos(),
            retain: self.random.percent(40),
            delay: match self.clients[client].version {
                ProtocolVersion::V5 => self.random.pick(&[0, 0, 0, 1, FOREVER]),
                _ => 0,
            },
            published: None,
        };
        self.wills.push(will);
        self.wills.len() - 1
    }

    /// A will is published, at this moment or behind it.
    pub(super) fn publish_will(&mut self, client: usize, at: usize, sent: Moment, is_certain: bool) {
        let will = &mut self.wills[at];
        will.published = Some(self.history.published.len());
        let published = Published {
            client,
            link: 0,
            topic: will.topic,
            qos: will.qos,
            retain: will.retain,
            is_empty: false,
            sent,
            done: None,
            is_certain,
            behind: None,
        };
        self.trace(|| format!("  will {at} is {}, for sure: {is_certain}", self.history.published.len()));
        self.history.published.push(published);
    }

    /// A client gives up its network connection. What it has sent before counts, unless the node could not go on with it
    /// at once.
    pub(super) fn leave(&mut self, index: usize, how: Leaving) {
        let client = &mut self.clients[index];
        let (Some(mut link), Some(mut session)) = (client.link.take(), client.session.take()) else { return };
        let is_waiting = !link.asked.is_empty();
        let mut with_will = true;
        if let Leaving::Said { with_will: says_will, expiry } = how
            && !is_waiting
            && !self.may_wait
            && link.wire.unsent() == 0
        {
            let mut packet = Disconnect::new(ReasonCode::Success);
            if says_will {
                packet.reason_code = ReasonCode::DisconnectWithWillMessage;
            }
            packet.properties.session_expiry_interval = expiry;
            let bytes = link.encoded(&Packet::Disconnect(packet));
            link.wire.send(&bytes);
            with_will = says_will;
            session.expiry = expiry.unwrap_or(session.expiry);
        }
        let all_sent = link.wire.unsent() == 0 && !self.may_wait;
        let waiting: Vec<usize> = link.asked.iter().map(|(_, request)| *request).collect();
        for published in self.history.published.iter_mut().filter(|published| published.link == link.number) {
            let waits = published.behind.is_some_and(|request| waiting.contains(&request));
            published.is_certain &= published.done.is_some() || (all_sent && !waits);
        }
        for (place, request) in waiting.iter().enumerate() {
            let request = &mut self.history.requests[*request];
            // Of an UNSUBSCRIBE there is nothing to be known but that the node had it.
            request.is_doubtful |= request.wanted.is_some() || place > 0 || !all_sent;
        }
        self.trace(|| format!("{} leaves: {how:?}, will {with_will}", self.clients[index].name));
        let now = self.history.moment();
        session.left = Some((Instant::now(), now));
        match link.will.filter(|_| with_will) {
            Some(will) if session.expiry > 0 && self.wills[will].delay > 0 => session.will = Some(will),
            Some(will) => self.publish_will(index, will, now, true),
            None => {}
        }
        if session.expiry > 0 {
            self.clients[index].session = Some(session);
        }
        match how {
            Leaving::TakenOver => self.left.push(link.wire),
            _ => link.wire.hang_up(),
        }
    }

    // === packets ===

    fn qos(&mut self) -> QoS {
        self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
    }

    /// Some packets of a client, to be sent at once.
    pub(super) fn segment(&mut self, client: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.random.below(SEGMENT_PACKETS_MAX) {
            let packet = match self.random.below(10) {
                0..=1 => self.subscribe(client),
                2 => self.unsubscribe(client),
                _ => None,
            };
            let packet = packet.unwrap_or_else(|| {
                let topic = self.random.pick(&TOPICS);
                let (qos, retain) = (self.qos(), self.random.percent(50));
                let is_empty = retain && self.random.percent(10);
                self.publish(client, topic, qos, retain, is_empty)
            });
            if let Some(link) = &self.clients[client].link {
                bytes.extend(link.encoded(&packet));
            }
        }
        bytes
    }

    pub(super) fn publish(
        &mut self,
        index: usize,
        name: &str,
        qos: QoS,
        retain: bool,
        is_empty: bool,
    ) -> Packet {
        let (at, topic) = (self.history.published.len(), self.topic(name));
        let client = &mut self.clients[index];
        let identifier = (qos > QoS::AtMostOnce).then(|| client.next_identifier());
        let link = client.link.as_mut().expect("whoever publishes is connected");
        if let Some(identifier) = identifier {
            link.unacknowledged.insert(identifier, at);
        }
        let published = Published {
            client: index,
            link: link.number,
            topic,
            qos,
            retain,
            is_empty,
            sent: self.history.moment(),
            done: None,
            is_certain: true,
            behind: link.asked.back().map(|(_, request)| *request),
        };
        self.history.published.push(published);
        let pad = if self.random.percent(5) { " ".repeat(1500) } else { String::new() };
        let payload = if is_empty { Bytes::new() } else { format!("p{at}{pad}").into() };
        self.trace(|| {
            let retain = if retain { " retain" } else { "" };
            format!(
                "{} > PUBLISH {name} p{at}{} q{}{retain}",
                self.clients[index].name,
                if is_empty { " empty" } else { "" },
                qos as u8
            )
        });
        Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic: name.to_owned(),
            packet_identifier: identifier.and_then(PacketIdentifier::new),
            properties: PublishProperties::default(),
            payload,
        })
    }

    /// None: there is nothing that it may ask for.
    fn subscribe(&mut self, index: usize) -> Option<Packet> {
        let filter = self.random.pick(self.clients[index].filters);
        let is_v5 = self.clients[index].version == ProtocolVersion::V5;
        let session = self.clients[index].session.as_ref()?;
        // Of two subscriptions without identifiers nobody could tell which one a message came through.
        if !is_v5 && session.subscriptions.contains_key(filter) {
            return None;
        }
        let qos = self.qos();
        let retain_handling = match is_v5 {
            true => self.random.pick(&[
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]),
            false => RetainHandling::SendAtSubscribe,
        };
        Some(self.subscribe_to(index, filter, Wanted { qos, retain_handling }))
    }

    pub(super) fn subscribe_to(&mut self, index: usize, filter: &'static str, wanted: Wanted) -> Packet {
        let is_v5 = self.clients[index].version == ProtocolVersion::V5;
        let (identifier, request) = self.ask(index, filter, Some(wanted));
        let options = SubscriptionOptions {
            retain_handling: wanted.retain_handling,
            ..SubscriptionOptions::from(wanted.qos)
        };
        Packet::Subscribe(Subscribe {
            packet_identifier: identifier,
            subscription_identifier: NonZeroU32::new(request as u32 + 1).filter(|_| is_v5),
            user_properties: Vec::new(),
            filters: vec![(SubscriptionFilter::parse(filter).expect("a filter"), options)],
        })
    }

    fn unsubscribe(&mut self, index: usize) -> Option<Packet> {
        let session = self.clients[index].session.as_ref()?;
        let filters: Vec<_> = session
            .subscriptions
            .iter()
            .filter(|(_, request)| self.history.requests[**request].wanted.is_some())
            .map(|(filter, _)| *filter)
            .collect();
        if filters.is_empty() {
            return None;
        }
        let filter = self.random.pick(&filters);
        let (packet_identifier, _) = self.ask(index, filter, None);
        Some(Packet::Unsubscribe(Unsubscribe {
            packet_identifier,
            user_properties: Vec::new(),
            filters: vec![SubscriptionFilter::parse(filter).expect("a filter")],
        }))
    }

    /// Notes a change of subscriptions.
    fn ask(
        &mut self,
        index: usize,
        filter: &'static str,
        wanted: Option<Wanted>,
    ) -> (PacketIdentifier, usize) {
        let (request, sent) = (self.history.requests.len(), self.history.moment());
        let client = &mut self.clients[index];
        let identifier = client.next_identifier();
        let (Some(link), Some(session)) = (&mut client.link, &mut client.session) else {
            unreachable!("whoever asks is connected")
        };
        link.asked.push_back((identifier, request));
        session.subscriptions.insert(filter, request);
        self.history.requests.push(Request {
            client: index,
            session: session.number,
            link: link.number,
            filter,
            wanted,
            sent,
            done: None,
            is_doubtful: false,
        });
        self.trace(|| format!("{} > request {request}: {filter} {wanted:?}", self.clients[index].name));
        (PacketIdentifier::new(identifier).expect("it counts from 1"), request)
    }
}
