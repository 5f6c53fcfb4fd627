//! One thread of the relay: an epoll, the connections that the kernel gave to its listener, and their turns.
//!
//! A turn takes all events there are, reads once from each connection, and then writes once to each that has something
//! to be sent. What is for subscribers of another thread is handed over once per turn.

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

use super::{
    Arguments,
    client::Client,
    mailbox::{ALL, Shared, put_entry, take_entry},
    route::{Route, drawn},
};
use crate::wire::{
    FixedHeader, Version, acknowledge, fixed_header, number, packet_type, put_variable_byte_integer,
};

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

    /// Passes a run of PUBLISH packets on to those who hear it; `header` is the size of the first fixed header, which
    /// routes by topic name need.
    fn pass_on(&mut self, publisher: u32, header: usize, packets: &mut [u8]) {
        let Some(client) = self.clients[publisher as usize].as_ref().filter(|_| !packets.is_empty()) else {
            return;
        };
        match self.route {
            Route::Nobody => {}
            // A flood is heard by subscribers that are sent nothing.
            Route::Partner if client.kind == b'f' => {}
            Route::Partner => self.send(client.number, packets),
            Route::Itself if client.subscribed => self.deliver(publisher, packets),
            Route::Itself => {}
            Route::InTurn { members } => {
                self.turn = (self.turn + 1) % members;
                self.send(self.turn, packets);
            }
            Route::Drawn { width, first, second } => {
                let body = &packets[header..];
                let topic_name = identifier_at(body).and_then(|end| body.get(2..end));
                let subscribers = topic_name.and_then(|name| drawn(name, width, first, second));
                for subscriber in subscribers.into_iter().flatten() {
                    self.send(subscriber, packets);
                }
            }
            Route::All => {
                for thread in 0..self.handover.len() {
                    let elsewhere = thread != self.number;
                    if elsewhere && self.shared.mailboxes[thread].subscribers.load(Ordering::Relaxed) > 0 {
                        put_entry(&mut self.handover[thread], ALL, packets);
                    }
                }
                self.deliver_to_all(packets);
            }
        }
    }

    /// To one subscriber, wherever it is.
    fn send(&mut self, subscriber: u32, packets: &mut [u8]) {
        match self.shared.home(subscriber) {
            Some(home) if home == self.number => self.deliver_to(subscriber, packets),
            Some(home) => put_entry(&mut self.handover[home], subscriber, packets),
            None => {}
        }
    }

    fn deliver_to(&mut self, subscriber: u32, packets: &mut [u8]) {
        match self.subscribers.get(subscriber as usize) {
            None | Some(&NONE) => {}
            Some(&index) => self.deliver(index, packets),
        }
    }

    fn deliver(&mut self, index: u32, packets: &mut [u8]) {
        find_identifiers(packets, &mut self.identifiers);
        if let Some(client) = &mut self.clients[index as usize] {
            client.deliver(packets, &self.identifiers);
        }
        self.list(index);
    }

    fn deliver_to_all(&mut self, packets: &mut [u8]) {
        find_identifiers(packets, &mut self.identifiers);
        for position in 0..self.present.len() {
            let index = self.present[position];
            if let Some(client) = &mut self.clients[index as usize] {
                client.deliver(packets, &self.identifiers);
            }
            self.list(index);
        }
    }

    /// What other threads handed over.
    fn collect(&mut self, mail: &mut Vec<u8>) {
        self.shared.mailboxes[self.number].take(mail);
        let mut entries = mail.as_mut_slice();
        while let Some((subscriber, packets, rest)) = take_entry(entries) {
            match subscriber {
                ALL => self.deliver_to_all(packets),
                subscriber => self.deliver_to(subscriber, packets),
            }
            entries = rest;
        }
        mail.clear();
    }

    /// Answers everything but PUBLISH; false ends the connection.
    fn control(&mut self, index: u32, header: FixedHeader, body: &[u8]) -> bool {
        match (header.packet_type(), body) {
            (CONNECT, body) => self.connected(index, body),
            (SUBSCRIBE, &[high, low, ref rest @ ..]) => self.subscribed(index, [high, low], rest),
            (kind @ (packet_type::PUBREC | packet_type::PUBREL), &[high, low, ..]) => {
                let answer =
                    if kind == packet_type::PUBREC { packet_type::PUBREL } else { packet_type::PUBCOMP };
                self.answer(index, |out| acknowledge(out, answer, u16::from_be_bytes([high, low])))
            }
            (PINGREQ, _) => self.answer(index, |out| out.extend_from_slice(&[0xD0, 0])),
            (packet_type::PUBACK | packet_type::PUBCOMP, _) => true,
            _ => false,
        }
    }

    /// `bench`, eight digits of the run, a letter for the kind of client, and its number.
    fn connected(&mut self, index: u32, body: &[u8]) -> bool {
        let Some(client) = &mut self.clients[index as usize] else { return false };
        let (level, identifier) = match body {
            [_, _, b'M', b'Q', b'T', b'T', 4, _, _, _, _, _, identifier @ ..] => {
                (Version::V3_1_1, identifier)
            }
            [_, _, b'M', b'Q', b'T', b'T', 5, _, _, _, 0, _, _, identifier @ ..] => {
                (Version::V5_0, identifier)
            }
            _ => return false,
        };
        client.version = level;
        if let Some((&kind, digits)) = identifier.get(13..).and_then(<[u8]>::split_first) {
            (client.kind, client.number) = (kind, number(digits));
        }
        let connack: &[u8] = match level {
            Version::V3_1_1 => &[0x20, 2, 0, 0],
            Version::V5_0 => &[0x20, 3, 0, 0, 0],
        };
        self.answer(index, |out| out.extend_from_slice(connack))
    }

    /// Grants what is asked for.
    fn subscribed(&mut self, index: u32, identifier: [u8; 2], body: &[u8]) -> bool {
        let Some(client) = &mut self.clients[index as usize] else { return false };
        let properties = usize::from(client.version == Version::V5_0);
        let mut codes = Vec::new();
        let mut rest = body.get(properties..).unwrap_or(&[]);
        while let Some((length, filter)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(&options) = filter.get(length) else { return false };
            codes.push(options & 0b11);
            rest = &filter[length + 1..];
        }
        client.subscribed = true;
        let number = client.number as usize;
        if client.kind == b's' && self.subscribers.get(number) == Some(&NONE) {
            self.subscribers[number] = index;
            self.present.push(index);
            self.shared.mailboxes[self.number].subscribers.fetch_add(1, Ordering::Relaxed);
            self.shared.settle(number as u32, Some(self.number));
        }
        self.answer(index, |out| {
            out.push(0x90);
            put_variable_byte_integer(out, 2 + properties + codes.len());
            out.extend_from_slice(&identifier);
            out.extend_from_slice(&[0][..properties]);
            out.extend_from_slice(&codes);
        })
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

const CONNECT: u8 = 1;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;

fn watch(epoll: &OwnedFd, of: impl AsFd, data: u64, flags: EventFlags) -> io::Result<()> {
    Ok(epoll::add(epoll, of, epoll::EventData::new_u64(data), flags)?)
}

/// Where the packet identifier stands in the body of a PUBLISH: behind the topic name.
fn identifier_at(body: &[u8]) -> Option<usize> {
    Some(2 + usize::from(u16::from_be_bytes(*body.first_chunk()?)))
}

/// The places of the packet identifiers in whole PUBLISH packets.
fn find_identifiers(packets: &[u8], places: &mut Vec<u32>) {
    places.clear();
    let mut at = 0;
    while let Ok(Some(header)) = fixed_header(&packets[at..]) {
        if header.first & 0b110 == 0 {
            // One scenario has one QoS.
            return;
        }
        let body = at + header.header;
        places.extend(identifier_at(&packets[body..]).map(|place| (body + place) as u32));
        at += header.total();
    }
}
