//! The limit on messages that are on their way to an actor: at it, the publishers are not read until there is room, so
//! that nothing which was accepted has to be dropped, and no mailbox does the work of a buffer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use crate::settings::WorkerSettings;

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Messages.
    pub messages: usize,
    /// Bytes of topic names, properties and payloads.
    pub bytes: usize,
}

/// Who is woken at a time when there is room again: those behind would find it taken.
const WAKES_AT_A_TIME: usize = 256;

/// Who waits for room, each once, in order. Who was woken and found the room taken again comes before all who came later.
#[derive(Debug, Default)]
struct Blocked {
    /// By the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    came: u64,
    /// The tasks of those, by their address, which is theirs as long as their waker is held.
    tasks: HashSet<usize>,
    /// When those came who were woken last.
    woken: HashMap<usize, u64>,
}

impl Blocked {
    fn add(&mut self, waker: &Waker) {
        let task = waker.data() as usize;
        if self.tasks.insert(task) {
            let came = self.woken.remove(&task).unwrap_or_else(|| {
                self.came += 1;
                self.came
            });
            self.waiting.insert(came, waker.clone());
        }
    }

    fn take(&mut self, count: usize) -> Vec<Waker> {
        self.woken.clear();
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some((came, waker)) = self.waiting.pop_first()
        {
            self.tasks.remove(&(waker.data() as usize));
            if taken.len() < WAKES_AT_A_TIME {
                self.woken.insert(waker.data() as usize, came);
            }
            taken.push(waker);
        }
        taken
    }
}

/// See the module.
#[derive(Debug)]
pub struct Inbound {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    limit: Weight,
    /// Connections that wait for room; only taken when there was none.
    blocked: Mutex<Blocked>,
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
    pub fn held(&self) -> (usize, usize) {
        (self.messages.load(Ordering::SeqCst), self.bytes.load(Ordering::SeqCst))
    }

    #[inline]
    fn is_below(&self, limit: Weight) -> bool {
        self.messages.load(Ordering::SeqCst) < limit.messages
            && self.bytes.load(Ordering::SeqCst) < limit.bytes
    }

    /// Whether there is no room.
    #[inline]
    pub fn is_full(&self) -> bool {
        !self.is_below(self.limit)
    }

    /// Whether there is room; if not, `waker` is called when there is. One batch may overshoot the limit.
    #[inline]
    pub fn has_room_or_wake(&self, waker: &Waker) -> bool {
        if self.is_below(self.limit) {
            return true;
        }
        {
            let mut blocked = self.blocked.lock();
            blocked.add(waker);
            self.any_blocked.store(blocked.waiting.len(), Ordering::SeqCst);
        }
        // Room may have come between the first look and the note; then nobody else would call.
        self.is_below(self.limit)
    }

    /// Messages set out. They take their room until what this returns is dropped.
    #[inline]
    pub fn enter(self: &Arc<Self>, weight: Weight) -> Room {
        self.messages.fetch_add(weight.messages, Ordering::SeqCst);
        self.bytes.fetch_add(weight.bytes, Ordering::SeqCst);
        Room { inbound: Arc::clone(self), weight }
    }

    #[inline]
    fn leave(&self, weight: Weight) {
        let messages = self.messages.fetch_sub(weight.messages, Ordering::SeqCst);
        let bytes = self.bytes.fetch_sub(weight.bytes, Ordering::SeqCst);
        debug_assert!(messages >= weight.messages && bytes >= weight.bytes, "more left than entered");
        if self.any_blocked.load(Ordering::SeqCst) == 0 {
            return;
        }
        let half = Weight { messages: self.limit.messages / 2 + 1, bytes: self.limit.bytes / 2 + 1 };
        if self.messages.load(Ordering::SeqCst) == 0 {
            // Nothing is on its way that would wake the others.
            self.wake(usize::MAX);
        } else if self.is_below(half) {
            self.wake(WAKES_AT_A_TIME);
        }
    }

    fn wake(&self, count: usize) {
        let woken = {
            let mut blocked = self.blocked.lock();
            let woken = blocked.take(count);
            self.any_blocked.store(blocked.waiting.len(), Ordering::SeqCst);
            woken
        };
        for waker in woken {
            waker.wake();
        }
    }
}

/// What messages take of an [`Inbound`]. It goes with them, and is free again when it is dropped: when they are dealt
/// with, and as well when the actor that should have done so is gone, or was gone before they were sent.
#[derive(Debug)]
pub struct Room {
    inbound: Arc<Inbound>,
    weight: Weight,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.inbound.leave(self.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Woken(Mutex<Vec<usize>>);

    struct Task(usize, Arc<Woken>);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.1.0.lock().push(self.0);
        }
    }

    /// 20,000 publishers find no room, some again and again: each is noted once, and they are woken in order, a part of
    /// them at a time, and all when nothing is left on its way.
    #[test]
    fn very_many_who_wait() {
        const TASKS: usize = 20_000;
        let settings = WorkerSettings { messages_between_workers_max: 10, ..WorkerSettings::default() };
        let (inbound, woken) = (Arc::new(Inbound::new(&settings)), Arc::new(Woken(Mutex::default())));
        let one = Weight { messages: 1, bytes: 1 };
        let mut rooms: Vec<Room> = (0..10).map(|_| inbound.enter(one)).collect();
        let wakers: Vec<Waker> =
            (0..TASKS).map(|number| Waker::from(Arc::new(Task(number, Arc::clone(&woken))))).collect();
        for waker in wakers.iter().chain(wakers.iter().rev()) {
            assert!(!inbound.has_room_or_wake(waker));
        }
        rooms.truncate(6);
        assert!(woken.0.lock().is_empty(), "more than half is taken");
        rooms.truncate(5);
        assert_eq!(*woken.0.lock(), (0..WAKES_AT_A_TIME).collect::<Vec<_>>());
        // One of those finds the room taken again: it is the first next time.
        assert!(inbound.has_room_or_wake(&wakers[7]));
        rooms.extend((0..5).map(|_| inbound.enter(one)));
        assert!(!inbound.has_room_or_wake(&wakers[7]));
        rooms.truncate(5);
        assert_eq!(woken.0.lock()[WAKES_AT_A_TIME..][..2], [7, WAKES_AT_A_TIME]);
        rooms.clear();
        let mut all = woken.0.lock().clone();
        all.remove(WAKES_AT_A_TIME);
        assert_eq!(all, (0..TASKS).collect::<Vec<_>>());
    }
}
