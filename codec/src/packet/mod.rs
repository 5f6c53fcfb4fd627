//! Control packets, and the two general directions: bytes to packet, packet to bytes.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod filter_pieces;
mod publish;
mod publish_frame;
mod publish_properties;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;
mod will;

use bytes::Bytes;

pub use self::{
    ack::{Ack, AckProperties, encode_ack},
    auth::{Auth, AuthProperties},
    connack::{ConnAck, ConnAckProperties},
    connect::{Connect, ConnectProperties},
    disconnect::{Disconnect, DisconnectProperties},
    filter_pieces::FilterPieces,
    publish::{Publish, PublishRef},
    publish_frame::PublishFrame,
    publish_properties::{PayloadFormat, PublishProperties, PublishPropertiesRef},
    suback::SubAck,
    subscribe::{RetainHandling, Subscribe, SubscriptionOptions},
    unsuback::UnsubAck,
    unsubscribe::Unsubscribe,
    will::Will,
};
use crate::{
    DecodeError, EncodeError, FrameHeader, Limits, PacketIdentifier, PacketType, ProtocolVersion,
    REMAINING_LENGTH_MAX, ReasonCode, Sender,
    frame::{judge_flags, read_header, variable_bytes},
    read::Reader,
    write::{Count, Detail, Sink},
};

/// A control packet that owns its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented by its packet type")]
pub enum Packet {
    Connect(Box<Connect>),
    ConnAck(Box<ConnAck>),
    Publish(Publish),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    Subscribe(Subscribe),
    SubAck(SubAck),
    Unsubscribe(Unsubscribe),
    UnsubAck(UnsubAck),
    PingReq,
    PingResp,
    Disconnect(Disconnect),
    Auth(Auth),
}

/// A decoded packet: a PUBLISH borrows from the bytes it was decoded from, the others own their contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketRef<'a> {
    /// A PUBLISH.
    Publish(PublishRef<'a>),
    /// Any other packet; never [`Packet::Publish`].
    Other(Packet),
}

impl PacketRef<'_> {
    /// The kind of packet.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Publish(_) => PacketType::Publish,
            Self::Other(packet) => packet.packet_type(),
        }
    }

    /// A packet that owns its contents; copies what a PUBLISH borrows.
    pub fn into_owned(self) -> Packet {
        match self {
            Self::Publish(publish) => Packet::Publish(publish.to_owned()),
            Self::Other(packet) => packet,
        }
    }

    /// A packet that owns its contents; the payload of a PUBLISH shares `frame`, which it was decoded from.
    pub fn into_shared(self, frame: &Bytes) -> Packet {
        match self {
            Self::Publish(publish) => Packet::Publish(publish.to_shared(frame)),
            Self::Other(packet) => packet,
        }
    }
}

/// Decodes what follows a fixed header: `body` is the [`FrameHeader::remaining_length`] bytes behind it.
///
/// The packet is judged by sender, fixed header flags, exact length, and the properties and reason codes that are
/// legal for packet, version and sender. A CONNECT brings its version along; `version` is ignored for it.
///
/// # Errors
/// The first thing found wrong.
#[inline(always)]
pub fn decode_body<'a>(
    header: FrameHeader,
    body: &'a [u8],
    version: ProtocolVersion,
    sender: Sender,
    limits: &Limits,
) -> Result<PacketRef<'a>, DecodeError> {
    // A PUBLISH goes its own, short way: it is most of what a broker decodes.
    if header.packet_type == PacketType::Publish {
        PublishRef::decode(header, body, version, sender, limits).map(PacketRef::Publish)
    } else if let Some(acknowledgement) = plain_acknowledgement(header, body) {
        Ok(PacketRef::Other(acknowledgement))
    } else {
        decode_other(header, body, version, sender, limits)
    }
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP with nothing but its packet identifier, as nearly all of them are: the rest of what
/// a broker decodes. Any version and either side may send it. None if it is anything else, or wrong.
#[inline]
fn plain_acknowledgement(header: FrameHeader, body: &[u8]) -> Option<Packet> {
    const HEADER_BYTES_MIN: u8 = 2;
    let [high, low] = *body else { return None };
    let kind = match header.packet_type {
        PacketType::PubAck => Packet::PubAck,
        PacketType::PubRec => Packet::PubRec,
        PacketType::PubRel => Packet::PubRel,
        PacketType::PubComp => Packet::PubComp,
        _ => return None,
    };
    if header.header_bytes != HEADER_BYTES_MIN || header.flags != header.packet_type.reserved_flags() {
        return None;
    }
    let packet_identifier = PacketIdentifier::new(u16::from_be_bytes([high, low]))?;
    Some(kind(Ack::new(packet_identifier, ReasonCode::Success)))
}

