//! Records out of bytes; strings and payloads stay where they are.

use std::borrow::Cow;

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};

use super::RECORD_VERSION;
use super::encode::{copy_has, has, kind, shared_prefix, will_has};
use super::record::{
    Body, Connected, Copied, CopyId, Fate, Of, Origin, Parted, Position, Publish, Publisher, Record,
    Retained, Settled, Subscribed, Through, WallClock, Will,
};
use super::wire::{DecodeError, Reader};
use crate::ledger::DropReason;

impl<'a> Record<'a> {
    /// A record that stands at a position, of all of these bytes.
    ///
    /// # Errors
    /// When they are none, or one of a later version.
    pub fn decode(bytes: &'a [u8], at: Position) -> Result<Self, DecodeError> {
        let mut from = From { reader: Reader(bytes), at };
        let version = from.reader.byte()?;
        if version != RECORD_VERSION {
            return Err(DecodeError::Version(version));
        }
        let record = from.record()?;
        from.reader.end()?;
        Ok(record)
    }
}

/// Where a record comes from, and its position.
struct From<'a> {
    reader: Reader<'a>,
    at: Position,
}

impl<'a> From<'a> {
    fn record(&mut self) -> Result<Record<'a>, DecodeError> {
        Ok(match self.reader.byte()? {
            kind::CONNECTED => Record::Connected(self.connected()?),
            kind::PARTED => Record::Parted(self.parted()?),
            kind::ENDED => Record::Ended(self.reader.string()?),
            kind::SUBSCRIBED => Record::Subscribed(self.of()?, self.reader.list(subscribed)?),
            kind::UNSUBSCRIBED => Record::Unsubscribed(self.of()?, self.reader.list(Reader::string)?),
            kind::PUBLISH => Record::Publish(self.publish()?),
            kind::RECEIVED => Record::Received(self.of()?, self.identifier()?),
            kind::FORGOTTEN => Record::Forgotten(self.of()?, self.identifier()?),
            kind::SENT => Record::Sent(self.of()?, self.identifier()?, self.copy()?),
            kind::RELEASED => Record::Released(self.of()?, self.identifier()?, self.copy()?),
            kind::SETTLED => Record::Settled(self.settled()?),
            kind::WILL_OVER => Record::WillOver(self.of()?),
            kind::TAKEN => {
                let (group, fate) = (self.reader.string()?, self.fate()?);
                Record::Taken(group, fate, self.reader.list(|reader| reader.number().map(Position))?)
            }
            kind::RETAINED => Record::Retained(Retained {
                topic: self.reader.string()?,
                stamp: self.reader.number()?,
                message: read_retained(&mut self.reader)?,
            }),
            kind::PASSED => {
                let (client, filter) = (self.reader.string()?, self.reader.string()?);
                let goes_on = self.flags(1, "cursor")? != 0;
                let after = self.reader.string()?;
                if !goes_on && !after.is_empty() {
                    return Err(DecodeError::Value { field: "cursor", value: 0 });
                }
                Record::Passed(client, filter, goes_on.then_some(after))
            }
            kind::PUBLISHER_GONE => Record::PublisherGone(Publisher(self.reader.hash()?)),
            value => return Err(DecodeError::Value { field: "kind", value: value.into() }),
        })
    }

    fn position(&mut self) -> Result<Position, DecodeError> {
        let value = self.reader.number()?;
        let position = self.at.0.checked_sub(value);
        position.map(Position).ok_or(DecodeError::Value { field: "distance to a position", value })
    }

    /// A position that is not before another, which can be named here.
    fn forward(&mut self, from: Position) -> Result<Position, DecodeError> {
        let value = self.reader.number()?;
        let position = from.0.checked_add(value).filter(|position| *position <= self.at.0);
        position.map(Position).ok_or(DecodeError::Value { field: "distance between positions", value })
    }

    fn flags(&mut self, known: u8, field: &'static str) -> Result<u8, DecodeError> {
        read_flags(&mut self.reader, known, field)
    }

    fn of(&mut self) -> Result<Of<'a>, DecodeError> {
        let client = self.reader.string()?;
        Ok(Of { client, epoch: self.at.epoch().wrapping_sub(self.reader.small("epoch")?) })
    }

    fn identifier(&mut self) -> Result<PacketIdentifier, DecodeError> {
        let number = self.reader.small::<u16>("packet identifier")?;
        PacketIdentifier::new(number).ok_or(DecodeError::Value { field: "packet identifier", value: 0 })
    }

    fn copy(&mut self) -> Result<CopyId, DecodeError> {
        Ok(CopyId { message: self.position()?, copy: self.reader.small("number of a copy")? })
    }

    fn fate(&mut self) -> Result<Fate, DecodeError> {
        match self.reader.byte()? {
            0 => Ok(Fate::Delivered),
            1 => Ok(Fate::Returned),
            number => drop_reason(number - 2).map(Fate::Dropped),
        }
    }

    fn connected(&mut self) -> Result<Connected<'a>, DecodeError> {
        let client = self.reader.string()?;
        let flags = self.flags(7, "flags of a connection")?;
        let level = self.reader.byte()?;
        let version = ProtocolVersion::from_level(level);
        Ok(Connected {
            client,
            version: version.ok_or(DecodeError::Value { field: "protocol version", value: level.into() })?,
            expiry_interval: self.reader.small("session expiry interval")?,
            begins: flags & 1 != 0,
            user_name: if flags & 2 != 0 { Some(self.reader.string()?) } else { None },
            will: if flags & 4 != 0 { Some(read_will(&mut self.reader)?) } else { None },
        })
    }

    fn parted(&mut self) -> Result<Parted<'a>, DecodeError> {
        Ok(Parted {
            of: self.of()?,
            at: WallClock(self.reader.number()?),
            expiry_interval: self.reader.small("session expiry interval")?,
            leaves_will: self.flags(1, "flags of an end")? != 0,
        })
    }

    fn publish(&mut self) -> Result<Publish<'a>, DecodeError> {
        let flags = self.flags(0xf, "flags of a publish")?;
        let body = read_body(&mut self.reader)?;
        let publisher_hash = self.reader.hash()?;
        let expires_at = if flags & has::EXPIRY != 0 { Some(WallClock(self.reader.number()?)) } else { None };
        let origin = if flags & has::ORIGIN != 0 {
            Some(Origin { publisher: Publisher(self.reader.hash()?), count: Position(self.reader.number()?) })
        } else {
            None
        };
        let count = self.reader.number()?;
        let mut copies: Vec<Copied<'a>> = Vec::new();
        for _ in 0..count {
            let copied = self.copied(copies.last().map_or("", |before| &before.client))?;
            copies.push(copied);
        }
        let waits =
            if flags & has::WAITS != 0 { some(self.reader.list(Reader::string)?)? } else { Vec::new() };
        let retain = flags & has::RETAIN != 0;
        Ok(Publish { body, retain, expires_at, publisher_hash, origin, copies, waits })
    }

    fn copied(&mut self, before: &str) -> Result<Copied<'a>, DecodeError> {
        let flags = self.flags(0x7f, "flags of a copy")?;
        let qos = quality(flags & copy_has::QOS)?;
        if qos == QoS::AtMostOnce {
            return Err(DecodeError::Value { field: "QoS of a copy", value: 0 });
        }
        let client = self.client_behind(before, flags & copy_has::SHARED_PREFIX != 0)?;
        let identifiers = match flags & copy_has::IDENTIFIERS != 0 {
            true => some(self.reader.list(|reader| reader.small("subscription identifier"))?)?,
            false => Vec::new(),
        };
        let through = match flags & (copy_has::GROUP | copy_has::WAS_RETAINED) {
            0 => Through::Subscription,
            copy_has::GROUP => Through::Group(self.reader.string()?),
            copy_has::WAS_RETAINED => Through::Retained(self.position()?),
            value => return Err(DecodeError::Value { field: "flags of a copy", value: value.into() }),
        };
        let retain = flags & copy_has::RETAIN != 0;
        Ok(Copied { client, qos, retain, identifiers: identifiers.into(), through })
    }

    /// A client identifier, of which what it has in common with the one before it is not written.
    fn client_behind(&mut self, before: &str, shares: bool) -> Result<Cow<'a, str>, DecodeError> {
        let shared = if shares { self.reader.byte()? } else { 0 };
        let rest = self.reader.string()?;
        let wrong = DecodeError::Value { field: "length of a shared prefix", value: shared.into() };
        let prefix = before.get(..shared.into()).ok_or(wrong)?;
        let client = if shares { Cow::Owned([prefix, rest].concat()) } else { Cow::Borrowed(rest) };
        let is_as_written = shares == (shared > 0) && shared_prefix(before, &client) == prefix.len();
        if is_as_written { Ok(client) } else { Err(wrong) }
    }

    fn settled(&mut self) -> Result<Settled<'a>, DecodeError> {
        let (client, fate) = (self.reader.string()?, self.fate()?);
        let count = self.reader.number()?;
        let mut copies: Vec<CopyId> = Vec::new();
        for _ in 0..count {
            let copy = match copies.last() {
                None => self.copy()?,
                Some(before) => CopyId {
                    message: self.forward(before.message)?,
                    copy: self.reader.small("number of a copy")?,
                },
            };
            if copies.last().is_some_and(|before| copy <= *before) {
                return Err(DecodeError::Value { field: "number of a copy", value: copy.copy.into() });
            }
            copies.push(copy);
        }
        Ok(Settled { client, fate, copies })
    }
}

