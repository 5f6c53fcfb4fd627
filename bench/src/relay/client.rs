//! One connection of the relay: who it is, what is half read, and what goes out with the next write.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

use crate::wire::Version;

/// A run of packets of this size is written without a copy, if nothing waits in front of it.
const DIRECT_BYTES: usize = 32 << 10;

/// A connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub stream: TcpStream,
    pub version: Version,
    /// From the client identifier: `p`, `s`, and so on.
    pub kind: u8,
    /// From the client identifier.
    pub number: u32,
    pub subscribed: bool,
    /// The start of a packet whose rest is still to come.
    partial: Vec<u8>,
    /// Answers and deliveries of this turn, and what the socket did not take.
    pub out: Vec<u8>,
    /// The packet identifier that was used last.
    identifier: u16,
    /// It is on the list of those with something to write.
    pub listed: bool,
    /// The socket takes no more; nothing is written before the poller says that it does.
    pub blocked: bool,
}

impl Client {
    /// A connection that has said nothing.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            version: Version::V3_1_1,
            kind: 0,
            number: 0,
            subscribed: false,
            partial: Vec::new(),
            out: Vec::new(),
            identifier: 0,
            listed: false,
            blocked: false,
        }
    }

    /// Reads once; returns how much of `buffer` is filled, what was left from the last time included.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.partial.clear();
                Ok(kept + read)
            }
            Err(error) if would_block(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Keeps the start of a packet for the next read.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// Takes PUBLISH packets; `identifiers` are the places of their packet identifiers, which are set to the next ones
    /// of this client.
    pub(super) fn deliver(&mut self, packets: &mut [u8], identifiers: &[u32]) {
        for &at in identifiers {
            self.identifier = self.identifier.checked_add(1).unwrap_or(1);
            packets[at as usize..][..2].copy_from_slice(&self.identifier.to_be_bytes());
        }
        let mut taken = 0;
        if packets.len() >= DIRECT_BYTES && self.out.is_empty() {
            // An error shows again when the rest is written.
            taken = self.stream.write(packets).unwrap_or(0);
        }
        self.out.extend_from_slice(&packets[taken..]);
    }

    /// Writes what is there in one piece.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.stream.write(&self.out) {
            Ok(taken) if taken == self.out.len() => self.out.clear(),
            Ok(taken) => drop(self.out.drain(..taken)),
            Err(error) if would_block(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
