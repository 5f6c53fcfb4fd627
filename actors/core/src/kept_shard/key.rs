//! The keys of the parts of a shard in a checkpoint. Their order is the one in which parts are loaded, and the parts of one
//! client stand side by side.

use std::sync::Arc;

use crate::records::{CopyId, DecodeError, Position, Publisher, Reader};

/// A part of a shard that a checkpoint has by itself, in the order in which it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Applied,
    Message(Position),
    /// Of a message that waits in more than one place.
    Places(Position),
    Session(Arc<str>),
    Subscription(Arc<str>, Arc<str>),
    Copy(Arc<str>, CopyId),
    Waiting(Arc<str>, Position),
    Retained(Arc<str>),
    Seen(Publisher),
}

const APPLIED: u8 = 1;
const MESSAGE: u8 = 2;
const PLACES: u8 = 3;
const CLIENT: u8 = 4;
const WAITING: u8 = 5;
const RETAINED: u8 = 6;
const SEEN: u8 = 7;

/// The parts of a client.
const SESSION: u8 = 0;
const SUBSCRIPTION: u8 = 1;
const COPY: u8 = 2;
const BEHIND: u8 = u8::MAX;

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
    pub(super) fn encode(&self) -> Vec<u8> {
        let of_client = |client: &str, part: u8| {
            let mut key = begin(CLIENT, client);
            key.push(part);
            key
        };
        match self {
            Self::Applied => vec![APPLIED],
            Self::Message(position) => [&[MESSAGE], position.0.to_be_bytes().as_slice()].concat(),
            Self::Places(position) => [&[PLACES], position.0.to_be_bytes().as_slice()].concat(),
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

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let kind = reader.byte()?;
        let key = match kind {
            APPLIED => Self::Applied,
            MESSAGE => Self::Message(position(&mut reader)?),
            PLACES => Self::Places(position(&mut reader)?),
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
