//! What carries MQTT packets: a byte stream, or a WebSocket over one.
//!
//! A [`Transport`] is polled by the one task that owns it, and registered with the runtime of one thread. It can be
//! detached there, sent to another thread and attached again, and no byte is lost or reordered on the way, be it already
//! received and not yet read, or accepted and not yet written.
//!
//! What this module promises to those who read packets from it: a call does a bounded amount of work, an idle transport
//! holds little memory, and nothing that a peer sends makes it panic or spin.

mod refusals;
mod stream;
#[cfg(test)]
mod tests;
mod websocket;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use self::stream::DetachedStream;

pub use refusals::WebSocketRefusals;
#[cfg(feature = "simulation")]
pub use stream::MemoryStream;
#[cfg(feature = "simulation")]
pub(crate) use stream::{Poller, SocketReadiness};
pub use stream::{Stream, Tls, TlsStream};
pub use websocket::{
    AllowedOrigins, ForeignOrigin, HandshakeError, OriginError, PacketsPerFrame, WebSocket, WebSocketError,
    WebSocketOptions, WebSocketRefusal, websocket,
};

/// What carries the MQTT packets of a network connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// Plain TCP.
    Tcp,
    /// TLS.
    Tls,
    /// Binary messages of a WebSocket.
    WebSocket,
    /// Bytes of a simulated network connection.
    #[cfg(feature = "simulation")]
    Memory,
}

/// A byte stream of MQTT packets, both ways.
///
/// All `poll_*` methods wake the task whose context was passed last, whichever direction it is that has to wait: a
/// WebSocket writes while it is read (pongs), so both directions belong to one task.
#[derive(Debug)]
pub enum Transport {
    /// MQTT packets as the bytes of the stream.
    Plain(Stream),
    /// MQTT packets as binary WebSocket messages [MQTT-6.0.0-1].
    WebSocket(Box<WebSocket>),
}

/// A transport that belongs to no runtime, on its way to another thread. Dropping it closes the connection.
#[derive(Debug)]
pub struct Detached(DetachedKind);

#[derive(Debug)]
enum DetachedKind {
    Plain(DetachedStream),
    WebSocket(Box<WebSocket>),
}

impl Transport {
    /// Reads MQTT bytes into `buffer`, which must not be empty. 0 means that the peer has closed, or will send nothing
    /// more.
    ///
    /// # Errors
    /// Those of the socket, and `InvalidData` around a [`WebSocketError`] when the peer breaks the WebSocket protocol;
    /// a close frame tells it, at the latest by [`poll_shutdown`](Self::poll_shutdown). After an error there is nothing
    /// more to read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        debug_assert!(!buffer.is_empty(), "0 bytes read would look like the end");
        match self {
            Self::Plain(stream) => stream.poll_read(cx, buffer),
            Self::WebSocket(stream) => stream.poll_read(cx, buffer),
        }
    }

    /// The same, once nothing is left to read as far as the runtime knows: what has arrived since it last looked at the
    /// sockets. `Pending` wakes nobody.
    ///
    /// # Errors
    /// Those of [`poll_read`](Self::poll_read).
    pub fn poll_read_unheard(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_read_unheard(buffer),
            Self::WebSocket(stream) => stream.poll_read_unheard(cx, buffer),
        }
    }

    /// Writes MQTT bytes, and returns how many of them were accepted.
    ///
    /// A WebSocket puts whole packets into binary frames. What the socket has no room for is not kept: whoever begins a
    /// packet goes on with it, even if the peer has closed. It may owe the peer a control frame, which goes out in front
    /// of the next packet, so whoever has nothing more to write must flush.
    ///
    /// # Errors
    /// Those of the socket, and `BrokenPipe` on a WebSocket whose end was read or that was shut down, at a new packet.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write(cx, bytes),
            Self::WebSocket(stream) => stream.poll_write_vectored(cx, &[IoSlice::new(bytes)]),
        }
    }

    /// [`poll_write`](Self::poll_write) of several slices, by one system call.
    ///
    /// # Errors
    /// Those of [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write_vectored(cx, slices),
            Self::WebSocket(stream) => stream.poll_write_vectored(cx, slices),
        }
    }

    /// Ready when everything accepted is in the socket.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_flush(cx),
            Self::WebSocket(stream) => stream.poll_flush(cx),
        }
    }

    /// Writes out what was accepted and says that nothing more will come: a WebSocket by a close frame (1000, or what
    /// the peer did wrong) and FIN, TCP by FIN, and a WebSocket in the middle of a packet.
    ///
    /// The peer may still be read. To drop a socket with unread bytes resets the connection, which can cost the peer
    /// the last bytes written; one who cares reads until 0, within a deadline.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_shutdown(cx),
            Self::WebSocket(stream) => stream.poll_shutdown(cx),
        }
    }

    /// Deregisters from the runtime of this thread. Bytes received and not yet read, or accepted and not yet written,
    /// go along.
    ///
    /// # Errors
    /// Those of deregistering; the connection is closed then.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(Detached(match self {
            Self::Plain(stream) => DetachedKind::Plain(stream.detach()?),
            Self::WebSocket(mut stream) => {
                stream.detach()?;
                DetachedKind::WebSocket(stream)
            }
        }))
    }

    /// Registers with the runtime of this thread. The new owner polls at once: what was received before causes no
    /// wake-up here.
    ///
    /// # Errors
    /// Those of registering; the connection is closed then.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub fn attach(detached: Detached) -> io::Result<Self> {
        Ok(match detached.0 {
            DetachedKind::Plain(stream) => Self::Plain(Stream::attach(stream)?),
            DetachedKind::WebSocket(mut stream) => {
                stream.attach()?;
                Self::WebSocket(stream)
            }
        })
    }

    /// The peer's address, unless the stream has none or has lost its connection.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(stream) => stream.peer_address(),
            Self::WebSocket(stream) => stream.peer_address(),
        }
    }

    /// Bytes received that are held back, since the message they belong to is not complete; some 4 KiB more at most.
    pub fn held_back(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::WebSocket(stream) => stream.held_back(),
        }
    }

    /// What carries the packets.
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::Plain(stream) => stream.kind(),
            Self::WebSocket(_) => TransportKind::WebSocket,
        }
    }
}
