//! The fixed header: where a packet ends and what it is.

use crate::{DecodeError, Limits, PacketType, ProtocolVersion, QoS};

impl TryFrom<u8> for PacketType {
    type Error = DecodeError;

    fn try_from(value: u8) -> Result<Self, DecodeError> {
        Self::from_value(value).ok_or(DecodeError::ReservedPacketType { value })
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