/// A list that is only there when it holds anything.
fn some<T>(list: Vec<T>) -> Result<Vec<T>, DecodeError> {
    if list.is_empty() { Err(DecodeError::Value { field: "length of a list", value: 0 }) } else { Ok(list) }
}

/// Flags of which none may be set but these.
pub(crate) fn read_flags(reader: &mut Reader<'_>, known: u8, field: &'static str) -> Result<u8, DecodeError> {
    let flags = reader.byte()?;
    if flags & !known == 0 { Ok(flags) } else { Err(DecodeError::Value { field, value: flags.into() }) }
}

pub(crate) fn quality(number: u8) -> Result<QoS, DecodeError> {
    QoS::try_from(number).map_err(|_| DecodeError::Value { field: "QoS", value: number.into() })
}

fn drop_reason(number: u8) -> Result<DropReason, DecodeError> {
    let reason = DropReason::ALL.get(usize::from(number)).copied();
    reason.ok_or(DecodeError::Value { field: "reason of a drop", value: number.into() })
}

pub(crate) fn read_options(reader: &mut Reader<'_>) -> Result<SubscriptionOptions, DecodeError> {
    let bits = reader.byte()?;
    SubscriptionOptions::from_bits(bits)
        .map_err(|_| DecodeError::Value { field: "subscription options", value: bits.into() })
}

