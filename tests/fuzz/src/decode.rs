//! Bytes as a stream of packets: every way in finds the same, what was decoded can be encoded again, limits hold, and
//! memory stays in proportion.

use bytes::BytesMut;
use mqtt_codec::{
    Ack, CodecError, DecodeError, EncodeError, Limits, MqttCodec, PACKET_BYTES_MAX, Packet, PacketRef,
    PacketType, ProtocolVersion, PublishFrame, PublishPropertiesRef, PublishRef, Sender, decode, decode_body,
    encode, encode_ack, encoded_bytes, read_header,
};
use tokio_util::codec::{Decoder, Encoder};

use crate::strings::judge_strings;

/// What a stream of packets came to: the packets, and the error that ended it.
type Outcome = (Vec<Packet>, Option<DecodeError>);

/// A case as the input describes it.
struct Case<'i> {
    version: ProtocolVersion,
    sender: Sender,
    limits: Limits,
    /// Sizes of the pieces in which the stream arrives; what is left comes at once.
    pieces: &'i [u8],
    stream: &'i [u8],
}

impl<'i> Case<'i> {
    /// The first byte holds the sender, the limits and the number of pieces, whose sizes follow.
    fn new(version: ProtocolVersion, input: &'i [u8]) -> Option<Self> {
        let (choices, rest) = input.split_first()?;
        let (pieces, stream) = rest.split_at_checked((choices >> 4).into())?;
        let sender = if choices & 1 == 0 { Sender::Client } else { Sender::Server };
        let mut limits = Limits { allow_control_characters: choices & 2 != 0, ..Limits::default() };
        if choices & 4 != 0 {
            limits.maximum_packet_size = 100;
            limits.string_bytes_max = 10;
            limits.properties_max = 2;
            limits.filters_max = 2;
        }
        Some(Self { version, sender, limits, pieces, stream })
    }

    /// Finds the packets of the whole stream, and judges each.
    fn whole(&self) -> Outcome {
        let mut packets = Vec::new();
        let mut rest = self.stream;
        loop {
            let mut found = Ok(None);
            let memory = allocation_counter::measure(|| {
                found = decode(rest, self.version, self.sender, &self.limits);
            });
            let packet_bytes = match &found {
                Ok(Some((_, used))) => *used,
                Ok(None) => 0,
                Err(_) => rest.len(),
            };
            // The densest packets need this much; see the tests of the codec.
            assert!(
                memory.bytes_max <= 1024 + 32 * packet_bytes as u64,
                "{memory:?} for {packet_bytes} bytes"
            );
            match found {
                Ok(Some((packet, used))) => {
                    assert!(used <= self.limits.maximum_packet_size as usize, "a packet above the limit");
                    packets.push(self.judge(packet));
                    rest = &rest[used..];
                }
                Ok(None) => return (packets, None),
                Err(error) => {
                    judge_error(error);
                    return (packets, Some(error));
                }
            }
        }
    }

