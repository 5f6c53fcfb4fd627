//! Records out of bytes; strings and payloads stay where they are.

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};

use super::RECORD_VERSION;
use super::encode::{has, kind, will_has};
use super::record::{
    Body, Connected, CopyId, Directed, Fate, Of, Origin, Parted, Position, Publish, Publisher, Record,
    Retained, Settled, Span, Subscribed, Through, WallClock, Will,
};
use super::wire::{DecodeError, Reader};
use crate::homes::{SHARDS, Shard};
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
            kind::RECEIVED => Record::Received(self.of()?, self.identifier()?, self.reader.number()?),
            kind::FORGOTTEN => Record::Forgotten(self.of()?, self.identifier()?),
            kind::SENT => Record::Sent(self.of()?, self.identifier()?, self.copy()?),
            kind::RELEASED => Record::Released(self.of()?, self.identifier()?),
            kind::SETTLED => Record::Settled(self.settled()?),
            kind::WILL_OVER => Record::WillOver(self.of()?, self.reader.number()?.checked_sub(1)),
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
            kind::PUBLISHER_GONE => Record::PublisherGone(publisher(&mut self.reader)?),
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
        flags(&mut self.reader, known, field)
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
        Ok(CopyId { message: self.position()?, subscription: self.reader.small("subscription")? })
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
        let flags = self.flags(0x7f, "flags of a publish")?;
        let body = read_body(&mut self.reader)?;
        let publisher_hash = self.reader.hash()?;
        let expires_at = if flags & has::EXPIRY != 0 { Some(WallClock(self.reader.number()?)) } else { None };
        let origin = if flags & has::ORIGIN != 0 {
            Some(Origin { publisher: publisher(&mut self.reader)?, count: self.reader.number()? })
        } else {
            None
        };
        let shards = self.reader.list(shard)?;
        let dropped = if flags & has::DROPPED != 0 { some(self.reader.list(dropped)?)? } else { Vec::new() };
        let mut directed = Vec::new();
        if flags & has::DIRECTED != 0 {
            let count = self.reader.number()?;
            for _ in 0..count {
                directed.push(self.directed()?);
            }
            directed = some(directed)?;
        }
        let waits =
            if flags & has::WAITS != 0 { some(self.reader.list(Reader::string)?)? } else { Vec::new() };
        let (retain, merges) = (flags & has::RETAIN != 0, flags & has::MERGES != 0);
        Ok(Publish {
            body,
            retain,
            expires_at,
            publisher_hash,
            origin,
            merges,
            shards,
            dropped,
            directed,
            waits,
        })
    }

    fn directed(&mut self) -> Result<Directed<'a>, DecodeError> {
        let client = self.reader.string()?;
        let subscription = self.reader.small("subscription")?;
        let flags = self.flags(0xf, "flags of a copy")?;
        Ok(Directed {
            client,
            subscription,
            qos: quality(flags & 3)?,
            retain: flags & 4 != 0,
            identifiers: self.reader.list(|reader| reader.small("subscription identifier"))?,
            through: match flags & 8 != 0 {
                true => Through::Retained(self.position()?),
                false => Through::Group(self.reader.string()?),
            },
        })
    }

    fn settled(&mut self) -> Result<Settled<'a>, DecodeError> {
        let (client, fate) = (self.reader.string()?, self.fate()?);
        let count = self.reader.number()?;
        let mut spans: Vec<Span> = Vec::new();
        for _ in 0..count {
            let first = match spans.last() {
                Some(before) => self.forward(before.last)?,
                None => self.position()?,
            };
            spans.push(Span { first, last: self.forward(first)? });
        }
        let count = self.reader.number()?;
        let mut copies = Vec::new();
        for _ in 0..count {
            copies.push(self.copy()?);
        }
        Ok(Settled { client, fate, spans, copies })
    }
}

/// A list that is only there when it holds anything.
fn some<T>(list: Vec<T>) -> Result<Vec<T>, DecodeError> {
    if list.is_empty() { Err(DecodeError::Value { field: "length of a list", value: 0 }) } else { Ok(list) }
}

fn flags(reader: &mut Reader<'_>, known: u8, field: &'static str) -> Result<u8, DecodeError> {
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

fn shard(reader: &mut Reader<'_>) -> Result<Shard, DecodeError> {
    let shard = reader.small::<u16>("shard")?;
    if shard < SHARDS {
        Ok(Shard(shard))
    } else {
        Err(DecodeError::Value { field: "shard", value: shard.into() })
    }
}

pub(crate) fn publisher(reader: &mut Reader<'_>) -> Result<Publisher, DecodeError> {
    Ok(Publisher { shard: shard(reader)?, birth: Position(reader.number()?) })
}

fn dropped<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, u32, DropReason), DecodeError> {
    Ok((reader.string()?, reader.small("subscription")?, drop_reason(reader.byte()?)?))
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
    let flags = flags(reader, will_has::RETAIN | will_has::EXPIRY, "flags of a will")?;
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
