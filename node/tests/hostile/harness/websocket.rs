//! A WebSocket client that can do everything wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::DEADLINE;

/// A request that is accepted.
pub(crate) const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/// One frame, right or wrong.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) masked: bool,
    /// Said in place of the true length.
    pub(crate) said_bytes: Option<u64>,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(first: u8, payload: &[u8]) -> Self {
        Self { first, masked: true, said_bytes: None, payload: payload.to_vec() }
    }

    /// A whole binary message.
    pub(crate) fn binary(payload: &[u8]) -> Self {
        Self::new(0x82, payload)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.said_bytes.unwrap_or(self.payload.len() as u64) {
            short @ ..126 => bytes.push(mask_bit | short as u8),
            middle @ 126..65536 => {
                bytes.push(mask_bit | 126);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(mask_bit | 127);
                bytes.extend(long.to_be_bytes());
            }
        }
        if self.masked {
            let mask = [0x1b, 0x2c, 0x3d, 0x4e];
            bytes.extend(mask);
            bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// An established WebSocket.
pub(crate) struct WebSocket {
    pub(crate) stream: TcpStream,
}

impl WebSocket {
    /// Sends a request, and answers with the status that it got; none if the other end just closed.
    pub(crate) fn request(address: SocketAddr, request: &[u8]) -> (Self, Option<u16>) {
        let mut stream = TcpStream::connect(address).expect("a listener");
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("an open socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("an open socket");
        // What is refused before its end may be closed before its end.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
            answer.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&answer);
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        (Self { stream }, status)
    }

    #[track_caller]
    pub(crate) fn open(address: SocketAddr) -> Self {
        let (socket, status) = Self::request(address, REQUEST.as_bytes());
        assert_eq!(status, Some(101));
        socket
    }

    /// False if the other end has closed.
    pub(crate) fn send(&mut self, frame: &Frame) -> bool {
        self.stream.write_all(&frame.bytes()).is_ok()
    }

    fn read(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; bytes];
        self.stream.read_exact(&mut buffer).ok()?;
        Some(buffer)
    }

    /// The first byte and the payload of the next frame; none at the end.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.read(2)?;
        let length = match head[1] {
            126 => self.read(2)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            127 => self.read(8)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        Some((head[0], self.read(length)?))
    }

    /// Reads to the end, and answers with the code of the close frame, if one came.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some((first, payload)) = self.next() {
            if first == 0x88 && payload.len() >= 2 {
                code = Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        code
    }
}
