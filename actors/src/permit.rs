//! A network connection's place among those of the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Held as long as the network connection is open.
#[derive(Debug)]
pub struct ConnectionPermit(Option<Arc<AtomicUsize>>);

impl ConnectionPermit {
    /// Takes a place among those that `open` counts; none if `connections_max` are taken.
    pub fn take(open: &Arc<AtomicUsize>, connections_max: usize) -> Option<Self> {
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < connections_max).then_some(open + 1)
        });
        taken.is_ok().then(|| Self(Some(Arc::clone(open))))
    }

    /// The place is the caller's, who has that count at hand anyway and gives it back.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }

    /// Gives back a place that was kept.
    pub(crate) fn give_back(open: &AtomicUsize) {
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            Self::give_back(&open);
        }
    }
}
