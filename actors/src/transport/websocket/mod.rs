//! MQTT over WebSocket: the bytes of binary messages, joined to one stream.
//!
//! The framing of what is received and the control frames are `tungstenite`'s; binary frames are sent past its buffers, as
//! [`framing`] lays them out.
//! Invariant: whatever is accepted for sending is written in the order of acceptance, and a control frame never lands
//! inside a binary frame (the socket sees to both).

mod framing;
mod handshake;
mod origin;
mod refusal;
mod request;
mod socket;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message};

use self::socket::Socket;
use super::Stream;
use crate::turns::go_on_behind_sockets;

pub use framing::PacketsPerFrame;
pub use handshake::{HandshakeError, websocket};
pub use origin::{AllowedOrigins, ForeignOrigin, OriginError};
pub use refusal::WebSocketRefusal;

/// Bytes that an idle WebSocket holds to read into, and the most that one system call reads.
const READ_BUFFER_BYTES: usize = 4096;

/// A read buffer that a message made larger than this is given back, once the message was read.
const READ_BUFFER_BYTES_KEPT: usize = 4 * READ_BUFFER_BYTES;

/// Pongs that wait for a peer who sends pings and reads nothing; beyond, only the newest ping is answered.
const CONTROL_FRAMES_BYTES_MAX: usize = 4096;

/// Messages looked at by one read, so that a flood of empty ones or of pings does not keep the thread.
const MESSAGES_PER_READ: usize = 256;

/// How a WebSocket listener behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketOptions {
    /// The path of the URL at which MQTT is spoken, such as `/mqtt`. A query behind it is ignored.
    pub path: String,
    /// How many packets a binary frame of the node holds. A client may cut them as it likes.
    pub packets_per_frame: PacketsPerFrame,
    /// The web pages that may connect.
    pub origins: AllowedOrigins,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            path: "/mqtt".to_owned(),
            packets_per_frame: PacketsPerFrame::default(),
            origins: AllowedOrigins::default(),
        }
    }
}

