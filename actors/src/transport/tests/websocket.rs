//! The WebSocket transport, frame by frame as a client sends them, whole or not, and as they are written.

mod ending;
mod moving;
mod reading;
mod violations;
mod writing;

use std::io::Write;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use super::*;

const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// A first or middle fragment lacks this flag.
const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x80;

/// A frame as a client sends it.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first_byte];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn send_raw(client: &mut Client, bytes: &[u8]) {
    client.get_mut().write_all(bytes).unwrap();
}

/// The bytes of the binary messages that the client gets until there are `length` of them.
fn receive_exactly(client: &mut Client, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match client.read().unwrap() {
            Message::Binary(more) => bytes.extend_from_slice(&more),
            other => panic!("{other} in place of a binary message, after {} bytes", bytes.len()),
        }
    }
    assert_eq!(bytes.len(), length);
    bytes
}

/// The close code that the client gets, whose connection then ends.
fn receive_close(client: &mut Client) -> CloseCode {
    let code = loop {
        match client.read().unwrap() {
            Message::Close(frame) => break frame.expect("a close code").code,
            Message::Binary(_) => {}
            other => panic!("{other} in place of a close frame"),
        }
    };
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    code
}
