//! Tells when files in some folders change, without looking again and again: the operating system says so, on Linux.
//! Elsewhere SIGHUP does.

use std::collections::HashSet;
use std::path::PathBuf;

/// Calls `changed` after something in the folders has changed, for as long as the process runs. What cannot be followed is
/// logged; SIGHUP reads it anew all the same.
#[cfg(target_os = "linux")]
pub(super) fn follow(folders: HashSet<PathBuf>, changed: impl Fn() + Send + 'static) {
    use std::io;
    use std::thread;
    use std::time::Duration;

    use inotify::{Inotify, WatchMask};
    use tracing::warn;

    /// From the first change to a look at the files: a certificate and its key are seldom written at once.
    const PAUSE: Duration = Duration::from_millis(300);

    let follow = || -> io::Result<()> {
        let mut inotify = Inotify::init()?;
        for folder in &folders {
            let what = WatchMask::CLOSE_WRITE
                | WatchMask::MOVED_TO
                | WatchMask::CREATE
                | WatchMask::ATTRIB
                | WatchMask::DELETE;
            inotify.watches().add(folder, what)?;
        }
        thread::Builder::new().name("tls-files".to_owned()).spawn(move || {
            let mut events = [0; 4096];
            loop {
                if let Err(error) = inotify.read_events_blocking(&mut events) {
                    warn!(%error, "changes of certificates are not followed any more; SIGHUP reads them anew");
                    return;
                }
                thread::sleep(PAUSE);
                // Those that came meanwhile; there may be none.
                let _ = inotify.read_events(&mut events);
                changed();
            }
        })?;
        Ok(())
    };
    if let Err(error) = follow() {
        warn!(%error, "changes of certificates cannot be followed; SIGHUP reads them anew");
    }
}

/// Nobody says so.
#[cfg(not(target_os = "linux"))]
pub(super) fn follow(_folders: HashSet<PathBuf>, _changed: impl Fn() + Send + 'static) {}
