//! What is written beside the log, without waiting for whoever reads it longer than a moment.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long the end of the process waits for whoever reads its stderr.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Writes to stdout, on a thread of its own: a node serves its clients whether or not anybody reads it.
pub(crate) fn say(text: String) {
    // Without a thread there is nobody left to write it.
    let _ = thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    });
}

/// Writes the last words of the process to stderr, within [`PATIENCE`].
pub(crate) fn say_last(text: String) {
    let (done, is_done) = mpsc::channel();
    let writing = thread::Builder::new().name("stderr".to_owned()).spawn({
        let text = text.clone();
        move || {
            // A stderr that is closed or full cannot be told so either.
            let _ = io::stderr().write_all(text.as_bytes());
            let _ = done.send(());
        }
    });
    match writing {
        Ok(_) => drop(is_done.recv_timeout(PATIENCE)),
        // The process may have as many threads as it may have: they are the last words all the same.
        Err(_) => drop(io::stderr().write_all(text.as_bytes())),
    }
}
