//! The packets of clients that have sessions, to write and to read.

use crate::wire::{FixedHeader, Version, WireError, packet_type, put_string, put_variable_byte_integer};
use crate::wire::{acknowledgement, connack, length_prefixed, short, variable_byte_integer};

/// SUBSCRIBE, the whole first byte.
const SUBSCRIBE: u8 = 0x82;
/// UNSUBSCRIBE, the whole first byte.
const UNSUBSCRIBE: u8 = 0xA2;

/// Who connects, and how.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Client identifier; empty lets the broker choose, for clean sessions only.
    pub client_identifier: String,
    /// Protocol version.
    pub version: Version,
    /// WebSocket in place of TCP.
    pub websocket: bool,
    /// Clean session (3.1.1), clean start (5.0).
    pub clean: bool,
    /// Session expiry interval in seconds, 5.0.
    pub expiry_seconds: u32,
    /// Keep alive in seconds.
    pub keep_alive_seconds: u16,
    /// Receive maximum, 5.0.
    pub receive_maximum: u16,
    /// Topic aliases that the broker may use, 5.0.
    pub topic_alias_maximum: u16,
    /// Bytes that the kernel takes for this client; `None` leaves it the choice.
    pub receive_buffer: Option<usize>,
    /// Published when the connection is lost.
    pub will: Option<Will>,
}

/// The will of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Will delay interval in seconds, 5.0.
    pub delay_seconds: u32,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// To be kept for later subscribers.
    pub retain: bool,
    /// Message expiry interval in seconds, 5.0.
    pub expiry_seconds: Option<u32>,
}

/// What came from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// The answer to CONNECT.
    Connack(crate::wire::Connack),
    /// A message; the topic name is empty where an alias stands for it.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, by its packet type, with packet identifier and reason code.
    Acknowledge(u8, u16, u8),
    /// SUBACK, with packet identifier and reason codes.
    Suback(u16, &'a [u8]),
    /// UNSUBACK, the same; 3.1.1 has no reason codes.
    Unsuback(u16, &'a [u8]),
    /// The answer to PINGREQ.
    Pingresp,
    /// DISCONNECT with its reason code.
    Disconnect(u8),
}

/// A PUBLISH from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    /// Topic name, empty if `alias` stands for it.
    pub topic: &'a [u8],
    /// Topic alias, 0 if there is none.
    pub alias: u16,
    /// 0, 1 or 2.
    pub qos: u8,
    /// 0 with QoS 0.
    pub packet_identifier: u16,
    /// It was kept, and is sent because of a new subscription.
    pub retain: bool,
    /// The message.
    pub payload: &'a [u8],
}

/// Appends a packet of this first byte and body.
fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    put_variable_byte_integer(out, body.len());
    out.extend_from_slice(body);
}

/// Appends properties with their length; nothing in 3.1.1.
fn properties(out: &mut Vec<u8>, version: Version, encoded: &[u8]) {
    if version == Version::V5_0 {
        put_variable_byte_integer(out, encoded.len());
        out.extend_from_slice(encoded);
    }
}

fn four_bytes(out: &mut Vec<u8>, identifier: u8, value: u32) {
    out.push(identifier);
    out.extend_from_slice(&value.to_be_bytes());
}

