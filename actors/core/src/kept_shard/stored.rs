//! A shard in a checkpoint: each part by itself, under a key whose order is the one in which parts are loaded. The parts of
//! one session stand side by side, so that it can be loaded without the others as long as no message waits for it.

use std::sync::Arc;

use mqtt_codec::{PacketIdentifier, ProtocolVersion};

use super::KeptShard;
use super::changed_parts::{Changed, Key};
use super::message::{KeptBody, KeptMessage, KeptRetained};
use super::session::{KeptCopy, KeptReplay, KeptSession, KeptSubscription, KeptWill, SentCopy};
use crate::homes::{Homes, Shard};
use crate::records::{
    CopyId, DecodeError, Position, Publisher, RECORD_VERSION, Reader, WallClock, Will, Writer, read_body,
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

const APPLIED: u8 = 1;
const MESSAGE: u8 = 2;
const CLIENT: u8 = 3;
const WAITING: u8 = 4;
const RETAINED: u8 = 5;
const SEEN: u8 = 6;

/// The parts of a client.
const SESSION: u8 = 0;
const SUBSCRIPTION: u8 = 1;
const COPY: u8 = 2;
const BEHIND: u8 = u8::MAX;

/// The key of the position applied.
pub const APPLIED_KEY: &[u8] = &[APPLIED];
/// What the keys of all clients stand behind, and nothing else that is before them.
pub const BEFORE_CLIENTS: &[u8] = &[CLIENT];

fn begin(kind: u8, name: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend((name.len() as u16).to_be_bytes());
    key.extend(name.as_bytes());
    key
}

/// What the keys of a client's parts begin with; they stand behind it.
pub fn before_client(client: &str) -> Vec<u8> {
    begin(CLIENT, client)
}

/// What stands behind all keys of a client's parts, and before those of the next one.
pub fn behind_client(client: &str) -> Vec<u8> {
    let mut key = begin(CLIENT, client);
    key.push(BEHIND);
    key
}

/// The client whose part has this key, if it is one of a client.
pub fn client_of(key: &[u8]) -> Option<&str> {
    let (kind, rest) = key.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let client = rest.get(..u16::from_be_bytes(*length).into())?;
    if *kind == CLIENT { std::str::from_utf8(client).ok() } else { None }
}

impl Key {
    fn encode(&self) -> Vec<u8> {
        let of_client = |client: &str, part: u8| {
            let mut key = begin(CLIENT, client);
            key.push(part);
            key
        };
        match self {
            Self::Applied => APPLIED_KEY.to_vec(),
            Self::Message(position) => [&[MESSAGE], position.0.to_be_bytes().as_slice()].concat(),
            Self::Session(client) => of_client(client, SESSION),
            Self::Subscription(client, filter) => {
                let mut key = of_client(client, SUBSCRIPTION);
                key.extend(filter.as_bytes());
                key
            }
            Self::Copy(client, id) => {
                let mut key = of_client(client, COPY);
                key.extend(id.message.0.to_be_bytes());
                key.extend(id.copy.to_be_bytes());
                key
            }
            Self::Waiting(group, position) => {
                let mut key = begin(WAITING, group);
                key.extend(position.0.to_be_bytes());
                key
            }
            Self::Retained(topic) => begin(RETAINED, topic),
            Self::Seen(publisher) => [&[SEEN], publisher.0.to_be_bytes().as_slice()].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let kind = reader.byte()?;
        let key = match kind {
            APPLIED => Self::Applied,
            MESSAGE => Self::Message(position(&mut reader)?),
            CLIENT => {
                let client = name(&mut reader)?;
                Self::of_client(client, &mut reader)?
            }
            WAITING => Self::Waiting(name(&mut reader)?, position(&mut reader)?),
            RETAINED => Self::Retained(name(&mut reader)?),
            SEEN => Self::Seen(Publisher(u64::from_be_bytes(fixed(&mut reader)?))),
            value => return Err(DecodeError::Value { field: "kind of a part", value: value.into() }),
        };
        reader.end()?;
        Ok(key)
    }

    fn of_client(client: Arc<str>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte()? {
            SESSION => Ok(Self::Session(client)),
            SUBSCRIPTION => {
                let filter =
                    std::str::from_utf8(std::mem::take(&mut reader.0)).map_err(|_| DecodeError::Utf8)?;
                Ok(Self::Subscription(client, filter.into()))
            }
            COPY => {
                let message = position(reader)?;
                let copy = u32::from_be_bytes(fixed(reader)?);
                Ok(Self::Copy(client, CopyId { message, copy }))
            }
            value => Err(DecodeError::Value { field: "kind of a client's part", value: value.into() }),
        }
    }
}

fn fixed<const COUNT: usize>(reader: &mut Reader<'_>) -> Result<[u8; COUNT], DecodeError> {
    Ok(reader.take(COUNT)?.try_into().expect("so many were taken"))
}

fn name(reader: &mut Reader<'_>) -> Result<Arc<str>, DecodeError> {
    let count = u16::from_be_bytes(fixed(reader)?);
    let bytes = reader.take(count.into())?;
    std::str::from_utf8(bytes).map(Arc::from).map_err(|_| DecodeError::Utf8)
}

fn position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    Ok(Position(u64::from_be_bytes(fixed(reader)?)))
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

    fn blob(&self, key: &Key) -> Option<Vec<u8>> {
        let mut part = vec![RECORD_VERSION];
        self.write_part(key, &mut Writer(&mut part)).map(|()| part)
    }

    /// A shard out of the parts of a checkpoint, in the order of their keys.
    ///
    /// # Errors
    /// When that does not hold one.
    pub fn load<'a>(
        shard: Shard,
        homes: Homes,
        parts: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, LoadError> {
        let mut loaded = Self::new(shard, homes);
        for (key, part) in parts {
            let mut reader = Reader(part);
            let version = reader.byte()?;
            if version != RECORD_VERSION {
                return Err(DecodeError::Version(version).into());
            }
            loaded.load_part(Key::decode(key)?, &mut reader)?;
            reader.end()?;
        }
        Ok(loaded)
    }

    fn load_part(&mut self, key: Key, reader: &mut Reader<'_>) -> Result<(), LoadError> {
        match key {
            Key::Applied => self.applied = Position(reader.number()?),
            Key::Session(client) => {
                let index = self.sessions.insert((Arc::clone(&client), read_session(reader)?));
                self.names.insert(client, index);
            }
            Key::Subscription(client, filter) => {
                let index = *self.names.get(&client).ok_or(LoadError::Orphan)?;
                self.sessions[index].1.subscriptions.insert(filter, read_subscription(reader)?);
            }
            Key::Message(position) => _ = self.messages.insert(position, read_message(reader)?),
            Key::Copy(client, id) => {
                let index = *self.names.get(&client).ok_or(LoadError::Orphan)?;
                let copy = read_copy(reader)?;
                let session = &mut self.sessions[index].1;
                if let Some(sent) = copy.sent {
                    session.inflight.insert(sent.identifier, id);
                }
                let waits = copy.sent.is_none_or(|sent| !sent.released);
                session.copies.insert(id, copy);
                if waits {
                    self.messages.get_mut(&id.message).ok_or(LoadError::Orphan)?.places += 1;
                }
            }
            Key::Waiting(group, position) => {
                self.messages.get_mut(&position).ok_or(LoadError::Orphan)?.places += 1;
                self.groups.entry(group).or_default().insert(position);
            }
            Key::Retained(topic) => {
                let (stamp, message) = (reader.number()?, read_retained(reader)?);
                let message = message.map(|(body, expires, hash)| (KeptBody::new(&body), expires, hash));
                self.retained.insert(topic, KeptRetained { stamp, message });
            }
            Key::Seen(publisher) => _ = self.seen.insert(publisher, Position(reader.number()?)),
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

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => Ok(Some(reader.number()?)),
        value => Err(DecodeError::Value { field: "flag of a number", value: value.into() }),
    }
}

fn write_optional_string(writer: &mut Writer<'_>, string: Option<&str>) {
    writer.byte(u8::from(string.is_some()));
    if let Some(string) = string {
        writer.string(string);
    }
}

fn read_optional_string(reader: &mut Reader<'_>) -> Result<Option<Arc<str>>, DecodeError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => Ok(Some(reader.string()?.into())),
        value => Err(DecodeError::Value { field: "flag of a string", value: value.into() }),
    }
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
        will: match reader.byte()? {
            0 => None,
            _ => {
                let Will { body, retain, delay_seconds, expiry_seconds } = read_will(reader)?;
                Some(KeptWill { body: KeptBody::new(&body), retain, delay_seconds, expiry_seconds })
            }
        },
        incoming: reader
            .list(|reader| Ok((read_identifier(reader)?, Position(reader.number()?))))?
            .into_iter()
            .collect(),
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
        replay: match reader.byte()? {
            0 => None,
            _ => Some(KeptReplay { after: read_optional_string(reader)? }),
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
        retain: reader.byte()? != 0,
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
    let flags = reader.byte()?;
    Ok(KeptCopy {
        qos: read_quality(flags & 3)?,
        retain: flags & 4 != 0,
        identifiers: reader.list(|reader| reader.small("subscription identifier"))?.into(),
        group: read_optional_string(reader)?,
        ahead_of: read_optional(reader)?.map(Position),
        sent: match reader.byte()? {
            0 => None,
            state => Some(SentCopy {
                identifier: read_identifier(reader)?,
                at: Position(reader.number()?),
                released: state == 2,
            }),
        },
    })
}
