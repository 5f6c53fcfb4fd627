//! What a shard reads of a checkpoint as records need it: single parts, and of all that one session has only when that ends.

use std::sync::Arc;

use super::KeptShard;
use super::encoding::{read_copy, read_part, read_places, read_retained, read_session, read_subscription};
use super::key::{Key, before_client, behind_client};
use super::stored::LoadError;
use crate::homes::{Homes, Shard};
use crate::records::{CopyId, DecodeError, Position, Publisher, Reader};

/// The parts that a checkpoint has of a shard. Where one cannot be read there is none, and whoever gave them knows of it.
pub trait Parts {
    /// Whether there are none, since the shard holds all that is kept.
    const HOLDS_ALL: bool = false;

    /// One of them.
    fn part(&self, shard: Shard, key: &[u8]) -> Option<Vec<u8>>;

    /// Those between two keys, in order, with theirs.
    fn between(&self, shard: Shard, before: &[u8], behind: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// None: all is held.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllHeld;

impl Parts for AllHeld {
    const HOLDS_ALL: bool = true;

    fn part(&self, _: Shard, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn between(&self, _: Shard, _: &[u8], _: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }
}

impl<P: Parts> KeptShard<P> {
    /// The shard as a checkpoint has it, of which nothing is read yet but the position applied.
    pub fn over(shard: Shard, homes: Homes, parts: P) -> Self {
        let mut over = Self::with(shard, homes, parts);
        let applied = over.read(|| Key::Applied, |reader| reader.number().map(Position));
        over.applied = applied.unwrap_or_default();
        over
    }

    /// Why a part that was needed could not be understood: then what it made of the records is not to be kept.
    pub fn failure(&self) -> Option<&LoadError> {
        self.failure.as_ref()
    }

    /// A part that is not held. What changed since the last checkpoint is held, or is not there.
    fn read<T>(
        &mut self,
        key: impl FnOnce() -> Key,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Option<T> {
        if P::HOLDS_ALL {
            return None;
        }
        let key = key();
        if self.changed.has(&key) {
            return None;
        }
        let part = self.parts.part(self.shard, &key.encode())?;
        match read_part(&part, read) {
            Ok(part) => Some(part),
            Err(error) => {
                self.failure.get_or_insert(error.into());
                None
            }
        }
    }

    /// Where the session of a client is.
    pub(super) fn find(&mut self, client: &str) -> Option<usize> {
        if let Some(index) = self.names.get(client) {
            return Some(*index);
        }
        let session = self.read(|| Key::Session(client.into()), read_session)?;
        Some(self.hold(client.into(), session))
    }

    /// All that a session has.
    pub(super) fn hold_rest(&mut self, index: usize) {
        if P::HOLDS_ALL {
            return;
        }
        let (client, session) = &mut self.sessions[index];
        let all = self.parts.between(self.shard, &before_client(client), &behind_client(client));
        for (key, part) in all {
            let read = Key::decode(&key).and_then(|key| match key {
                _ if self.changed.has(&key) => Ok(()),
                Key::Subscription(_, filter) => {
                    read_part(&part, read_subscription).map(|it| _ = session.subscriptions.insert(filter, it))
                }
                Key::Copy(_, id) => read_part(&part, read_copy).map(|it| _ = session.copies.insert(id, it)),
                _ => Ok(()),
            });
            if let Err(error) = read {
                self.failure.get_or_insert(error.into());
            }
        }
    }

    pub(super) fn hold_subscription(&mut self, index: usize, filter: &str) {
        let (client, session) = &self.sessions[index];
        if P::HOLDS_ALL || session.subscriptions.contains_key(filter) {
            return;
        }
        let (client, filter) = (Arc::clone(client), Arc::<str>::from(filter));
        let key = || Key::Subscription(client, Arc::clone(&filter));
        if let Some(subscription) = self.read(key, read_subscription) {
            self.sessions[index].1.subscriptions.insert(filter, subscription);
        }
    }

    pub(super) fn hold_copy(&mut self, index: usize, id: &CopyId) {
        let (client, session) = &self.sessions[index];
        if P::HOLDS_ALL || session.copies.contains_key(id) {
            return;
        }
        let client = Arc::clone(client);
        if let Some(copy) = self.read(|| Key::Copy(client, *id), read_copy) {
            self.sessions[index].1.copies.insert(*id, copy);
        }
    }

    /// In how many places a message waits; none: it does not.
    pub(super) fn places_of(&mut self, position: Position) -> Option<u64> {
        if let Some(places) = self.places.get(&position) {
            return Some(*places);
        }
        if P::HOLDS_ALL || self.changed.has(&Key::Message(position)) {
            return None;
        }
        Some(self.read(|| Key::Places(position), read_places).unwrap_or(1))
    }

    pub(super) fn hold_waiting(&mut self, group: &str, message: Position) {
        if P::HOLDS_ALL || self.groups.get(group).is_some_and(|waiting| waiting.contains(&message)) {
            return;
        }
        if self.read(|| Key::Waiting(group.into(), message), |_| Ok(())).is_some() {
            self.groups.entry(group.into()).or_default().insert(message);
        }
    }

    pub(super) fn hold_retained(&mut self, topic: &str) {
        if P::HOLDS_ALL || self.retained.contains_key(topic) {
            return;
        }
        if let Some(retained) = self.read(|| Key::Retained(topic.into()), read_retained) {
            self.retained.insert(topic.into(), retained);
        }
    }

    pub(super) fn hold_seen(&mut self, publisher: Publisher) {
        if P::HOLDS_ALL || self.seen.contains_key(&publisher) {
            return;
        }
        if let Some(count) = self.read(|| Key::Seen(publisher), |reader| reader.number()) {
            self.seen.insert(publisher, Position(count));
        }
    }
}