fn two_bytes(out: &mut Vec<u8>, identifier: u8, value: u16) {
    out.push(identifier);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends the CONNECT of this client.
pub(crate) fn connect(out: &mut Vec<u8>, profile: &Profile) {
    let version = profile.version;
    let mut body = Vec::with_capacity(64);
    put_string(&mut body, "MQTT");
    body.push(match version {
        Version::V3_1_1 => 4,
        Version::V5_0 => 5,
    });
    let will = profile.will.as_ref();
    let will_flags = will.map_or(0, |will| 0x04 | will.qos << 3);
    body.push(will_flags | u8::from(profile.clean) << 1);
    body.extend_from_slice(&profile.keep_alive_seconds.to_be_bytes());
    let mut encoded = Vec::new();
    four_bytes(&mut encoded, 0x11, profile.expiry_seconds);
    two_bytes(&mut encoded, 0x21, profile.receive_maximum);
    two_bytes(&mut encoded, 0x22, profile.topic_alias_maximum);
    properties(&mut body, version, &encoded);
    put_string(&mut body, &profile.client_identifier);
    if let Some(will) = will {
        let mut encoded = Vec::new();
        four_bytes(&mut encoded, 0x18, will.delay_seconds);
        properties(&mut body, version, &encoded);
        put_string(&mut body, &will.topic);
        body.extend_from_slice(&(will.payload.len() as u16).to_be_bytes());
        body.extend_from_slice(&will.payload);
    }
    packet(out, 0x10, &body);
}

/// Appends a PUBLISH. With an `alias` it sets that, and leaves the topic name out unless `named`.
pub(crate) fn publish(
    out: &mut Vec<u8>,
    version: Version,
    message: &Message,
    packet_identifier: u16,
    duplicate: bool,
    alias: Option<(u16, bool)>,
) {
    let mut body = Vec::with_capacity(message.topic.len() + message.payload.len() + 16);
    let named = alias.is_none_or(|(_, named)| named);
    put_string(&mut body, if named { &message.topic } else { "" });
    if message.qos > 0 {
        body.extend_from_slice(&packet_identifier.to_be_bytes());
    }
    let mut encoded = Vec::new();
    if let Some(seconds) = message.expiry_seconds {
        four_bytes(&mut encoded, 0x02, seconds);
    }
    if let Some((alias, _)) = alias {
        two_bytes(&mut encoded, 0x23, alias);
    }
    properties(&mut body, version, &encoded);
    body.extend_from_slice(&message.payload);
    packet(out, 0x30 | u8::from(duplicate) << 3 | message.qos << 1 | u8::from(message.retain), &body);
}

/// Appends a SUBSCRIBE to these filters, each with its maximum QoS.
pub(crate) fn subscribe(
    out: &mut Vec<u8>,
    version: Version,
    packet_identifier: u16,
    filters: &[(String, u8)],
) {
    let mut body = packet_identifier.to_be_bytes().to_vec();
    properties(&mut body, version, &[]);
    for (filter, qos) in filters {
        put_string(&mut body, filter);
        body.push(*qos);
    }
    packet(out, SUBSCRIBE, &body);
}

/// Appends an UNSUBSCRIBE from one filter.
pub(crate) fn unsubscribe(out: &mut Vec<u8>, version: Version, packet_identifier: u16, filter: &str) {
    let mut body = packet_identifier.to_be_bytes().to_vec();
    properties(&mut body, version, &[]);
    put_string(&mut body, filter);
    packet(out, UNSUBSCRIBE, &body);
}

/// Appends a DISCONNECT: in 5.0 with this reason code, and another session expiry interval if one is given.
pub(crate) fn disconnect(out: &mut Vec<u8>, version: Version, reason: u8, expiry_seconds: Option<u32>) {
    let mut body = Vec::new();
    if version == Version::V5_0 {
        body.push(reason);
        let mut encoded = Vec::new();
        if let Some(seconds) = expiry_seconds {
            four_bytes(&mut encoded, 0x11, seconds);
        }
        properties(&mut body, version, &encoded);
    }
    packet(out, 0xE0, &body);
}

/// Reads the packet of this header and body.
pub(crate) fn read(version: Version, header: FixedHeader, body: &[u8]) -> Result<Received<'_>, WireError> {
    Ok(match header.packet_type() {
        packet_type::CONNACK => Received::Connack(connack(version, header, body)?),
        packet_type::PUBLISH => Received::Publish(read_publish(version, header, body)?),
        kind @ (packet_type::PUBACK | packet_type::PUBREC | packet_type::PUBREL | packet_type::PUBCOMP) => {
            let (packet_identifier, code) = acknowledgement(header, body)?;
            Received::Acknowledge(kind, packet_identifier, code)
        }
        packet_type::SUBACK => {
            let (packet_identifier, codes) = read_codes(version, header, body)?;
            Received::Suback(packet_identifier, codes)
        }
        packet_type::UNSUBACK => {
            let (packet_identifier, codes) = read_codes(version, header, body)?;
            Received::Unsuback(packet_identifier, codes)
        }
        packet_type::PINGRESP => Received::Pingresp,
        packet_type::DISCONNECT => Received::Disconnect(body.first().copied().unwrap_or(0)),
        _ => return Err(short(header)),
    })
}

