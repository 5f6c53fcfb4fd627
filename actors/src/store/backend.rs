//! What a backend of the session store is asked, and how it answers. Nothing here knows an actor.

use std::sync::Arc;

use micro_mq_core::homes::{Homes, Shard};
use micro_mq_core::kept_shard::KeptParts;
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

/// As far as what is kept for a home was loaded, which comes shard by shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The shard.
    pub shard: Shard,
    /// Behind which key of its parts it goes on; empty: at its first one.
    pub key: Vec<u8>,
}

/// Some of what is kept for a home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// The shard that all of it is of; 0 where it is nothing.
    pub shard: Shard,
    /// Sessions are whole. What they, and groups, wait for is among the messages of this piece or of an earlier one of the
    /// same shard, where each message comes once; a group may have more waiting messages in the next piece.
    pub kept: KeptParts,
    /// No record of the home that was looked at has a higher position.
    pub highest: Position,
    /// Behind what the next piece begins; none if this is the last one.
    pub rest: Option<Cursor>,
}

/// Whether a backend has no room for more on its disk; asked by whatever thread.
pub type IsFull = Box<dyn Fn() -> bool + Send + Sync>;

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

    /// Whether messages are kept, too.
    fn keeps_messages(&self) -> bool {
        self.outlives_process()
    }

    /// Who tells whether its disk is full.
    fn is_full(&self) -> IsFull {
        Box::new(|| false)
    }

    /// Has `tell` called with whether its disk is full, now and whenever that changes, from whatever thread.
    fn tell_of_full_disk(&mut self, tell: Box<dyn Fn(bool) + Send + Sync>) {
        tell(false);
    }

    /// Nobody else asks just now: what was appended and not answered is to be made to last, with one effort for all of it.
    fn flush(&mut self) {}

    /// What is kept for a home behind `after`, by shards: a bounded part of it.
    ///
    /// # Errors
    /// When they could not be read; whoever asked asks again.
    fn load(&mut self, home: &Home, after: Option<&Cursor>) -> Result<Piece, StoreError>;
}
