//! One network connection, TCP or WebSocket: bytes out, packets in, never blocking.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::{
    event::epoll::{self, EventFlags},
    fd::OwnedFd,
    net::sockopt,
};

use super::packets::{self, Received};
use crate::{
    socket,
    websocket::{self, WebSocket},
    wire::{Version, fixed_header},
};

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Where the bytes go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoints {
    /// MQTT over TCP.
    pub tcp: SocketAddr,
    /// MQTT over WebSocket.
    pub websocket: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The TCP handshake is under way.
    Opening,
    /// Bytes flow.
    Open,
}

/// See the module. It leaves epoll as it is dropped, since that closes its socket.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    key: u64,
    interest: EventFlags,
    stage: Stage,
    websocket: Option<WebSocket>,
    host: String,
    /// MQTT bytes that are to be sent.
    out: Vec<u8>,
    /// Bytes for the socket, and how many of them it has taken.
    wire: Vec<u8>,
    written: usize,
    /// Received MQTT bytes that are no whole packet yet.
    packets: Vec<u8>,
    /// Nothing is read for now.
    muted: bool,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// By the broker.
    #[error("closed")]
    Closed,
    /// As the kernel says.
    #[error("broken: {0}")]
    Broken(#[source] io::Error),
    /// The broker sent what makes no sense.
    #[error("malformed: {0}")]
    Malformed(String),
}

impl Link {
    /// Begins to connect. Events come with `key`.
    pub(crate) fn open(
        epoll: &OwnedFd,
        endpoints: Endpoints,
        websocket: bool,
        receive_buffer: Option<usize>,
        key: u64,
    ) -> io::Result<Self> {
        let address = if websocket { endpoints.websocket } else { endpoints.tcp };
        let stream = socket::open(address, None, receive_buffer)?;
        let interest = EventFlags::OUT;
        epoll::add(epoll, &stream, epoll::EventData::new_u64(key), interest)?;
        Ok(Self {
            stream,
            key,
            interest,
            stage: Stage::Opening,
            websocket: websocket.then(WebSocket::default),
            host: address.to_string(),
            out: Vec::new(),
            wire: Vec::new(),
            written: 0,
            packets: Vec::new(),
            muted: false,
        })
    }

    /// What its events come with.
    pub(crate) const fn key(&self) -> u64 {
        self.key
    }

    /// Where MQTT packets are appended; [`flush`](Self::flush) sends them.
    pub(crate) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Reads nothing any more, or again.
    pub(crate) const fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Whether nothing is read for now.
    pub(crate) const fn is_muted(&self) -> bool {
        self.muted
    }

    /// Ends with a reset in place of a FIN.
    pub(crate) fn reset(self) {
        // It is closed in either case.
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Reads once, and calls `take` with each whole packet.
    pub(crate) fn read(
        &mut self,
        version: Version,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(Received<'_>),
    ) -> Result<(), End> {
        buffer.resize(READ_BYTES, 0);
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(End::Closed),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(End::Broken(error)),
        };
        let bytes = &mut buffer[..count];
        let count = match &mut self.websocket {
            Some(websocket) => websocket.receive(bytes, &mut self.wire).map_err(End::Malformed)?,
            None => count,
        };
        self.packets.extend_from_slice(&bytes[..count]);
        let malformed = |error: crate::wire::WireError| End::Malformed(error.to_string());
        let mut at = 0;
        while let Some(header) = fixed_header(&self.packets[at..]).map_err(malformed)?
            && let Some(packet) = self.packets.get(at..at + header.total())
        {
            take(packets::read(version, header, &packet[header.header..]).map_err(malformed)?);
            at += header.total();
        }
        self.packets.drain(..at);
        Ok(())
    }

    /// Sends what is there, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> Result<(), End> {
        if self.stage == Stage::Opening {
            return Ok(());
        }
        match &self.websocket {
            None => self.wire.append(&mut self.out),
            Some(websocket) if websocket.is_open() && !self.out.is_empty() => {
                // As two messages, so that packets lie across frames.
                let (first, second) = self.out.split_at(self.out.len() / 2);
                websocket::put_message(&mut self.wire, first);
                websocket::put_message(&mut self.wire, second);
                self.out.clear();
            }
            Some(_) => {}
        }
        while self.written < self.wire.len() {
            match self.stream.write(&self.wire[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(End::Broken(error)),
            }
        }
        self.wire.clear();
        self.written = 0;
        Ok(())
    }

    /// The socket is writable: it is open now, or takes more.
    pub(crate) fn writable(&mut self) -> Result<(), End> {
        if self.stage == Stage::Opening {
            if let Some(error) = self.stream.take_error().map_err(End::Broken)? {
                return Err(End::Broken(error));
            }
            self.stage = Stage::Open;
            if self.websocket.is_some() {
                self.wire = websocket::request(&self.host, "/mqtt");
            }
        }
        self.flush()
    }

    /// Tells epoll what this connection waits for.
    pub(crate) fn register(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        let mut interest = if self.muted { EventFlags::empty() } else { EventFlags::IN };
        if self.stage == Stage::Opening || self.written < self.wire.len() {
            interest |= EventFlags::OUT;
        }
        if interest != self.interest {
            self.interest = interest;
            epoll::modify(epoll, &self.stream, epoll::EventData::new_u64(self.key), interest)?;
        }
        Ok(())
    }
}
