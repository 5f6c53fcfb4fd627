//! The one place that names the decoding API: every input goes through all its entrances.

use bytes::BytesMut;
use mqtt_codec::{CodecError, DecodeError, Limits, MqttCodec, Packet, ProtocolVersion, Sender, decode};
use tokio_util::codec::Decoder;

pub(crate) const VERSIONS: [ProtocolVersion; 3] =
    [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// All packets of a byte stream and the error that ended it, found by `decode`; then once more by prefixes and by
/// `MqttCodec`, whole and byte by byte, which have to agree.
#[track_caller]
pub(crate) fn feed_all(
    bytes: &[u8],
    version: ProtocolVersion,
    sender: Sender,
    limits: &Limits,
) -> (Vec<Packet>, Option<DecodeError>) {
    let mut packets = Vec::new();
    let mut error = None;
    let mut rest = bytes;
    loop {
        match decode(rest, version, sender, limits) {
            Ok(Some((packet, used))) => {
                judge_prefixes(&rest[..used], None, version, sender, limits);
                packets.push(packet.into_owned());
                rest = &rest[used..];
            }
            Ok(None) => break,
            Err(found) => {
                error = Some(found);
                judge_prefixes(rest, error, version, sender, limits);
                break;
            }
        }
    }
    let expected = (packets, error);
    let codec = MqttCodec::new(Some(version), sender, *limits);
    assert_eq!(drain(codec.clone(), [bytes]), expected, "MqttCodec, all at once: {bytes:02x?}");
    assert_eq!(drain(codec, bytes.chunks(1)), expected, "MqttCodec, byte by byte: {bytes:02x?}");
    expected
}

/// A prefix of a packet is incomplete, or wrong for the reason that the whole is.
#[track_caller]
fn judge_prefixes(
    bytes: &[u8],
    error: Option<DecodeError>,
    version: ProtocolVersion,
    sender: Sender,
    limits: &Limits,
) {
    // The middle of a long packet says nothing new.
    for end in (0..bytes.len()).filter(|end| *end < 512 || bytes.len() - end < 8) {
        match decode(&bytes[..end], version, sender, limits) {
            Ok(None) => {}
            Err(early) => assert_eq!(Some(early), error, "prefix of {end} bytes of {bytes:02x?}"),
            Ok(Some((_, used))) => panic!("{end} bytes of {bytes:02x?} gave a packet of {used}"),
        }
    }
}

fn drain<'b>(
    mut codec: MqttCodec,
    chunks: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<Packet>, Option<DecodeError>) {
    let mut buffer = BytesMut::new();
    let mut packets = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(CodecError::Decode(error)) => return (packets, Some(error)),
                Err(other) => panic!("{other}"),
            }
        }
    }
    (packets, None)
}

/// Decodes exactly one packet.
#[track_caller]
pub(crate) fn feed_with(
    bytes: &[u8],
    version: ProtocolVersion,
    sender: Sender,
    limits: &Limits,
) -> Result<Packet, DecodeError> {
    match feed_all(bytes, version, sender, limits) {
        (packets, Some(error)) if packets.is_empty() => Err(error),
        (mut packets, None) if packets.len() == 1 => Ok(packets.remove(0)),
        (packets, error) => panic!("not one packet in {bytes:02x?}: {packets:?} {error:?}"),
    }
}

/// Decodes exactly one packet within the default limits.
#[track_caller]
pub(crate) fn feed(bytes: &[u8], version: ProtocolVersion, sender: Sender) -> Result<Packet, DecodeError> {
    feed_with(bytes, version, sender, &Limits::default())
}

/// Puts a fixed header of minimal length before a body.
pub(crate) fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = if length > 0x7F { 0x80 } else { 0 };
        bytes.push((length & 0x7F) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Two bytes of length and the content.
pub(crate) fn prefixed(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u16::try_from(content.len()).expect("test fields are short");
    [&length.to_be_bytes(), content].concat()
}

/// The properties and, before them, their length, which is below 128.
pub(crate) fn properties(list: &[u8]) -> Vec<u8> {
    assert!(list.len() < 128);
    [&[list.len() as u8], list].concat()
}
