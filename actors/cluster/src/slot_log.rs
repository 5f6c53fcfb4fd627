//! The records of `slots`: publishes, from one node to another.

use micro_mq_core::message::Publication;
use micro_mq_core::records::{DecodeError, Reader, WallClock, Writer};
use mqtt_codec::QoS;

use crate::routes_log::{Incarnation, VERSION};

/// What a record has beside a publish whose topic name, properties and payload are empty, at most.
pub const OVERHEAD_BYTES: usize = 96;

const PUBLISH: u8 = 1;

const QOS: u8 = 0b11;
const RETAIN: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const PLAIN: u8 = 1 << 4;
const KNOWN: u8 = QOS | RETAIN | EXPIRES | PLAIN;

/// Who sends to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// For which life of the slot's node: any other ignores it.
    pub target: Incarnation,
    /// Which life of which node sends it.
    pub sender: Incarnation,
    /// How many it has sent to this slot so far, this one included. Records of one sender stand in this order, and what has
    /// the number of an earlier one, or a lower one, is a duplicate.
    pub number: u64,
}

/// A publish as another node sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded<'a> {
    /// Who sent it to whom.
    pub header: Header,
    /// A hash of the publisher's client identifier.
    pub publisher_hash: u64,
    /// QoS as published.
    pub qos: QoS,
    /// RETAIN as published.
    pub retain: bool,
    /// When it expires.
    pub expires_at: Option<WallClock>,
    /// Whether it is for subscriptions that are not shared.
    pub is_plain: bool,
    /// The share names and topic filters of the shared subscriptions that it is for, `NAME/FILTER`.
    pub groups: Vec<&'a str>,
    /// Topic name.
    pub topic: &'a str,
    /// Properties, encoded.
    pub properties: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

/// Appends a publish as it is written.
pub fn encode(
    header: &Header,
    publication: &Publication<'_>,
    expires_at: Option<WallClock>,
    is_plain: bool,
    groups: &[&str],
    to: &mut Vec<u8>,
) {
    to.reserve(
        OVERHEAD_BYTES
            + publication.topic.len()
            + publication.properties.len()
            + publication.payload.len()
            + groups.iter().map(|group| group.len() + 5).sum::<usize>(),
    );
    let mut to = Writer(to);
    to.byte(VERSION);
    to.byte(PUBLISH);
    to.number(header.target.0);
    to.number(header.sender.0);
    to.number(header.number);
    to.hash(publication.publisher_hash);
    let mut flags = publication.qos as u8;
    flags |= if publication.retain { RETAIN } else { 0 };
    flags |= if expires_at.is_some() { EXPIRES } else { 0 };
    flags |= if is_plain { PLAIN } else { 0 };
    to.byte(flags);
    if let Some(at) = expires_at {
        to.number(at.0);
    }
    to.list(groups, |to, group| to.string(group));
    to.string(publication.topic);
    to.bytes(publication.properties);
    to.0.extend_from_slice(publication.payload.as_slice());
}

/// What was written.
///
/// # Errors
/// When it is no such record, or one of a version that this node does not read.
pub fn decode(record: &[u8]) -> Result<Forwarded<'_>, DecodeError> {
    let mut from = Reader(record);
    match from.byte()? {
        VERSION => {}
        version => return Err(DecodeError::Version(version)),
    }
    match from.byte()? {
        PUBLISH => {}
        kind => return Err(DecodeError::Value { field: "kind", value: kind.into() }),
    }
    let header = Header {
        target: Incarnation(from.number()?),
        sender: Incarnation(from.number()?),
        number: from.number()?,
    };
    let publisher_hash = from.hash()?;
    let flags = from.byte()?;
    let unknown = DecodeError::Value { field: "flags", value: flags.into() };
    let qos = QoS::try_from(flags & QOS).map_err(|_| unknown)?;
    if flags & !KNOWN != 0 {
        return Err(unknown);
    }
    let expires_at = match flags & EXPIRES {
        0 => None,
        _ => Some(WallClock(from.number()?)),
    };
    let groups = from.list(Reader::string)?;
    let topic = from.string()?;
    if topic.len() > usize::from(u16::MAX) {
        return Err(DecodeError::Value { field: "length of a topic name", value: topic.len() as u64 });
    }
    Ok(Forwarded {
        header,
        publisher_hash,
        qos,
        retain: flags & RETAIN != 0,
        expires_at,
        is_plain: flags & PLAIN != 0,
        groups,
        topic,
        properties: from.bytes()?,
        payload: from.0,
    })
}
