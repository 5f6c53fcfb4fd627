//! The stream below a WebSocket: blocking calls in form, non-blocking in fact.
//!
//! `tungstenite` reads and writes by [`Read`] and [`Write`]. Here both ask the stream and answer `WouldBlock`, and it is the
//! task that polled last that it will wake. So a pong that finds the socket full while a message is read wakes that
//! task as well, when there is room.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use super::super::stream::{DetachedStream, Stream};
use super::framing::{Framer, PacketsPerFrame};
use crate::turns::go_on_behind_sockets;

/// System calls of one turn of reading: a flood of frames that make no message must not keep the thread.
const READS_PER_TURN: u32 = 4;

thread_local! {
    /// Where short frames are put together. All WebSockets of a thread share it, each for one system call.
    static COPIES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is registered with a runtime, or on its way to another.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Attachment,
    /// The task that polled last.
    waker: Waker,
    /// A binary frame that was written in part: its rest goes out before anything else does.
    framer: Framer,
    /// Bytes that the peer sent since this was last reset.
    received: u64,
    /// System calls that this turn may still read by.
    reads_left: u32,
    /// What the runtime has not heard of yet is read as well.
    reads_unheard: bool,
}

#[derive(Debug)]
enum Attachment {
    Attached(Stream),
    Detached(DetachedStream),
    /// Left behind by a failed `detach` or `attach`, or by `take`.
    Taken,
}

impl Socket {
    /// A socket from which the handshake has read `received` bytes that were not its own.
    pub(super) fn new(stream: Stream, received: usize, packets_per_frame: PacketsPerFrame) -> Self {
        Self {
            stream: Attachment::Attached(stream),
            waker: Waker::noop().clone(),
            framer: Framer::new(packets_per_frame),
            received: received as u64,
            reads_left: READS_PER_TURN,
            reads_unheard: false,
        }
    }

    /// Moves all of it out, to be put below another protocol state, and counts anew what is received.
    pub(super) fn take(&mut self) -> Self {
        Self {
            stream: mem::replace(&mut self.stream, Attachment::Taken),
            waker: mem::replace(&mut self.waker, Waker::noop().clone()),
            framer: mem::take(&mut self.framer),
            received: 0,
            reads_left: self.reads_left,
            reads_unheard: self.reads_unheard,
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

    /// Whether to read, from now on, what the runtime has not heard of yet.
    pub(super) fn reads_unheard(&mut self, reads: bool) {
        self.reads_unheard = reads;
    }

    /// Bytes that the peer sent, from the first one after the handshake, or since `take`.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        match &self.stream {
            Attachment::Attached(stream) => stream.peer_address(),
            Attachment::Detached(_) | Attachment::Taken => None,
        }
    }

    /// Deregisters from the runtime, in place.
    pub(super) fn detach(&mut self) -> io::Result<()> {
        self.waker = Waker::noop().clone();
        if let Attachment::Attached(stream) = mem::replace(&mut self.stream, Attachment::Taken) {
            self.stream = Attachment::Detached(stream.detach()?);
            return Ok(());
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Registers with the runtime of this thread, in place.
    pub(super) fn attach(&mut self) -> io::Result<()> {
        if let Attachment::Detached(stream) = mem::replace(&mut self.stream, Attachment::Taken) {
            self.stream = Attachment::Attached(Stream::attach(stream)?);
            return Ok(());
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Whether the peer is in the middle of a binary frame, the rest of which is still to be offered.
    pub(super) fn is_within_frame(&self) -> bool {
        self.framer.is_within_frame()
    }

    /// Sends the slices in binary frames, or the beginning of them, and returns how many of their bytes that was. Nothing
    /// is kept: what follows has to be offered next.
    pub(super) fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        COPIES.with_borrow_mut(|copies| {
            loop {
                let framer = self.framer;
                let (stream, mut cx) = self.polled()?;
                // Nothing is copied for a socket that is known to be full.
                unblocked(stream.poll_write_ready(&mut cx))?;
                let layout = framer.lay_out(slices, copies);
                if layout.is_empty() {
                    return Ok(0);
                }
                let poll = layout.write(copies, |frames| stream.poll_write_vectored(&mut cx, frames));
                let written = unblocked(poll)?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                // If there was room for nothing but a part of a frame header, the next call says that there is none.
                let taken = self.framer.advance(&layout, written);
                if taken > 0 {
                    return Ok(taken);
                }
            }
        })
    }

    /// Ready when the peer was sent FIN.
    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        let (stream, mut cx) = self.polled()?;
        unblocked(stream.poll_shutdown(&mut cx))
    }

    fn polled(&mut self) -> io::Result<(&mut Stream, Context<'_>)> {
        match &mut self.stream {
            Attachment::Attached(stream) => Ok((stream, Context::from_waker(&self.waker))),
            Attachment::Detached(_) | Attachment::Taken => Err(io::ErrorKind::NotConnected.into()),
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
        let reads_unheard = self.reads_unheard;
        let (stream, mut cx) = self.polled()?;
        let mut read = stream.poll_read(&mut cx, buffer);
        if read.is_pending() && reads_unheard {
            read = stream.poll_read_unheard(buffer);
        }
        let length = unblocked(read)?;
        self.received += length as u64;
        Ok(length)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_within_frame() {
            // A pong or close frame never lands inside a binary frame.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (stream, mut cx) = self.polled()?;
        match unblocked(stream.poll_write(&mut cx, bytes)) {
            // Who takes no pong any more may have sent something behind its ping, which is read to its end. A packet that
            // is sent meets the error again.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let (stream, mut cx) = self.polled()?;
        unblocked(stream.poll_flush(&mut cx))
    }
}

fn unblocked<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
