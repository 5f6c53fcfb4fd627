//! One client connection: its socket, the frames in it, and what its role does with them.

mod control;
mod leaving;
mod slow;
mod trouble;

use rustix::event::epoll::EventFlags;

use super::{Client, Publisher, Role, Settings, traffic::Traffic};
use crate::{
    failure::Failure,
    transport::{Transport, would_block},
    wire::{
        self, FixedHeader, PINGREQ, PublishHead, Stamp, Version, fixed_header, packet_type, publish_head,
    },
};

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
}
