//! What the messages that wait on a node take together: in the queues of sessions and shared groups, in flight to
//! sessions that outlive their connection, and as wills.
//!
//! The bytes of a message count once, however many sessions it waits for; each of its places counts by itself. A worker
//! counts for itself and settles with the node in larger pieces, so counting is a plain load and store. What is sent
//! without being kept is not counted.

mod full_disk;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use mqtt_codec::QoS;

use full_disk::FullDisk;

use crate::count::Counter;
use crate::message::StoredMessage;
use crate::pressure::Waitlist;

/// What a place in a queue takes, or one in flight, beside the message: as a rule less.
pub const PLACE_BYTES: usize = 128;
/// What a message takes beside its bytes: its header and its allocations.
pub const BODY_BYTES: usize = 160;
/// A worker's count differs from what the node knows by less than this.
const SETTLED_BYTES: i64 = 64 * 1024;
/// Beyond the limit one part in so many is left to what was accepted before, and to what nobody can refuse.
const RESERVE: usize = 8;

#[inline]
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// All of a node together.
#[derive(Debug)]
pub struct NodeKept {
    bytes: AtomicI64,
    full: i64,
    most: i64,
    /// From so many bytes on it is looked closer whether a publish is refused; with a full disk from the first one on.
    refuses_at: AtomicI64,
    full_disk: FullDisk,
    /// Who waits for room at a limit.
    waitlist: Arc<Waitlist>,
}

impl Default for NodeKept {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl NodeKept {
    /// Nothing yet. At `bytes_max` it is full; an eighth above nothing is kept any more.
    pub fn new(bytes_max: usize) -> Self {
        let most = bytes_max.saturating_add(bytes_max / RESERVE);
        let (full, most) = (signed(bytes_max), signed(most));
        let (bytes, refuses_at) = (AtomicI64::new(0), AtomicI64::new(full));
        Self { bytes, full, most, refuses_at, full_disk: FullDisk::default(), waitlist: Arc::default() }
    }

    /// Tells those who wait there when it is full no more.
    pub fn telling(self, waitlist: &Arc<Waitlist>) -> Self {
        Self { waitlist: Arc::clone(waitlist), ..self }
    }

    fn add(&self, bytes: i64) {
        let before = self.bytes.fetch_add(bytes, SeqCst);
        if before >= self.full && before + bytes < self.full {
            self.waitlist.room_was_made();
        }
    }

    /// Whether the limit is reached: what is published from now on is not to be kept.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes.load(Relaxed) >= self.full
    }

    /// Whether a publish of QoS 1 or 2 may have to be refused.
    #[inline]
    pub fn may_refuse(&self) -> bool {
        self.bytes.load(Relaxed) >= self.refuses_at.load(Relaxed)
    }

    /// Whether the disk has no room for a publish that would have to be kept: as a retained one, or for who is subscribed.
    pub fn has_no_disk_for(&self, topic: &str, is_retained: bool) -> bool {
        self.refuses_at.load(SeqCst) == i64::MIN && (is_retained || self.full_disk.is_any_durable(topic))
    }

    /// The disk has no room, and durable sessions are subscribed to these topic filters.
    pub fn list_durable<'a>(&self, filters: impl Iterator<Item = &'a str>) {
        self.full_disk.list(filters);
    }

    /// A worker, a bit among all, has listed what its sessions are subscribed to: once all have, publishes are refused.
    pub fn note_listed(&self, worker: u64, workers: u64) {
        if self.full_disk.note_listed(worker, workers) {
            self.refuses_at.store(i64::MIN, SeqCst);
        }
    }

    /// The disk has room: who was refused for want of it comes again.
    pub fn note_disk_room(&self) {
        if self.refuses_at.swap(self.full, SeqCst) != self.full {
            self.full_disk.end();
            self.waitlist.room_was_made();
        }
    }

    /// Bytes kept, but for what workers have not settled.
    #[inline]
    fn bytes(&self) -> i64 {
        self.bytes.load(Relaxed)
    }
}

/// One worker's part of it, which it alone writes.
#[derive(Debug, Default)]
pub struct Kept {
    node: Arc<NodeKept>,
    unsettled: AtomicI64,
    /// Messages that wait on this worker, counted where they begin and cease to: QoS 0 that is not written, QoS 1 and 2 in
    /// flight or queued, kept or not, and those in shared groups.
    pub waiting: Counter,
    /// Those of them that are the node's own.
    pub waiting_own: Counter,
}

impl Kept {
    /// Nothing yet.
    pub fn new(node: &Arc<NodeKept>) -> Self {
        Self {
            node: Arc::clone(node),
            unsettled: AtomicI64::new(0),
            waiting: Counter::default(),
            waiting_own: Counter::default(),
        }
    }

    /// A message took a place.
    pub fn enter(&self, message: &StoredMessage) {
        let body = if message.hold() { message.bytes() + BODY_BYTES } else { 0 };
        self.change(signed(body + PLACE_BYTES));
    }

    /// A message left a place.
    pub fn leave(&self, message: &StoredMessage) {
        let body = if message.release() { message.bytes() + BODY_BYTES } else { 0 };
        self.change(-signed(body + PLACE_BYTES));
    }