/// How a client broke the WebSocket protocol, or MQTT's use of it. A close frame tells it.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// Only binary frames carry MQTT [MQTT-6.0.0-1]. Close code 1003.
    #[error("text message of {size} bytes in place of a binary one [MQTT-6.0.0-1]")]
    TextMessage {
        /// Length of the message.
        size: usize,
    },
    /// Close code 1009.
    #[error("websocket message is too large")]
    TooLarge(#[source] tungstenite::error::CapacityError),
    /// Text that is not UTF-8. Close code 1007.
    #[error("websocket text is not utf-8: {0:?}")]
    NotUtf8(String),
    /// Close code 1002.
    #[error("websocket protocol violated")]
    Protocol(#[source] Error),
}

/// An established WebSocket, on the side of the server.
#[derive(Debug)]
pub struct WebSocket {
    protocol: tungstenite::WebSocket<Socket>,
    /// The rest of the message that is being handed out.
    incoming: Bytes,
    /// What was found wrong behind bytes that were still to be handed out.
    failure: Option<io::Error>,
    /// Nothing more will be read: the peer has closed, or was closed for a violation.
    ended: bool,
    /// What a close frame will say.
    close_code: CloseCode,
    /// The socket had no room for something. Reading tries again, too, so that a pong does not wait for a write.
    blocked: bool,
    /// A message made the read buffer larger than an idle connection should keep.
    outgrown: bool,
    /// The least number of bytes that the messages seen so far took on the wire.
    accounted: u64,
    /// What had been received when the last message was complete.
    complete_at: u64,
}

impl WebSocket {
    /// A WebSocket whose handshake is done; `received` is what it read behind the request.
    fn new(
        stream: Stream,
        received: Vec<u8>,
        packets_per_frame: PacketsPerFrame,
        message_bytes_max: usize,
    ) -> Self {
        let socket = Socket::new(stream, received.len(), packets_per_frame);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_FRAMES_BYTES_MAX)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self {
            protocol: tungstenite::WebSocket::from_partially_read(
                socket,
                received,
                Role::Server,
                Some(config),
            ),
            incoming: Bytes::new(),
            failure: None,
            ended: false,
            close_code: CloseCode::Normal,
            blocked: false,
            outgrown: false,
            accounted: 0,
            complete_at: 0,
        }
    }

    pub(super) fn held_back(&self) -> usize {
        (self.protocol.get_ref().received() - self.complete_at) as usize
    }

    /// Fills `buffer` with what there is, be it one message or many.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.protocol.get_mut().begin_reading(cx);
        let mut filled = 0;
        for _ in 0..MESSAGES_PER_READ {
            filled += self.hand_out(&mut buffer[filled..]);
            if filled == buffer.len() {
                return Poll::Ready(Ok(filled));
            }
            match self.receive() {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(Ok(filled)),
                Err(error) if filled == 0 => return pending(Err(error)),
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.failure = Some(error);
                    }
                    return Poll::Ready(Ok(filled));
                }
            }
        }
        filled += self.hand_out(&mut buffer[filled..]);
        if filled == 0 {
            go_on_behind_sockets(cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(filled))
    }

    pub(super) fn poll_read_unheard(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.protocol.get_mut().reads_unheard(true);
        let read = self.poll_read(cx, buffer);
        self.protocol.get_mut().reads_unheard(false);
        read
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.protocol.get_mut().will_wake(cx);
        // A frame is completed before anything else, a close frame included, is sent.
        if self.protocol.get_ref().is_within_frame() {
            return pending(self.protocol.get_mut().send(slices));
        }
        pending(self.flush().and_then(|()| {
            if self.ended || !self.protocol.can_write() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.protocol.get_mut().send(slices)
        }))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.protocol.get_mut().will_wake(cx);
        pending(self.flush())
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.protocol.get_mut().will_wake(cx);
        // There is no close frame in the middle of another; the peer sees that it was cut off.
        let closed = if self.protocol.get_ref().is_within_frame() { Ok(()) } else { self.close() };
        pending(closed.and_then(|()| self.protocol.get_mut().shutdown()))
    }

    pub(super) fn detach(&mut self) -> io::Result<()> {
        self.protocol.get_mut().detach()
    }

    pub(super) fn attach(&mut self) -> io::Result<()> {
        self.protocol.get_mut().attach()
    }

    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        self.protocol.get_ref().peer_address()
    }

    /// Copies from the message at hand: the only copy of its bytes.
    fn hand_out(&mut self, buffer: &mut [u8]) -> usize {
        let length = buffer.len().min(self.incoming.len());
        if length > 0 {
            self.incoming.copy_to_slice(&mut buffer[..length]);
            if self.incoming.is_empty() {
                self.incoming = Bytes::new(); // an empty rest would still hold the memory of the message
                self.give_outgrown_buffer_back();
            }
        }
        length
    }

    /// Takes one message from the socket, with its bytes now `incoming`; false at the end of all messages.
    fn receive(&mut self) -> io::Result<bool> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.ended {
            return Ok(false);
        }
        if self.blocked {
            match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    self.ended = true;
                    return Err(error);
                }
                _ => {}
            }
        }
        match self.protocol.read() {
            Ok(Message::Binary(payload)) => {
                self.account(payload.len());
                self.incoming = payload;
                Ok(true)
            }
            Ok(Message::Ping(payload) | Message::Pong(payload)) => {
                self.account(payload.len()); // the next call of `read` answers a ping
                Ok(true)
            }
            Ok(Message::Close(_)) => {
                self.ended = true;
                // The answer is a courtesy: if there is no room for it now, a shutdown sends it.
                let _ = self.flush();
                Ok(false)
            }
            Ok(message @ (Message::Text(_) | Message::Frame(_))) => {
                let error = WebSocketError::TextMessage { size: message.len() };
                Err(self.refuse(CloseCode::Unsupported, error))
            }
            Err(Error::Io(error)) => {
                self.ended = error.kind() != io::ErrorKind::WouldBlock;
                Err(error)
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed)
            | Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                self.ended = true;
                Ok(false)
            }
            Err(Error::Capacity(error)) => Err(self.refuse(CloseCode::Size, WebSocketError::TooLarge(error))),
            Err(Error::Utf8(text)) => Err(self.refuse(CloseCode::Invalid, WebSocketError::NotUtf8(text))),
            Err(error) => Err(self.refuse(CloseCode::Protocol, WebSocketError::Protocol(error))),
        }
    }

    /// Reads nothing more, and tells the peer why; if there is no room for that now, a shutdown does.
    fn refuse(&mut self, code: CloseCode, error: WebSocketError) -> io::Error {
        self.ended = true;
        self.close_code = code;
        let _ = self.close();
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    /// Sends a close frame behind all that was accepted, unless one was sent or received.
    fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.protocol.can_write() {
            // Its errors are those of the socket, which the following flush meets again: the frame itself is queued.
            let _ = self.protocol.close(Some(CloseFrame { code: self.close_code, reason: "".into() }));
        }
        self.flush()
    }

    /// Writes out all that was accepted or queued.
    fn flush(&mut self) -> io::Result<()> {
        // Twice, as the newest pong waits outside of the queue while that is full.
        let result = match self.protocol.flush().and_then(|()| self.protocol.flush()) {
            Ok(()) | Err(Error::ConnectionClosed) => Ok(()),
            Err(Error::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        };
        self.blocked = result.is_err();
        result
    }

    /// Counts the bytes that a message took on the wire, if it came in one frame with the shortest header. They were
    /// not less: several frames have headers that are longer together.
    fn account(&mut self, payload: usize) {
        self.complete_at = self.protocol.get_ref().received();
        self.outgrown |= payload > READ_BUFFER_BYTES_KEPT;
        let length = match payload {
            ..126 => 0,
            126..65536 => 2,
            _ => 8,
        };
        const OPCODE_LENGTH_AND_MASK: usize = 2 + 4;
        self.accounted += (OPCODE_LENGTH_AND_MASK + length + payload) as u64;
    }

    /// `tungstenite` keeps a read buffer as large as the largest frame, for good. When all bytes received belong to
    /// messages already seen, that buffer is empty, no message is begun, and a fresh protocol state may take over.
    fn give_outgrown_buffer_back(&mut self) {
        if self.outgrown
            && self.accounted == self.protocol.get_ref().received()
            && self.protocol.can_write()
            && self.flush().is_ok()
        {
            let config = *self.protocol.get_config();
            let socket = self.protocol.get_mut().take();
            self.protocol = tungstenite::WebSocket::from_raw_socket(socket, Role::Server, Some(config));
            self.accounted = 0;
            self.complete_at = 0;
            self.outgrown = false;
        }
    }
}

fn pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
