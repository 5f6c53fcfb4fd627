//! The limit of open files, and what of it is for network connections: all that the node does not need itself, less a
//! reserve. So the admin listener answers, and files can be read, however many clients come.

use std::fs;

use micro_mq_core::settings::WorkerSettings;
use tracing::{info, warn};

use crate::admin;

/// Files of one thread that waits for sockets: those of its selector, of what wakes it, and of signals.
const FILES_OF_RUNTIME: u64 = 4;
/// What each worker may hold for a moment beside its clients' connections: one that it accepts and one that it closes.
const PASSING_OF_WORKER: u64 = 2;
/// The log's, the pipe of signals, and one to spare for each of the few things that happen once.
const FILES_OF_PROCESS: u64 = 8;
/// Taken for those that are open at the start where nobody can say how many there are.
const OPEN_AT_START: u64 = 8;
/// The reserve is at most one in so many of the files that are left, so that a small limit has room for clients too.
const RESERVE_PART: u64 = 4;
/// But it is no less than this, for the admin listener and a file that is read meanwhile.
const RESERVE_MIN: u64 = 8;
/// Of the reserve, what is not for the admin listener, if it is not more than half.
const FOR_OTHERS: u64 = 16;
/// Room for fewer clients than this is worth a line, even if nobody asked for more.
const FEW_CONNECTIONS: usize = 1024;

/// The limit leaves no room for a single client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit of open files is {limit}, and this node needs {needed} at least: raise it (ulimit -n 4096, with systemd \
     LimitNOFILE=4096), or lower node.workers"
)]
pub(crate) struct TooFewFiles {
    /// What the process may have.
    limit: u64,
    /// What it needs with one client.
    needed: u64,
}

/// What the limit leaves room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenFilesRoom {
    limit: u64,
    /// Network connections of clients.
    pub(crate) connections_max: usize,
    /// Network connections of the admin listener.
    pub(crate) admin_connections_max: u32,
}

/// Raises the limit of open files as far as the process may, and divides it.
///
/// # Errors
/// If it leaves no room for a single client.
pub(crate) fn divide(settings: &WorkerSettings, listeners: usize) -> Result<OpenFilesRoom, TooFewFiles> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)
        .or_else(|_| rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft))
        .unwrap_or(u64::MAX);
    // The folder that tells is one of them.
    let open = fs::read_dir("/proc/self/fd").map_or(OPEN_AT_START, |files| files.count() as u64 - 1);
    let workers = micro_mq_actors::workers(settings) as u64;
    // Beside the workers': those of the main thread, control, the auth actor, the admin listener and signals.
    let own = open
        + FILES_OF_PROCESS
        + (5 + workers) * FILES_OF_RUNTIME
        + workers * (listeners as u64 + PASSING_OF_WORKER);
    OpenFilesRoom::of(limit, own, settings.open_files_reserved)
}

impl OpenFilesRoom {
    fn of(limit: u64, own: u64, reserved: usize) -> Result<Self, TooFewFiles> {
        let needed = own + RESERVE_MIN + 1;
        if limit < needed {
            return Err(TooFewFiles { limit, needed });
        }
        let left = limit - own;
        let reserve = (reserved as u64).min(left / RESERVE_PART).max(RESERVE_MIN);
        let for_admin = reserve - FOR_OTHERS.min(reserve / 2);
        Ok(Self {
            limit,
            connections_max: usize::try_from(left - reserve).unwrap_or(usize::MAX),
            admin_connections_max: u32::try_from(for_admin).unwrap_or(u32::MAX).min(admin::CONNECTIONS_MAX),
        })
    }

    /// Says how many clients there is room for, if somebody asked for more, or if it is few.
    pub(crate) fn tell(&self, wanted: usize) {
        let (open_files_max, connections_max) = (self.limit, self.connections_max);
        // The default is as many as there may be at all, and not a wish.
        let is_wish = wanted != WorkerSettings::default().connections_max;
        if is_wish && connections_max < wanted {
            warn!(
                open_files_max,
                connections_max,
                "node.connections_max is {wanted}, and the limit of open files leaves room for fewer: raise it \
                 (ulimit -n, with systemd LimitNOFILE=), or lower the key"
            );
        } else if connections_max < wanted.min(FEW_CONNECTIONS) {
            info!(
                open_files_max,
                connections_max,
                "the limit of open files leaves room for few network connections: raise it (ulimit -n, with systemd \
                 LimitNOFILE=)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: u64, own: u64, connections_max: usize, admin_connections_max: u32) {
        let room = OpenFilesRoom::of(limit, own, 80).unwrap();
        assert_eq!(
            (room.connections_max, room.admin_connections_max),
            (connections_max, admin_connections_max)
        );
        assert!(own + connections_max as u64 + u64::from(admin_connections_max) < limit);
    }

    #[test]
    fn what_is_left_is_divided() {
        check(1_048_576, 60, 1_048_576 - 60 - 80, 64);
        check(1024, 60, 1024 - 60 - 80, 64);
        check(160, 60, 75, 13);
        check(69, 60, 1, 4);
        assert_eq!(OpenFilesRoom::of(68, 60, 80), Err(TooFewFiles { limit: 68, needed: 69 }));
        assert_eq!(OpenFilesRoom::of(0, 60, 0), Err(TooFewFiles { limit: 0, needed: 69 }));
    }
}
