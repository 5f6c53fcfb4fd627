//! How a task that has more to do goes on.

use std::future::Future;
use std::pin::pin;
use std::task::Context;

/// Wakes the task behind a look at the sockets, and behind all that are ready now. Woken at once it would be run some
/// thousand times before the runtime looks at sockets again, and whoever has just sent something would wait for that.
pub(crate) fn go_on_behind_sockets(task: &mut Context<'_>) {
    // It leaves the waker with the runtime, for then; there is nothing to poll a second time.
    let _ = pin!(tokio::task::yield_now()).poll(task);
}