/// Decodes any packet but a PUBLISH.
fn decode_other<'a>(
    header: FrameHeader,
    body: &'a [u8],
    version: ProtocolVersion,
    sender: Sender,
    limits: &Limits,
) -> Result<PacketRef<'a>, DecodeError> {
    let packet_type = header.packet_type;
    if packet_type == PacketType::Auth && version != ProtocolVersion::V5 {
        return Err(DecodeError::ReservedPacketType { value: packet_type as u8 });
    }
    if !packet_type.is_sent_by(sender, version) {
        return Err(DecodeError::WrongDirection { packet_type, sender });
    }
    if packet_type != PacketType::Connect {
        judge_flags(packet_type, header.flags, version)?;
        header.judge_minimal(version)?;
    }

    let mut reader = Reader::new(body, packet_type, limits);
    let r = &mut reader;
    let packet = match packet_type {
        PacketType::Connect => {
            let connect = Connect::decode(r)?;
            judge_flags(packet_type, header.flags, connect.version)?;
            header.judge_minimal(connect.version)?;
            Packet::Connect(Box::new(connect))
        }
        PacketType::ConnAck => Packet::ConnAck(Box::new(ConnAck::decode(r, version)?)),
        PacketType::Publish => {
            return PublishRef::decode(header, body, version, sender, limits).map(PacketRef::Publish);
        }
        PacketType::PubAck => Packet::PubAck(Ack::decode(r, version, sender)?),
        PacketType::PubRec => Packet::PubRec(Ack::decode(r, version, sender)?),
        PacketType::PubRel => Packet::PubRel(Ack::decode(r, version, sender)?),
        PacketType::PubComp => Packet::PubComp(Ack::decode(r, version, sender)?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(r, version)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(r, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(r, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(r, version)?),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(r, version, sender)?),
        PacketType::Auth => Packet::Auth(Auth::decode(r, sender)?),
    };
    reader.finish()?;
    Ok(PacketRef::Other(packet))
}

/// Decodes the packet at the beginning of `bytes` and tells how many bytes it took; `None` while it is not
/// complete. See [`read_header`] and [`decode_body`].
///
/// # Errors
/// The first thing found wrong, as early as the fixed header permits.
#[inline]
pub fn decode<'a>(
    bytes: &'a [u8],
    version: ProtocolVersion,
    sender: Sender,
    limits: &Limits,
) -> Result<Option<(PacketRef<'a>, usize)>, DecodeError> {
    let Some(header) = read_header(bytes, limits)? else { return Ok(None) };
    let Some(body) = bytes.get(header.header_bytes.into()..header.frame_bytes()) else { return Ok(None) };
    decode_body(header, body, version, sender, limits).map(|packet| Some((packet, header.frame_bytes())))
}

/// Appends an encoded packet to `out`.
///
/// What the version cannot say and a peer does not miss (properties and reason codes before 5.0, DUP with QoS 0)
/// is left out. Reason string and user properties of CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK,
/// DISCONNECT and AUTH are left out if the packet would exceed `maximum_packet_size` (of the whole packet, in
/// bytes) with them [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20]. A CONNECT has its own version; `version` is
/// ignored for it.
///
/// # Errors
/// The packet is still too large, or is none; `out` is unchanged then.
pub fn encode(
    packet: &Packet,
    version: ProtocolVersion,
    maximum_packet_size: u32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode_into(packet, version, maximum_packet_size, out, Vec::reserve)
}

/// Size of the encoded packet in bytes, with all that may be left out.
pub fn encoded_bytes(packet: &Packet, version: ProtocolVersion) -> usize {
    let mut count = Count::default();
    packet.write_body(version, Detail::Full, &mut count);
    packet_bytes(count.bytes)
}

/// Size of a packet whose remaining length is `body_bytes`.
pub(crate) fn packet_bytes(body_bytes: usize) -> usize {
    1 + variable_bytes(u32::try_from(body_bytes).unwrap_or(u32::MAX)) + body_bytes
}

pub(crate) fn encode_into<S: Sink>(
    packet: &Packet,
    version: ProtocolVersion,
    maximum_packet_size: u32,
    sink: &mut S,
    reserve: impl FnOnce(&mut S, usize),
) -> Result<(), EncodeError> {
    if let Packet::Auth(_) = packet
        && version != ProtocolVersion::V5
    {
        return Err(EncodeError::NotInVersion { packet_type: PacketType::Auth, version });
    }
    let mut detail = Detail::Full;
    let (body_bytes, bytes) = loop {
        let mut count = Count::default();
        packet.write_body(version, detail, &mut count);
        if let Some(refusal) = count.refusal {
            return Err(refusal);
        }
        let bytes = packet_bytes(count.bytes);
        if let Ok(body_bytes) = u32::try_from(count.bytes)
            && body_bytes <= REMAINING_LENGTH_MAX
            && bytes <= maximum_packet_size as usize
        {
            break (body_bytes, bytes);
        }
        match detail.less() {
            Some(less) => detail = less,
            None => return Err(EncodeError::PacketTooLarge { bytes, limit: maximum_packet_size }),
        }
    };
    reserve(sink, bytes);
    sink.u8((packet.packet_type() as u8) << 4 | packet.flags());
    sink.variable(body_bytes);
    packet.write_body(version, detail, sink);
    Ok(())
}

impl Packet {
    /// The kind of packet.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// The lower four bits of the first byte.
    fn flags(&self) -> u8 {
        match self {
            Self::Publish(publish) => publish.flags(),
            other => other.packet_type().reserved_flags(),
        }
    }

    /// Writes what follows the fixed header.
    fn write_body<S: Sink>(&self, version: ProtocolVersion, detail: Detail, sink: &mut S) {
        match self {
            Self::Connect(connect) => connect.write(sink),
            Self::ConnAck(connack) => connack.write(version, detail, sink),
            Self::Publish(publish) => publish.write(version, sink),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.write(version, detail, sink);
            }
            Self::Subscribe(subscribe) => subscribe.write(version, sink),
            Self::SubAck(suback) => suback.write(version, detail, sink),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write(version, sink),
            Self::UnsubAck(unsuback) => unsuback.write(version, detail, sink),
            Self::PingReq | Self::PingResp => {}
            Self::Disconnect(disconnect) => disconnect.write(version, detail, sink),
            Self::Auth(auth) => auth.write(detail, sink),
        }
    }
}
