//! The clock of the actors: tokio's, which a test can stop and move. What decides reads none, and is told the moment.

use std::time::Instant;

/// The present moment.
#[inline]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
