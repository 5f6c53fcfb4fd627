//! What simulated nodes keep their sessions on, one after the other: a log of entries, and checkpoints of what these make.
//!
//! As on a real one, what is handed over lasts later, in groups, in the order of the log, and whoever waits is told then.
//! The power may fail at each of these steps ([`SimulatedDisk::fail_after`]). Of what nobody was told of a part is there
//! then, as far as one got that writes in order. The next node begins with any checkpoint that was ever made and
//! what the log has behind it, or a little more, and loads it in pieces as small as there are.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use micro_mq_core::homes::{Homes, Shard, drawn_key};
use micro_mq_core::kept_shard::{KeptParts, KeptShard, KeptShards};
use micro_mq_core::records::Entry;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::random::Random;
use crate::store::{Answer, Cursor, Home, Piece, SessionBackend, StoreError, piece_of};

/// Sessions that are loaded at a time, at most.
const PIECE_SESSIONS_MAX: u64 = 3;
/// Entries that are read again though the checkpoint has them, at most.
const OVERLAP_MAX: usize = 4;
/// In a hundred: how often a checkpoint is made behind a group.
const CHECKPOINTS: u64 = 10;

/// Parts of a checkpoint, by shard and key.
type Parts = BTreeMap<(Shard, Vec<u8>), Vec<u8>>;

/// What so many entries of the log make.
#[derive(Debug, Clone, Default)]
struct Checkpoint {
    entries: usize,
    parts: Parts,
}

/// A disk; what is cloned from it is the same one.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    state: RefCell<State>,
    /// Nothing happens any more, on the disk or in the node.
    is_off: Rc<Cell<bool>>,
    /// For whoever writes: there is something to do.
    work: Notify,
}

#[derive(Debug)]
struct State {
    random: Random,
    log: Vec<Arc<Entry>>,
    /// Entries that last for sure.
    synced: usize,
    /// Who waits for those behind them.
    unanswered: VecDeque<Answer>,
    /// From the oldest to the newest.
    checkpoints: Vec<Checkpoint>,
    /// What the newest has.
    shards: KeptShards,
    /// Turns of everybody that a group takes, at most.
    turns_max: u64,
    keeps_messages: bool,
    is_stalled: bool,
    /// So many questions for sessions are not answered.
    unreadable: u32,
    /// Steps until the power fails.
    left: Option<u64>,
    failed_at: Option<Instant>,
    steps: u64,
}

fn nothing() -> KeptShards {
    KeptShards::new(Homes::new(&drawn_key(), 1))
}

impl SimulatedDisk {
    /// Without anything on it. The seed draws how long it takes for things, and what a failure leaves.
    pub fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let turns_max = [0, 3, 30, 100][random.below(4) as usize];
        let state = State {
            random,
            log: Vec::new(),
            synced: 0,
            unanswered: VecDeque::new(),
            checkpoints: vec![Checkpoint::default()],
            shards: nothing(),
            turns_max,
            keeps_messages: false,
            is_stalled: false,
            unreadable: 0,
            left: None,
            failed_at: None,
            steps: 0,
        };
        Self(Rc::new(Shared { state: RefCell::new(state), is_off: Rc::default(), work: Notify::new() }))
    }

    /// From the next node on messages are kept, too.
    pub fn keep_messages(&self) {
        self.0.state.borrow_mut().keeps_messages = true;
    }

    /// Whoever else stands still without power.
    pub(super) fn switch(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.0.is_off)
    }

    // === what a script does with it ===

    /// The power fails behind so many more steps: an entry is handed over, it lasts, somebody is told.
    pub fn fail_after(&self, steps: Option<u64>) {
        self.0.state.borrow_mut().left = steps;
    }

    /// The power fails.
    pub fn fail(&self) {
        if !self.0.is_off.replace(true) {
            self.0.state.borrow_mut().failed_at = Some(Instant::now());
        }
    }

    /// Since when the power is gone; none: it is not.
    pub fn failed_at(&self) -> Option<Instant> {
        self.0.state.borrow().failed_at
    }

    /// How many steps there were.
    pub fn steps(&self) -> u64 {
        self.0.state.borrow().steps
    }

    /// Nothing lasts until it [goes on](Self::go_on).
    pub fn stall(&self) {
        self.0.state.borrow_mut().is_stalled = true;
    }

    /// It writes again.
    pub fn go_on(&self) {
        self.0.state.borrow_mut().is_stalled = false;
        self.0.work.notify_one();
    }

    /// So many of the next questions for sessions are not answered.
    pub fn be_unreadable(&self, times: u32) {
        self.0.state.borrow_mut().unreadable = times;
    }

    /// What all that was handed over makes, once all of it lasts.
    pub(super) fn kept(&self) -> Option<KeptShards> {
        let state = self.0.state.borrow();
        (state.synced == state.log.len()).then(|| replay(nothing(), &state.log))
    }

    // === what a node does with it ===

    /// What the next node finds. To be called where the tasks of its store belong.
    ///
    /// # Panics
    /// When a checkpoint with what is behind it is not what the whole log makes.
    pub(super) fn mount(&self) -> Box<dyn SessionBackend> {
        self.0.is_off.set(false);
        {
            let mut state = self.0.state.borrow_mut();
            state.recover();
            (state.is_stalled, state.failed_at, state.left) = (false, None, None);
        }
        actix_rt::spawn(self.clone().write());
        Box::new(Mounted(self.clone()))
    }

    /// One group after the other: all that waits when the one before lasts.
    async fn write(self) {
        loop {
            let (end, turns) = {
                let state = self.0.state.borrow();
                (state.log.len(), state.random.below(1 + state.turns_max))
            };
            if end == self.0.state.borrow().synced {
                self.0.work.notified().await;
                continue;
            }
            for _ in 0..turns {
                yield_now().await;
            }
            while self.0.state.borrow().is_stalled {
                self.0.work.notified().await;
            }
            if !self.sync(end) {
                return;
            }
        }
    }

    /// Whether the power lasted.
    fn sync(&self, end: usize) -> bool {
        if !self.step() {
            return false;
        }
        self.0.state.borrow_mut().synced = end;
        loop {
            let answer = {
                let mut state = self.0.state.borrow_mut();
                let waiting = state.log.len() - state.synced;
                if state.unanswered.len() == waiting { None } else { state.unanswered.pop_front() }
            };
            let Some(answer) = answer else { break };
            if !self.step() {
                return false;
            }
            answer.kept();
        }
        let mut state = self.0.state.borrow_mut();
        if state.random.below(100) < CHECKPOINTS {
            state.take_in();
        }
        true
    }

    /// Whether the power lasts.
    fn step(&self) -> bool {
        let mut state = self.0.state.borrow_mut();
        state.steps += 1;
        let left = state.left;
        state.left = left.map(|left| left.saturating_sub(1));
        drop(state);
        if left == Some(0) {
            self.fail();
        }
        !self.0.is_off.get()
    }
}

