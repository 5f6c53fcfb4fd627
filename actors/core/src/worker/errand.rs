//! What others are to do for a worker.

use std::ops::Range;

use super::state::WorkerState;
use crate::ids::SessionKey;
use crate::message::Batch;
use crate::routing::{Reply, ToTrie};
use crate::session::Will;

/// Something that a worker leaves to be done, in the order in which it asks for it.
#[derive(Debug)]
pub enum Errand {
    /// The topic trie of a worker is sent this.
    ToTrie(u16, ToTrie),
    /// A change of subscriptions is in force here: who waits for it is told, with the numbers of the subscriptions whose
    /// retained messages are to be sent.
    InForce(Reply, Range<u64>),
    /// A defect lost a change of subscriptions: who waits for it is told.
    Lost(Reply),
    /// A will is due. It is published ([`WorkerState::route_will`](super::WorkerState::route_will)) if the rules in force
    /// allow it.
    WillDue {
        /// Whose it is.
        publisher: SessionKey,
        /// The hash of its client identifier.
        publisher_hash: u64,
        /// The will.
        will: Box<Will>,
    },
    /// Publishes that a client was held up with when it went set out, unless the rules have changed since.
    LeftBehind(SessionKey, Box<Batch>),
    /// What was recorded is sent to the session store now, since somebody waits for it.
    SendChanges,
    /// The topic trie of this worker was made anew after a panic: all sessions actors are told.
    TrieMadeAnew,
}

/// Errands under way, the next one last.
struct UnderWay<'w> {
    worker: &'w mut WorkerState,
    errands: Vec<Errand>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut errands = std::mem::take(&mut self.errands);
        if !errands.is_empty() {
            // One of them panicked: what is left comes behind what that one brought.
            errands.reverse();
            self.worker.errands.append(&mut errands);
        } else if self.worker.errands.capacity() < errands.capacity() {
            errands.append(&mut self.worker.errands);
            self.worker.errands = errands;
        }
    }
}

impl WorkerState {
    /// Has all errands carried out, in their order; what one of them brings comes before the next. Where that panics the
    /// others are not lost: whoever has the state next has them carried out.
    #[inline]
    pub fn carry_out_errands(&mut self, carry_out: &mut impl FnMut(&mut Self, Errand)) {
        while self.errands.len() <= 1 {
            let Some(errand) = self.errands.pop() else { return };
            carry_out(self, errand);
        }
        self.carry_out_many(carry_out);
    }

    fn carry_out_many(&mut self, carry_out: &mut impl FnMut(&mut Self, Errand)) {
        let mut errands = std::mem::take(&mut self.errands);
        errands.reverse();
        let mut under_way = UnderWay { worker: self, errands };
        while let Some(errand) = under_way.errands.pop() {
            carry_out(under_way.worker, errand);
            if !under_way.worker.errands.is_empty() {
                under_way.worker.carry_out_errands(carry_out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::testing::{key, worker};

    /// An errand that is known by a number.
    fn errand(number: u32) -> Errand {
        Errand::LeftBehind(key(number), Box::default())
    }

    fn number(errand: &Errand) -> u32 {
        match errand {
            Errand::LeftBehind(key, _) => key.index,
            _ => unreachable!("the others are none of these"),
        }
    }

    /// Has all errands carried out, each of those of 1 to 9 bringing two. Returns the numbers in the order in which they
    /// were carried out, as far as that came.
    fn carry_out(worker: &mut WorkerState, panics_at: Option<u32>) -> Vec<u32> {
        let mut done = Vec::new();
        let carried_out = catch_unwind(AssertUnwindSafe(|| {
            worker.carry_out_errands(&mut |worker, carried| {
                let number = number(&carried);
                if number < 10 {
                    worker.errands.extend([10 * number, 10 * number + 1].map(errand));
                }
                done.push(number);
                assert_ne!(Some(number), panics_at, "a defect");
            });
        }));
        assert_eq!(carried_out.is_err(), panics_at.is_some());
        done
    }

    #[test]
    fn what_one_errand_brings_comes_before_the_next() {
        let mut worker = worker();
        worker.errands.extend([1, 2].map(errand));
        assert_eq!(carry_out(&mut worker, None), [1, 10, 11, 2, 20, 21]);
        worker.errands.push(errand(3));
        assert_eq!(carry_out(&mut worker, None), [3, 30, 31]);
        assert!(worker.errands.is_empty());
    }

    #[test]
    fn a_panic_loses_none_but_its_own() {
        for (panics_at, before, behind) in [
            (1, vec![1], vec![10, 11, 2, 20, 21, 3, 30, 31]),
            (10, vec![1, 10], vec![11, 2, 20, 21, 3, 30, 31]),
            (2, vec![1, 10, 11, 2], vec![20, 21, 3, 30, 31]),
            (31, vec![1, 10, 11, 2, 20, 21, 3, 30, 31], vec![]),
        ] {
            let mut worker = worker();
            worker.errands.extend([1, 2, 3].map(errand));
            assert_eq!(carry_out(&mut worker, Some(panics_at)), before);
            assert_eq!(carry_out(&mut worker, None), behind, "behind a panic at {panics_at}");
        }
    }
}