fn subscribed<'a>(reader: &mut Reader<'a>) -> Result<Subscribed<'a>, DecodeError> {
    let (filter, options) = (reader.string()?, read_options(reader)?);
    let rest = reader.number()?;
    let too_large = DecodeError::Value { field: "subscription identifier", value: rest };
    let identifier = u32::try_from(rest >> 1).map_err(|_| too_large)?;
    Ok(Subscribed { filter, options, identifier, replays: rest & 1 != 0 })
}

pub(crate) fn read_body<'a>(reader: &mut Reader<'a>) -> Result<Body<'a>, DecodeError> {
    Ok(Body {
        qos: quality(reader.byte()?)?,
        topic: reader.string()?,
        properties: reader.bytes()?,
        payload: reader.bytes()?,
    })
}

/// A retained message, if there is one, with the end of its message expiry interval and the hash of its publisher.
type RetainedMessage<'a> = Option<(Body<'a>, Option<WallClock>, u64)>;

pub(crate) fn read_retained<'a>(reader: &mut Reader<'a>) -> Result<RetainedMessage<'a>, DecodeError> {
    let kind = reader.byte()?;
    if kind == 0 {
        return Ok(None);
    }
    if kind > 2 {
        return Err(DecodeError::Value { field: "kind of a retained message", value: kind.into() });
    }
    let body = read_body(reader)?;
    let expires_at = if kind == 2 { Some(WallClock(reader.number()?)) } else { None };
    Ok(Some((body, expires_at, reader.hash()?)))
}

pub(crate) fn read_will<'a>(reader: &mut Reader<'a>) -> Result<Will<'a>, DecodeError> {
    let flags = read_flags(reader, will_has::RETAIN | will_has::EXPIRY, "flags of a will")?;
    Ok(Will {
        retain: flags & will_has::RETAIN != 0,
        body: read_body(reader)?,
        delay_seconds: reader.small("will delay interval")?,
        expiry_seconds: match flags & will_has::EXPIRY != 0 {
            true => Some(reader.small("message expiry interval")?),
            false => None,
        },
    })
}
