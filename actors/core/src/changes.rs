//! What changes of durable sessions, as records on their way to the session store: one batch of a worker at a time.

use std::sync::Arc;

use crate::completion::{Condition, Conditions};
use crate::homes::Homes;
use crate::records::{Entry, Position, Record};

/// What may wait of one worker until it is kept, in bytes; beyond, no durable session is taken in, nor ended by a CONNECT.
/// What those that are there change meanwhile may overshoot it: their answers wait, so it is bounded by their number.
const BYTES_MAX: usize = 64 << 20;

/// What each of those takes who wait, in bytes.
const GATE_BYTES: usize = 64;

/// Records that are sent together.
#[derive(Debug)]
pub struct Batch {
    /// Kept whole or not at all.
    pub entry: Arc<Entry>,
    gates: Vec<Condition>,
}

impl Batch {
    fn held_bytes(&self) -> usize {
        self.entry.bytes_len() + self.gates.len() * GATE_BYTES
    }

    /// It is kept: whoever waits for that is told.
    pub fn open_gates(self) {
        self.gates.into_iter().for_each(Condition::done);
    }
}

/// Where the records of one worker are.
#[derive(Debug, Default)]
pub struct Changes {
    /// Not sent yet, in the order in which they happened.
    waiting: Entry,
    /// What was sent last and not kept: it goes first, as it is.
    unkept: Option<Batch>,
    /// A batch is with the store.
    is_under_way: bool,
    /// What that takes, in bytes; of one that was not kept until it is sent again.
    sent_bytes: usize,
    /// The batch that was sent last was not kept, and is sent again in a while.
    waits_for_store: bool,
    /// What is told to clients when those that wait are kept.
    gates: Vec<Condition>,
    /// Nothing was kept since.
    is_failing: bool,
}

impl Changes {
    /// All records that the store has of this worker's shards stand up to a position: later ones come behind it.
    pub fn begin_behind(&mut self, highest: Position) {
        debug_assert!(!self.has_begun(), "nobody notes anything before");
        self.waiting = Entry::at(highest.next());
    }

    /// Whether it is known where records stand.
    pub fn has_begun(&self) -> bool {
        self.next_position() > Position::default()
    }

    /// Notes a record. Returns where it stands, and whether somebody has to see to it that it is sent.
    ///
    /// Before it is known where records stand none is noted: until then only clean sessions begin, and that they ended
    /// others is what is noted first when it is.
    pub fn push(&mut self, record: &Record<'_>, homes: &Homes) -> (Position, bool) {
        if !self.has_begun() {
            return (Position::default(), false);
        }
        let is_first = self.waiting.is_empty() && !self.is_under_way && !self.waits_for_store;
        (self.waiting.push(record, homes), is_first)
    }

    /// Where the next record will stand.
    pub fn next_position(&self) -> Position {
        self.waiting.next_position()
    }

    /// Whether too much waits: who wants to have a session kept, or one ended that is, is to come again.
    pub fn is_full(&self) -> bool {
        let gates = self.gates.len() * GATE_BYTES;
        self.sent_bytes + self.waiting.bytes_len() + gates > BYTES_MAX
    }

    /// Whoever is told of what was noted last waits until that is kept; before anything can be noted, until what is noted
    /// first is. Returns whether it is to be sent now.
    pub fn gate(&mut self, conditions: &Conditions) -> bool {
        let is_any_unkept = !self.waiting.is_empty() || self.unkept.is_some() || self.is_under_way;
        if self.has_begun() && !is_any_unkept {
            return false;
        }
        self.gate_one(conditions.open(0, 1))
    }

    /// The same for a condition that is open already, and for something that has just been noted. Returns whether it is to be
    /// sent now.
    pub fn gate_one(&mut self, condition: Condition) -> bool {
        self.gates.push(condition);
        self.is_to_be_sent()
    }

    /// The same where it may be that nothing was noted.
    pub fn gate_or_done(&mut self, condition: Condition) -> bool {
        if self.has_begun() && self.waiting.is_empty() && self.unkept.is_none() && !self.is_under_way {
            condition.done();
            return false;
        }
        self.gate_one(condition)
    }

    /// Whether what waits is to be sent now that somebody waits for it.
    pub fn is_to_be_sent(&self) -> bool {
        self.has_begun() && !self.waits_for_store && !self.is_under_way
    }

    /// It is time to send what waits. Returns whether something is to be sent now: then [`next_batch`](Self::next_batch)
    /// gives it.
    pub fn begin(&mut self) -> bool {
        self.waits_for_store = false;
        if self.waiting.is_empty() && self.unkept.is_none() || self.is_under_way {
            return false;
        }
        self.is_under_way = true;
        true
    }

    /// What is to be sent next, when the batch before is kept.
    pub fn next_batch(&mut self) -> Option<Batch> {
        let next = self.unkept.take().or_else(|| self.take_waiting());
        self.is_under_way = next.is_some();
        self.sent_bytes = next.as_ref().map_or(0, Batch::held_bytes);
        next
    }

    fn take_waiting(&mut self) -> Option<Batch> {
        let behind = Entry::at(self.next_position());
        let waiting = std::mem::replace(&mut self.waiting, behind);
        let batch = Batch { entry: Arc::new(waiting), gates: std::mem::take(&mut self.gates) };
        if batch.entry.is_empty() {
            // Who waits for nothing new waited for the batch before.
            batch.open_gates();
            return None;
        }
        Some(batch)
    }

