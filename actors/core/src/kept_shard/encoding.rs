//! The bytes of the parts of a shard in a checkpoint: a version, and fields as records have them.

use std::sync::Arc;

use mqtt_codec::{PacketIdentifier, ProtocolVersion};

use super::message::{KeptBody, KeptMessage, KeptRetained};
use super::session::{KeptCopy, KeptReplay, KeptSession, KeptSubscription, KeptWill, SentCopy};
use crate::records::{
    self, DecodeError, Position, RECORD_VERSION, Reader, WallClock, Will, Writer, read_body, read_flags,
    read_options, read_quality, read_will, write_body, write_will,
};

/// Reads a part, all of it.
pub(super) fn read_part<T, E: From<DecodeError>>(
    part: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let mut reader = Reader(part);
    let version = reader.byte()?;
    if version != RECORD_VERSION {
        return Err(DecodeError::Version(version).into());
    }
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn write_optional(writer: &mut Writer<'_>, number: Option<u64>) {
    writer.byte(u8::from(number.is_some()));
    if let Some(number) = number {
        writer.number(number);
    }
}

/// Whether something is so, or is there.
fn read_flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    Ok(read_flags(reader, 1, field)? != 0)
}

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    Ok(if read_flag(reader, "flag of a number")? { Some(reader.number()?) } else { None })
}

fn write_optional_string(writer: &mut Writer<'_>, string: Option<&str>) {
    writer.byte(u8::from(string.is_some()));
    if let Some(string) = string {
        writer.string(string);
    }
}

fn read_optional_string(reader: &mut Reader<'_>) -> Result<Option<Arc<str>>, DecodeError> {
    Ok(if read_flag(reader, "flag of a string")? { Some(reader.string()?.into()) } else { None })
}

fn read_identifier(reader: &mut Reader<'_>) -> Result<PacketIdentifier, DecodeError> {
    let number = reader.small::<u16>("packet identifier")?;
    PacketIdentifier::new(number).ok_or(DecodeError::Value { field: "packet identifier", value: 0 })
}

pub(super) fn write_session(writer: &mut Writer<'_>, session: &KeptSession) {
    write_optional_string(writer, session.user_name.as_deref());
    writer.byte(session.version as u8);
    writer.number(session.expiry_interval.into());
    writer.number(session.epoch.0);
    write_optional(writer, session.parted.map(|at| at.0));
    writer.byte(u8::from(session.will.is_some()));
    if let Some(KeptWill { body, retain, delay_seconds, expiry_seconds }) = &session.will {
        let (retain, delay_seconds, expiry_seconds) = (*retain, *delay_seconds, *expiry_seconds);
        write_will(writer, &Will { body: body.body(), retain, delay_seconds, expiry_seconds });
    }
    let incoming: Vec<_> = session.incoming.iter().collect();
    writer.list(&incoming, |writer, (identifier, received)| {
        writer.number(identifier.get().into());
        writer.number(received.0);
    });
}

pub(super) fn read_session(reader: &mut Reader<'_>) -> Result<KeptSession, DecodeError> {
    let user_name = read_optional_string(reader)?;
    let level = reader.byte()?;
    let version = ProtocolVersion::from_level(level);
    Ok(KeptSession {
        user_name,
        version: version.ok_or(DecodeError::Value { field: "protocol version", value: level.into() })?,
        expiry_interval: reader.small("session expiry interval")?,
        epoch: Position(reader.number()?),
        parted: read_optional(reader)?.map(WallClock),
        will: match read_flag(reader, "flag of a will")? {
            false => None,
            true => {
                let Will { body, retain, delay_seconds, expiry_seconds } = read_will(reader)?;
                Some(KeptWill { body: KeptBody::new(&body), retain, delay_seconds, expiry_seconds })
            }
        },
        incoming: {
            let one = |reader: &mut Reader<'_>| Ok((read_identifier(reader)?, Position(reader.number()?)));
            let incoming = reader.list(one)?;
            if !incoming.is_sorted_by(|(one, _), (next, _)| one < next) {
                return Err(DecodeError::Order("packet identifiers"));
            }
            incoming.into_iter().collect()
        },
        subscriptions: Default::default(),
        copies: Default::default(),
    })
}