fn read_publish(version: Version, header: FixedHeader, body: &[u8]) -> Result<Publish<'_>, WireError> {
    let fail = || short(header);
    let qos = header.first >> 1 & 0b11;
    let name = length_prefixed(body).ok_or_else(fail)?;
    let topic = body.get(2..name).ok_or_else(fail)?;
    let mut rest = &body[name..];
    let mut packet_identifier = 0;
    if qos > 0 {
        let (identifier, behind) = rest.split_first_chunk::<2>().ok_or_else(fail)?;
        (packet_identifier, rest) = (u16::from_be_bytes(*identifier), behind);
    }
    let mut alias = 0;
    if version == Version::V5_0 {
        let (size, at) = variable_byte_integer(rest)?.ok_or_else(fail)?;
        alias = read_alias(rest.get(at..at + size).ok_or_else(fail)?).ok_or_else(fail)?;
        rest = &rest[at + size..];
    }
    Ok(Publish { topic, alias, qos, packet_identifier, retain: header.first & 1 == 1, payload: rest })
}

/// The topic alias among the properties of a PUBLISH, 0 without one.
fn read_alias(mut properties: &[u8]) -> Option<u16> {
    while let Some((&identifier, value)) = properties.split_first() {
        let skip = match identifier {
            0x23 => return Some(u16::from_be_bytes(*value.first_chunk()?)),
            0x01 => 1,
            0x02 => 4,
            0x0B => variable_byte_integer(value).ok()??.1,
            0x26 => {
                let name = length_prefixed(value)?;
                name + length_prefixed(value.get(name..)?)?
            }
            _ => length_prefixed(value)?,
        };
        properties = value.get(skip..)?;
    }
    Some(0)
}

/// Packet identifier and reason codes of a SUBACK or UNSUBACK.
fn read_codes(version: Version, header: FixedHeader, body: &[u8]) -> Result<(u16, &[u8]), WireError> {
    let (identifier, mut rest) = body.split_first_chunk::<2>().ok_or_else(|| short(header))?;
    if version == Version::V5_0 {
        let (size, at) = variable_byte_integer(rest)?.ok_or_else(|| short(header))?;
        rest = rest.get(at + size..).ok_or_else(|| short(header))?;
    }
    Ok((u16::from_be_bytes(*identifier), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixed_header;

    fn message() -> Message {
        Message {
            topic: "a/b".into(),
            payload: b"hello".to_vec(),
            qos: 1,
            retain: true,
            expiry_seconds: Some(3),
        }
    }

    #[track_caller]
    fn check(version: Version, alias: Option<(u16, bool)>, topic: &[u8], expected_alias: u16) {
        let mut out = Vec::new();
        publish(&mut out, version, &message(), 9, true, alias);
        let header = fixed_header(&out).unwrap().unwrap();
        let expected = Publish {
            topic,
            alias: expected_alias,
            qos: 1,
            packet_identifier: 9,
            retain: true,
            payload: b"hello",
        };
        assert_eq!(out[0], 0x3B);
        assert_eq!(read(version, header, &out[header.header..]), Ok(Received::Publish(expected)));
    }

    #[test]
    fn a_publish_reads_back() {
        check(Version::V3_1_1, None, b"a/b", 0);
        check(Version::V5_0, None, b"a/b", 0);
        check(Version::V5_0, Some((4, true)), b"a/b", 4);
        check(Version::V5_0, Some((4, false)), b"", 4);
    }

    #[test]
    fn codes_of_both_versions() {
        let header = |bytes: &[u8]| fixed_header(bytes).unwrap().unwrap();
        let five = b"\xb0\x05\x00\x07\x00\x00\x11";
        assert_eq!(read(Version::V5_0, header(five), &five[2..]), Ok(Received::Unsuback(7, &[0, 0x11])));
        let three = b"\xb0\x02\x00\x07";
        assert_eq!(read(Version::V3_1_1, header(three), &three[2..]), Ok(Received::Unsuback(7, &[])));
    }

    #[test]
    fn the_disconnect_of_3_1_1_has_no_body() {
        let mut out = Vec::new();
        disconnect(&mut out, Version::V3_1_1, 4, Some(0));
        disconnect(&mut out, Version::V5_0, 4, Some(0));
        assert_eq!(out, b"\xe0\x00\xe0\x07\x04\x05\x11\x00\x00\x00\x00");
    }
}
