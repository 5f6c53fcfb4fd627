//! The thread that takes what the log has into the checkpoint.

use std::collections::VecDeque;
use std::fmt;
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
/// What entries may take that the checkpoint does not have yet, in bytes; beyond, whoever appends waits.
const BYTES_MAX: usize = 256 << 20;
/// What an entry takes beside its own bytes.
const ENTRY_BYTES: usize = 128;
/// What entries may take that one commit takes in, unless one group of the log has more: their records, and the parts of
/// the checkpoint that they change, are in memory meanwhile.
pub(super) const COMMIT_BYTES: usize = 16 << 20;

#[derive(Default)]
struct State {
    /// Entries that are in the log, or on their way there, in its order.
    entries: VecDeque<(Ticket, Arc<Entry>)>,
    /// What all of them take.
    bytes: usize,
    /// What was told to be kept, in order.
    told: VecDeque<Kept>,
    /// Called once there is room again.
    waits_for_room: Option<Box<dyn FnOnce() + Send>>,
    /// The log has ended, and has so much on the disk.
    end: Option<LogPosition>,
}

/// What an entry takes.
fn bytes_of(entry: &Entry) -> usize {
    ENTRY_BYTES + entry.bytes_len()
}

impl State {
    /// The next groups that are on the disk, as many as one commit takes in: their entries, and what was told of the last.
    fn next_groups(&self, synced: LogPosition) -> Option<(Vec<Arc<Entry>>, Kept)> {
        let (mut taken, mut bytes, mut last) = (0, 0, None);
        for kept in self.told.iter().take_while(|kept| kept.position <= synced) {
            let group = self.entries.range(taken..).take_while(|(ticket, _)| *ticket <= kept.ticket);
            let (mut in_group, mut group_bytes) = (0, 0);
            for (_, entry) in group {
                in_group += 1;
                group_bytes += bytes_of(entry);
            }
            if last.is_some() && bytes + group_bytes > COMMIT_BYTES {
                break;
            }
            (taken, bytes, last) = (taken + in_group, bytes + group_bytes, Some(*kept));
        }
        let entries = self.entries.range(..taken).map(|(_, entry)| Arc::clone(entry));
        Some((entries.collect(), last?))
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What the thread is told.
#[derive(Debug, Clone)]
pub(super) struct Notes(Arc<Shared>);

impl Notes {
    /// Whether the checkpoint has enough of what came before.
    pub(super) fn has_room(&self) -> bool {
        self.0.state.lock().bytes <= BYTES_MAX
    }

    /// The same. If not, `call` is called once it has, in place of what was to
    /// be called before.
    pub(super) fn has_room_or(&self, call: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.0.state.lock();
        let has_room = state.bytes <= BYTES_MAX;
        if !has_room {
            state.waits_for_room = Some(Box::new(call));
        }
        has_room
    }

    /// Notes an entry that goes to the log just now.
    pub(super) fn note(&self, entry: Arc<Entry>, append: impl FnOnce() -> Ticket) -> Ticket {
        let mut state = self.0.state.lock();
        let ticket = append();
        let was_idle = state.entries.is_empty();
        state.bytes += bytes_of(&entry);
        state.entries.push_back((ticket, entry));
        drop(state);
        if was_idle {
            self.0.changed.notify_one();
        }
        ticket
    }

    /// Notes what the log keeps.
    pub(super) fn tell(&self, kept: Kept) {
        self.0.state.lock().told.push_back(kept);
    }
}

/// The thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// What it is told by others.
    pub(super) fn notes(&self) -> Notes {
        Notes(Arc::clone(&self.shared))
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
        while self.take_in_next() {}
    }

    /// Takes in as much as one commit does. Returns whether there was anything, and it was written.
    fn take_in_next(&mut self) -> bool {
        let synced = self.journal.lock().as_ref().map(Journal::synced);
        let next = {
            let state = self.shared.state.lock();
            synced.or(state.end).and_then(|synced| state.next_groups(synced))
        };
        let Some((taken, kept)) = next else { return false };
        let entries = taken.iter().map(|entry| entry.bytes());
        if let Err(error) = take_in(&mut self.checkpoints.lock(), &self.homes, kept.position, entries) {
            if !std::mem::replace(&mut self.is_failing, true) {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                warn!(%error, cause, "the log gets longer meanwhile; it is tried every second");
            }
            return false;
        }
        if std::mem::take(&mut self.is_failing) {
            info!("the checkpoint is written again");
        }
        let mut state = self.shared.state.lock();
        state.entries.drain(..taken.len());
        state.bytes -= taken.iter().map(|entry| bytes_of(entry)).sum::<usize>();
        state.told.retain(|told| told.position > kept.position);
        let has_room = state.bytes <= BYTES_MAX;
        let waits = if has_room { state.waits_for_room.take() } else { None };
        drop(state);
        if let Some(journal) = &*self.journal.lock() {
            journal.release(kept.position);
        }
        if let Some(call) = waits {
            call();
        }
        true
    }
}
