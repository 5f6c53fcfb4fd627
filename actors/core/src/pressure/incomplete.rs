//! What packets that are received in part may hold, of all clients together.
//!
//! A packet may have 16 MiB, and whoever is let in, or has not even sent its CONNECT, may send all of it but the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What each network connection has beside the limit: nearly all packets, whatever others hold.
const OWN_BYTES: usize = 16 * 1024;

/// What all network connections hold together beside that.
#[derive(Debug)]
pub struct IncompletePackets {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl IncompletePackets {
    /// Nothing yet, of so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), bytes_max }
    }
}

/// The share of one network connection, given back when it is dropped.
#[derive(Debug)]
pub struct IncompleteBytes {
    all: Arc<IncompletePackets>,
    bytes: usize,
}

impl IncompleteBytes {
    /// Nothing yet.
    pub fn new(all: &Arc<IncompletePackets>) -> Self {
        Self { all: Arc::clone(all), bytes: 0 }
    }

    /// Whether so many bytes need a share at all.
    #[inline]
    pub fn is_needed(bytes: usize) -> bool {
        bytes > OWN_BYTES
    }

    /// Notes how many bytes are held. False if that is more than there may be.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let (wanted, all) = (bytes.saturating_sub(OWN_BYTES), &self.all.bytes);
        if wanted > self.bytes {
            let more = wanted - self.bytes;
            if all.fetch_add(more, Ordering::Relaxed) + more > self.all.bytes_max {
                all.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
        } else {
            all.fetch_sub(self.bytes - wanted, Ordering::Relaxed);
        }
        self.bytes = wanted;
        true
    }
}

impl Drop for IncompleteBytes {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