    /// Messages begin to wait, of the node's own if `own`.
    #[inline]
    pub fn wait_n(&self, n: u64, own: bool) {
        self.waiting.add(n);
        if own {
            self.waiting_own.add(n);
        }
    }

    /// Messages wait no longer; `own` of them are the node's own.
    #[inline]
    pub fn end_n(&self, n: u64, own: u64) {
        self.waiting.sub(n);
        if own > 0 {
            self.waiting_own.sub(own);
        }
    }

    /// Whether a message of so many bytes may take a place.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.node.bytes() + self.unsettled.load(Relaxed) + signed(bytes) <= self.node.most
    }

    /// Whether a message of so many bytes and this QoS may take a place. QoS 0, of which nothing is promised, leaves the reserve to others.
    pub fn has_room_for(&self, qos: QoS, bytes: usize) -> bool {
        (qos > QoS::AtMostOnce || !self.node.is_full()) && self.has_room(bytes)
    }

    /// What the node does not know yet.
    pub fn unsettled(&self) -> i64 {
        self.unsettled.load(Relaxed)
    }

    /// All of the node together, for what is not counted by message.
    #[inline]
    pub fn node(&self) -> &Arc<NodeKept> {
        &self.node
    }

    #[inline]
    fn change(&self, by: i64) {
        let unsettled = self.unsettled.load(Relaxed) + by;
        if unsettled.abs() < SETTLED_BYTES {
            self.unsettled.store(unsettled, Relaxed);
        } else {
            self.unsettled.store(0, Relaxed);
            self.node.add(unsettled);
        }
    }
}

/// All that is kept, by a node and its workers.
pub fn kept_bytes<'a>(node: &NodeKept, workers: impl IntoIterator<Item = &'a Kept>) -> u64 {
    let unsettled: i64 = workers.into_iter().map(Kept::unsettled).sum();
    u64::try_from(node.bytes() + unsettled).unwrap_or_default()
}

/// A piece of it that is counted as long as this lives.
#[derive(Debug)]
pub struct Share {
    node: Arc<NodeKept>,
    bytes: i64,
}

impl Share {
    /// So many bytes, if there is room for them.
    pub fn take(node: &Arc<NodeKept>, bytes: usize) -> Option<Self> {
        let bytes = signed(bytes);
        if node.bytes.fetch_add(bytes, Relaxed) + bytes > node.most {
            node.bytes.fetch_sub(bytes, Relaxed);
            return None;
        }
        Some(Self { node: Arc::clone(node), bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.node.add(-self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::publication;

    fn message(payload: &str) -> StoredMessage {
        StoredMessage::new(&publication("t", payload, QoS::AtLeastOnce))
    }

    /// The bytes of a message count once, its places each, and in the end nothing is left, whichever worker's they were.
    #[test]
    fn a_message_counts_once_and_its_places_each() {
        let node = Arc::new(NodeKept::new(1_000_000));
        let workers = [Kept::new(&node), Kept::new(&node)];
        let (message, all) = (message(&"x".repeat(999)), || kept_bytes(&node, &workers));
        for places in 1..=100 {
            workers[places % 2].enter(&message);
            assert_eq!(all(), (1000 + BODY_BYTES + places * PLACE_BYTES) as u64);
        }
        (0..100).for_each(|_| workers[0].leave(&message));
        assert_eq!(all(), 0);
    }

    #[test]
    fn at_the_limit_it_is_full_and_an_eighth_above_nothing_has_room() {
        let node = Arc::new(NodeKept::new(800_000));
        let (kept, message) = (Kept::new(&node), message(&"x".repeat(99_999 - BODY_BYTES - PLACE_BYTES)));
        let (mut held, mut was_full) = (Vec::new(), 0);
        while kept.has_room(100_000) {
            was_full += usize::from(node.is_full());
            held.push(StoredMessage::new(&message.publication()));
            kept.enter(held.last().unwrap());
        }
        assert_eq!((held.len(), was_full), (9, 1));
        held.drain(..).for_each(|message| kept.leave(&message));
        assert!(!node.is_full() && kept.has_room(900_000) && !kept.has_room(900_001));
    }

    /// Who waits for room is called when it is full no more, and not before.
    #[test]
    fn who_waits_is_called() {
        let waitlist = Arc::<Waitlist>::default();
        let node = Arc::new(NodeKept::new(800).telling(&waitlist));
        let shares = [600, 100, 200].map(|bytes| Share::take(&node, bytes).expect("there is room"));
        let place = waitlist.wait(std::task::Waker::noop());
        let [_first, second, third] = shares;
        drop(second);
        assert!(node.is_full() && !place.was_called());
        drop(third);
        assert!(!node.is_full() && place.was_called());
    }

    #[test]
    fn a_share_is_given_back() {
        let node = Arc::new(NodeKept::new(800));
        let share = Share::take(&node, 900).expect("there is room");
        assert!(node.is_full() && Share::take(&node, 1).is_none());
        drop(share);
        assert!(!node.is_full() && Share::take(&node, 900).is_some());
    }
}
