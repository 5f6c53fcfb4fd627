//! One thread of the relay: an epoll, the connections that the kernel gave to its listener, and their turns.
//!
//! A turn takes all events there are, reads once from each connection, and then writes once to each that has something
//! to be sent. What is for subscribers of another thread is handed over once per turn.

mod control;
mod passing;

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, EventFlags},
    fd::{AsFd, OwnedFd},
};

use super::{Arguments, client::Client, mailbox::Shared, route::Route};
use crate::wire::{FixedHeader, acknowledge, fixed_header, packet_type};

/// Bytes of one read, beside one packet that is there in part.
const READ_BYTES: usize = 256 << 10;
/// Events of one turn.
const EVENTS_PER_TURN: usize = 1024;
/// Not numbers of connections.
const LISTENER: u64 = u64::MAX;
const BELL: u64 = u64::MAX - 1;
/// No connection.
const NONE: u32 = u32::MAX;

/// A thread and its connections.
pub(super) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    route: Route,
    epoll: OwnedFd,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    /// Free places in `clients`.
    free: Vec<u32>,
    /// The connections of subscribers by their numbers.
    subscribers: Vec<u32>,
    /// The same without gaps.
    present: Vec<u32>,
    /// Connections with something to write.
    listed: Vec<u32>,
    buffer: Vec<u8>,
    /// Places of the packet identifiers in the packets at hand.
    identifiers: Vec<u32>,
    /// By thread, what is handed over at the end of the turn.
    handover: Vec<Vec<u8>>,
    /// The next member of a group.
    turn: u32,
}

