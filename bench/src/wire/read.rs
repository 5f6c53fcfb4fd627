//! Packets the generator receives. `None` always means "not all there yet".

use super::Version;

/// Why received bytes are not what a broker may send here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// More than four bytes [MQTT-1.5.5-1].
    #[error("remaining length of more than four bytes")]
    RemainingLength,
    /// A packet ends before its fields do.
    #[error("packet type {packet_type} of {size} bytes ends before its fields do")]
    Short {
        /// Upper four bits of the first byte.
        packet_type: u8,
        /// Bytes behind the fixed header.
        size: usize,
    },
    /// QoS bits 11 [MQTT-3.3.1-4].
    #[error("publish with qos 3")]
    Qos3,
}

/// First byte, and where the packet's body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FixedHeader {
    /// Packet type and flags.
    pub first: u8,
    /// Size of the fixed header itself, 2 to 5 bytes.
    pub header: usize,
    /// Remaining length in bytes.
    pub body: usize,
}

impl FixedHeader {
    /// The upper four bits of the first byte.
    pub(crate) const fn packet_type(self) -> u8 {
        self.first >> 4
    }

    /// Bytes of the whole packet.
    pub(crate) const fn total(self) -> usize {
        self.header + self.body
    }
}

/// Reads the fixed header at the start of `bytes`.
pub(crate) fn fixed_header(bytes: &[u8]) -> Result<Option<FixedHeader>, WireError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    Ok(variable_byte_integer(rest)?.map(|(body, size)| FixedHeader { first, header: 1 + size, body }))
}

/// What a receiver needs of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishHead {
    /// 0, 1 or 2.
    pub qos: u8,
    /// 0 with QoS 0.
    pub packet_identifier: u16,
    /// Where the payload starts, counted from the start of the body.
    pub payload_at: usize,
}

/// Reads the head of a PUBLISH whose body starts `available` bytes, all or some of `header.body`.
pub(crate) fn publish_head(
    version: Version,
    header: FixedHeader,
    available: &[u8],
) -> Result<Option<PublishHead>, WireError> {
    let head = publish_fields(version, header.first, available)?;
    match head {
        Some(head) if head.payload_at <= header.body => Ok(Some(head)),
        None if available.len() < header.body => Ok(None),
        _ => Err(WireError::Short { packet_type: header.packet_type(), size: header.body }),
    }
}

fn publish_fields(version: Version, first: u8, bytes: &[u8]) -> Result<Option<PublishHead>, WireError> {
    let qos = first >> 1 & 0b11;
    if qos == 3 {
        return Err(WireError::Qos3);
    }
    let Some(length) = bytes.first_chunk::<2>() else { return Ok(None) };
    let mut at = 2 + usize::from(u16::from_be_bytes(*length));
    let mut packet_identifier = 0;
    if qos > 0 {
        let Some(identifier) = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) else {
            return Ok(None);
        };
        packet_identifier = u16::from_be_bytes(*identifier);
        at += 2;
    }
    if version == Version::V5_0 {
        let Some(rest) = bytes.get(at..) else { return Ok(None) };
        let Some((properties, size)) = variable_byte_integer(rest)? else { return Ok(None) };
        at += size + properties;
    }
    Ok(Some(PublishHead { qos, packet_identifier, payload_at: at }))
}

/// Packet identifier and reason code (0 where 5.0 leaves it out) of a PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(crate) fn acknowledgement(header: FixedHeader, body: &[u8]) -> Result<(u16, u8), WireError> {
    let identifier = body.first_chunk::<2>().ok_or(short(header))?;
    Ok((u16::from_be_bytes(*identifier), body.get(2).copied().unwrap_or(0)))
}

/// The reason codes of a SUBACK, one for each topic filter.
pub(crate) fn suback_codes(version: Version, header: FixedHeader, body: &[u8]) -> Result<&[u8], WireError> {
    let mut rest = body.get(2..).ok_or(short(header))?;
    if version == Version::V5_0 {
        let (properties, size) = variable_byte_integer(rest)?.ok_or(short(header))?;
        rest = rest.get(size + properties..).ok_or(short(header))?;
    }
    if rest.is_empty() { Err(short(header)) } else { Ok(rest) }
}

/// What a CONNACK says that bounds a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connack {
    /// The broker kept a session of this client.
    pub session_present: bool,
    /// Return code (3.1.1) or reason code (5.0); 0 is success.
    pub code: u8,
    /// QoS 1 and 2 publishes the broker takes unacknowledged; 65,535 unless it says less.
    pub receive_maximum: u16,
    /// Highest QoS the broker supports.
    pub maximum_qos: u8,
    /// Largest packet the broker takes, in bytes.
    pub maximum_packet_size: u32,
    /// Topic aliases that the broker takes.
    pub topic_alias_maximum: u16,
}

/// Reads the body of a CONNACK.
pub(crate) fn connack(version: Version, header: FixedHeader, body: &[u8]) -> Result<Connack, WireError> {
    let &[flags, code, ref rest @ ..] = body else { return Err(short(header)) };
    let mut connack = Connack {
        session_present: flags & 1 == 1,
        code,
        receive_maximum: u16::MAX,
        maximum_qos: 2,
        maximum_packet_size: u32::MAX,
        topic_alias_maximum: 0,
    };
    // A broker that speaks no 5.0 refuses with the two bytes of 3.1.1.
    if version == Version::V3_1_1 || rest.is_empty() {
        return Ok(connack);
    }
    let (size, at) = variable_byte_integer(rest)?.ok_or(short(header))?;
    let mut properties = rest.get(at..at + size).ok_or(short(header))?;
    while let Some((&identifier, value)) = properties.split_first() {
        let skip = match identifier {
            0x21 => {
                connack.receive_maximum = u16::from_be_bytes(*value.first_chunk().ok_or(short(header))?);
                2
            }
            0x24 => {
                connack.maximum_qos = *value.first().ok_or(short(header))?;
                1
            }
            0x27 => {
                connack.maximum_packet_size = u32::from_be_bytes(*value.first_chunk().ok_or(short(header))?);
                4
            }
            0x22 => {
                connack.topic_alias_maximum = u16::from_be_bytes(*value.first_chunk().ok_or(short(header))?);
                2
            }
            0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x13 => 2,
            0x11 => 4,
            0x26 => {
                let name = length_prefixed(value).ok_or(short(header))?;
                name + length_prefixed(value.get(name..).unwrap_or(&[])).ok_or(short(header))?
            }
            _ => length_prefixed(value).ok_or(short(header))?,
        };
        properties = value.get(skip..).ok_or(short(header))?;
    }
    Ok(connack)
}

/// Size of a string or binary field with its two bytes of length.
pub(crate) fn length_prefixed(bytes: &[u8]) -> Option<usize> {
    Some(2 + usize::from(u16::from_be_bytes(*bytes.first_chunk()?)))
}

/// The error of a packet that ends too early.
pub(crate) fn short(header: FixedHeader) -> WireError {
    WireError::Short { packet_type: header.packet_type(), size: header.body }
}

/// The value and the bytes it took; `None` while it is not all there.
pub(crate) fn variable_byte_integer(bytes: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(WireError::RemainingLength) }
}
