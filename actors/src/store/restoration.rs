//! How far the sessions have come back that the store keeps.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use micro_mq_core::message::StoredMessage;
use micro_mq_core::records::Position;
use micro_mq_core::worker::{Restored, RestoredMessages};
use tokio::sync::Notify;

use super::backend::Cursor;

/// How far the workers have come.
#[derive(Debug)]
pub struct Restoration {
    workers: Box<[AtomicU8]>,
    tried: Notify,
}

const UNTRIED: u8 = 0;
pub(crate) const FAILED: u8 = 1;
pub(crate) const DONE: u8 = 2;

impl Restoration {
    /// Of so many workers, none of which has tried yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| AtomicU8::new(UNTRIED)).collect(), tried: Notify::new() }
    }

    pub(crate) fn note(&self, worker: u16, state: u8) {
        self.workers[usize::from(worker)].store(state, SeqCst);
        self.tried.notify_one();
    }

    /// Whether a worker has all its sessions.
    pub(crate) fn is_done(&self, worker: u16) -> bool {
        self.workers[usize::from(worker)].load(SeqCst) == DONE
    }

    pub(crate) fn has_failed(&self, worker: u16) -> bool {
        self.workers[usize::from(worker)].load(SeqCst) == FAILED
    }

    /// Whether all workers have all their sessions.
    pub(crate) fn is_complete(&self) -> bool {
        self.workers.iter().all(|state| state.load(SeqCst) == DONE)
    }

    /// Waits until each worker has its sessions, or has heard that they cannot be read. For one at a time.
    pub(crate) async fn until_tried(&self) {
        while self.workers.iter().any(|state| state.load(SeqCst) == UNTRIED) {
            self.tried.notified().await;
        }
    }
}

/// Some of what waits in a group.
type WaitingInGroup = Vec<(Position, Arc<StoredMessage>)>;

/// How far one worker has come; it goes on there though its sessions actor panics.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    /// As far as sessions are back.
    pub(crate) after: Option<Cursor>,
    /// The highest position that anything of them has.
    pub(crate) highest: Position,
    /// Clients that meanwhile began a clean session: what is kept of them is outdated.
    pub(crate) outdated: HashSet<Box<str>>,
    /// What they cost.
    pub(crate) outdated_bytes: usize,
    /// Sessions of which something becomes due when all workers have theirs.
    pub(crate) restored: Vec<Restored>,
    /// What waited in groups, by whole filter, each with the position of its record.
    pub(crate) waiting: VecDeque<(Arc<str>, WaitingInGroup)>,
    /// The messages that wait for those that are back.
    pub(crate) messages: RestoredMessages,
}
