//! One client connection: its socket, the frames in it, and what its role does with them.

use std::io::{self, ErrorKind};

use rustix::event::epoll::EventFlags;

use super::{
    Settings,
    churn::Churner,
    flood::{Deaf, Flooder},
    member::Member,
    publisher::{AcknowledgementError, Publisher},
    subscriber::Subscriber,
    subscription::{Answer, Subscription},
    traffic::Traffic,
};
use crate::{
    failure::{Code, Failure},
    transport::{Transport, would_block},
    wire::{
        self, DISCONNECT, FixedHeader, PINGREQ, PublishHead, Stamp, Version, WireError, acknowledge,
        acknowledgement, connack, fixed_header, packet_type, publish_head, suback_codes,
    },
};

/// What a connection is there for.
#[derive(Debug)]
pub(crate) enum Role {
    /// It publishes.
    Publisher(Publisher),
    /// It takes deliveries and checks them.
    Subscriber(Subscriber),
    /// The same, of those messages that are its part of what a group hears.
    Member(Member),
    /// It is merely connected, perhaps subscribed; what it is sent is counted.
    Idle,
    /// It is subscribed and reads slowly or never.
    Deaf(Deaf),
    /// It publishes as much as its socket takes.
    Flooder(Flooder),
    /// It publishes one message to itself and leaves.
    Churner(Churner),
}

/// A connection to make.
#[derive(Debug)]
pub(crate) struct Client {
    /// Client identifier.
    pub client_identifier: String,
    /// Its role once it is up.
    pub role: Role,
    /// What to subscribe to first.
    pub subscription: Option<Subscription>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP is connecting.
    Opening,
    /// CONNECT was sent.
    Greeting,
    /// SUBSCRIBE was sent.
    Subscribing,
    /// Ready for its role.
    Up,
    /// DISCONNECT was sent; the broker is to close.
    Leaving,
    /// The broker closed the connection, of a client that left or never reads.
    Gone,
}

/// A PUBLISH of which only the first part was read so far.
#[derive(Debug)]
struct Cut {
    /// Bytes still to come, which nobody looks at.
    rest: usize,
    head: PublishHead,
    stamp: Stamp,
}

/// A connection and its unfinished input and output.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    version: Version,
    keep_alive_seconds: u16,
    transport: Transport,
    stage: Stage,
    /// The start of a packet whose rest is still to come.
    partial: Vec<u8>,
    cut: Option<Cut>,
}

impl Connection {
    /// A connection whose TCP handshake is under way.
    pub(super) fn new(client: Client, settings: &Settings, transport: Transport) -> Self {
        let Settings { version, keep_alive_seconds, .. } = *settings;
        let stage = Stage::Opening;
        Self { client, version, keep_alive_seconds, transport, stage, partial: Vec::new(), cut: None }
    }

    /// Its byte stream, for epoll.
    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How far it has come.
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Its role.
    pub(super) fn role(&self) -> &Role {
        &self.client.role
    }

    /// The events it waits for; `None` when it is out of the game.
    pub(super) fn interest(&self) -> Option<EventFlags> {
        match (self.stage, &self.client.role) {
            (Stage::Opening, _) => Some(EventFlags::OUT),
            (Stage::Gone, _) => None,
            (Stage::Up, Role::Deaf(_)) => Some(EventFlags::RDHUP),
            _ if self.is_blocked() => Some(EventFlags::IN | EventFlags::OUT),
            _ => Some(EventFlags::IN),
        }
    }

    /// The publisher of this connection, to start or stop it.
    pub(super) fn publisher(&mut self) -> Option<&mut Publisher> {
        match &mut self.client.role {
            Role::Publisher(publisher) => Some(publisher),
            Role::Churner(churner) => Some(&mut churner.publisher),
            _ => None,
        }
    }

    /// Begins again on another byte stream.
    pub(super) fn restart(&mut self, transport: Transport) {
        self.transport = transport;
        self.stage = Stage::Opening;
        self.partial.clear();
        self.cut = None;
    }

    /// Messages the publisher may write now, the bound on outstanding deliveries aside.
    pub(super) fn room(&mut self) -> u32 {
        if self.is_blocked() || self.stage != Stage::Up {
            0
        } else {
            self.publisher().map_or(0, |it| it.room())
        }
    }

