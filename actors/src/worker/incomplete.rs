//! What packets that are received in part may hold, of all clients together.
//!
//! A packet may have 16 MiB, and whoever is let in, or has not even sent its CONNECT, may send all of it but the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::NodeShared;

/// What each network connection has beside the limit: nearly all packets, whatever others hold.
const OWN_BYTES: usize = 16 * 1024;

/// The share of one network connection, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct IncompleteBytes {
    node: Arc<NodeShared>,
    bytes: usize,
}

impl IncompleteBytes {
    /// Nothing yet.
    pub(crate) fn new(node: &Arc<NodeShared>) -> Self {
        Self { node: Arc::clone(node), bytes: 0 }
    }

    /// Whether so many bytes need a share at all.
    pub(crate) fn is_needed(bytes: usize) -> bool {
        bytes > OWN_BYTES
    }

    /// Notes how many bytes are held. False if that is more than there may be.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let (wanted, all) = (bytes.saturating_sub(OWN_BYTES), &self.node.incomplete_bytes);
        if wanted > self.bytes {
            let more = wanted - self.bytes;
            let max = self.node.settings.node.incomplete_packets_bytes_max;
            if all.fetch_add(more, Ordering::Relaxed) + more > max {
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
        self.node.incomplete_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
