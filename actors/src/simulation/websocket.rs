//! The client's end of a simulated WebSocket: cuts what is sent as clients may, and judges how MQTT packets lie in what is
//! received.

use std::collections::VecDeque;

use mqtt_codec::Packet;

use super::wire::Wire;

/// With the key of RFC 6455, 1.3, whose answer stands there, too.
const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The largest message, where one is cut, in bytes.
const CUT_MAX: usize = 200;

/// See the module.
#[derive(Debug)]
pub(super) struct WebSocketEnd {
    /// Messages that are not in the pipe to their end: bytes that are missing, and what they carry.
    sending: VecDeque<(usize, Vec<u8>)>,
    /// What pings that were not answered carry. The node may answer the newest one alone.
    pings: VecDeque<Vec<u8>>,
    draws: u64,
    received: Vec<u8>,
    is_open: bool,
    /// Of the binary frame that is being received: bytes that are missing, and packets found in it.
    missing: usize,
    packets: usize,
}

impl WebSocketEnd {
    /// With its request in `unsent`. Nothing else may be sent before it is answered.
    pub(super) fn open(unsent: &mut Vec<u8>) -> Self {
        unsent.extend_from_slice(REQUEST);
        Self {
            sending: [(REQUEST.len(), Vec::new())].into(),
            pings: VecDeque::new(),
            draws: 0,
            received: Vec::new(),
            is_open: false,
            missing: 0,
            packets: 0,
        }
    }

    /// A number that looks random and is the same in the same place.
    fn draw(&mut self) -> usize {
        self.draws =
            self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.draws >> 33) as usize
    }

    /// Appends messages that carry `bytes`, cut anywhere [MQTT-6.0.0-2], with pings between some of them.
    pub(super) fn frame(&mut self, mut bytes: &[u8], unsent: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let length = if self.draw().is_multiple_of(2) {
                bytes.len()
            } else {
                bytes.len().min(1 + self.draw() % CUT_MAX)
            };
            let (message, rest) = bytes.split_at(length);
            bytes = rest;
            let before = unsent.len();
            if self.draw().is_multiple_of(8) {
                let ping = self.draws.to_be_bytes().to_vec();
                self.append(FINAL | PING, &ping, unsent);
                self.pings.push_back(ping);
            }
            if self.draw().is_multiple_of(4) {
                let (first, last) = message.split_at(length / 2);
                self.append(BINARY, first, unsent);
                self.append(FINAL | CONTINUATION, last, unsent);
            } else {
                self.append(FINAL | BINARY, message, unsent);
            }
            self.sending.push_back((unsent.len() - before, message.to_vec()));
        }
    }

    fn append(&mut self, opcode: u8, payload: &[u8], unsent: &mut Vec<u8>) {
        unsent.push(opcode);
        match payload.len() {
            length @ ..126 => unsent.push(MASKED | length as u8),
            length @ 126..=0xFFFF => {
                unsent.push(MASKED | 126);
                unsent.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                unsent.push(MASKED | 127);
                unsent.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let mask = (self.draw() as u32).to_be_bytes();
        unsent.extend_from_slice(&mask);
        unsent.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// The pipe took so many bytes more: the node can read the messages that are whole.
    pub(super) fn note_written(&mut self, mut written: usize, wire: &mut Wire) {
        while let Some((missing, message)) = self.sending.front_mut() {
            if *missing > written {
                *missing -= written;
                return;
            }
            written -= *missing;
            wire.note_sent(message);
            self.sending.pop_front();
        }
    }

    /// Takes what the node sent; whole packets are judged and appended to `packets`. True if it has closed.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        wire: &mut Wire,
        packets: &mut Vec<Packet>,
    ) -> Result<bool, String> {
        self.received.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.received);
        let mut rest = &received[..];
        let mut has_closed = false;
        loop {
            let before = rest.len();
            if self.missing > 0 {
                self.take_payload(&mut rest, wire, packets)?;
            } else if !self.is_open {
                self.take_answer(&mut rest)?;
            } else {
                has_closed |= self.take_frame(&mut rest)?;
            }
            if rest.len() == before {
                break;
            }
            if has_closed && !rest.is_empty() {
                return Err(format!("behind a close frame: {rest:02x?}"));
            }
        }
        self.received = rest.to_vec();
        Ok(has_closed)
    }

    fn take_answer(&mut self, rest: &mut &[u8]) -> Result<(), String> {
        if let Some(behind) = rest.strip_prefix(ANSWER) {
            (self.is_open, *rest) = (true, behind);
        } else if !ANSWER.starts_with(rest) {
            return Err(format!("the handshake was answered by {:?}", String::from_utf8_lossy(rest)));
        }
        Ok(())
    }

    /// A control frame as a whole, or the header of a binary one, if it is there.
    fn take_frame(&mut self, rest: &mut &[u8]) -> Result<bool, String> {
        let (length, header) = match **rest {
            [_, length @ ..126, ..] => (usize::from(length), 2),
            [_, 126, high, low, ..] => (usize::from(u16::from_be_bytes([high, low])), 4),
            [_, 127, a, b, c, d, e, f, g, h, ..] => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize, 10)
            }
            [_, MASKED..=u8::MAX, ..] => return Err("a frame of the node is masked".into()),
            _ => return Ok(false),
        };
        let is_shortest = header
            == if length < 126 {
                2
            } else if length <= 0xFFFF {
                4
            } else {
                10
            };
        if !is_shortest {
            return Err(format!("{length} bytes behind a header of {header}"));
        }
        let opcode = rest[0];
        if opcode == FINAL | BINARY && length > 0 {
            (self.missing, self.packets, *rest) = (length, 0, &rest[header..]);
            return Ok(false);
        }
        let Some(payload) = rest.get(header..header + length) else { return Ok(false) };
        *rest = &rest[header + length..];
        if opcode == FINAL | PONG {
            let answered = self.pings.iter().position(|ping| ping == payload);
            self.pings.drain(..=answered.ok_or("a pong that answers no ping")?);
            return Ok(false);
        }
        let is_normal = opcode == FINAL | CLOSE && payload == 1000_u16.to_be_bytes();
        is_normal.then_some(true).ok_or_else(|| format!("frame {opcode:02x} {payload:02x?}"))
    }

    /// A frame of the node holds one packet, and all of it.
    fn take_payload(
        &mut self,
        rest: &mut &[u8],
        wire: &mut Wire,
        packets: &mut Vec<Packet>,
    ) -> Result<(), String> {
        let (payload, behind) = rest.split_at(rest.len().min(self.missing));
        let before = packets.len();
        wire.take(payload, packets)?;
        self.packets += packets.len() - before;
        self.missing -= payload.len();
        *rest = behind;
        if self.missing == 0 && (wire.is_within_packet() || self.packets != 1) {
            return Err(format!("a frame of {} packets", self.packets));
        }
        Ok(())
    }
}