fn replay(mut shards: KeptShards, entries: &[Arc<Entry>]) -> KeptShards {
    for entry in entries {
        shards.apply(entry.bytes()).expect("what was written can be read");
    }
    shards
}

/// Takes into the parts of a checkpoint what is other than it was.
fn take_changes(shards: &mut KeptShards, parts: &mut Parts) {
    let all: Vec<Shard> = shards.iter().map(|(shard, _)| shard).collect();
    for shard in all {
        for (key, part) in shards.get_mut(shard).into_iter().flat_map(KeptShard::take_changes) {
            match part {
                Some(part) => _ = parts.insert((shard, key), part),
                None => _ = parts.remove(&(shard, key)),
            }
        }
    }
}

impl Checkpoint {
    fn load(&self) -> KeptShards {
        let (mut shards, homes) = (nothing(), Homes::new(&drawn_key(), 1));
        let parts: Vec<_> = self.parts.iter().collect();
        for of_one in parts.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
            let shard = of_one[0].0.0;
            let parts = of_one.iter().map(|((_, key), part)| (key.as_slice(), part.as_slice()));
            let parts = KeptParts::read(parts).expect("what was written can be read");
            let loaded = KeptShard::of_parts(shard, homes.clone(), parts);
            shards.insert(loaded.expect("what was written can be read"));
        }
        shards
    }
}

impl State {
    /// A checkpoint of all that lasts.
    fn take_in(&mut self) {
        let newest = self.checkpoints.last().expect("there always is one");
        let (from, mut parts) = (newest.entries, newest.parts.clone());
        for entry in &self.log[from..self.synced] {
            self.shards.apply(entry.bytes()).expect("what was written can be read");
        }
        take_changes(&mut self.shards, &mut parts);
        self.checkpoints.push(Checkpoint { entries: self.synced, parts });
    }

    /// What is there when the power is back.
    fn recover(&mut self) {
        let torn = self.random.below(1 + (self.log.len() - self.synced) as u64) as usize;
        self.log.truncate(self.synced + torn);
        self.synced = self.log.len();
        self.unanswered.clear();
        // It may be an older one.
        if self.random.below(100) < 40 {
            let older = self.random.below(self.checkpoints.len() as u64) as usize;
            self.checkpoints.truncate(older + 1);
        }
        let begun = self.checkpoints.last().expect("there always is one");
        let again = self.random.below(1 + begun.entries.min(OVERLAP_MAX) as u64) as usize;
        let Checkpoint { entries, mut parts } = begun.clone();
        self.shards = replay(begun.load(), &self.log[entries - again..]);
        take_changes(&mut self.shards, &mut parts);
        let mut whole = Parts::new();
        take_changes(&mut replay(nothing(), &self.log), &mut whole);
        assert_eq!(parts, whole, "a checkpoint and what is behind it, and the whole log");
        self.checkpoints.push(Checkpoint { entries: self.synced, parts });
    }
}

/// The disk as one node has it.
struct Mounted(SimulatedDisk);

impl SessionBackend for Mounted {
    fn outlives_process(&self) -> bool {
        true
    }

    fn keeps_messages(&self) -> bool {
        self.0.0.state.borrow().keeps_messages
    }

    fn append(&mut self, entry: Arc<Entry>, answer: Answer) {
        let SimulatedDisk(disk) = &self.0;
        if disk.is_off.get() {
            return;
        }
        {
            let mut state = disk.state.borrow_mut();
            state.log.push(entry);
            state.unanswered.push_back(answer);
        }
        self.0.step();
        disk.work.notify_one();
    }

    fn load(&mut self, home: &Home, after: Option<&Cursor>) -> Result<Piece, StoreError> {
        let mut state = self.0.0.state.borrow_mut();
        if state.unreadable > 0 {
            state.unreadable -= 1;
            return Err(StoreError::Unavailable(std::io::Error::other("an injected error")));
        }
        let sessions_max = 1 + state.random.below(PIECE_SESSIONS_MAX) as usize;
        Ok(piece_of(&state.shards, home, after, sessions_max))
    }
}
