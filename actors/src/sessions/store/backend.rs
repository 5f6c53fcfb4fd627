//! What a backend of the session store is asked, and how it answers. Nothing here knows an actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use micro_mq_core::changes::{Position, SessionChange};
use micro_mq_core::homes::Homes;
use micro_mq_core::subscriptions::Subscription;
use tokio::sync::oneshot;

/// A session as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredSession {
    /// Session expiry interval, in seconds.
    pub expiry_interval: u32,
    /// By topic filter.
    pub subscriptions: BTreeMap<Arc<str>, Subscription>,
}

/// Why something could not be kept, or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend could not be reached, written to or read.
    #[error("session store is unavailable")]
    Unavailable(#[source] std::io::Error),
    /// The backend dropped the question.
    #[error("session store gave no answer")]
    Unanswered,
}

/// Where a backend says what became of a batch: now or later, from whatever thread. Dropped, it says that the batch was
/// not kept.
#[derive(Debug)]
pub struct Answer(oneshot::Sender<Result<Position, StoreError>>);

impl Answer {
    /// An answer, and where it arrives.
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<Position, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Self(answer), answered)
    }

    /// The batch lasts, and all that was appended before it.
    pub fn kept(self, position: Position) {
        // Whoever asked may be gone: then nobody waits.
        let _ = self.0.send(Ok(position));
    }

    /// It does not: whoever sent it keeps it, and sends it again.
    pub fn failed(self, error: StoreError) {
        let _ = self.0.send(Err(error));
    }
}

/// One worker among all: the home of some sessions.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its number.
    pub worker: u16,
    /// Which is whose.
    pub homes: Homes,
}

impl Home {
    /// Whether the session of this client lives here.
    pub fn is_of(&self, client_identifier: &str) -> bool {
        self.homes.of_client(client_identifier) == self.worker
    }
}

/// Some of the sessions of a home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// By client identifier.
    pub sessions: Vec<(Arc<str>, StoredSession)>,
    /// The client identifier behind which the next piece begins; none if this is the last one.
    pub rest: Option<Arc<str>>,
}

/// Keeps sessions. It is asked on one thread, which is there for nothing else, so it may block. A panic loses what it was
/// asked, and it is asked on.
pub trait SessionBackend: 'static {
    /// Takes a batch of one worker, whose changes are in the order in which they happened: kept whole or not at all, and
    /// answered when it lasts. A worker sends its next batch when this one is answered.
    fn append(&mut self, changes: Arc<[SessionChange]>, answer: Answer);

    /// Whether clients are told of a change only once it is kept, since that outlives the process.
    fn outlives_process(&self) -> bool {
        false
    }

    /// Nobody else asks just now: what was appended and not answered is to be made to last, with one effort for all of it.
    fn flush(&mut self) {}

    /// The sessions of a home whose client identifiers are behind `after`, in their order: a bounded number of them.
    ///
    /// # Errors
    /// When they could not be read; whoever asked asks again.
    fn load(&mut self, home: Home, after: Option<&str>) -> Result<Piece, StoreError>;
}
