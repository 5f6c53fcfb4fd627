//! The codec for `tokio_util`: owned packets over any byte stream.

use bytes::{Buf, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::{
    CodecError, DecodeError, EncodeError, Limits, PACKET_BYTES_MAX, Packet, PacketRef, PacketType,
    ProtocolVersion, Sender, decode_body, packet::encode_into, read_header,
};

/// Turns a byte stream into packets and back, for one end of one network connection.
///
/// A server's codec learns the protocol version from the CONNECT that it decodes, a client's from the CONNECT that it
/// encodes. The payload of a decoded PUBLISH shares the read buffer.
///
/// ```
/// use bytes::BytesMut;
/// use mqtt_codec::{Limits, MqttCodec, Packet, ProtocolVersion, Sender};
/// use tokio_util::codec::Decoder;
///
/// let mut codec = MqttCodec::new(None, Sender::Client, Limits::default());
/// let mut received = BytesMut::from(&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"[..]);
/// let Some(Packet::Connect(connect)) = codec.decode(&mut received)? else { panic!("no CONNECT") };
/// assert_eq!(connect.client_identifier, "a");
/// assert_eq!(codec.version(), Some(ProtocolVersion::V311));
/// # Ok::<(), mqtt_codec::CodecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MqttCodec {
    version: Option<ProtocolVersion>,
    receives_from: Sender,
    limits: Limits,
    maximum_packet_size: u32,
}

impl MqttCodec {
    /// A codec that decodes what `receives_from` sends; without a version until a CONNECT tells it.
    pub fn new(version: Option<ProtocolVersion>, receives_from: Sender, limits: Limits) -> Self {
        Self { version, receives_from, limits, maximum_packet_size: PACKET_BYTES_MAX }
    }

    /// The protocol version, as far as it is known.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    /// Sets the protocol version, for instance to refuse a CONNECT that could not be decoded.
    pub fn set_version(&mut self, version: ProtocolVersion) {
        self.version = Some(version);
    }

    /// Sets the largest packet that the peer accepts, in bytes [MQTT-3.1.2-24] [MQTT-3.2.2-15].
    pub fn set_maximum_packet_size(&mut self, bytes: u32) {
        self.maximum_packet_size = bytes;
    }

    fn judge_version_known(&self, packet_type: PacketType) -> Result<ProtocolVersion, DecodeError> {
        match self.version {
            Some(version) => Ok(version),
            // It is not used: a CONNECT has its own.
            None if packet_type == PacketType::Connect => Ok(ProtocolVersion::V5),
            None => Err(DecodeError::VersionUnknown { packet_type }),
        }
    }
}

impl Decoder for MqttCodec {
    type Item = Packet;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Packet>, CodecError> {
        let Some(header) = read_header(source, &self.limits)? else { return Ok(None) };
        let version = self.judge_version_known(header.packet_type)?;
        let missing = header.frame_bytes().saturating_sub(source.len());
        if missing > 0 {
            // Not all at once: the peer has to send before memory is held for it.
            source.reserve(missing.min(RESERVE_BYTES_MAX));
            return Ok(None);
        }
        let mut frame = source.split_to(header.frame_bytes());
        frame.advance(header.header_bytes.into());
        let body = frame.freeze();
        let packet = decode_body(header, &body, version, self.receives_from, &self.limits)?;
        if let PacketRef::Other(Packet::Connect(connect)) = &packet {
            self.version.get_or_insert(connect.version);
        }
        Ok(Some(packet.into_shared(&body)))
    }
}

/// Most room made for a packet of which only the beginning has arrived.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

impl Encoder<&Packet> for MqttCodec {
    type Error = CodecError;

    fn encode(&mut self, packet: &Packet, out: &mut BytesMut) -> Result<(), CodecError> {
        let version = match (packet, self.version) {
            (Packet::Connect(connect), _) => connect.version,
            (_, Some(version)) => version,
            (_, None) => {
                return Err(EncodeError::VersionUnknown { packet_type: packet.packet_type() }.into());
            }
        };
        encode_into(packet, version, self.maximum_packet_size, out, BytesMut::reserve)?;
        self.version = Some(version);
        Ok(())
    }
}

impl Encoder<Packet> for MqttCodec {
    type Error = CodecError;

    fn encode(&mut self, packet: Packet, out: &mut BytesMut) -> Result<(), CodecError> {
        Encoder::<&Packet>::encode(self, &packet, out)
    }
}
