//! What a client asks for beside publishing, and its constant answers.

use std::sync::atomic::Ordering;

use super::{NONE, Worker};
use crate::wire::{FixedHeader, Version, acknowledge, number, packet_type, put_variable_byte_integer};

const CONNECT: u8 = 1;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;

impl Worker {
    /// Answers everything but PUBLISH; false ends the connection.
    pub(super) fn control(&mut self, index: u32, header: FixedHeader, body: &[u8]) -> bool {
        match (header.packet_type(), body) {
            (CONNECT, body) => self.connected(index, body),
            (SUBSCRIBE, &[high, low, ref rest @ ..]) => self.subscribed(index, [high, low], rest),
            (kind @ (packet_type::PUBREC | packet_type::PUBREL), &[high, low, ..]) => {
                let answer =
                    if kind == packet_type::PUBREC { packet_type::PUBREL } else { packet_type::PUBCOMP };
                self.answer(index, |out| acknowledge(out, answer, u16::from_be_bytes([high, low])))
            }
            (PINGREQ, _) => self.answer(index, |out| out.extend_from_slice(&[0xD0, 0])),
            (packet_type::PUBACK | packet_type::PUBCOMP, _) => true,
            _ => false,
        }
    }

    /// `bench`, eight digits of the run, a letter for the kind of client, and its number.
    fn connected(&mut self, index: u32, body: &[u8]) -> bool {
        let Some(client) = &mut self.clients[index as usize] else { return false };
        let (level, identifier) = match body {
            [_, _, b'M', b'Q', b'T', b'T', 4, _, _, _, _, _, identifier @ ..] => {
                (Version::V3_1_1, identifier)
            }
            [_, _, b'M', b'Q', b'T', b'T', 5, _, _, _, 0, _, _, identifier @ ..] => {
                (Version::V5_0, identifier)
            }
            _ => return false,
        };
        client.version = level;
        if let Some((&kind, digits)) = identifier.get(13..).and_then(<[u8]>::split_first) {
            (client.kind, client.number) = (kind, number(digits));
        }
        let connack: &[u8] = match level {
            Version::V3_1_1 => &[0x20, 2, 0, 0],
            Version::V5_0 => &[0x20, 3, 0, 0, 0],
        };
        self.answer(index, |out| out.extend_from_slice(connack))
    }

    /// Grants what is asked for.
    fn subscribed(&mut self, index: u32, identifier: [u8; 2], body: &[u8]) -> bool {
        let Some(client) = &mut self.clients[index as usize] else { return false };
        let properties = usize::from(client.version == Version::V5_0);
        let mut codes = Vec::new();
        let mut rest = body.get(properties..).unwrap_or(&[]);
        while let Some((length, filter)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(&options) = filter.get(length) else { return false };
            codes.push(options & 0b11);
            rest = &filter[length + 1..];
        }
        client.subscribed = true;
        let number = client.number as usize;
        if client.kind == b's' && self.subscribers.get(number) == Some(&NONE) {
            self.subscribers[number] = index;
            self.present.push(index);
            self.shared.mailboxes[self.number].subscribers.fetch_add(1, Ordering::Relaxed);
            self.shared.settle(number as u32, Some(self.number));
        }
        self.answer(index, |out| {
            out.push(0x90);
            put_variable_byte_integer(out, 2 + properties + codes.len());
            out.extend_from_slice(&identifier);
            out.extend_from_slice(&[0][..properties]);
            out.extend_from_slice(&codes);
        })
    }
}
