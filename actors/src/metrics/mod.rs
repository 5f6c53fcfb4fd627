//! What a node counts, and who shows it: the periodic log line, Prometheus, `$SYS` and the admin API.

mod actor;
mod log;
mod prometheus;
mod snapshot;
mod sys;

pub use actor::{Metrics, Render, TakeSnapshot};
pub use snapshot::{LedgerTotals, Snapshot, gather};
