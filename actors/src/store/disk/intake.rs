//! Entries on their way into the log. It takes them as long as it and the checkpoint have room; beyond that they wait here,
//! and not whoever brings them, so that sessions can be loaded meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use micro_mq_core::records::Entry;
use micro_mq_store::{Kept, Lane, Ticket};
use parking_lot::Mutex;

use super::super::backend::Answer;
use super::checkpointer::Notes;

/// What has not found room; one entry of each worker at most.
#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<(Arc<Entry>, Answer)>,
    /// Whoever makes room goes on with them.
    is_awaited: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    lane: Lane,
    notes: Notes,
    unanswered: Arc<Unanswered>,
}

impl Intake {
    pub(super) fn new(lane: Lane, notes: Notes, unanswered: Arc<Unanswered>) -> Self {
        Self { waiting: Mutex::default(), lane, notes, unanswered }
    }

    /// Where it appends.
    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Takes an entry, behind those that wait.
    pub(super) fn push(self: &Arc<Self>, entry: Arc<Entry>, answer: Answer) {
        // A long entry is copied here, where nobody waits.
        entry.bytes();
        self.waiting.lock().entries.push_back((entry, answer));
        self.go_on();
    }

    /// Whether something waits for room.
    #[cfg(test)]
    pub(super) fn is_held_up(&self) -> bool {
        self.waiting.lock().is_awaited
    }

    /// Appends what waits, in its order, as far as there is room.
    fn go_on(self: &Arc<Self>) {
        loop {
            let mut waiting = self.waiting.lock();
            while !self.lane.is_full() && self.notes.has_room() {
                let Some((entry, answer)) = waiting.entries.pop_front() else { return };
                self.append(entry, answer);
            }
            if waiting.entries.is_empty() || std::mem::replace(&mut waiting.is_awaited, true) {
                return;
            }
            // Whoever makes room takes the same lock.
            drop(waiting);
            if !self.notes.has_room_or(Self::go_on_later(Arc::downgrade(self))) {
                return;
            }
            if self.lane.is_full() {
                return self.lane.when_there_is_room(Self::go_on_later(Arc::downgrade(self)));
            }
            self.waiting.lock().is_awaited = false;
        }
    }

    fn go_on_later(intake: Weak<Self>) -> impl FnOnce() + Send + 'static {
        move || {
            let Some(intake) = intake.upgrade() else { return };
            intake.waiting.lock().is_awaited = false;
            intake.go_on();
        }
    }

    fn append(&self, entry: Arc<Entry>, answer: Answer) {
        let shards: Vec<_> = entry.shards().map(|shard| shard.0).collect();
        // Locked before, so that nobody hears of what is not noted yet.
        let mut unanswered = self.unanswered.0.lock();
        let log = Arc::clone(&entry);
        let ticket = self.notes.note(entry, || self.lane.append(&shards, log.bytes()));
        unanswered.push_back((ticket, answer));
    }
}

/// Who is to hear when what the log has taken is kept.
#[derive(Debug, Default)]
pub(super) struct Unanswered(Mutex<VecDeque<(Ticket, Answer)>>);

impl Unanswered {
    /// Answers all up to what is kept.
    pub(super) fn answer_up_to(&self, kept: Kept) {
        loop {
            let mut waiting = self.0.lock();
            if waiting.front().is_none_or(|(ticket, _)| *ticket > kept.ticket) {
                return;
            }
            let first = waiting.pop_front();
            drop(waiting);
            if let Some((_, answer)) = first {
                answer.kept();
            }
        }
    }
}