    /// Finds them as a connection does: in a buffer that grows.
    fn by_header_and_body(&self, pieces: &[&[u8]]) -> Outcome {
        let mut packets = Vec::new();
        let mut buffer = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            let mut used = 0;
            loop {
                let rest = &buffer[used..];
                let header = match read_header(rest, &self.limits) {
                    Ok(Some(header)) => header,
                    Ok(None) => break,
                    Err(error) => return (packets, Some(error)),
                };
                let Some(body) = rest.get(header.header_bytes.into()..header.frame_bytes()) else { break };
                match decode_body(header, body, self.version, self.sender, &self.limits) {
                    Ok(packet) => packets.push(packet.into_owned()),
                    Err(error) => return (packets, Some(error)),
                }
                used += header.frame_bytes();
            }
            buffer.drain(..used);
        }
        (packets, None)
    }

    /// Finds them with the codec for `tokio_util`.
    fn by_codec(&self, pieces: &[&[u8]]) -> Outcome {
        let mut codec = MqttCodec::new(Some(self.version), self.sender, self.limits);
        let mut buffer = BytesMut::new();
        let mut packets = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(packet)) => packets.push(packet),
                    Ok(None) => break,
                    Err(CodecError::Decode(error)) => return (packets, Some(error)),
                    Err(other) => panic!("decoding gave {other}"),
                }
            }
        }
        (packets, None)
    }

    /// The stream cut at the places that the input names.
    fn cut(&self) -> Vec<&'i [u8]> {
        let mut rest = self.stream;
        let mut pieces = Vec::new();
        for size in self.pieces {
            let (piece, following) = rest.split_at(usize::from(*size).min(rest.len()));
            pieces.push(piece);
            rest = following;
        }
        pieces.push(rest);
        pieces
    }

    /// Judges one packet, and gives it in its owned form.
    fn judge(&self, packet: PacketRef<'_>) -> Packet {
        if let PacketRef::Publish(publish) = &packet {
            judge_borrowed(publish, self.version);
        }
        let packet = packet.into_owned();
        judge_strings(&packet, &self.limits);
        self.judge_round_trip(&packet);
        packet
    }

    /// Encodes it and decodes that again.
    fn judge_round_trip(&self, packet: &Packet) {
        let version = match packet {
            Packet::Connect(connect) => connect.version,
            _ => self.version,
        };
        let mut bytes = Vec::new();
        encode(packet, version, PACKET_BYTES_MAX, &mut bytes).expect("what was decoded can be encoded");
        assert_eq!(bytes.len(), encoded_bytes(packet, version), "the predicted size is that written");
        // The full form of an acknowledgement can be longer than the short form that came.
        let limits = Limits { maximum_packet_size: PACKET_BYTES_MAX, ..self.limits };
        let again = decode(&bytes, version, self.sender, &limits);
        assert_eq!(again, Ok(Some((borrowed(packet, &bytes, version, self.sender), bytes.len()))));

        let mut codec = MqttCodec::new(Some(version), self.sender, limits);
        let mut by_codec = BytesMut::new();
        codec.encode(packet, &mut by_codec).expect("the codec encodes what `encode` does");
        assert_eq!(by_codec, bytes);

        judge_smaller(packet, version, self.sender, bytes.len() as u32);
        judge_short_way(packet, version, &bytes);
    }
}

/// Runs one input.
pub fn run(version: ProtocolVersion, input: &[u8]) {
    let Some(case) = Case::new(version, input) else { return };
    let expected = case.whole();
    let pieces = case.cut();
    assert_eq!(case.by_header_and_body(&pieces), expected, "in pieces");
    assert_eq!(case.by_codec(&pieces), expected, "by the codec, in pieces");
    let bytes: Vec<_> = case.stream.chunks(1).collect();
    assert_eq!(case.by_header_and_body(&bytes), expected, "byte by byte");
    assert_eq!(case.by_codec(&bytes), expected, "by the codec, byte by byte");
}

/// Every error can be told to the peer: in a DISCONNECT, or in a CONNACK where it is about a CONNECT.
fn judge_error(error: DecodeError) {
    let reason = error.reason_code();
    assert!(reason.is_error(), "{error} has the reason code {reason:?}");
    assert!(
        reason.is_legal(PacketType::Disconnect, Sender::Server)
            || reason.is_legal(PacketType::ConnAck, Sender::Server),
        "{error} has a reason code that cannot be sent: {reason:?}"
    );
    assert!(!error.to_string().is_empty());
}

