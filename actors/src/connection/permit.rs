//! A network connection's place among those of the node.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::worker::NodeShared;

/// Held as long as the network connection is open.
#[derive(Debug)]
pub struct ConnectionPermit(Option<Arc<NodeShared>>);

impl ConnectionPermit {
    /// Takes a place; none if `connections_max` are taken.
    pub fn take(node: &Arc<NodeShared>) -> Option<Self> {
        let max = node.settings.node.connections_max;
        let taken = node
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < max).then_some(open + 1));
        taken.is_ok().then(|| Self(Some(Arc::clone(node))))
    }
}

impl ConnectionPermit {
    /// The place is the caller's, who has the node at hand anyway and gives it back.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }

    /// Gives back a place that was kept.
    pub(super) fn give_back(node: &NodeShared) {
        node.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(node) = self.0.take() {
            Self::give_back(&node);
        }
    }
}
