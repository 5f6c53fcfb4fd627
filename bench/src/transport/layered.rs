//! TLS, WebSocket, or both, above a socket.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

use rustls::ClientConnection;

use super::{Layers, would_block};
use crate::websocket::{self, WebSocket};

/// More than a TLS record: what one read may bring beyond its own bytes, since the start was there already.
const RECORD_BYTES: usize = 20 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Layered {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    websocket: Option<WebSocket>,
    /// MQTT bytes that wait until the WebSocket is open.
    waiting: Vec<u8>,
    /// What goes to TLS or, without, to the socket, from `sent` on.
    out: Vec<u8>,
    sent: usize,
}

impl Layered {
    pub(super) fn new(stream: TcpStream, layers: &Layers) -> io::Result<Self> {
        Ok(Self {
            stream,
            tls: layers.tls.as_ref().map(super::Tls::connect).transpose().map_err(io::Error::other)?,
            websocket: layers.websocket.is_some().then(WebSocket::default),
            waiting: Vec::new(),
            out: layers.websocket.clone().unwrap_or_default(),
            sent: 0,
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn is_open(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
            && self.websocket.as_ref().is_none_or(WebSocket::is_open)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.tls.as_ref().map_or(!self.out.is_empty(), |tls| tls.wants_write())
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &self.websocket {
            None => self.out.extend_from_slice(bytes),
            Some(websocket) if websocket.is_open() => websocket::put_message(&mut self.out, bytes),
            Some(_) => self.waiting.extend_from_slice(bytes),
        }
        self.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Self { stream, tls, out, sent, .. } = self;
        let Some(tls) = tls else {
            while *sent < out.len() {
                match stream.write(&out[*sent..]) {
                    Ok(taken) => *sent += taken,
                    Err(error) if would_block(&error) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            out.clear();
            *sent = 0;
            return Ok(());
        };
        tls.writer().write_all(out)?;
        out.clear();
        while tls.wants_write() {
            match tls.write_tls(stream) {
                Ok(_) => {}
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.tls {
            None => Some(self.stream.read(buffer)?).filter(|&read| read > 0),
            Some(tls) => match decrypt(tls, &mut self.stream, buffer) {
                // The broker may want to know what was wrong.
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    self.flush()?;
                    return Err(error);
                }
                outcome => outcome?,
            },
        };
        let Some(read) = read else { return Ok(0) };
        let mut received = read;
        if let Some(websocket) = &mut self.websocket {
            let was_open = websocket.is_open();
            received = websocket
                .receive(&mut buffer[..read], &mut self.out)
                .map_err(|problem| io::Error::new(ErrorKind::InvalidData, problem))?;
            if websocket.is_open() && !was_open {
                websocket::put_message(&mut self.out, &self.waiting);
                self.waiting = Vec::new();
            }
        }
        self.flush()?;
        // Some servers say that they close and wait for the client to do it.
        let closed = self.websocket.as_ref().is_some_and(WebSocket::is_closed);
        if received == 0 && !closed { Err(ErrorKind::WouldBlock.into()) } else { Ok(received) }
    }
}

/// Reads once from the socket, to the rear of `buffer`, and puts what that was in plain text to the front; `None` is
/// the end of the stream.
fn decrypt(
    tls: &mut ClientConnection,
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    let (plain, sealed) = buffer.split_at_mut((buffer.len() + RECORD_BYTES) / 2);
    let count = stream.read(sealed)?;
    if count == 0 {
        return Ok(None);
    }
    let mut rest = &sealed[..count];
    let mut read = 0;
    let mut closed = false;
    while !rest.is_empty() && !closed {
        tls.read_tls(&mut rest)?;
        let state =
            tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        closed = state.peer_has_closed();
        loop {
            match tls.reader().read(&mut plain[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok((read > 0 || !closed).then_some(read))
}
