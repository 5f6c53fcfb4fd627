//! Looking up which workers want the publishes of a batch.

use super::elsewhere::ELSEWHERE;
use super::state::{NodeState, WorkerState};
use crate::matching::{LookUps, NAMES_TOGETHER};
use crate::message::Batch;

/// Items whose topic names are looked up together.
const ITEMS_TOGETHER: usize = 64;

impl WorkerState {
    /// Notes in each item the workers with a match. Returns all of those.
    pub(super) fn look_up(&self, batch: &mut Batch) -> u64 {
        let mut targets = self.node.look_up(batch);
        if let Some(elsewhere) = &self.node.elsewhere
            && batch.publisher.is_some()
            && elsewhere.look_up(batch)
        {
            targets |= ELSEWHERE;
        }
        targets
    }
}

impl NodeState {
    /// The same, without those of other nodes.
    pub(super) fn look_up(&self, batch: &mut Batch) -> u64 {
        if self.workers() == 1 {
            // There is nobody else, and nothing to look up.
            batch.items_mut().iter_mut().filter(|item| item.is_routed()).for_each(|item| item.workers = 1);
            return 1;
        }
        let mut targets = 0;
        let mut look_ups = LookUps::of(batch.items().len());
        let mut from = 0;
        while from < batch.items().len() {
            let names = Names::of(batch, from);
            let workers = self.directory.workers_together(&names.names[..names.len], &mut look_ups);
            let (of_items, items) = (names.of_items, names.items);
            for (item, name) in batch.items_mut()[from..][..items].iter_mut().zip(of_items) {
                if item.is_routed() {
                    item.workers = workers[usize::from(name)];
                    targets |= item.workers;
                }
            }
            from += items;
        }
        targets
    }
}

/// The next items of a batch, and the topic names that are looked up together for them. Most publishers send many
/// messages to one topic name: those in a row share it.
struct Names<'a> {
    names: [&'a str; NAMES_TOGETHER],
    len: usize,
    /// Which of the names each item has.
    of_items: [u8; ITEMS_TOGETHER],
    items: usize,
}

impl<'a> Names<'a> {
    fn of(batch: &'a Batch, from: usize) -> Self {
        let mut names = Self { names: [""; NAMES_TOGETHER], len: 0, of_items: [0; ITEMS_TOGETHER], items: 0 };
        for (index, item) in batch.items().iter().enumerate().skip(from).take(ITEMS_TOGETHER) {
            if item.is_routed() {
                let topic = batch.topic(index);
                if names.len == 0 || names.names[names.len - 1] != topic {
                    if names.len == NAMES_TOGETHER {
                        break;
                    }
                    names.names[names.len] = topic;
                    names.len += 1;
                }
                names.of_items[names.items] = (names.len - 1) as u8;
            }
            names.items += 1;
        }
        names
    }
}
