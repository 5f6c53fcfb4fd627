//! Messages that are dropped all together, of which there may be very many: a piece at a time.
//!
//! A queue may hold 100,000 messages; others do not wait until all of them are dropped. It is left to the worker's topic
//! trie, which does it as work of its owner, in turns with what others ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::errand::Errand;
use super::state::WorkerState;
use crate::groups::GroupQueue;
use crate::ledger::DropReason;
use crate::queue::Queue;
use crate::records::Fate;
use crate::routing::{Owner, ToTrie, Work};

/// Messages that are dropped at once.
const AT_ONCE: usize = 64;
/// Messages that cost about as much to drop as a delivery to make.
const MESSAGES_PER_DELIVERY: usize = 4;

/// Messages that are to be dropped.
#[derive(Debug)]
pub enum Discard {
    /// They waited for a session.
    OfSession(Queue),
    /// They waited in a shared group of this whole filter.
    OfGroup(Arc<str>, GroupQueue),
}

impl Discard {
    fn is_empty(&self) -> bool {
        match self {
            Self::OfSession(queue) => queue.is_empty(),
            Self::OfGroup(_, queue) => queue.is_empty(),
        }
    }
}

/// All that is to be dropped, in the order in which that was found, each with its owner and the reason.
#[derive(Debug, Default)]
pub struct Discards {
    latest: u64,
    left: BTreeMap<u64, (Owner, DropReason, Discard)>,
}

impl WorkerState {
    /// Drops messages: at once, if they are few.
    pub(crate) fn discard(&mut self, owner: Owner, reason: DropReason, mut discard: Discard) {
        self.drop_some(&mut discard, reason, AT_ONCE);
        if !discard.is_empty() {
            let discards = self.discards.get_or_insert_default();
            discards.latest += 1;
            let number = discards.latest;
            discards.left.insert(number, (owner, reason, discard));
            self.tell_trie(self.id, ToTrie::Work(Work::Discard(owner, number)));
        }
    }

    /// Drops the next of them, within `budget` deliveries. Returns whether some are left.
    pub(crate) fn discard_some(&mut self, number: u64, budget: &mut usize) -> bool {
        let Some(discards) = &mut self.discards else { return false };
        let Some((owner, reason, mut discard)) = discards.left.remove(&number) else { return false };
        let dropped = self.drop_some(&mut discard, reason, *budget * MESSAGES_PER_DELIVERY);
        *budget = budget.saturating_sub(dropped.div_ceil(MESSAGES_PER_DELIVERY));
        let is_left = !discard.is_empty();
        match &mut self.discards {
            Some(discards) if is_left => _ = discards.left.insert(number, (owner, reason, discard)),
            Some(discards) if discards.left.is_empty() => self.discards = None,
            _ => {}
        }
        is_left
    }

    /// The topic trie may have lost what was left to it: it is told once more.
    pub(super) fn go_on_with_discards(&mut self) {
        for (number, (owner, ..)) in self.discards.iter().flat_map(|discards| &discards.left) {
            let work = ToTrie::Work(Work::Discard(*owner, *number));
            self.errands.push(Errand::ToTrie(self.id, work));
        }
    }

    fn drop_some(&mut self, discard: &mut Discard, reason: DropReason, most: usize) -> usize {
        let kept = &self.ledger.kept;
        for dropped in 0..most {
            let next = match discard {
                Discard::OfSession(queue) => queue.pop(kept),
                Discard::OfGroup(_, queue) => queue.pop(kept),
            };
            let Some(queued) = next else { return dropped };
            if let Discard::OfGroup(full_filter, _) = discard {
                self.copies.groups.take(full_filter, Fate::Dropped(reason), queued.recorded);
            }
            self.ledger.drop_n(reason, 1, queued.message.is_own());
        }
        most
    }
}
