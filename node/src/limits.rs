//! Limits of the operating system.

use tracing::{info, warn};

/// Files that are open beside the network connections: listeners, runtimes, log, with room to spare.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files as far as the process may, and says so if it leaves less room than `connections_max`
/// network connections take.
pub(crate) fn raise_open_files(connections_max: usize) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(open_files_max) if open_files_max.saturating_sub(OTHER_FILES) < connections_max as u64 => {
            info!(
                open_files_max,
                connections_max,
                "the limit of open files leaves room for fewer network connections than node.connections_max"
            );
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "the limit of open files cannot be raised"),
    }
}
