//! The socket below a WebSocket: blocking calls in form, non-blocking in fact.
//!
//! `tungstenite` reads and writes by [`Read`] and [`Write`]. Here both ask tokio and answer `WouldBlock`, and it is the
//! task that polled last that tokio will wake. So a pong that finds the socket full while a message is read wakes that
//! task as well, when there is room.

use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::tcp;
use crate::worker::go_on_behind_sockets;

/// Bytes of one message sent; more becomes further messages, as packets and messages need not coincide. It bounds the
/// memory that a peer who does not read can occupy here.
const SENT_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A frame header as a server writes it: opcode, length, and no mask.
const HEADER_BYTES_MAX: usize = 2 + 8;

/// Slices of one `writev`, the frame header among them.
const SLICES_MAX: usize = 64;

/// System calls of one turn of reading: a flood of frames that make no message must not keep the thread.
const READS_PER_TURN: u32 = 4;

/// A TCP connection that is registered with a runtime, or on its way to another, and the rest of a message for which it
/// had no room.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    /// The task that polled last.
    waker: Waker,
    /// The rest of a binary frame that was written in part. It goes out before anything else does.
    unsent: Bytes,
    /// Bytes that the peer sent since this was last reset.
    received: u64,
    /// System calls that this turn may still read by.
    reads_left: u32,
}

#[derive(Debug)]
enum Stream {
    Attached(TcpStream),
    Detached(std::net::TcpStream),
    /// Left behind by a failed `detach` or `attach`, or by `take`.
    Taken,
}

impl Socket {
    /// A socket from which the handshake has read `received` bytes that were not its own.
    pub(super) fn new(stream: TcpStream, received: usize) -> Self {
        Self {
            stream: Stream::Attached(stream),
            waker: Waker::noop().clone(),
            unsent: Bytes::new(),
            received: received as u64,
            reads_left: READS_PER_TURN,
        }
    }

    /// Moves all of it out, to be put below another protocol state, and counts anew what is received.
    pub(super) fn take(&mut self) -> Self {
        Self {
            stream: mem::replace(&mut self.stream, Stream::Taken),
            waker: mem::replace(&mut self.waker, Waker::noop().clone()),
            unsent: mem::take(&mut self.unsent),
            received: 0,
            reads_left: self.reads_left,
        }
    }

    /// Names the task to wake, from now on, when a call that said `WouldBlock` can go on.
    pub(super) fn will_wake(&mut self, cx: &Context<'_>) {
        self.waker.clone_from(cx.waker());
    }

    /// The same, at the beginning of a turn of reading.
    pub(super) fn begin_reading(&mut self, cx: &Context<'_>) {
        self.will_wake(cx);
        self.reads_left = READS_PER_TURN;
    }

    /// Bytes that the peer sent, from the first one after the handshake, or since `take`.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Attached(stream) => stream.peer_addr().ok(),
            Stream::Detached(stream) => stream.peer_addr().ok(),
            Stream::Taken => None,
        }
    }

    /// Deregisters from the runtime, in place.
    pub(super) fn detach(&mut self) -> io::Result<()> {
        self.waker = Waker::noop().clone();
        if let Stream::Attached(stream) = mem::replace(&mut self.stream, Stream::Taken) {
            self.stream = Stream::Detached(stream.into_std()?);
            return Ok(());
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Registers with the runtime of this thread, in place.
    pub(super) fn attach(&mut self) -> io::Result<()> {
        if let Stream::Detached(stream) = mem::replace(&mut self.stream, Stream::Taken) {
            self.stream = Stream::Attached(TcpStream::from_std(stream)?);
            return Ok(());
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Sends the slices as one binary message, or their beginning if they are long, and returns how many of their bytes
    /// that was. What the socket has no room for is kept; if it has room for nothing, nothing is accepted.
    ///
    /// The frame goes from the caller's slices to the socket, without a copy: `tungstenite` would make two, and keep
    /// the larger of all buffers that it ever needed for that.
    pub(super) fn send_message(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        debug_assert!(self.unsent.is_empty(), "flushed before");
        let mut payload = 0;
        let mut frame = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 1;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let length = slice.len().min(SENT_MESSAGE_BYTES_MAX - payload);
            if length == 0 || count == SLICES_MAX {
                break;
            }
            frame[count] = IoSlice::new(&slice[..length]);
            count += 1;
            payload += length;
        }
        if payload == 0 {
            return Ok(0);
        }
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
        let mut room = [0; HEADER_BYTES_MAX];
        let mut unused = &mut room[..];
        header.format(payload as u64, &mut unused).map_err(io::Error::other)?;
        let length = HEADER_BYTES_MAX - unused.len();
        frame[0] = IoSlice::new(&room[..length]);
        let frame = &frame[..count];

        let (stream, mut cx) = self.polled()?;
        let mut written = unblocked(Pin::new(stream).poll_write_vectored(&mut cx, frame))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let missing = length + payload - written;
        if missing > 0 {
            let mut unsent = Vec::with_capacity(missing);
            for slice in frame {
                let skipped = written.min(slice.len());
                written -= skipped;
                unsent.extend_from_slice(&slice[skipped..]);
            }
            self.unsent = unsent.into();
        }
        Ok(payload)
    }

    /// Ready when the peer was sent FIN.
    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        let (stream, mut cx) = self.polled()?;
        unblocked(Pin::new(stream).poll_shutdown(&mut cx))
    }

    fn send_unsent(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let Stream::Attached(stream) = &mut self.stream else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            let mut cx = Context::from_waker(&self.waker);
            match unblocked(Pin::new(stream).poll_write(&mut cx, &self.unsent))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.unsent.advance(written),
            }
        }
        self.unsent = Bytes::new(); // an empty rest would still hold the memory of the whole
        Ok(())
    }

    fn polled(&mut self) -> io::Result<(&mut TcpStream, Context<'_>)> {
        match &mut self.stream {
            Stream::Attached(stream) => Ok((stream, Context::from_waker(&self.waker))),
            Stream::Detached(_) | Stream::Taken => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads_left == 0 {
            // The others first; what the socket still holds is read in the next turn.
            go_on_behind_sockets(&mut Context::from_waker(&self.waker));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.reads_left -= 1;
        let (stream, mut cx) = self.polled()?;
        let length = unblocked(tcp::poll_read(stream, &mut cx, buffer))?;
        self.received += length as u64;
        Ok(length)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_unsent()?; // a pong or close frame never lands inside a binary frame
        let (stream, mut cx) = self.polled()?;
        unblocked(Pin::new(stream).poll_write(&mut cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_unsent()
    }
}

fn unblocked<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
