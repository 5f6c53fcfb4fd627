//! What lies between MQTT and the socket: nothing, TLS, WebSocket, or WebSocket within TLS. It never blocks.

mod layered;
mod tls;

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

use serde::Serialize;

use self::layered::Layered;
pub(crate) use self::tls::{CertificateError, Tls, Trust};

/// What there is between MQTT and TCP, by its name in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Nothing.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket within TLS.
    Wss,
}

/// What each connection gets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    /// TLS, next to the socket.
    pub tls: Option<Tls>,
    /// The request that opens a WebSocket.
    pub websocket: Option<Vec<u8>>,
}

impl Kind {
    /// The name of these layers.
    pub(crate) const fn of(tls: bool, websocket: bool) -> Self {
        match (tls, websocket) {
            (false, false) => Self::Tcp,
            (true, false) => Self::Tls,
            (false, true) => Self::Ws,
            (true, true) => Self::Wss,
        }
    }

    /// The name in a result.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// The byte stream of one connection, with what the socket did not take yet.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Bytes as they are.
    Tcp(Tcp),
    /// Boxed, since it is far larger.
    Layered(Box<Layered>),
}

/// A socket and what it did not take, from `unsent_at` on.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    unsent: Vec<u8>,
    unsent_at: usize,
}

impl Transport {
    /// On a socket that is connecting.
    pub(crate) fn new(stream: TcpStream, layers: &Layers) -> io::Result<Self> {
        if layers.tls.is_none() && layers.websocket.is_none() {
            return Ok(Self::Tcp(Tcp { stream, unsent: Vec::new(), unsent_at: 0 }));
        }
        Ok(Self::Layered(Box::new(Layered::new(stream, layers)?)))
    }

    /// The socket, for epoll.
    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => &tcp.stream,
            Self::Layered(layered) => layered.stream(),
        }
    }

    /// The socket is connected; the handshakes above it begin.
    pub(crate) fn connected(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Layered(layered) => layered.flush(),
        }
    }

    /// The handshakes above the socket are over.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            Self::Layered(layered) => layered.is_open(),
        }
    }

    /// The socket takes nothing more now.
    pub(crate) fn is_blocked(&self) -> bool {
        match self {
            Self::Tcp(tcp) => !tcp.unsent.is_empty(),
            Self::Layered(layered) => layered.is_blocked(),
        }
    }

    /// Writes `bytes` in one piece, and keeps what the socket does not take.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.send(bytes),
            Self::Layered(layered) => layered.send(bytes),
        }
    }

    /// Writes what was kept.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.flush(),
            Self::Layered(layered) => layered.flush(),
        }
    }

    /// Reads once, to the front of `buffer`, which has room for more than one TLS record. 0 is the end of the
    /// stream; `WouldBlock` says that nothing came that is MQTT's.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.stream.read(buffer),
            Self::Layered(layered) => layered.receive(buffer),
        }
    }
}

impl Tcp {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut taken = 0;
        if self.unsent.is_empty() {
            taken = match self.stream.write(bytes) {
                Ok(taken) => taken,
                Err(error) if would_block(&error) => 0,
                Err(error) => return Err(error),
            };
        }
        self.unsent.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.stream.write(&self.unsent[self.unsent_at..]) {
            Ok(taken) => self.unsent_at += taken,
            Err(error) if would_block(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        if self.unsent_at == self.unsent.len() {
            self.unsent.clear();
            self.unsent_at = 0;
        }
        Ok(())
    }
}

/// Not now, but perhaps later.
pub(crate) fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