pub(super) fn write_subscription(writer: &mut Writer<'_>, subscription: &KeptSubscription) {
    let KeptSubscription { options, identifier, since, replay } = subscription;
    writer.byte(options.to_bits());
    writer.number((*identifier).into());
    writer.number(since.0);
    writer.byte(u8::from(replay.is_some()));
    if let Some(KeptReplay { after }) = replay {
        write_optional_string(writer, after.as_deref());
    }
}

pub(super) fn read_subscription(reader: &mut Reader<'_>) -> Result<KeptSubscription, DecodeError> {
    Ok(KeptSubscription {
        options: read_options(reader)?,
        identifier: reader.small("subscription identifier")?,
        since: Position(reader.number()?),
        replay: match read_flag(reader, "flag of a replay")? {
            false => None,
            true => Some(KeptReplay { after: read_optional_string(reader)? }),
        },
    })
}

pub(super) fn write_message(writer: &mut Writer<'_>, message: &KeptMessage) {
    write_body(writer, &message.body.body());
    writer.byte(u8::from(message.retain));
    write_optional(writer, message.expires_at.map(|at| at.0));
    writer.hash(message.publisher_hash);
}

pub(super) fn read_message(reader: &mut Reader<'_>) -> Result<KeptMessage, DecodeError> {
    Ok(KeptMessage {
        body: KeptBody::new(&read_body(reader)?),
        retain: read_flag(reader, "RETAIN")?,
        expires_at: read_optional(reader)?.map(WallClock),
        publisher_hash: reader.hash()?,
    })
}

pub(super) fn write_copy(writer: &mut Writer<'_>, copy: &KeptCopy) {
    writer.byte(copy.qos as u8 | u8::from(copy.retain) << 2);
    writer.list(&copy.identifiers, |writer, identifier| writer.number((*identifier).into()));
    write_optional_string(writer, copy.group.as_deref());
    write_optional(writer, copy.ahead_of.map(|at| at.0));
    writer.byte(copy.sent.map_or(0, |sent| 1 + u8::from(sent.released)));
    if let Some(sent) = copy.sent {
        writer.number(sent.identifier.get().into());
        writer.number(sent.at.0);
    }
}

pub(super) fn read_copy(reader: &mut Reader<'_>) -> Result<KeptCopy, DecodeError> {
    let flags = read_flags(reader, 7, "flags of a copy")?;
    Ok(KeptCopy {
        qos: read_quality(flags & 3)?,
        retain: flags & 4 != 0,
        identifiers: reader.list(|reader| reader.small("subscription identifier"))?.into(),
        group: read_optional_string(reader)?,
        ahead_of: read_optional(reader)?.map(Position),
        sent: match reader.byte()? {
            0 => None,
            state @ 1..=2 => Some(SentCopy {
                identifier: read_identifier(reader)?,
                at: Position(reader.number()?),
                released: state == 2,
            }),
            value => return Err(DecodeError::Value { field: "state of a copy", value: value.into() }),
        },
    })
}

pub(super) fn write_retained(writer: &mut Writer<'_>, retained: &KeptRetained) {
    let KeptRetained { stamp, message } = retained;
    writer.number(*stamp);
    let message = message.as_ref().map(|(body, expires, hash)| (body.body(), *expires, *hash));
    records::write_retained(writer, &message);
}

pub(super) fn read_retained(reader: &mut Reader<'_>) -> Result<KeptRetained, DecodeError> {
    let (stamp, message) = (reader.number()?, records::read_retained(reader)?);
    let message = message.map(|(body, expires, hash)| (KeptBody::new(&body), expires, hash));
    Ok(KeptRetained { stamp, message })
}

/// In how many places a message waits: where it is one, there is no such part.
pub(super) fn read_places(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let places = reader.number()?;
    if places > 1 { Ok(places) } else { Err(DecodeError::Value { field: "number of places", value: places }) }
}
