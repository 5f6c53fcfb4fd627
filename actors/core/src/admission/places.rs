//! The places of sessions on a node: `sessions_max`, whatever worker they have their home at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// All of a node's.
#[derive(Debug)]
pub struct SessionPlaces {
    held: AtomicUsize,
    max: usize,
}

impl SessionPlaces {
    /// So many, all vacant.
    pub fn new(max: usize) -> Self {
        Self { held: AtomicUsize::new(0), max }
    }

    /// How many are taken.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Takes a place, if there is one; for a client that has a session there is, since that ends or goes on.
    pub fn take(self: &Arc<Self>, has_one: bool) -> Option<SessionPlace> {
        let taken =
            self.held.fetch_update(Relaxed, Relaxed, |held| (held < self.max || has_one).then_some(held + 1));
        taken.is_ok().then(|| SessionPlace(Some(Arc::clone(self))))
    }

    /// A session ends that had kept its place.
    pub fn leave(&self) {
        self.held.fetch_sub(1, Relaxed);
    }
}

/// One of them, until a session keeps it or it is not needed.
#[derive(Debug)]
pub struct SessionPlace(Option<Arc<SessionPlaces>>);

impl SessionPlace {
    /// A session has it, and gives it back when it ends ([`SessionPlaces::leave`]).
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        if let Some(places) = &self.0 {
            places.leave();
        }
    }
}
