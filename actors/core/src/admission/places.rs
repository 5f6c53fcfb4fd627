//! The places of sessions on a node, and of their names: `sessions_max` and `names_bytes_max`, whatever worker they have
//! their home at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Refused;
use crate::settings::SessionSettings;

/// All of a node's.
#[derive(Debug)]
pub struct SessionPlaces {
    held: AtomicUsize,
    max: usize,
    /// Bytes of the names of sessions, and of those of clients that are being taken in.
    names_bytes: AtomicUsize,
    names_bytes_max: usize,
}

impl SessionPlaces {
    /// So many as these allow, all vacant.
    pub fn new(settings: &SessionSettings) -> Self {
        Self {
            held: AtomicUsize::new(0),
            max: settings.sessions_max,
            names_bytes: AtomicUsize::new(0),
            names_bytes_max: settings.names_bytes_max,
        }
    }

    /// How many are taken.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Bytes of the names that have a place.
    pub fn names_bytes(&self) -> usize {
        self.names_bytes.load(Relaxed)
    }

    /// Takes a place for a session with names of so many bytes. There is one for a client that has a session, whose names
    /// have `known` bytes, since that ends or goes on; its names may not grow beyond what there is.
    ///
    /// # Errors
    /// Which of the limits has no room.
    pub fn take(self: &Arc<Self>, known: Option<usize>, names: usize) -> Result<SessionPlace, Refused> {
        let may = |held| (held < self.max || known.is_some()).then_some(held + 1);
        self.held.fetch_update(Relaxed, Relaxed, may).map_err(|_| Refused::SessionsFull)?;
        let names_bytes = names.saturating_sub(known.unwrap_or(0));
        let all = self.names_bytes.fetch_add(names_bytes, Relaxed) + names_bytes;
        // Given back when it is dropped.
        let place = SessionPlace { places: Arc::clone(self), is_kept: false, names_bytes };
        if names_bytes > 0 && all > self.names_bytes_max { Err(Refused::NamesFull) } else { Ok(place) }
    }

    /// The names of a session change, or it begins and had none before.
    pub fn rename(&self, before: usize, now: usize) {
        self.names_bytes.fetch_add(now, Relaxed);
        self.names_bytes.fetch_sub(before, Relaxed);
    }

    /// A session ends that had kept its place, and has names of so many bytes.
    pub fn leave(&self, names: usize) {
        self.held.fetch_sub(1, Relaxed);
        self.names_bytes.fetch_sub(names, Relaxed);
    }
}

/// One of them, until a session keeps it or it is not needed.
#[derive(Debug)]
pub struct SessionPlace {
    places: Arc<SessionPlaces>,
    is_kept: bool,
    /// By how much the names are longer than those of the session that goes on, if one does.
    names_bytes: usize,
}

impl SessionPlace {
    /// A session has it, with its names ([`SessionPlaces::rename`]), and gives it back when it ends
    /// ([`SessionPlaces::leave`]).
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        self.places.names_bytes.fetch_sub(self.names_bytes, Relaxed);
        if !self.is_kept {
            self.places.held.fetch_sub(1, Relaxed);
        }
    }
}