impl Worker {
    /// The thread with this number.
    pub(super) fn new(
        number: usize,
        listener: TcpListener,
        shared: Arc<Shared>,
        arguments: &Arguments,
    ) -> io::Result<Self> {
        let payload = arguments.load.payload.max(arguments.load.burst_bytes.unwrap_or(0));
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &listener, LISTENER, EventFlags::IN)?;
        // Each ring is an event of its own, so nobody has to read the bell.
        watch(&epoll, &shared.mailboxes[number].bell, BELL, EventFlags::IN | EventFlags::ET)?;
        Ok(Self {
            number,
            route: Route::of(&arguments.load),
            epoll,
            listener,
            clients: Vec::new(),
            free: Vec::new(),
            subscribers: vec![NONE; arguments.load.subscribers as usize],
            present: Vec::new(),
            listed: Vec::new(),
            // A packet is a payload and less than 1 KiB around it.
            buffer: vec![0; READ_BYTES + payload + 1024],
            identifiers: Vec::new(),
            handover: vec![Vec::new(); arguments.threads],
            turn: 0,
            shared,
        })
    }

    /// Serves for ever.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_PER_TURN);
        let mut mail = Vec::new();
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    BELL => self.collect(&mut mail),
                    index => self.serve(index as u32, event.flags)?,
                }
            }
            self.end_turn()?;
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.add(stream)?;
        }
    }

    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() as u32 - 1
        });
        watch(&self.epoll, &stream, index.into(), EventFlags::IN)?;
        self.clients[index as usize] = Some(Client::new(stream));
        Ok(())
    }

    /// A connection that ended is no failure of the relay.
    fn serve(&mut self, index: u32, flags: EventFlags) -> io::Result<()> {
        if flags.contains(EventFlags::OUT) {
            self.block(index, false)?;
            self.list(index);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.clients[index as usize].as_mut().map_or(Ok(0), |client| client.read(&mut buffer));
        let goes_on = read.is_ok_and(|filled| self.packets(index, &mut buffer[..filled]));
        self.buffer = buffer;
        if !goes_on {
            self.remove(index);
        }
        Ok(())
    }

    /// Acts on all whole packets; false ends the connection.
    fn packets(&mut self, index: u32, bytes: &mut [u8]) -> bool {
        let (mut at, mut run) = (0, 0);
        loop {
            let Ok(header) = fixed_header(&bytes[at..]) else { return false };
            let Some(header) = header.filter(|header| at + header.total() <= bytes.len()) else { break };
            let end = at + header.total();
            if header.packet_type() == packet_type::PUBLISH {
                if !self.acknowledge(index, header, &bytes[at + header.header..end]) {
                    return false;
                }
                if !self.route.is_one_for_all() {
                    self.pass_on(index, header.header, &mut bytes[at..end]);
                    run = end;
                }
            } else {
                self.pass_on(index, 0, &mut bytes[run..at]);
                run = end;
                if !self.control(index, header, &bytes[at + header.header..end]) {
                    return false;
                }
            }
            at = end;
        }
        self.pass_on(index, 0, &mut bytes[run..at]);
        if let Some(client) = &mut self.clients[index as usize] {
            client.keep(&bytes[at..]);
        }
        true
    }

    /// Answers a PUBLISH.
    fn acknowledge(&mut self, index: u32, header: FixedHeader, body: &[u8]) -> bool {
        let answer = match header.first >> 1 & 0b11 {
            0 => return true,
            1 => packet_type::PUBACK,
            _ => packet_type::PUBREC,
        };
        let Some(identifier) = identifier_at(body).and_then(|at| body.get(at..)?.first_chunk()) else {
            return false;
        };
        self.answer(index, |out| acknowledge(out, answer, u16::from_be_bytes(*identifier)));
        true
    }

    fn answer(&mut self, index: u32, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        if let Some(client) = &mut self.clients[index as usize] {
            put(&mut client.out);
        }
        self.list(index);
        true
    }

    fn list(&mut self, index: u32) {
        if let Some(client) = &mut self.clients[index as usize]
            && !client.listed
            && !client.blocked
        {
            client.listed = true;
            self.listed.push(index);
        }
    }

    /// Writes once to each connection that has something to be sent, and hands the rest over.
    fn end_turn(&mut self) -> io::Result<()> {
        for (thread, entries) in self.handover.iter_mut().enumerate() {
            if !entries.is_empty() {
                self.shared.mailboxes[thread].put(entries)?;
                entries.clear();
            }
        }
        while let Some(index) = self.listed.pop() {
            let Some(client) = &mut self.clients[index as usize] else { continue };
            client.listed = false;
            if client.flush().is_err() {
                self.remove(index);
                continue;
            }
            if !client.out.is_empty() {
                self.block(index, true)?;
            }
        }
        Ok(())
    }

    /// Begins or ceases to wait until the socket takes more.
    fn block(&mut self, index: u32, blocked: bool) -> io::Result<()> {
        if let Some(client) = &mut self.clients[index as usize]
            && client.blocked != blocked
        {
            client.blocked = blocked;
            let interest = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let data = epoll::EventData::new_u64(index.into());
            epoll::modify(&self.epoll, &client.stream, data, interest)?;
        }
        Ok(())
    }

    fn remove(&mut self, index: u32) {
        let Some(client) = self.clients[index as usize].take() else { return };
        self.free.push(index);
        if self.subscribers.get(client.number as usize) == Some(&index) {
            self.subscribers[client.number as usize] = NONE;
            self.present.retain(|&present| present != index);
            self.shared.mailboxes[self.number].subscribers.fetch_sub(1, Ordering::Relaxed);
            self.shared.settle(client.number, None);
        }
    }
}

fn watch(epoll: &OwnedFd, of: impl AsFd, data: u64, flags: EventFlags) -> io::Result<()> {
    Ok(epoll::add(epoll, of, epoll::EventData::new_u64(data), flags)?)
}

/// Where the packet identifier stands in the body of a PUBLISH: behind the topic name.
fn identifier_at(body: &[u8]) -> Option<usize> {
    Some(2 + usize::from(u16::from_be_bytes(*body.first_chunk()?)))
}
