//! Panics as log lines. The standard library would write them to stderr itself, and so make the thread that panicked
//! wait for whoever reads it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::error;

/// From now on a panic is an event. With `RUST_BACKTRACE=1` it tells how it came about.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        error!(
            thread = thread.name().unwrap_or("unnamed"),
            location = info.location().map(tracing::field::display),
            cause = cause(info),
            backtrace = backtrace.as_ref().map(tracing::field::display),
            "a thread panicked"
        );
    }));
}

fn cause<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(cause), _) => cause,
        (None, Some(cause)) => cause,
        (None, None) => "unknown",
    }
}
