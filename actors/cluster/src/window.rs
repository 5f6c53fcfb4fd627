//! What may be on its way to other nodes at a time: half of it is for QoS 1 and 2 alone, and no client has more than an
//! eighth.

use std::task::Waker;

use hashbrown::HashMap;

/// What of the whole a client may have.
const CLIENT_SHARE: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Window {
    bytes_max: usize,
    bytes: usize,
    by_client: HashMap<u64, usize>,
    waiting: Vec<Waker>,
}

impl Window {
    /// Of so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, by_client: HashMap::new(), waiting: Vec::new() }
    }

    /// Bytes on their way.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a client's QoS 1 and 2 have room; if not, `waker` is called when something may. One batch may be too much.
    pub fn has_room_or_wake(&mut self, client: u64, waker: &Waker) -> bool {
        let has_room = self.bytes < self.bytes_max
            && self.by_client.get(&client).is_none_or(|bytes| *bytes < self.bytes_max / CLIENT_SHARE);
        if !has_room && !self.waiting.iter().any(|other| other.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
        has_room
    }

    /// Whether QoS 0 of a client has room.
    pub fn has_room_at_most_once(&self, client: u64) -> bool {
        self.bytes < self.bytes_max / 2
            && self.by_client.get(&client).is_none_or(|bytes| *bytes < self.bytes_max / CLIENT_SHARE)
    }

    /// So many bytes of a client set out.
    pub fn enter(&mut self, client: u64, bytes: usize) {
        self.bytes += bytes;
        *self.by_client.entry(client).or_default() += bytes;
    }

    /// They have arrived. Returns who waits for room and may find some.
    #[must_use]
    pub fn leave(&mut self, client: u64, bytes: usize) -> Vec<Waker> {
        self.bytes -= bytes;
        let mut had_too_much = false;
        if let Some(of_client) = self.by_client.get_mut(&client) {
            had_too_much = *of_client >= self.bytes_max / CLIENT_SHARE;
            *of_client -= bytes;
            if *of_client == 0 {
                self.by_client.remove(&client);
            }
        }
        // As room comes back in small pieces, those who wait are woken when there is some.
        let is_worth_it = had_too_much || self.bytes == 0 || self.bytes < self.bytes_max / 4 * 3;
        if is_worth_it { std::mem::take(&mut self.waiting) } else { Vec::new() }
    }
}
