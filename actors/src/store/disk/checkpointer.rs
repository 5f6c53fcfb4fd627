//! The thread that takes what the log has into the checkpoint.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use micro_mq_core::homes::Homes;
use micro_mq_core::records::Entry;
use micro_mq_store::{Checkpoints, Journal, Kept, Position as LogPosition, Ticket};
use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use super::taking_in::take_in;

/// Between two commits, as long as something changes.
const PAUSE: Duration = Duration::from_secs(1);
/// Records that the checkpoint does not have yet; beyond, whoever appends waits.
const RECORDS_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
struct State {
    /// Entries that are in the log, or on their way there, in its order.
    entries: VecDeque<(Ticket, Arc<Entry>)>,
    /// Records of all of them.
    records: usize,
    /// What was told to be kept, in order.
    told: VecDeque<Kept>,
    /// The log has ended, and has so much on the disk.
    end: Option<LogPosition>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    room: Condvar,
}

/// The thread, and what it is told.
#[derive(Debug)]
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Notes an entry that goes to the log just now.
    pub(super) fn note(&self, entry: Arc<Entry>, append: impl FnOnce() -> Ticket) -> Ticket {
        let mut state = self.shared.state.lock();
        let ticket = append();
        let was_idle = state.entries.is_empty();
        state.records += entry.len();
        state.entries.push_back((ticket, entry));
        drop(state);
        if was_idle {
            self.shared.changed.notify_one();
        }
        ticket
    }

    /// Who tells what the log keeps.
    pub(super) fn told(&self) -> impl Fn(Kept) + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move |kept| shared.state.lock().told.push_back(kept)
    }

    /// Waits until the checkpoint has enough of what came before.
    pub(super) fn wait_for_room(&self) {
        let mut state = self.shared.state.lock();
        while state.records > RECORDS_MAX {
            self.shared.room.wait(&mut state);
        }
    }

    /// Takes in what is left of a log that has ended, up to its last entry on the disk, and ends.
    pub(super) fn end(&mut self, synced: LogPosition) {
        self.shared.state.lock().end = Some(synced);
        self.shared.changed.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the thread of the checkpoint panicked");
        }
    }
}

/// Starts the thread.
pub(super) fn start_checkpointer(
    checkpoints: &Arc<Mutex<Checkpoints>>,
    journal: &Arc<Mutex<Option<Journal>>>,
    homes: Homes,
) -> io::Result<Checkpointer> {
    let shared = Arc::<Shared>::default();
    let run = Run {
        shared: Arc::clone(&shared),
        checkpoints: Arc::clone(checkpoints),
        journal: Arc::clone(journal),
        homes,
        is_failing: false,
    };
    let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(move || run.run())?;
    Ok(Checkpointer { shared, thread: Some(thread) })
}

/// What the thread has.
struct Run {
    shared: Arc<Shared>,
    checkpoints: Arc<Mutex<Checkpoints>>,
    journal: Arc<Mutex<Option<Journal>>>,
    homes: Homes,
    is_failing: bool,
}

impl Run {
    fn run(mut self) {
        loop {
            let ends = self.wait();
            self.take_in();
            if ends {
                return;
            }
        }
    }

    /// Waits until there is something to take in, and a while more, so that there is more. Whether that is the last time.
    fn wait(&self) -> bool {
        let mut state = self.shared.state.lock();
        while state.entries.is_empty() && state.end.is_none() {
            self.shared.changed.wait(&mut state);
        }
        while state.end.is_none() && !self.shared.changed.wait_for(&mut state, PAUSE).timed_out() {}
        state.end.is_some()
    }

    /// Takes in what is on the disk. What could not be written is tried again with what comes later.
    fn take_in(&mut self) {
        let synced = self.journal.lock().as_ref().map(Journal::synced);
        let (taken, kept) = {
            let state = self.shared.state.lock();
            let Some(synced) = synced.or(state.end) else { return };
            let Some(kept) = state.told.iter().rev().find(|kept| kept.position <= synced).copied() else {
                return;
            };
            let taken = state.entries.iter().take_while(|(ticket, _)| *ticket <= kept.ticket);
            (taken.map(|(_, entry)| Arc::clone(entry)).collect::<Vec<_>>(), kept)
        };
        let entries = taken.iter().map(|entry| entry.bytes());
        if let Err(error) = take_in(&mut self.checkpoints.lock(), &self.homes, kept.position, entries) {
            if !std::mem::replace(&mut self.is_failing, true) {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                warn!(%error, cause, "the log gets longer meanwhile; it is tried every second");
            }
            return;
        }
        if std::mem::take(&mut self.is_failing) {
            info!("the checkpoint is written again");
        }
        let mut state = self.shared.state.lock();
        state.entries.drain(..taken.len());
        state.records -= taken.iter().map(|entry| entry.len()).sum::<usize>();
        state.told.retain(|told| told.position > kept.position);
        drop(state);
        self.shared.room.notify_all();
        if let Some(journal) = &*self.journal.lock() {
            journal.release(kept.position);
        }
    }
}
