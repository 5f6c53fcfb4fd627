//! The fixed header: where a packet ends and what it is.

use std::fmt;

use crate::{DecodeError, Limits, ProtocolVersion, QoS};

/// Which end of the network connection sent a packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The end that sends CONNECT.
    Client,
    /// The end that answers with CONNACK.
    Server,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// The kind of a control packet (table 2-1 of the standard).
#[repr(u8)]
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// Connection request.
    Connect = 1,
    /// Connection acknowledgement.
    ConnAck = 2,
    /// An application message.
    Publish = 3,
    /// Acknowledgement of QoS 1.
    PubAck = 4,
    /// First acknowledgement of QoS 2.
    PubRec = 5,
    /// Second packet of the publisher of QoS 2.
    PubRel = 6,
    /// Last acknowledgement of QoS 2.
    PubComp = 7,
    /// Subscription request.
    Subscribe = 8,
    /// Subscription acknowledgement.
    SubAck = 9,
    /// Request to end subscriptions.
    Unsubscribe = 10,
    /// Acknowledgement of UNSUBSCRIBE.
    UnsubAck = 11,
    /// Sign of life of a client.
    PingReq = 12,
    /// Answer to PINGREQ.
    PingResp = 13,
    /// Announced end of the network connection.
    Disconnect = 14,
    /// A step of an authentication (5.0).
    Auth = 15,
}

impl PacketType {
    /// The fixed header flags that the standard demands of this packet; those of PUBLISH carry meaning.
    pub const fn reserved_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// Whether this sender may send this packet in this version.
    pub const fn is_sent_by(self, sender: Sender, version: ProtocolVersion) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(sender, Sender::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => {
                matches!(sender, Sender::Server)
            }
            Self::Disconnect => matches!(sender, Sender::Client) || matches!(version, ProtocolVersion::V5),
            Self::Auth => matches!(version, ProtocolVersion::V5),
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp => true,
        }
    }
}

impl TryFrom<u8> for PacketType {
    type Error = DecodeError;

    fn try_from(value: u8) -> Result<Self, DecodeError> {
        Ok(match value {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return Err(DecodeError::ReservedPacketType { value }),
        })
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        })
    }
}

/// A decoded fixed header.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The packet.
    pub packet_type: PacketType,
    /// The lower four bits of the first byte.
    pub flags: u8,
    /// Size of the fixed header itself, 2 to 5 bytes.
    pub header_bytes: u8,
    /// Size of what follows it, at most 268435455 bytes.
    pub remaining_length: u32,
}

impl FrameHeader {
    /// Size of the whole packet in bytes.
    pub const fn frame_bytes(&self) -> usize {
        self.header_bytes as usize + self.remaining_length as usize
    }

    /// Judges that the remaining length took no more bytes than needed [MQTT-1.5.5-1]; before 5.0 no clause says so.
    pub(crate) fn judge_minimal(&self, version: ProtocolVersion) -> Result<(), DecodeError> {
        let is_minimal = usize::from(self.header_bytes) == 1 + variable_bytes(self.remaining_length);
        if is_minimal || version != ProtocolVersion::V5 {
            Ok(())
        } else {
            Err(DecodeError::VariableByteIntegerNotMinimal)
        }
    }
}

/// How many bytes a variable byte integer takes.
pub(crate) const fn variable_bytes(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Reads the fixed header at the beginning of `bytes`; `None` while it is not complete.
///
/// What a version decides (a remaining length in more bytes than needed, flags that 3.1 leaves open) is judged by
/// [`decode_body`](crate::decode_body).
///
/// # Errors
/// As early as the bytes permit: a reserved packet type or flags that no version knows, a remaining length of more
/// than four bytes, a packet above [`Limits::maximum_packet_size`].
pub fn read_header(bytes: &[u8], limits: &Limits) -> Result<Option<FrameHeader>, DecodeError> {
    let Some((&first, lengths)) = bytes.split_first() else { return Ok(None) };
    let packet_type = PacketType::try_from(first >> 4)?;
    let flags = first & 0x0F;
    judge_flags(packet_type, flags, ProtocolVersion::V31)?;

    let mut remaining_length = 0;
    let mut header_bytes = 1;
    loop {
        if header_bytes == 5 {
            return Err(DecodeError::VariableByteIntegerTooLong);
        }
        let Some(&byte) = lengths.get(usize::from(header_bytes) - 1) else { return Ok(None) };
        remaining_length |= u32::from(byte & 0x7F) << (7 * (header_bytes - 1));
        header_bytes += 1;
        if byte < 0x80 {
            break;
        }
    }

    let packet_bytes = u32::from(header_bytes) + remaining_length;
    if packet_bytes > limits.maximum_packet_size {
        return Err(DecodeError::PacketTooLarge { bytes: packet_bytes, limit: limits.maximum_packet_size });
    }
    Ok(Some(FrameHeader { packet_type, flags, header_bytes, remaining_length }))
}

/// Judges the fixed header flags [MQTT-2.1.3-1]. 3.1 calls most of them unused, so it is the version that accepts most:
/// there SUBSCRIBE, UNSUBSCRIBE and PUBREL are of QoS 1 and may carry DUP, and nothing else means anything but in
/// PUBLISH.
pub(crate) fn judge_flags(
    packet_type: PacketType,
    flags: u8,
    version: ProtocolVersion,
) -> Result<(), DecodeError> {
    const QOS: u8 = 0b0110;
    let reserved = packet_type.reserved_flags();
    let legal = match packet_type {
        PacketType::Publish => {
            QoS::try_from(flags >> 1 & 0b11)?;
            true
        }
        // 5.0 alone has it.
        PacketType::Auth => flags == reserved,
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe
            if version == ProtocolVersion::V31 =>
        {
            flags & QOS == reserved
        }
        _ => version == ProtocolVersion::V31 || flags == reserved,
    };
    if legal { Ok(()) } else { Err(DecodeError::FixedHeaderFlags { packet_type, flags }) }
}