    /// The socket took all there was, or the TCP handshake ended.
    pub(super) fn writable(&mut self, traffic: &mut Traffic) -> Result<(), Failure> {
        if self.stage == Stage::Opening {
            if let Some(error) = self.transport.stream().take_error().unwrap_or_else(Some) {
                return Err(self.broken(error));
            }
            self.stage = Stage::Greeting;
            self.transport.connected().map_err(|error| self.broken(error))?;
            let identifier = &self.client.client_identifier;
            wire::connect(&mut traffic.out, self.version, self.keep_alive_seconds, identifier);
            return Ok(());
        }
        if self.is_blocked() {
            self.transport.flush().map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    /// Reads once and acts on all packets that are complete. Answers are appended to `traffic.out`.
    pub(super) fn readable(&mut self, buffer: &mut [u8], traffic: &mut Traffic) -> Result<(), Failure> {
        if self.stage == Stage::Up && matches!(self.client.role, Role::Deaf(_)) {
            self.stage = Stage::Gone;
            return Ok(());
        }
        if self.stage == Stage::Leaving {
            return self.farewell(buffer);
        }
        self.take(buffer, traffic)
    }

    /// Reads what a slow subscriber may read at `now`. It is gone if the broker closed its connection.
    pub(super) fn read_slowly(
        &mut self,
        now: u64,
        buffer: &mut [u8],
        traffic: &mut Traffic,
    ) -> Result<(), Failure> {
        let Role::Deaf(deaf) = &mut self.client.role else { return Ok(()) };
        let end = deaf.due(now).saturating_add(self.partial.len()).min(buffer.len());
        if end == self.partial.len() {
            return Ok(());
        }
        match self.take(&mut buffer[..end], traffic) {
            Err(Failure::Closed { .. } | Failure::Broken { .. }) => {
                self.stage = Stage::Gone;
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Appends so many messages, if this is a flooder whose socket takes them.
    pub(super) fn flood(&mut self, count: u32, traffic: &mut Traffic) -> bool {
        if self.is_blocked() || self.stage != Stage::Up {
            return false;
        }
        let Role::Flooder(flooder) = &mut self.client.role else { return false };
        flooder.publish(count, traffic);
        true
    }

    fn take(&mut self, buffer: &mut [u8], traffic: &mut Traffic) -> Result<(), Failure> {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        let read = match self.transport.receive(&mut buffer[kept..]) {
            Ok(0) => return Err(self.closed()),
            Ok(read) => read,
            Err(error) if would_block(&error) => return Ok(()),
            Err(error) => return Err(self.broken(error)),
        };
        traffic.tick();
        self.partial.clear();
        let bytes = &buffer[..kept + read];
        let used = self.packets(bytes, traffic)?;
        self.partial.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// Appends what the publisher may publish now, or queues it for when it may.
    pub(super) fn publish(&mut self, index: usize, traffic: &mut Traffic) {
        let room = self.room();
        let Some(publisher) = self.publisher() else { return };
        if room == 0 || publisher.queued {
            return;
        }
        // Those that wait go first.
        let count = if traffic.ready.is_empty() { traffic.allowance(room) } else { 0 };
        if count > 0 {
            publisher.publish(count, traffic);
        }
        if publisher.room() > 0 {
            publisher.queued = true;
            traffic.ready.push_back(index);
        }
    }

    /// Writes `out` in one piece, and keeps what the socket does not take.
    pub(super) fn write(&mut self, out: &[u8]) -> Result<(), Failure> {
        if out.is_empty() {
            return Ok(());
        }
        self.transport.send(out).map_err(|error| self.broken(error))
    }

    /// Says good-bye, if the client has nothing more to do here.
    pub(super) fn leave_when_done(&mut self, traffic: &mut Traffic) {
        if let Role::Churner(churner) = &self.client.role
            && self.stage == Stage::Up
            && churner.is_done()
        {
            traffic.out.extend_from_slice(&DISCONNECT);
            self.stage = Stage::Leaving;
        }
    }

    /// Says good-bye; the broker is to close the connection.
    pub(super) fn leave(&mut self) -> Result<(), Failure> {
        self.stage = Stage::Leaving;
        self.write(&DISCONNECT)
    }

    /// Waits for the end of the stream, whatever comes before it.
    fn farewell(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        match self.transport.receive(buffer) {
            Ok(0) => self.stage = Stage::Gone,
            Ok(_) => {}
            // The broker had not read all that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.stage = Stage::Gone,
            Err(error) if would_block(&error) => {}
            Err(error) => return Err(self.broken(error)),
        }
        Ok(())
    }

    /// Asks for a PINGRESP, behind all that was written.
    pub(super) fn ping(&mut self) -> Result<(), Failure> {
        self.write(&PINGREQ)
    }

    fn is_blocked(&self) -> bool {
        self.transport.is_blocked()
    }

    /// Returns how many bytes were used; the rest is the start of a packet.
    fn packets(&mut self, bytes: &[u8], traffic: &mut Traffic) -> Result<usize, Failure> {
        let mut at = 0;
        if let Some(cut) = &mut self.cut {
            at = cut.rest.min(bytes.len());
            cut.rest -= at;
            if cut.rest > 0 {
                return Ok(at);
            }
        }
        if let Some(Cut { head, stamp, .. }) = self.cut.take() {
            self.delivered(head, stamp, traffic)?;
        }
        while let Some(header) = fixed_header(&bytes[at..]).map_err(|error| self.malformed(error))? {
            let (body_at, end) = (at + header.header, at + header.total());
            let available = &bytes[body_at..end.min(bytes.len())];
            if header.packet_type() == packet_type::PUBLISH {
                let Some((head, stamp)) = self.publish_start(header, available, traffic.payload())? else {
                    break;
                };
                if end > bytes.len() {
                    self.cut = Some(Cut { rest: end - bytes.len(), head, stamp });
                    return Ok(bytes.len());
                }
                self.delivered(head, stamp, traffic)?;
            } else if end > bytes.len() {
                break;
            } else {
                self.control(header, available, traffic)?;
            }
            at = end;
        }
        Ok(at)
    }

    /// Head and stamp of a PUBLISH; `None` if they are not all there yet.
    fn publish_start(
        &self,
        header: FixedHeader,
        available: &[u8],
        expected: usize,
    ) -> Result<Option<(PublishHead, Stamp)>, Failure> {
        let head = publish_head(self.version, header, available).map_err(|error| self.malformed(error))?;
        let Some(head) = head else { return Ok(None) };
        let payload = header.body - head.payload_at;
        if payload != expected {
            return Err(
                self.unexpected(format!("a payload of {payload} bytes where {expected} were published"))
            );
        }
        let stamp = available.get(head.payload_at..).and_then(Stamp::read);
        Ok(stamp.map(|stamp| (head, stamp)))
    }

    fn delivered(&mut self, head: PublishHead, stamp: Stamp, traffic: &mut Traffic) -> Result<(), Failure> {
        let expected = match &mut self.client.role {
            Role::Subscriber(subscriber) => subscriber.delivered(head, stamp, traffic),
            Role::Churner(churner) => churner.delivered(head, stamp, traffic),
            Role::Member(member) => member.delivered(head, stamp, traffic),
            Role::Deaf(_) => {
                traffic.slow_deliveries += 1;
                true
            }
            Role::Idle if self.client.subscription.is_some() => {
                traffic.delivery(head, stamp);
                true
            }
            Role::Publisher(_) | Role::Flooder(_) | Role::Idle => false,
        };
        if expected {
            return Ok(());
        }
        Err(self.unexpected(format!("a message of publisher {}, which it does not hear", stamp.publisher)))
    }

    fn control(&mut self, header: FixedHeader, body: &[u8], traffic: &mut Traffic) -> Result<(), Failure> {
        match (self.stage, header.packet_type()) {
            (Stage::Greeting, packet_type::CONNACK) => self.greeted(header, body, traffic),
            (Stage::Subscribing, packet_type::SUBACK) => self.subscribed(header, body, traffic),
            (_, kind @ (packet_type::PUBACK | packet_type::PUBREC | packet_type::PUBCOMP)) => {
                self.acknowledged(kind, header, body, traffic)
            }
            (_, packet_type::PUBREL) => {
                let (identifier, _) = acknowledgement(header, body).map_err(|error| self.malformed(error))?;
                acknowledge(&mut traffic.out, packet_type::PUBCOMP, identifier);
                if let Role::Churner(churner) = &mut self.client.role {
                    churner.released();
                }
                Ok(())
            }
            (_, packet_type::PINGRESP) => {
                traffic.pongs += 1;
                traffic.progress += 1;
                Ok(())
            }
            (_, packet_type::DISCONNECT) => {
                let code = Code(body.first().copied().unwrap_or(0));
                Err(Failure::Disconnected { client_identifier: self.name(), code })
            }
            (_, kind) => Err(self.unexpected(format!("a packet of type {kind} while {}", self.doing()))),
        }
    }

    fn greeted(&mut self, header: FixedHeader, body: &[u8], traffic: &mut Traffic) -> Result<(), Failure> {
        let connack = connack(self.version, header, body).map_err(|error| self.malformed(error))?;
        if connack.code != 0 {
            return Err(Failure::Refused { client_identifier: self.name(), code: Code(connack.code) });
        }
        if let Some(publisher) = self.publisher() {
            let (qos, size) = (publisher.qos(), publisher.packet_size());
            if connack.maximum_qos < qos {
                let (limit, allowed) = ("maximum qos", connack.maximum_qos.into());
                return Err(Failure::Limit { limit, allowed, needed: qos.into() });
            }
            if connack.maximum_packet_size < size {
                let (limit, allowed) = ("maximum packet size", connack.maximum_packet_size);
                return Err(Failure::Limit { limit, allowed, needed: size });
            }
            if publisher.narrow(connack.receive_maximum) {
                traffic.narrowed_window = Some(connack.receive_maximum);
            }
        }
        self.subscribe(traffic);
        Ok(())
    }

    /// Subscribes behind whatever it subscribed to before; false if there is nothing to ask for.
    pub(super) fn subscribe_to(&mut self, subscription: Subscription, traffic: &mut Traffic) -> bool {
        self.client.subscription = Some(subscription);
        self.subscribe(traffic);
        self.stage == Stage::Subscribing
    }

    /// Asks for the next filters; up if there are none.
    fn subscribe(&mut self, traffic: &mut Traffic) {
        let subscription = self.client.subscription.as_mut();
        let asked = subscription.is_some_and(|it| it.ask(&mut traffic.out, self.version));
        self.stage = if asked { Stage::Subscribing } else { Stage::Up };
    }

    fn subscribed(&mut self, header: FixedHeader, body: &[u8], traffic: &mut Traffic) -> Result<(), Failure> {
        let codes = suback_codes(self.version, header, body).map_err(|error| self.malformed(error))?;
        let Some(subscription) = &mut self.client.subscription else { return Ok(()) };
        match subscription.answered(codes) {
            Answer::More => self.subscribe(traffic),
            Answer::Done => self.stage = Stage::Up,
            Answer::Refused(code) => {
                let qos = subscription.qos();
                let client_identifier = self.name();
                return Err(Failure::SubscriptionRefused { client_identifier, qos, code: Code(code) });
            }
            Answer::Miscounted => {
                return Err(self.unexpected(format!("a SUBACK of {} codes", codes.len())));
            }
        }
        traffic.progress += 1;
        Ok(())
    }

    fn acknowledged(
        &mut self,
        kind: u8,
        header: FixedHeader,
        body: &[u8],
        traffic: &mut Traffic,
    ) -> Result<(), Failure> {
        let (identifier, code) = acknowledgement(header, body).map_err(|error| self.malformed(error))?;
        let taken = match self.publisher() {
            Some(publisher) => publisher.acknowledged(kind, identifier, code, traffic),
            None => Err(AcknowledgementError::Unknown),
        };
        taken.map_err(|error| match error {
            AcknowledgementError::Refused(code) => {
                Failure::PublishRefused { client_identifier: self.name(), code }
            }
            AcknowledgementError::Unknown => self.unexpected(format!(
                "an acknowledgement of type {kind} for packet identifier {identifier}, which waits for none"
            )),
        })
    }

    fn doing(&self) -> &'static str {
        match self.stage {
            Stage::Opening => "opening it",
            Stage::Greeting if !self.transport.is_open() => "shaking hands",
            Stage::Greeting => "waiting for CONNACK",
            Stage::Subscribing => "waiting for SUBACK",
            Stage::Up | Stage::Gone => "in use",
            Stage::Leaving => "leaving",
        }
    }

    fn name(&self) -> String {
        self.client.client_identifier.clone()
    }

    fn broken(&self, source: io::Error) -> Failure {
        Failure::Broken { client_identifier: self.name(), doing: self.doing(), source }
    }

    fn closed(&self) -> Failure {
        Failure::Closed { client_identifier: self.name(), doing: self.doing() }
    }

    fn malformed(&self, source: WireError) -> Failure {
        Failure::Malformed { client_identifier: self.name(), source }
    }

    fn unexpected(&self, what: String) -> Failure {
        Failure::Unexpected { client_identifier: self.name(), what }
    }
}
