//! The sessions of one worker, by key and by client identifier.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use mqtt_codec::ProtocolVersion;

use super::state::Session;
use crate::ids::SessionKey;

/// See the module.
#[derive(Debug)]
pub struct SessionTable {
    worker: u16,
    generation: u16,
    slots: Vec<Option<Session>>,
    vacant: Vec<u32>,
    by_client: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl SessionTable {
    /// An empty table of this worker.
    pub fn new(worker: u16) -> Self {
        Self {
            worker,
            generation: 0,
            slots: Vec::new(),
            vacant: Vec::new(),
            by_client: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Sessions held.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// Whether no session is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a session still exists.
    pub fn contains(&self, key: SessionKey) -> bool {
        self.get(key).is_some()
    }

    /// A session by its key; none if it is gone.
    #[inline]
    pub fn get(&self, key: SessionKey) -> Option<&Session> {
        self.slots.get(key.index as usize)?.as_ref().filter(|session| session.key == key)
    }

    /// A session by its key; none if it is gone.
    #[inline]
    pub fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.slots.get_mut(key.index as usize)?.as_mut().filter(|session| session.key == key)
    }

    /// The session of a client identifier.
    pub fn find(&self, client_identifier: &str) -> Option<SessionKey> {
        let hash = self.hasher.hash_one(client_identifier);
        let same = |index: &u32| name_of(&self.slots, *index) == client_identifier;
        let index = self.by_client.find(hash, same)?;
        self.slots[*index as usize].as_ref().map(|session| session.key)
    }

    /// A new session; the client identifier must not have one.
    pub fn create(&mut self, client_identifier: &str, version: ProtocolVersion) -> &mut Session {
        debug_assert!(self.find(client_identifier).is_none());
        self.generation = self.generation.wrapping_add(1);
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        let key = SessionKey { index, generation: self.generation, worker: self.worker };
        let slots = &self.slots;
        let rehash = |index: &u32| self.hasher.hash_one(name_of(slots, *index));
        self.by_client.insert_unique(self.hasher.hash_one(client_identifier), index, rehash);
        self.slots[index as usize].insert(Session::new(key, client_identifier, version))
    }

    /// Ends a session.
    pub fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let hash = self.hasher.hash_one(self.get(key)?.client_identifier());
        if let Ok(entry) = self.by_client.find_entry(hash, |index| *index == key.index) {
            entry.remove();
        }
        self.vacant.push(key.index);
        self.slots[key.index as usize].take()
    }

    /// Client identifiers that a session is found by.
    #[cfg(feature = "simulation")]
    pub fn names(&self) -> usize {
        self.by_client.len()
    }

    /// Places for sessions, vacant ones included.
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// The sessions in so many places.
    pub fn in_places(&mut self, from: usize, count: usize) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().skip(from).take(count).flatten()
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flatten()
    }

    /// The keys of all sessions.
    pub fn keys(&self) -> Vec<SessionKey> {
        self.iter().map(|session| session.key).collect()
    }
}

fn name_of(slots: &[Option<Session>], index: u32) -> &str {
    slots[index as usize].as_ref().map_or("", Session::client_identifier)
}
