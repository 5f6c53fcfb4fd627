//! The other nodes of a cluster, as the workers of one know them.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::Waker;

use crate::message::Batch;

/// Set among the workers of a publish that another node has a match for. A node of a cluster has fewer workers than bits.
pub const ELSEWHERE: u64 = 1 << 63;

/// Sends publishes to other nodes that have a match, and tells them for what this one has. It is called on the threads of
/// all workers, which must not wait for it, and works elsewhere.
pub trait Elsewhere: Debug + Send + Sync {
    /// Notes in each publish which other nodes have a match ([`Beyond`](crate::message::Beyond), [`ELSEWHERE`]). Returns
    /// whether any has.
    fn look_up(&self, batch: &mut Batch) -> bool;

    /// Whether a batch of one who can be held up may set out: enough is known of what other nodes have a match for, and
    /// there is room. If not, `waker` is called when it may.
    fn may_set_out(&self, batch: &Batch, waker: &Waker) -> bool;

    /// A batch sets out. For each publish that other nodes are to have before it is acknowledged it opens a condition
    /// ([`Batch::open`]).
    fn publish(&self, batch: &Arc<Batch>);

    /// A worker has a subscriber for a topic filter, a plain one or `$share/...`; it was `promised` before if a client
    /// waits for that.
    fn came(&self, full_filter: &str, worker: u16, promised: bool);

    /// A subscription that was promised will not come.
    fn failed_to_come(&self, full_filter: &str);

    /// A worker has no subscriber for it any more.
    fn went(&self, full_filter: &str, worker: u16);
}
