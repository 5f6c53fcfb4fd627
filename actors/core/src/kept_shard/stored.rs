//! A shard in a checkpoint: each part by itself, under a key whose order is the one in which parts are loaded. The parts of
//! one session stand side by side, so that it can be loaded without the others as long as no message waits for it.

use std::sync::Arc;

use mqtt_codec::{PacketIdentifier, ProtocolVersion};

use super::KeptShard;
use super::changed_parts::Changed;
use super::key::Key;
use super::message::{KeptBody, KeptMessage, KeptRetained};
use super::session::{KeptCopy, KeptReplay, KeptSession, KeptSubscription, KeptWill, SentCopy};
use crate::homes::{Homes, Shard};
use crate::records::{
    DecodeError, Position, Publisher, RECORD_VERSION, Reader, WallClock, Will, Writer, read_body, read_flags,
    read_options, read_quality, read_retained, read_will, write_body, write_retained, write_will,
};

/// A part that changed: its key, and what a checkpoint is to have there; none: nothing.
pub type Blob = (Vec<u8>, Option<Vec<u8>>);

/// Why a checkpoint does not hold a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A part is not one.
    #[error("a part of the checkpoint cannot be read")]
    Part(#[from] DecodeError),
    /// A part belongs to one that is not there.
    #[error("a part of the checkpoint belongs to something that it does not have")]
    Orphan,
}

impl KeptShard {
    /// What is other than it was when this was asked last, for a checkpoint that has all that was answered before. What
    /// came and went meanwhile is not among it.
    pub fn take_changes(&mut self) -> Vec<Blob> {
        let changed = std::mem::take(&mut self.changed);
        let blobs = changed.0.into_iter().map(|(key, was_there)| (key.encode(), self.blob(&key), was_there));
        blobs
            .filter(|(_, part, was_there)| part.is_some() || *was_there)
            .map(|(key, part, _)| (key, part))
            .collect()
    }

    /// No checkpoint is to have what changed until now.
    pub fn forget_changes(&mut self) {
        self.changed = Changed::default();
    }

    fn write_part(&self, key: &Key, writer: &mut Writer<'_>) -> Option<()> {
        match key {
            Key::Applied => writer.number(self.applied.0),
            Key::Session(client) => write_session(writer, self.session(client)?),
            Key::Subscription(client, filter) => {
                write_subscription(writer, self.session(client)?.subscriptions.get(filter)?);
            }
            Key::Message(position) => write_message(writer, self.messages.get(position)?),
            Key::Copy(client, id) => write_copy(writer, self.session(client)?.copies.get(id)?),
            Key::Waiting(group, position) => _ = self.groups.get(group)?.get(position)?,
            Key::Retained(topic) => {
                let KeptRetained { stamp, message } = self.retained.get(topic)?;
                writer.number(*stamp);
                let message = message.as_ref().map(|(body, expires, hash)| (body.body(), *expires, *hash));
                write_retained(writer, &message);
            }
            Key::Seen(publisher) => writer.number(self.seen.get(publisher)?.0),
        }
        Some(())
    }

    pub(super) fn blob(&self, key: &Key) -> Option<Vec<u8>> {
        let mut part = vec![RECORD_VERSION];
        self.write_part(key, &mut Writer(&mut part)).map(|()| part)
    }

    /// A shard out of the parts of a checkpoint.
    ///
    /// # Errors
    /// When those do not make one.
    pub fn of_parts(shard: Shard, homes: Homes, parts: KeptParts) -> Result<Self, LoadError> {
        let mut loaded = Self::new(shard, homes);
        loaded.applied = parts.applied;
        loaded.messages.extend(parts.messages);
        for (client, session) in parts.sessions {
            for (id, copy) in &session.copies {
                if copy.sent.is_none_or(|sent| !sent.released) {
                    loaded.messages.get_mut(&id.message).ok_or(LoadError::Orphan)?.places += 1;
                }
            }
            let index = loaded.sessions.insert((Arc::clone(&client), session));
            loaded.names.insert(client, index);
        }
        for (group, positions) in parts.waiting {
            for position in &positions {
                loaded.messages.get_mut(position).ok_or(LoadError::Orphan)?.places += 1;
            }
            loaded.groups.insert(group, positions.into_iter().collect());
        }
        loaded.retained.extend(parts.retained);
        loaded.seen.extend(parts.seen);
        Ok(loaded)
    }
}

