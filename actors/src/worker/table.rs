//! The sessions of one worker, by key and by client identifier.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use mqtt_codec::ProtocolVersion;
use slab::Slab;

use crate::sessions::{Session, SessionKey};

/// See the module.
#[derive(Debug)]
pub struct SessionTable {
    worker: u16,
    generation: u16,
    slots: Slab<Session>,
    by_client: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl SessionTable {
    /// An empty table of this worker.
    pub fn new(worker: u16) -> Self {
        Self {
            worker,
            generation: 0,
            slots: Slab::new(),
            by_client: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Sessions held.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no session is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether a session still exists.
    pub fn contains(&self, key: SessionKey) -> bool {
        self.get(key).is_some()
    }

    /// A session by its key; none if it is gone.
    #[inline]
    pub fn get(&self, key: SessionKey) -> Option<&Session> {
        self.slots.get(key.index as usize).filter(|session| session.key == key)
    }

    /// A session by its key; none if it is gone.
    #[inline]
    pub fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.slots.get_mut(key.index as usize).filter(|session| session.key == key)
    }

    /// The session of a client identifier.
    pub fn find(&self, client_identifier: &str) -> Option<SessionKey> {
        let hash = self.hasher.hash_one(client_identifier);
        let same = |index: &u32| &*self.slots[*index as usize].client_identifier == client_identifier;
        self.by_client.find(hash, same).map(|index| self.slots[*index as usize].key)
    }

    /// A new session; the client identifier must not have one.
    pub fn create(&mut self, client_identifier: &str, version: ProtocolVersion) -> &mut Session {
        debug_assert!(self.find(client_identifier).is_none());
        self.generation = self.generation.wrapping_add(1);
        let place = self.slots.vacant_entry();
        let index = place.key() as u32;
        let key = SessionKey { index, generation: self.generation, worker: self.worker };
        place.insert(Session::new(key, client_identifier.into(), version));
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |index: &u32| hasher.hash_one(&*slots[*index as usize].client_identifier);
        self.by_client.insert_unique(hasher.hash_one(client_identifier), index, rehash);
        &mut self.slots[index as usize]
    }

    /// Ends a session.
    pub fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let hash = self.hasher.hash_one(&*self.get(key)?.client_identifier);
        if let Ok(entry) = self.by_client.find_entry(hash, |index| *index == key.index) {
            entry.remove();
        }
        self.slots.try_remove(key.index as usize)
    }

    /// Client identifiers that a session is found by.
    #[cfg(feature = "simulation")]
    pub(crate) fn names(&self) -> usize {
        self.by_client.len()
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().map(|(_, session)| session)
    }

    /// The keys of all sessions.
    pub fn keys(&self) -> Vec<SessionKey> {
        self.iter().map(|session| session.key).collect()
    }
}
