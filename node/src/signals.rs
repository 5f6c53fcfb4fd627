//! Signals of the operating system, on a thread of their own: a second one ends the process even while a shutdown
//! is stuck.
//!
//! What means nothing to a node, and would end a process that does not follow it, ends nothing and is logged.

use std::io;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use micro_mq_actors::Throttle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tracing::info;

/// Signals with a name that end a process by default, and that nobody sends to a node with that in mind. SIGXFSZ tells
/// of a file that may not grow: that of the log, which is then lost and counted.
const MEANINGLESS: &[(i32, &str)] = &[
    (10, "SIGUSR1"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (16, "SIGSTKFLT"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
];

/// Those without a name, from the first that the C library leaves to programs.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// What somebody outside asks of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM or SIGINT, for the first time.
    Shutdown,
    /// SIGHUP.
    Reload,
}

/// The requests of one process, in the order of their weight: a shutdown overtakes a reload.
#[derive(Debug)]
pub(crate) struct Requests {
    shutdown: oneshot::Receiver<()>,
    /// Holds one permit at most: a further SIGHUP asks for nothing new.
    reload: Arc<Notify>,
}

impl Requests {
    /// Waits for the next request; after [`Request::Shutdown`] there is none.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            biased;
            // An error says that the thread is gone, and with it the way to be told of anything.
            _ = &mut self.shutdown => Request::Shutdown,
            () = self.reload.notified() => Request::Reload,
        }
    }
}

/// Follows SIGTERM, SIGINT and SIGHUP from now on. The second SIGTERM or SIGINT ends the process at once, with status
/// 128 and the signal's number, as a shell would report it.
///
/// # Errors
/// What the operating system says if it has no thread or no descriptor left.
pub(crate) fn follow() -> io::Result<Requests> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _entered = runtime.enter();
        follow_meaningless();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
    };
    let (ask_shutdown, shutdown) = oneshot::channel();
    let reload = Arc::new(Notify::new());
    let ask_reload = Arc::clone(&reload);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut first = Some(ask_shutdown);
            loop {
                let number = tokio::select! {
                    number = received(&mut terminate, SignalKind::terminate()) => number,
                    number = received(&mut interrupt, SignalKind::interrupt()) => number,
                    _ = hangup.recv() => {
                        ask_reload.notify_one();
                        continue;
                    }
                };
                match first.take() {
                    // Nobody listens only when the process is at its end.
                    Some(ask) => drop(ask.send(())),
                    None => process::exit(128 + number),
                }
            }
        });
    })?;
    Ok(Requests { shutdown, reload })
}

async fn received(signal: &mut Signal, kind: SignalKind) -> i32 {
    signal.recv().await;
    kind.as_raw_value()
}

/// Follows, on the runtime that is entered, the signals that mean nothing. One that cannot be followed, since another
/// system numbers them in another way, does what it did before.
fn follow_meaningless() {
    let named = MEANINGLESS.iter().map(|(number, name)| (*number, (*name).to_owned()));
    let unnamed = REAL_TIME.map(|number| (number, format!("{number}")));
    for (number, name) in named.chain(unnamed) {
        if let Ok(mut signal) = signal(SignalKind::from_raw(number)) {
            tokio::spawn(async move {
                let log = Throttle::default();
                while signal.recv().await.is_some() {
                    if let Some(left_out) = log.admit(Instant::now()) {
                        info!(signal = name, left_out, "a signal that means nothing to a node");
                    }
                }
            });
        }
    }
}
