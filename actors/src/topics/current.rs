//! A batch that is being routed, and how far it is.
//!
//! Items in a row with the same topic name are a run: looked up once, and delivered subscriber by subscriber. Each
//! session, outbox and list of messages in flight is then fetched into the processor's cache once per run instead of
//! once per message, and a connection that is woken amid a long fan-out has all of the run to write.

use std::sync::Arc;

use micro_mq_core::matching::{Matches, Subscriber};
use micro_mq_core::message::{Batch, Item, StoredMessage};
use micro_mq_core::pressure::Room;
use mqtt_codec::matches;

use crate::retained::RetainedPassage;

/// Items with the same topic name that are delivered together: so many more than its budget a turn may deliver.
const RUN_ITEMS_MAX: usize = 64;

/// How far one run of a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is looked up.
    Begin,
    /// The look-up has begun.
    LookUp,
    /// `matches` hold what matches it.
    Deliver,
}

/// A batch that is being routed, and how far it is.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) batch: Arc<Batch>,
    pub(super) home: bool,
    /// The first item of the run.
    pub(super) item: usize,
    /// How many items it has.
    pub(super) run: usize,
    pub(super) stage: Stage,
    /// What matches their topic name.
    pub(super) matches: Matches,
    pub(super) next_subscriber: usize,
    /// The item of the run that is next for the groups.
    pub(super) next_of_run: usize,
    pub(super) next_group: usize,
    /// The items of the run as they wait.
    pub(super) stored: Vec<Option<Arc<StoredMessage>>>,
    /// For each item so far: whether this worker has a match.
    pub(super) matched: Vec<bool>,
    /// The publisher is not answered: its network connection is closed, and it will send again.
    pub(super) withheld: bool,
    /// What it takes of this worker's [`Inbound`](micro_mq_core::pressure::Inbound).
    pub(super) room: Option<Room>,
    /// Ends when the batch is delivered.
    pub(super) passage: Option<Box<RetainedPassage>>,
}

impl Current {
    pub(super) fn at(position: Position) -> Self {
        Self {
            matched: vec![false; position.item],
            batch: position.batch,
            home: position.home,
            item: position.item,
            run: 1,
            stage: Stage::Begin,
            matches: Matches::default(),
            next_subscriber: 0,
            next_of_run: 0,
            next_group: 0,
            stored: Vec::new(),
            withheld: position.withheld,
            room: position.room,
            passage: None,
        }
    }

    /// How many items from the present one on have its topic name and go to the same worker.
    pub(super) fn run_length(&self, own: u64) -> usize {
        let topic = self.batch.topic(self.item);
        let rest = self.batch.items().iter().enumerate().skip(self.item + 1).take(RUN_ITEMS_MAX - 1);
        let is_alike = |(index, item): &(usize, &Item)| {
            item.is_routed() && item.workers & own != 0 && self.batch.topic(*index) == topic
        };
        1 + rest.take_while(is_alike).count()
    }

    /// Whether a run is looked up or delivered in part: that holds memory.
    pub(super) fn is_within_run(&self) -> bool {
        self.stage != Stage::Begin
    }

    /// A subscription is gone: nothing that was looked up before is delivered through it any more [MQTT-3.10.4-2].
    /// Returns how many subscribers had to be looked at.
    pub(super) fn withdraw(&mut self, filter: &str, gone: &Subscriber) -> usize {
        if !self.is_within_run() || !matches(filter, self.batch.topic(self.item)) {
            return 0;
        }
        let done = if self.stage == Stage::Deliver { self.next_subscriber } else { 0 };
        let subscribers = &mut self.matches.subscribers;
        let left = subscribers.get(done..).unwrap_or_default();
        let looked_at = left.len();
        if let Some(at) = left.iter().position(|subscriber| subscriber == gone) {
            subscribers.remove(done + at);
        }
        looked_at
    }

    /// The trie is another one: what was looked up in part is looked up anew.
    pub(super) fn look_up_anew(&mut self) {
        if self.stage == Stage::LookUp {
            self.stage = Stage::Begin;
        }
    }
}

/// How far a batch is, in case that routing it panics.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) batch: Arc<Batch>,
    pub(super) home: bool,
    pub(super) item: usize,
    pub(super) run: usize,
    pub(super) withheld: bool,
    pub(super) room: Option<Room>,
}
