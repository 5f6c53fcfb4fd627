//! Packets the generator sends.

use super::{Numbered, Stamp, Version, packet_type};

/// A whole PINGREQ packet.
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
/// A whole DISCONNECT packet, a normal one in both versions.
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Appends a CONNECT with clean session (clean start).
pub(crate) fn connect(out: &mut Vec<u8>, version: Version, keep_alive_seconds: u16, client_identifier: &str) {
    let properties = match version {
        Version::V3_1_1 => 0,
        Version::V5_0 => 1,
    };
    out.push(0x10);
    put_variable_byte_integer(out, 10 + properties + 2 + client_identifier.len());
    put_string(out, "MQTT");
    out.push(match version {
        Version::V3_1_1 => 4,
        Version::V5_0 => 5,
    });
    out.push(0x02); // flags
    out.extend_from_slice(&keep_alive_seconds.to_be_bytes());
    out.extend_from_slice(&[0][..properties]);
    put_string(out, client_identifier);
}

/// Appends a SUBSCRIBE to the filters of these numbers; in 5.0 it asks for no retained messages unless `retained`.
pub(crate) fn subscribe(
    out: &mut Vec<u8>,
    version: Version,
    packet_identifier: u16,
    filters: &Numbered,
    numbers: &[u32],
    qos: u8,
    retained: bool,
) {
    const SEND_NO_RETAINED: u8 = 2 << 4;
    let (properties, options) = match version {
        Version::V3_1_1 => (0, qos),
        Version::V5_0 if retained => (1, qos),
        Version::V5_0 => (1, qos | SEND_NO_RETAINED),
    };
    out.push(0x82);
    put_variable_byte_integer(out, 2 + properties + numbers.len() * (2 + filters.size() + 1));
    out.extend_from_slice(&packet_identifier.to_be_bytes());
    out.extend_from_slice(&[0][..properties]);
    for &number in numbers {
        filters.put(out, number);
        out.push(options);
    }
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP of success, four bytes in both versions.
pub(crate) fn acknowledge(out: &mut Vec<u8>, packet_type: u8, packet_identifier: u16) {
    let flags = if packet_type == packet_type::PUBREL { 0x02 } else { 0 };
    let [high, low] = packet_identifier.to_be_bytes();
    out.extend_from_slice(&[packet_type << 4 | flags, 2, high, low]);
}

/// The PUBLISH of one publisher, encoded once; packet identifier and stamp are patched into each copy.
#[derive(Debug, Clone)]
pub(crate) struct PublishFrame {
    /// Everything up to and including the stamp.
    head: Vec<u8>,
    /// There is a payload, and so a stamp.
    stamped: bool,
    /// Bytes of payload that follow the stamp.
    filler: usize,
    /// Where the topic name starts, behind its length.
    topic_name_at: usize,
    /// Where the packet identifier stands, for QoS 1 and 2.
    packet_identifier_at: Option<usize>,
}

impl PublishFrame {
    /// Encodes the frame for `payload` bytes, at least [`Stamp::BYTES`], or none at all.
    pub(crate) fn new(version: Version, topic_name: &str, qos: u8, payload: usize) -> Self {
        debug_assert!(
            payload == 0 || payload >= Stamp::BYTES,
            "payload of {payload} bytes has no room for a stamp"
        );
        let identifier = if qos == 0 { 0 } else { 2 };
        let properties = match version {
            Version::V3_1_1 => 0,
            Version::V5_0 => 1,
        };
        let mut head = vec![0x30 | qos << 1];
        put_variable_byte_integer(&mut head, 2 + topic_name.len() + identifier + properties + payload);
        put_string(&mut head, topic_name);
        let topic_name_at = head.len() - topic_name.len();
        let packet_identifier_at = (qos > 0).then_some(head.len());
        head.extend_from_slice(&[0; 3][..identifier + properties]);
        head.extend_from_slice(&[0; Stamp::BYTES][..payload.min(Stamp::BYTES)]);
        let filler = payload.saturating_sub(Stamp::BYTES);
        Self { head, stamped: payload > 0, filler, topic_name_at, packet_identifier_at }
    }

    /// The same with the RETAIN flag.
    pub(crate) fn retained(mut self) -> Self {
        self.head[0] |= 1;
        self
    }

    /// Where the topic name starts in a packet.
    pub(crate) fn topic_name_at(&self) -> usize {
        self.topic_name_at
    }

    /// Bytes of the whole packet.
    pub(crate) fn size(&self) -> usize {
        self.head.len() + self.filler
    }

    /// Appends one copy. `filler` is shared by all publishers and holds at least the payload's size.
    pub(crate) fn append(&self, out: &mut Vec<u8>, filler: &[u8], packet_identifier: u16, stamp: Stamp) {
        let start = out.len();
        out.extend_from_slice(&self.head);
        if let Some(at) = self.packet_identifier_at {
            out[start + at..][..2].copy_from_slice(&packet_identifier.to_be_bytes());
        }
        if self.stamped {
            let stamp_at = out.len() - Stamp::BYTES;
            out[stamp_at..].copy_from_slice(&stamp.to_bytes());
        }
        out.extend_from_slice(&filler[..self.filler]);
    }
}

/// Appends a variable byte integer. The callers' lengths stay far below the limit of four bytes (268,435,455).
pub(crate) fn put_variable_byte_integer(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Appends a string with its length. The generator makes its own strings; none comes near 65,535 bytes.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
