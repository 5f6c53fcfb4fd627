//! The limit on messages that are on their way to an actor: at it, the publishers are not read until there is room, so
//! that nothing which was accepted has to be dropped, and no mailbox does the work of a buffer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use crate::settings::WorkerSettings;

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Messages.
    pub messages: usize,
    /// Bytes of topic names, properties and payloads.
    pub bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Inbound {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    limit: Weight,
    /// Connections that wait for room; only taken when there was none.
    blocked: Mutex<Vec<Waker>>,
    any_blocked: AtomicUsize,
}

impl Inbound {
    /// With the room that the settings give it.
    pub fn new(settings: &WorkerSettings) -> Self {
        Self {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            limit: Weight {
                messages: settings.messages_between_workers_max,
                bytes: settings.bytes_between_workers_max,
            },
            blocked: Mutex::default(),
            any_blocked: AtomicUsize::new(0),
        }
    }

    /// Messages on their way.
    pub fn waiting(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }

    /// Messages and bytes on their way.
    #[cfg(feature = "simulation")]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.messages.load(Ordering::SeqCst), self.bytes.load(Ordering::SeqCst))
    }

    fn is_below(&self, limit: Weight) -> bool {
        self.messages.load(Ordering::SeqCst) < limit.messages
            && self.bytes.load(Ordering::SeqCst) < limit.bytes
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        !self.is_below(self.limit)
    }

    /// Whether there is room; if not, `waker` is called when there is. One batch may overshoot the limit.
    pub fn has_room_or_wake(&self, waker: &Waker) -> bool {
        if self.is_below(self.limit) {
            return true;
        }
        {
            let mut blocked = self.blocked.lock();
            if !blocked.iter().any(|other| other.will_wake(waker)) {
                blocked.push(waker.clone());
            }
            self.any_blocked.store(blocked.len(), Ordering::SeqCst);
        }
        // Room may have come between the first look and the note; then nobody else would call.
        self.is_below(self.limit)
    }

    /// Messages set out.
    pub fn enter(&self, weight: Weight) {
        self.messages.fetch_add(weight.messages, Ordering::SeqCst);
        self.bytes.fetch_add(weight.bytes, Ordering::SeqCst);
    }

    /// Messages arrived and were dealt with.
    pub fn leave(&self, weight: Weight) {
        // Saturating: what set out before a reset may arrive behind it.
        let less = |held: usize, gone: usize| Some(held.saturating_sub(gone));
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        let _ = self.messages.fetch_update(set, get, |held| less(held, weight.messages));
        let _ = self.bytes.fetch_update(set, get, |held| less(held, weight.bytes));
        let half = Weight { messages: self.limit.messages / 2 + 1, bytes: self.limit.bytes / 2 + 1 };
        if self.any_blocked.load(Ordering::SeqCst) > 0 && self.is_below(half) {
            self.wake_all();
        }
    }

    /// The actor that should have dealt with them is gone, and they with it.
    pub fn reset(&self) {
        self.messages.store(0, Ordering::SeqCst);
        self.bytes.store(0, Ordering::SeqCst);
        self.wake_all();
    }

    fn wake_all(&self) {
        let blocked = {
            let mut blocked = self.blocked.lock();
            self.any_blocked.store(0, Ordering::SeqCst);
            std::mem::take(&mut *blocked)
        };
        for waker in blocked {
            waker.wake();
        }
    }
}
