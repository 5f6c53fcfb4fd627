//! What an ended session leaves behind, a piece at a time.

use super::inflight::{InflightEntry, Owed};
use super::state::Session;
use crate::ledger::{DropReason, Ledger};
use crate::queue::Queued;

impl Session {
    /// Whether nothing of it is left to deal with, once it has ended.
    pub(crate) fn leaves_nothing(&self) -> bool {
        self.subscriptions.is_empty() && self.outgoing.is_none() && self.replays.is_none()
    }

    /// Takes out what waits, `most` at a time, oldest first. What may go to another member of its group is returned
    /// ([`give_back`](Self::give_back)), the rest is dropped. Returns how many were taken, too.
    pub fn take_waiting(&mut self, most: usize, ledger: &Ledger) -> (usize, Vec<Queued>) {
        let Some(outgoing) = &mut self.outgoing else { return (0, Vec::new()) };
        let (mut returned, mut dropped, mut dropped_own, mut taken) = (Vec::new(), 0, 0, 0);
        while taken < most {
            let (may_go, own, queued) = if let Some(entry) = outgoing.inflight.take_first() {
                let InflightEntry { owed, own, kept, .. } = entry;
                ledger.kept.end_n(1, u64::from(own));
                if let Some(kept) = &kept {
                    outgoing.forget_kept(kept);
                    ledger.kept.leave(&kept.message);
                }
                (owed == Owed::PubAck, own, kept.map(|kept| *kept))
            } else {
                let queued = outgoing.queue.pop(&ledger.kept);
                let Some(queued) = queued.or_else(|| outgoing.held_at_most_once.pop(&ledger.kept)) else {
                    break;
                };
                (true, queued.message.is_own(), Some(queued))
            };
            taken += 1;
            match queued.filter(|queued| may_go && queued.group.is_some()) {
                Some(queued) => returned.push(queued),
                None => {
                    dropped += 1;
                    dropped_own += u64::from(own);
                }
            }
        }
        if taken > 0 {
            self.tally.return_n(returned.len() as u64);
            self.tally.drop_n(DropReason::SessionGone, dropped);
        }
        ledger.drop_n(DropReason::SessionGone, dropped - dropped_own, false);
        ledger.drop_n(DropReason::SessionGone, dropped_own, true);
        if taken < most {
            self.outgoing = None;
        }
        (taken, returned)
    }

    /// Forgets replays, `most` at a time. Returns how many that were.
    pub(crate) fn forget_replays(&mut self, most: usize) -> usize {
        let Some(replays) = &mut self.replays else { return 0 };
        let forgotten = std::iter::from_fn(|| replays.pending.pop_front()).take(most).count();
        if forgotten < most {
            self.replays = None;
        }
        forgotten
    }
}
