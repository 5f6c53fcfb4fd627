//! What a node counts, and who shows it: the periodic log line, Prometheus, `$SYS` and the admin API.

mod actor;
mod counters;
mod log;
mod prometheus;
mod snapshot;
mod stats;
mod sys;

pub use actor::{Metrics, Render, TakeSnapshot};
pub use counters::{Counters, Held};
pub use snapshot::{LedgerTotals, Snapshot, gather};
pub use stats::{ActorFigures, ActorKind, ActorStats, Histogram, SAMPLE, WorkerStats, quantile};