/// Parts of a shard, some of which a checkpoint has, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptParts {
    /// The position of the last record of its own log that it knows; 0 where that is not among them.
    pub applied: Position,
    /// Messages that sessions or groups wait for.
    pub messages: Vec<(Position, KeptMessage)>,
    /// Sessions, by client identifier.
    pub sessions: Vec<(Arc<str>, KeptSession)>,
    /// Which messages wait in groups, by whole filter.
    pub waiting: Vec<(Arc<str>, Vec<Position>)>,
    /// What is retained, by topic name, and what was and is not any more.
    pub retained: Vec<(Arc<str>, KeptRetained)>,
    /// The last message that was seen of each publisher.
    pub seen: Vec<(Publisher, Position)>,
}

impl KeptParts {
    /// Those of a checkpoint, or some of them, in the order of their keys.
    ///
    /// # Errors
    /// When one of them cannot be read, or belongs to a session that is not among them.
    pub fn read<'a>(parts: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Self, LoadError> {
        let mut all = Self::default();
        for (key, part) in parts {
            let mut reader = Reader(part);
            let version = reader.byte()?;
            if version != RECORD_VERSION {
                return Err(DecodeError::Version(version).into());
            }
            all.read_part(Key::decode(key)?, &mut reader)?;
            reader.end()?;
        }
        Ok(all)
    }

    /// Whether there are none, but perhaps the position applied.
    pub fn is_empty(&self) -> bool {
        *self == Self { applied: self.applied, ..Self::default() }
    }

    /// The session that was read last, if it is this one: its parts stand behind it.
    fn last_session(&mut self, client: &str) -> Result<&mut KeptSession, LoadError> {
        let last = self.sessions.last_mut().filter(|(last, _)| **last == *client);
        last.map(|(_, session)| session).ok_or(LoadError::Orphan)
    }

    fn read_part(&mut self, key: Key, reader: &mut Reader<'_>) -> Result<(), LoadError> {
        match key {
            Key::Applied => self.applied = Position(reader.number()?),
            Key::Message(position) => self.messages.push((position, read_message(reader)?)),
            Key::Session(client) => self.sessions.push((client, read_session(reader)?)),
            Key::Subscription(client, filter) => {
                let subscriptions = &mut self.last_session(&client)?.subscriptions;
                subscriptions.insert(filter, read_subscription(reader)?);
            }
            Key::Copy(client, id) => {
                let session = self.last_session(&client)?;
                let copy = read_copy(reader)?;
                if let Some(sent) = copy.sent {
                    session.inflight.insert(sent.identifier, id);
                }
                session.copies.insert(id, copy);
            }
            Key::Waiting(group, position) => match self.waiting.last_mut() {
                Some((last, positions)) if *last == group => positions.push(position),
                _ => self.waiting.push((group, vec![position])),
            },
            Key::Retained(topic) => {
                let (stamp, message) = (reader.number()?, read_retained(reader)?);
                let message = message.map(|(body, expires, hash)| (KeptBody::new(&body), expires, hash));
                self.retained.push((topic, KeptRetained { stamp, message }));
            }
            Key::Seen(publisher) => self.seen.push((publisher, Position(reader.number()?))),
        }
        Ok(())
    }
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

fn write_session(writer: &mut Writer<'_>, session: &KeptSession) {
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

fn read_session(reader: &mut Reader<'_>) -> Result<KeptSession, DecodeError> {
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
        inflight: Default::default(),
    })
}

fn write_subscription(writer: &mut Writer<'_>, subscription: &KeptSubscription) {
    let KeptSubscription { options, identifier, since, replay } = subscription;
    writer.byte(options.to_bits());
    writer.number((*identifier).into());
    writer.number(since.0);
    writer.byte(u8::from(replay.is_some()));
    if let Some(KeptReplay { after }) = replay {
        write_optional_string(writer, after.as_deref());
    }
}

fn read_subscription(reader: &mut Reader<'_>) -> Result<KeptSubscription, DecodeError> {
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

fn write_message(writer: &mut Writer<'_>, message: &KeptMessage) {
    write_body(writer, &message.body.body());
    writer.byte(u8::from(message.retain));
    write_optional(writer, message.expires_at.map(|at| at.0));
    writer.hash(message.publisher_hash);
}

fn read_message(reader: &mut Reader<'_>) -> Result<KeptMessage, DecodeError> {
    Ok(KeptMessage {
        body: KeptBody::new(&read_body(reader)?),
        retain: read_flag(reader, "RETAIN")?,
        expires_at: read_optional(reader)?.map(WallClock),
        publisher_hash: reader.hash()?,
        places: 0,
    })
}

fn write_copy(writer: &mut Writer<'_>, copy: &KeptCopy) {
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

fn read_copy(reader: &mut Reader<'_>) -> Result<KeptCopy, DecodeError> {
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