    /// A batch was kept. Returns whether it is the first since one was not.
    pub fn note_kept(&mut self) -> bool {
        std::mem::take(&mut self.is_failing)
    }

    /// A batch was not kept: it is sent again, before what changed since. Returns whether it is the first of which that is
    /// so.
    pub fn put_back(&mut self, batch: Batch) -> bool {
        self.unkept = Some(batch);
        (self.is_under_way, self.waits_for_store) = (false, true);
        !std::mem::replace(&mut self.is_failing, true)
    }

    /// What was noted and not sent.
    #[cfg(test)]
    pub(crate) fn take_noted(&mut self) -> Vec<u8> {
        self.take_waiting().map_or(Vec::new(), |batch| batch.entry.bytes().to_vec())
    }

    /// Whether a batch is with the store.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::State;
    use crate::records::records_of;

    /// Names and positions.
    fn read(batch: &Batch) -> Vec<(String, u64)> {
        let records = records_of(batch.entry.bytes()).map(Result::unwrap);
        let named = records.map(|(at, record)| match record {
            Record::Ended(client) => (client.to_owned(), at.0),
            other => panic!("{other:?}"),
        });
        named.collect()
    }

    fn ended(changes: &mut Changes, name: &str) -> (Position, bool) {
        changes.push(&Record::Ended(name), &Homes::new(&[1; 16], 1))
    }

    /// One batch at a time, and what was not kept goes before what changed since, as it was.
    #[test]
    fn what_was_not_kept_goes_first() {
        let mut changes = Changes::default();
        changes.begin_behind(Position(7));
        assert!(!changes.begin(), "there is nothing");
        assert_eq!(ended(&mut changes, "a"), (Position(8), true));
        assert_eq!(ended(&mut changes, "b"), (Position(9), false));
        assert!(changes.begin() && !changes.begin());
        let first = changes.next_batch().unwrap();
        assert_eq!(read(&first), [("a".into(), 8), ("b".into(), 9)]);
        assert!(!ended(&mut changes, "c").1, "whoever waits for the store sends it");
        assert!(changes.put_back(first) && !changes.is_under_way());
        assert!(!ended(&mut changes, "d").1, "it is sent when the store is tried again");
        assert!(changes.begin());
        assert_eq!(read(&changes.next_batch().unwrap()), [("a".into(), 8), ("b".into(), 9)]);
        assert!(changes.note_kept());
        assert_eq!(read(&changes.next_batch().unwrap()), [("c".into(), 10), ("d".into(), 11)]);
        assert!(!changes.note_kept() && changes.next_batch().is_none() && !changes.is_under_way());
        assert_eq!(changes.next_position(), Position(12));
    }

    /// Whoever waits hears when what was noted before is kept, be it with a batch that is under way already.
    #[test]
    fn gates_open_when_it_is_kept() {
        let mut changes = Changes::default();
        changes.begin_behind(Position(0));
        let (nothing, first, second) = (Conditions::default(), Conditions::default(), Conditions::default());
        assert!(!changes.gate(&nothing) && nothing.of(0).is_none());
        ended(&mut changes, "a");
        assert!(changes.gate(&first) && changes.begin());
        let batch = changes.next_batch().unwrap();
        changes.gate(&second);
        assert!(changes.put_back(batch));
        assert!(!changes.gate(&Conditions::default()), "it is sent again in a while");
        assert!(changes.begin());
        let batch = changes.next_batch().unwrap();
        let late = Conditions::default();
        changes.gate(&late);
        let state = |conditions: &Conditions| conditions.of(0).unwrap().state();
        batch.open_gates();
        assert_eq!([&first, &second, &late].map(state), [State::Done, State::Open, State::Open]);
        assert!(changes.next_batch().is_none());
        assert_eq!([&second, &late].map(state), [State::Done, State::Done]);
    }

    /// Beyond its bound it says so, also of what is with the store or was not kept, and not any more when that is.
    #[test]
    fn too_much_that_waits() {
        let mut changes = Changes::default();
        changes.begin_behind(Position(0));
        let name = "x".repeat(60_000);
        let mut count = 0;
        while !changes.is_full() {
            ended(&mut changes, &name);
            count += 1;
        }
        assert_eq!(count, BYTES_MAX / 60_000 + 1);
        assert!(changes.begin());
        let batch = changes.next_batch().unwrap();
        assert!(changes.is_full());
        changes.put_back(batch);
        assert!(changes.is_full() && changes.begin());
        let batch = changes.next_batch().unwrap();
        ended(&mut changes, "a");
        assert!(changes.is_full());
        batch.open_gates();
        assert!(changes.next_batch().is_some() && !changes.is_full());
    }

    /// A session that ends before it is known where records stand is told of behind the record of that.
    #[test]
    fn gates_wait_for_the_first_record() {
        let mut changes = Changes::default();
        let early = Conditions::default();
        assert!(!changes.gate(&early), "there is nothing to send yet");
        changes.begin_behind(Position(3));
        assert!(ended(&mut changes, "a").1 && changes.begin());
        let batch = changes.next_batch().unwrap();
        assert_eq!(early.of(0).unwrap().state(), State::Open);
        batch.open_gates();
        assert_eq!(early.of(0).unwrap().state(), State::Done);
    }
}
