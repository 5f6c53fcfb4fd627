//! The node's retained messages: one store behind a lock.
//!
//! A publish with RETAIN is admitted in its publisher's turn, before anything of it is routed, and has its place from then
//! on: nothing is acknowledged and then not kept, and two publishers on two threads never get the same last place. It is
//! kept as it is routed. The lock is held for one message, or for as many topic names as a piece of a search may examine.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use super::charges::{Full, RetainedLimits};
use super::store::RetainedStore;
use crate::message::{Publication, StoredMessage};
use crate::pressure::Waitlist;
use crate::settings::SessionSettings;

/// See the module.
#[derive(Debug)]
pub struct RetainedMessages {
    store: Mutex<RetainedStore>,
    len: AtomicUsize,
    room: Arc<Waitlist>,
    /// Woken when there are messages that will expire, and were none.
    awaits_expiring: Mutex<Option<Waker>>,
}

impl RetainedMessages {
    /// None, with the limits that the settings name. Who waits in `room` is called when some is made.
    pub fn new(settings: &SessionSettings, room: Arc<Waitlist>) -> Self {
        Self {
            store: Mutex::new(RetainedStore::new(RetainedLimits::of(settings))),
            len: AtomicUsize::new(0),
            room,
            awaits_expiring: Mutex::default(),
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Judges a client's publish with RETAIN, to be kept as it is routed ([`keep`](Self::keep)).
    ///
    /// # Errors
    /// The limit that has no room for it; nothing is changed then.
    pub fn admit(&self, publication: &Publication<'_>, now: Instant) -> Result<(), Full> {
        self.with_store(|store| store.admit(publication, now))
    }

    /// Keeps publishes that were admitted, each in place of what its topic name has, or, if it has no payload, removes that
    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6].
    pub fn keep(&self, messages: Vec<Arc<StoredMessage>>) {
        self.with_store(|store| messages.into_iter().for_each(|message| store.keep_admitted(message)));
    }

    /// Keeps what the node publishes for a client that cannot be told any more, or for itself. Without room it is not
    /// kept, and what it was to replace is removed: that is outdated.
    ///
    /// # Errors
    /// The limit that has no room for it.
    pub(crate) fn keep_or_remove(&self, message: Arc<StoredMessage>, now: Instant) -> Result<(), Full> {
        self.with_store(|store| {
            let kept = store.keep(Arc::clone(&message), now);
            if kept.is_err() {
                store.remove(message.topic());
            }
            kept
        })
    }

    /// Lets `act` read the store, and remove what has expired. All publishers wait meanwhile: it is to be short.
    pub fn with_store<R>(&self, act: impl FnOnce(&mut RetainedStore) -> R) -> R {
        let mut store = self.store.lock();
        let (before, had_expiring) = (store.freed(), store.has_expiring());
        let result = act(&mut store);
        let has_expiring = store.has_expiring();
        self.len.store(store.len(), Ordering::SeqCst);
        let has_freed = store.freed() != before;
        drop(store);
        if has_freed {
            self.room.room_was_made();
        }
        if has_expiring
            && !had_expiring
            && let Some(waker) = self.awaits_expiring.lock().take()
        {
            waker.wake();
        }
        result
    }

    /// Waits until there are messages that will expire; for one at a time.
    pub async fn some_expire(&self) {
        poll_fn(|task| {
            // Before the look: what comes behind it wakes.
            *self.awaits_expiring.lock() = Some(task.waker().clone());
            match self.store.lock().has_expiring() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
