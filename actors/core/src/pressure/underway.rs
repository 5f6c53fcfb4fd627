//! What one client may have on its way: a part of what all may have together ([`Inbound`](super::Inbound)), so that one
//! whose messages are slow to route does not take the room of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use super::inbound::Weight;
use crate::settings::WorkerSettings;

/// One client has one in so many of all.
const SHARES: usize = 8;

#[derive(Debug)]
struct Shared {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    limit: Weight,
    is_blocked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Shared {
    #[inline]
    fn has_room(&self) -> bool {
        self.messages.load(Ordering::SeqCst) < self.limit.messages
            && self.bytes.load(Ordering::SeqCst) < self.limit.bytes
    }
}

/// A client's side of it.
#[derive(Debug)]
pub struct Underway(Arc<Shared>);

/// A batch on its way, until the last worker is done with it.
#[derive(Debug)]
pub struct Passage {
    shared: Arc<Shared>,
    weight: Weight,
}

impl Underway {
    /// Nothing yet.
    pub fn new(settings: &WorkerSettings) -> Self {
        let share = |all: usize| (all / SHARES).max(1);
        Self(Arc::new(Shared {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            limit: Weight {
                messages: share(settings.messages_between_workers_max),
                bytes: share(settings.bytes_between_workers_max),
            },
            is_blocked: AtomicBool::new(false),
            waker: Mutex::default(),
        }))
    }

    /// Whether nothing is on its way.
    #[inline]
    pub fn is_nothing(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether another batch may set out; if not, `waker` is called when it may. One batch may overshoot.
    #[inline]
    pub fn has_room_or_wake(&self, waker: &Waker) -> bool {
        if self.0.has_room() {
            return true;
        }
        *self.0.waker.lock() = Some(waker.clone());
        self.0.is_blocked.store(true, Ordering::SeqCst);
        // Room may have come between the first look and the note; then nobody else would call.
        self.0.has_room()
    }

    /// A batch sets out.
    #[inline]
    pub fn enter(&self, weight: Weight) -> Passage {
        self.0.messages.fetch_add(weight.messages, Ordering::SeqCst);
        self.0.bytes.fetch_add(weight.bytes, Ordering::SeqCst);
        Passage { shared: Arc::clone(&self.0), weight }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.shared.messages.fetch_sub(self.weight.messages, Ordering::SeqCst);
        self.shared.bytes.fetch_sub(self.weight.bytes, Ordering::SeqCst);
        if self.shared.is_blocked.load(Ordering::SeqCst)
            && self.shared.has_room()
            && self.shared.is_blocked.swap(false, Ordering::SeqCst)
            && let Some(waker) = self.shared.waker.lock().take()
        {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_client_has_its_share_and_is_woken_when_there_is_room_again() {
        let settings = WorkerSettings { messages_between_workers_max: 80, ..WorkerSettings::default() };
        let (underway, woken) = (Underway::new(&settings), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(underway.is_nothing());
        let first = underway.enter(Weight { messages: 6, bytes: 1 });
        assert!(underway.has_room_or_wake(&waker));
        let second = underway.enter(Weight { messages: 6, bytes: 1 });
        assert!(!underway.has_room_or_wake(&waker));
        drop(first);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(underway.has_room_or_wake(&waker) && !underway.is_nothing());
        drop(second);
        assert!(underway.is_nothing());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }
}
