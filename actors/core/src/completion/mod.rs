//! What has to be done before an answer may leave: conditions that somebody opens, works on wherever it is, and closes.
//!
//! Packets that are answered together share one [`Completion`], which counts for each of them what is open: the publishes
//! of a batch, or one PUBREL, SUBSCRIBE or UNSUBSCRIBE. Whoever answers looks whether something is; if so, the answer
//! waits in its line ([`Pending`]), and the last condition to be closed wakes its network connection.
//! Invariant: a condition that is given up counts as failed, never as done.

mod opened;
mod pending;
#[cfg(test)]
mod tests;

pub use opened::Opened;
pub use pending::Pending;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use parking_lot::Mutex;

/// Set in the count of a packet of which a condition has failed.
const FAILED: u32 = 1 << 31;
/// No packet is awaited.
const NONE: usize = usize::MAX;

/// How far what an answer waits for is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Something is still to be done.
    Open,
    /// All of it is done.
    Done,
    /// Something could not be done, and never will be.
    Failed,
}

#[derive(Debug)]
struct Shared {
    /// For each packet, how many conditions are open.
    open: Box<[AtomicU32]>,
    /// The packet whose answer is the next to leave.
    awaited: AtomicUsize,
    /// Who sends it.
    home: Mutex<Option<Waker>>,
}

impl Shared {
    fn state(&self, packet: usize) -> State {
        match self.open[packet].load(Ordering::SeqCst) {
            0 => State::Done,
            open if open & FAILED != 0 => State::Failed,
            _ => State::Open,
        }
    }

    fn close(&self, packet: usize, failed: bool) {
        let open = &self.open[packet];
        if failed {
            open.fetch_or(FAILED, Ordering::SeqCst);
        }
        let is_last = open.fetch_sub(1, Ordering::SeqCst) == 1;
        if (failed || is_last)
            && self.awaited.load(Ordering::SeqCst) == packet
            && let Some(home) = self.home.lock().take()
        {
            home.wake();
        }
    }
}

/// What is open for the packets that are answered together.
#[derive(Debug, Clone)]
pub struct Completion(Arc<Shared>);

impl Completion {
    fn new(packets: usize) -> Self {
        Self(Arc::new(Shared {
            open: (0..packets).map(|_| AtomicU32::new(0)).collect(),
            awaited: AtomicUsize::new(NONE),
            home: Mutex::default(),
        }))
    }

    /// What the answer to one of its packets waits for.
    pub fn of(&self, packet: usize) -> Awaited {
        Awaited { shared: Arc::clone(&self.0), packet }
    }

    fn open(&self, packet: usize) -> Condition {
        self.0.open[packet].fetch_add(1, Ordering::SeqCst);
        Condition { shared: Arc::clone(&self.0), packet, is_done: false }
    }
}

/// Something that has to be done before a packet is answered. Dropped without being [`done`](Self::done), it has failed:
/// then the packet is never answered, and its client's network connection is closed, so that it sends again.
#[derive(Debug)]
pub struct Condition {
    shared: Arc<Shared>,
    packet: usize,
    is_done: bool,
}

impl Condition {
    /// It is done.
    pub fn done(mut self) {
        self.is_done = true;
    }

    /// Which of the packets that are answered together it is for: the item of a batch, otherwise 0.
    pub fn packet(&self) -> usize {
        self.packet
    }
}

/// Another one for the same packet: what is handed on in parts is done when all of those are.
impl Clone for Condition {
    fn clone(&self) -> Self {
        Completion(Arc::clone(&self.shared)).open(self.packet)
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        self.shared.close(self.packet, !self.is_done);
    }
}

/// What the answer to one packet waits for.
#[derive(Debug, Clone)]
pub struct Awaited {
    shared: Arc<Shared>,
    packet: usize,
}

impl Awaited {
    /// How far it is.
    pub fn state(&self) -> State {
        self.shared.state(self.packet)
    }

    /// How far it is; as long as something is open, `home` is woken once when that changes. Of the packets that are
    /// answered together one is waited for at a time, and by one who waits: the latest.
    pub fn state_or_wake(&self, home: &Waker) -> State {
        if self.state() == State::Open {
            *self.shared.home.lock() = Some(home.clone());
            self.shared.awaited.store(self.packet, Ordering::SeqCst);
        }
        // It may have been closed between the first look and the note; then nobody else would wake.
        self.state()
    }
}

/// Where conditions of packets that are answered together are opened. As long as none was, it holds nothing.
#[derive(Debug, Default)]
pub struct Conditions {
    completion: OnceLock<Completion>,
}

impl Conditions {
    /// What is open; none if nothing ever was.
    #[inline]
    pub fn completion(&self) -> Option<&Completion> {
        self.completion.get()
    }

    /// Opens a condition for one of so many packets.
    ///
    /// # Panics
    /// When there is no such packet.
    pub fn open(&self, packet: usize, packets: usize) -> Condition {
        self.completion.get_or_init(|| Completion::new(packets)).open(packet)
    }

    /// What the answer to a packet waits for; none if nothing.
    pub fn of(&self, packet: usize) -> Option<Awaited> {
        self.completion().map(|completion| completion.of(packet))
    }
}