/// The borrowed form of a PUBLISH says what the owned one does, and is passed on unaltered.
fn judge_borrowed(publish: &PublishRef<'_>, version: ProtocolVersion) {
    let owned = publish.to_owned();
    let (borrowed, properties) = (&publish.properties, &owned.properties);
    assert_eq!(borrowed.response_topic(), properties.response_topic.as_deref());
    assert_eq!(borrowed.correlation_data(), properties.correlation_data.as_deref());
    assert_eq!(borrowed.content_type(), properties.content_type.as_deref());
    assert_eq!(borrowed.is_empty(), borrowed.raw().is_empty());
    assert!(borrowed.subscription_identifiers().eq(properties.subscription_identifiers.iter().copied()));
    let user_properties = properties.user_properties.iter().map(|(name, value)| (&**name, &**value));
    assert!(borrowed.user_properties().eq(user_properties));

    let mut forwarded = Vec::new();
    borrowed.write_forwarded(&mut forwarded);
    let again = PublishPropertiesRef::from_forwarded(&forwarded).expect("what is passed on can be read");
    let mut expected = properties.clone();
    expected.topic_alias = None;
    expected.message_expiry_interval = None;
    expected.subscription_identifiers.clear();
    assert_eq!(again.to_owned(), expected, "what is passed on");

    let frame = PublishFrame {
        version,
        dup: owned.dup,
        qos: owned.qos,
        retain: owned.retain,
        topic: &owned.topic,
        packet_identifier: owned.packet_identifier,
        topic_alias: properties.topic_alias,
        message_expiry_interval: properties.message_expiry_interval,
        subscription_identifiers: &properties.subscription_identifiers,
        forwarded_properties: &forwarded,
        payload_bytes: owned.payload.len(),
    };
    let mut bytes = Vec::new();
    frame.encode_head(&mut bytes);
    bytes.extend_from_slice(&owned.payload);
    assert_eq!(bytes.len(), frame.frame_bytes(), "the predicted size of a frame is that written");
    let limits =
        Limits { maximum_packet_size: PACKET_BYTES_MAX, allow_control_characters: true, ..Limits::default() };
    let decoded = decode(&bytes, version, Sender::Server, &limits).expect("a frame is a packet");
    let (packet, used) = decoded.expect("a frame is a whole packet");
    assert_eq!(used, bytes.len());
    // 3.1 does not forbid DUP with QoS 0; it is not passed on.
    let mut expected = owned;
    expected.dup &= expected.packet_identifier.is_some();
    assert_eq!(packet.into_owned(), Packet::Publish(expected), "the frame for a subscriber");
}

/// What decoding the encoded form of a packet gives. Only PUBLISH borrows, so only it is decoded once more.
fn borrowed<'b>(packet: &Packet, bytes: &'b [u8], version: ProtocolVersion, sender: Sender) -> PacketRef<'b> {
    let Packet::Publish(publish) = packet else { return PacketRef::Other(packet.clone()) };
    let limits =
        Limits { maximum_packet_size: PACKET_BYTES_MAX, allow_control_characters: true, ..Limits::default() };
    let Ok(Some((decoded, _))) = decode(bytes, version, sender, &limits) else {
        panic!("{publish:?} was encoded as {bytes:02x?}");
    };
    let mut expected = publish.clone();
    expected.dup &= expected.packet_identifier.is_some();
    assert_eq!(decoded.clone().into_owned(), Packet::Publish(expected));
    decoded
}

/// With a maximum packet size of one byte less, reason string and user properties are left out, or it is refused.
fn judge_smaller(packet: &Packet, version: ProtocolVersion, sender: Sender, bytes: u32) {
    let limit = bytes - 1;
    let mut smaller = Vec::new();
    match encode(packet, version, limit, &mut smaller) {
        Ok(()) => {
            assert!(smaller.len() <= limit as usize, "the peer's maximum packet size is kept");
            let limits = Limits { allow_control_characters: true, ..Limits::default() };
            let decoded = decode(&smaller, version, sender, &limits).expect("the smaller form is a packet");
            let (decoded, used) = decoded.expect("the smaller form is whole");
            assert_eq!((decoded.packet_type(), used), (packet.packet_type(), smaller.len()));
        }
        Err(EncodeError::PacketTooLarge { bytes, limit: told }) => {
            assert!(bytes > limit as usize && told == limit, "{bytes} bytes fit into {limit}");
            assert!(smaller.is_empty(), "a refused packet writes nothing");
        }
        Err(other) => panic!("a packet is refused for its size only, not because {other}"),
    }
}

/// The short way to the bytes of an acknowledgement gives the same.
fn judge_short_way(packet: &Packet, version: ProtocolVersion, bytes: &[u8]) {
    let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) = packet
    else {
        return;
    };
    if let Ack { packet_identifier, reason_code, properties: None } = ack {
        let mut short = Vec::new();
        encode_ack(packet.packet_type(), version, *packet_identifier, *reason_code, &mut short);
        assert_eq!(short, bytes);
    }
}
