//! What a node of a cluster counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// See the module.
        #[derive(Debug, Default)]
        pub(super) struct ClusterFigures {
            $($(#[$doc])* pub(super) $name: AtomicU64,)+
        }

        impl ClusterFigures {
            /// Every figure, by the name it has in metrics.
            pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((concat!("cluster_", stringify!($name)), self.$name.load(Relaxed))),+]
            }
        }
    };
}

figures! {
    /// Publishes sent to other nodes, once for each node with a match.
    forwarded,
    /// Of those, what Kafka acknowledged.
    forwards_acknowledged,
    /// QoS 0 publishes not sent to a node with a match, since the window was full.
    forward_window_full,
    /// Publishes that Kafka refused.
    forwards_refused,
    /// Publishes whose node was gone when they were to be sent.
    forwards_without_node,
    /// Times a publisher was not read, since the window was full or the view was not fresh.
    publishers_held,
    /// Publishes that other nodes sent here.
    received,
    /// Records read twice.
    received_twice,
    /// Records for an earlier life of this node, or of one that had its slot.
    received_for_others,
    /// Records that could not be read.
    records_malformed,
    /// Records of routes read.
    routes_read,
    /// Ticks written.
    ticks,
    /// Producers begun anew after a fatal error.
    producers_begun_anew,
}

/// Counts `n` more.
pub(super) fn count(figure: &AtomicU64, n: u64) {
    figure.fetch_add(n, Relaxed);
}
