//! The limit on messages that are on their way to a worker: at it, publishers elsewhere are not read until there is
//! room, so that nothing which was accepted has to be dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// See the module.
#[derive(Debug)]
pub struct Inbound {
    waiting: AtomicUsize,
    limit: usize,
    /// Connections of other workers that wait for room; only taken when there was none.
    blocked: Mutex<Vec<Waker>>,
    any_blocked: AtomicUsize,
}

impl Inbound {
    /// With room for `limit` messages.
    pub fn new(limit: usize) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            limit,
            blocked: Mutex::default(),
            any_blocked: AtomicUsize::new(0),
        }
    }

    /// Messages on their way.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether there is room; if not, `waker` is called when there is. One batch may overshoot the limit.
    pub fn has_room_or_wake(&self, waker: &Waker) -> bool {
        if self.waiting.load(Ordering::SeqCst) < self.limit {
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
        self.waiting.load(Ordering::SeqCst) < self.limit
    }

    /// Messages set out.
    pub fn enter(&self, messages: usize) {
        self.waiting.fetch_add(messages, Ordering::SeqCst);
    }

    /// Messages arrived and were dealt with.
    pub fn leave(&self, messages: usize) {
        let before = self.waiting.fetch_sub(messages, Ordering::SeqCst);
        debug_assert!(before >= messages);
        if self.any_blocked.load(Ordering::SeqCst) > 0 && before - messages <= self.limit / 2 {
            self.wake_all();
        }
    }

    /// The trie that should have dealt with them is gone, and they with it.
    pub fn reset(&self) {
        self.waiting.store(0, Ordering::SeqCst);
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
