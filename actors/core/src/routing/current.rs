//! A batch that is being routed, and how far it is.
//!
//! Items in a row with the same topic name are a run: looked up once, and delivered subscriber by subscriber. Each
//! session, outbox and list of messages in flight is then fetched into the processor's cache once per run instead of
//! once per message, and a connection that is woken amid a long fan-out has all of the run to write.

use std::sync::Arc;

use mqtt_codec::{QoS, matches};

use crate::completion::Opened;
use crate::matching::{Matches, Subscriber};
use crate::message::{Batch, Item};
use crate::pressure::Room;
use crate::retained::RetainedPassage;
use crate::session::Storing;

/// Items with the same topic name that are delivered together: so many more than its budget a turn may deliver.
const RUN_ITEMS_MAX: usize = 64;

/// How far one run of a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is looked up.
    Begin,
    /// The look-up has begun.
    LookUp,
    /// `matches` hold what matches it.
    Deliver,
}

/// A batch that is being routed, and how far it is.
#[derive(Debug)]
pub struct Current {
    /// The batch.
    pub batch: Arc<Batch>,
    /// Whether this is the publisher's own worker, which answers it.
    pub home: bool,
    /// The first item of the run.
    pub item: usize,
    /// How many items it has.
    pub run: usize,
    /// How far the present run is.
    pub stage: Stage,
    /// What matches their topic name.
    pub matches: Matches,
    /// The subscriber that is next.
    pub next_subscriber: usize,
    /// The item of the run that is next for the groups.
    pub next_of_run: usize,
    /// The group that is next.
    pub next_group: usize,
    /// The items of the run as they wait; there may be more places than it has items.
    pub stored: Vec<Storing>,
    /// For each item so far: whether this worker has a match.
    pub matched: Vec<bool>,
    /// The publisher is not answered: its network connection is closed, and it will send again.
    pub withheld: bool,
    /// What it takes of this worker's [`Inbound`](crate::pressure::Inbound).
    pub room: Option<Room>,
    /// Ends when the batch is delivered.
    pub passage: Option<Box<RetainedPassage>>,
    /// What this worker holds open of the acknowledgements.
    pub opened: Option<Box<Opened>>,
}

impl Current {
    /// A batch that is this far.
    pub fn at(position: RoutingProgress) -> Self {
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
            opened: position.opened,
        }
    }

    /// How many items from the present one on have its topic name and go to the same worker.
    pub fn run_length(&self, own: u64) -> usize {
        let topic = self.batch.topic(self.item);
        let rest = self.batch.items().iter().enumerate().skip(self.item + 1).take(RUN_ITEMS_MAX - 1);
        let is_alike = |(index, item): &(usize, &Item)| {
            item.is_routed() && item.workers & own != 0 && self.batch.topic(*index) == topic
        };
        1 + rest.take_while(is_alike).count()
    }

    /// Whether a run is looked up or delivered in part: that holds memory.
    pub fn is_within_run(&self) -> bool {
        self.stage != Stage::Begin
    }

    /// Another run begins, and nothing of it waits.
    #[inline]
    pub fn store_anew(&mut self) {
        self.forget_stored();
        if self.stored.len() < self.run {
            self.stored.resize_with(self.run, Storing::default);
        }
    }

    /// Nothing of the run waits any more; the places that it had there are kept for the next one.
    #[inline]
    pub fn forget_stored(&mut self) {
        self.stored.iter_mut().for_each(Storing::forget);
    }

    /// The items of the run, each with its QoS, as they wait.
    pub fn storing(&mut self) -> impl Iterator<Item = (QoS, &mut Storing)> {
        let Self { batch, item, run, stored, .. } = self;
        stored
            .iter_mut()
            .take(*run)
            .enumerate()
            .map(|(at, storing)| (batch.publication(*item + at).qos, storing))
    }

    /// A subscription is gone: nothing that was looked up before is delivered through it any more [MQTT-3.10.4-2].
    /// Returns how many subscribers had to be looked at.
    pub fn withdraw(&mut self, filter: &str, gone: &Subscriber) -> usize {
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
    pub fn look_up_anew(&mut self) {
        if self.stage == Stage::LookUp {
            self.stage = Stage::Begin;
        }
    }
}

/// How far a batch is, in case that routing it panics.
#[derive(Debug)]
pub struct RoutingProgress {
    /// The batch.
    pub batch: Arc<Batch>,
    /// Whether this is the publisher's own worker.
    pub home: bool,
    /// The item that is being routed.
    pub item: usize,
    /// How many items are routed with it.
    pub run: usize,
    /// Whether the publisher is not answered.
    pub withheld: bool,
    /// What it takes on its way.
    pub room: Option<Room>,
    /// What this worker holds open of the acknowledgements.
    pub opened: Option<Box<Opened>>,
}
