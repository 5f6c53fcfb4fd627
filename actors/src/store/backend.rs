//! What a backend of the session store is asked, and how it answers. Nothing here knows an actor.

use std::sync::Arc;

use micro_mq_core::homes::{Homes, Shard};
use micro_mq_core::kept_shard::KeptSession;
use micro_mq_core::records::{Entry, Position};
use tokio::sync::oneshot;

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

/// Where a backend says what became of an entry: now or later, from whatever thread. Dropped, it says that the entry was
/// not kept.
#[derive(Debug)]
pub struct Answer(oneshot::Sender<Result<(), StoreError>>);

impl Answer {
    /// An answer, and where it arrives.
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<(), StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Self(answer), answered)
    }

    /// The entry lasts, and all that was appended before it.
    pub fn kept(self) {
        // Whoever asked may be gone: then nobody waits.
        let _ = self.0.send(Ok(()));
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
    /// Whether this is the home of a shard.
    pub fn is_of(&self, shard: Shard) -> bool {
        self.homes.home_of(shard) == self.worker
    }
}

/// As far as the sessions of a home were loaded, which come shard by shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The shard.
    pub shard: Shard,
    /// The last client identifier there.
    pub client_identifier: Arc<str>,
}

/// Some of the sessions of a home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// By client identifier.
    pub sessions: Vec<(Arc<str>, KeptSession)>,
    /// No record of the home that was looked at has a higher position.
    pub highest: Position,
    /// Behind what the next piece begins; none if this is the last one.
    pub rest: Option<Cursor>,
}

/// Keeps sessions. It is asked on one thread, which is there for nothing else, so it may block. A panic loses what it was
/// asked, and it is asked on.
pub trait SessionBackend: 'static {
    /// Takes an entry of one worker, whose records are in the order in which they happened: kept whole or not at all, and
    /// answered when it lasts. A worker sends its next entry when this one is answered; one that may have been kept, though
    /// nobody said so, is sent again, and to apply it twice changes nothing.
    fn append(&mut self, entry: Arc<Entry>, answer: Answer);

    /// Whether clients are told of a change only once it is kept, since that outlives the process.
    fn outlives_process(&self) -> bool {
        false
    }

    /// Nobody else asks just now: what was appended and not answered is to be made to last, with one effort for all of it.
    fn flush(&mut self) {}

    /// The sessions of a home behind `after`, by shards and client identifiers: a bounded number of them.
    ///
    /// # Errors
    /// When they could not be read; whoever asked asks again.
    fn load(&mut self, home: &Home, after: Option<&Cursor>) -> Result<Piece, StoreError>;
}
