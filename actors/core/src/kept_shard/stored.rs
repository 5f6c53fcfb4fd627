//! A shard in a checkpoint: each part by itself, under a key whose order is the one in which parts are loaded. The parts of
//! one session stand side by side, so that it can be loaded without the others as long as no message waits for it.

use std::sync::Arc;

use super::KeptShard;
use super::changed_parts::Changed;
use super::encoding::{
    read_copy, read_message, read_part, read_places, read_retained, read_session, read_subscription,
    write_copy, write_message, write_retained, write_session, write_subscription,
};
use super::key::Key;
use super::message::{KeptMessage, KeptRetained};
use super::parts::Parts;
use super::session::{KeptCopy, KeptSession};
use crate::homes::{Homes, Shard};
use crate::records::{DecodeError, Position, Publisher, RECORD_VERSION, Reader, Writer};

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

impl<P: Parts> KeptShard<P> {
    /// What is other than it was when this was asked last, for a checkpoint that has all that was answered before. What
    /// came and went meanwhile is not among it. In the order of the keys.
    pub fn take_changes(&mut self) -> Vec<Blob> {
        let changed = std::mem::take(&mut self.changed);
        let blobs = changed.0.into_iter().map(|(key, was_there)| (key.encode(), self.blob(&key), was_there));
        let mut blobs: Vec<_> = blobs
            .filter(|(_, part, was_there)| part.is_some() || *was_there)
            .map(|(key, part, _)| (key, part))
            .collect();
        blobs.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        blobs
    }

    /// No checkpoint is to have what changed until now.
    pub fn forget_changes(&mut self) {
        self.changed = Changed::default();
    }

    fn write_part(&self, key: &Key, writer: &mut Writer<'_>) -> Option<()> {
        match key {
            Key::Applied => writer.number(self.applied.0),
            Key::Session(client) => write_session(writer, self.held(client)?),
            Key::Subscription(client, filter) => {
                write_subscription(writer, self.held(client)?.subscriptions.get(filter)?);
            }
            Key::Message(position) => write_message(writer, self.messages.get(position)?),
            Key::Places(position) => writer.number(*self.places.get(position).filter(|places| **places > 1)?),
            Key::Copy(client, id) => write_copy(writer, self.held(client)?.copies.get(id)?),
            Key::Waiting(group, position) => _ = self.groups.get(group)?.get(position)?,
            Key::Retained(topic) => write_retained(writer, self.retained.get(topic)?),
            Key::Seen(publisher) => writer.number(self.seen.get(publisher)?.0),
        }
        Some(())
    }

    fn held(&self, client: &str) -> Option<&KeptSession> {
        self.names.get(client).map(|index| &self.sessions[*index].1)
    }

    pub(super) fn blob(&self, key: &Key) -> Option<Vec<u8>> {
        let mut part = vec![RECORD_VERSION];
        self.write_part(key, &mut Writer(&mut part)).map(|()| part)
    }
}

impl KeptShard {
    /// All but its sessions.
    pub fn beside_sessions(&self) -> KeptParts {
        let Self { applied, messages, places, groups, retained, seen, .. } = self;
        let several = places.iter().filter(|(_, places)| **places > 1);
        KeptParts {
            applied: *applied,
            messages: messages.iter().map(|(position, message)| (*position, message.clone())).collect(),
            places: several.map(|(position, places)| (*position, *places)).collect(),
            sessions: Vec::new(),
            waiting: groups
                .iter()
                .map(|(group, waiting)| (Arc::clone(group), waiting.iter().copied().collect()))
                .collect(),
            retained: retained
                .iter()
                .map(|(topic, retained)| (Arc::clone(topic), retained.clone()))
                .collect(),
            seen: seen.iter().map(|(publisher, count)| (*publisher, *count)).collect(),
        }
    }

    /// A shard out of the parts of a checkpoint.
    ///
    /// # Errors
    /// When those do not make one.
    pub fn of_parts(shard: Shard, homes: Homes, parts: KeptParts) -> Result<Self, LoadError> {
        let mut loaded = Self::new(shard, homes);
        loaded.applied = parts.applied;
        loaded.places.extend(parts.messages.iter().map(|(position, _)| (*position, 1)));
        loaded.messages.extend(parts.messages);
        for (position, places) in parts.places {
            *loaded.places.get_mut(&position).ok_or(LoadError::Orphan)? = places;
        }
        for (client, session) in parts.sessions {
            let waits = |copy: &KeptCopy| copy.sent.is_none_or(|sent| !sent.released);
            let mut waiting = session.copies.iter().filter(|(_, copy)| waits(copy));
            if waiting.any(|(id, _)| !loaded.messages.contains_key(&id.message)) {
                return Err(LoadError::Orphan);
            }
            loaded.hold(client, session);
        }
        for (group, positions) in parts.waiting {
            if !positions.iter().all(|position| loaded.messages.contains_key(position)) {
                return Err(LoadError::Orphan);
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
    /// In how many places they do, where these are more than one.
    pub places: Vec<(Position, u64)>,
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
            let key = Key::decode(key)?;
            read_part(part, |reader| all.read_one(key, reader))?;
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

    fn read_one(&mut self, key: Key, reader: &mut Reader<'_>) -> Result<(), LoadError> {
        match key {
            Key::Applied => self.applied = Position(reader.number()?),
            Key::Message(position) => self.messages.push((position, read_message(reader)?)),
            Key::Places(position) => self.places.push((position, read_places(reader)?)),
            Key::Session(client) => self.sessions.push((client, read_session(reader)?)),
            Key::Subscription(client, filter) => {
                let subscriptions = &mut self.last_session(&client)?.subscriptions;
                subscriptions.insert(filter, read_subscription(reader)?);
            }
            Key::Copy(client, id) => _ = self.last_session(&client)?.copies.insert(id, read_copy(reader)?),
            Key::Waiting(group, position) => match self.waiting.last_mut() {
                Some((last, positions)) if *last == group => positions.push(position),
                _ => self.waiting.push((group, vec![position])),
            },
            Key::Retained(topic) => self.retained.push((topic, read_retained(reader)?)),
            Key::Seen(publisher) => self.seen.push((publisher, Position(reader.number()?))),
        }
        Ok(())
    }
}
