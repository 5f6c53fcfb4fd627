//! Messages of shared groups for members who live at other workers: collected during a turn, handed over at its end, group
//! by group, since groups take turns there.
//!
//! What comes straight from a batch stays in it, and the batch goes along: a copy of each message, made here and freed
//! there, would cost more than all the rest of handing it over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::completion::Condition;
use crate::groups::GivenBack;
use crate::ids::{GroupKey, SessionKey};
use crate::message::{Batch, Publication, StoredMessage};
use crate::pressure::Weight;
use crate::routing::Owner;
use crate::session::{Desk, Offered, Storing, Wanted, queued};

use super::fan_out::cost_of_copy;
use super::router::Router;
use crate::routing::{HandedOver, Handoff, MemberMessage, ToTrie};
use crate::worker::{Errand, WorkerState};

/// What a message for a member costs, in deliveries of one that many get: it is encoded for this one alone.
const DELIVERIES_EACH: usize = 4;

/// A message that goes through a group.
#[derive(Debug)]
pub(super) struct Passing<'a> {
    pub(super) publication: &'a Publication<'a>,
    /// The item of a batch that it is; none if it waited before.
    pub(super) item: Option<(&'a Arc<Batch>, usize)>,
    /// The message as it waits, made when that is needed.
    pub(super) stored: &'a mut Storing,
}

impl Passing<'_> {
    /// The message as it waits.
    pub(super) fn stored(&mut self) -> Arc<StoredMessage> {
        Arc::clone(self.stored.message(self.publication))
    }
}

/// Parts that a message is looked for its group in, the latest: with more groups in turn, one has several parts.
const PARTS_TRIED_MAX: usize = 8;

/// The part of a group among those for one worker.
pub(super) fn part_of(parts: &mut Vec<Handoff>, group: GroupKey) -> &mut Handoff {
    let latest = parts.iter().enumerate().rev().take(PARTS_TRIED_MAX);
    let found = latest.filter(|(_, part)| part.group == group).map(|(at, _)| at).next();
    let at = found.unwrap_or_else(|| {
        let (chosen, batches, weight) = (VecDeque::new(), VecDeque::new(), Weight::default());
        let (batches_passed, room, is_begun) = (0, None, false);
        parts.push(Handoff { group, chosen, batches, batches_passed, weight, room, is_begun });
        parts.len() - 1
    });
    &mut parts[at]
}

impl Handoff {
    /// Adds a message for a member.
    pub(super) fn add(
        &mut self,
        session: SessionKey,
        passing: &mut Passing<'_>,
        wanted: Wanted,
        condition: Option<Condition>,
    ) {
        let message = match passing.item {
            Some((batch, item)) => {
                if self.batches.back().is_none_or(|last| !Arc::ptr_eq(last, batch)) {
                    self.batches.push_back(Arc::clone(batch));
                }
                HandedOver::Item { batch: self.batches.len() as u32 - 1, item: item as u32 }
            }
            None => HandedOver::Stored(passing.stored()),
        };
        self.weight.messages += 1;
        self.weight.bytes += passing.publication.stored_bytes();
        self.chosen.push_back(MemberMessage { session, message, wanted, condition });
    }

    fn publication<'a>(&'a self, chosen: &'a MemberMessage) -> Publication<'a> {
        match &chosen.message {
            HandedOver::Item { batch, item } => {
                self.batches[(batch - self.batches_passed) as usize].publication(*item as usize)
            }
            HandedOver::Stored(message) => message.publication(),
        }
    }

    /// Lets go of the batches before that of the message which is next. Returns them.
    fn pass_batches(&mut self) -> impl Iterator<Item = Arc<Batch>> + '_ {
        let next = self.chosen.iter().find_map(|chosen| match chosen.message {
            HandedOver::Item { batch, .. } => Some(batch),
            HandedOver::Stored(_) => None,
        });
        let passed = next.map_or(self.batches.len(), |next| (next - self.batches_passed) as usize);
        self.batches_passed += passed as u32;
        self.batches.drain(..passed)
    }
}

impl Router {
    /// Sends what members of other workers were chosen for: one message to each worker.
    pub(super) fn hand_over(&mut self, worker: &mut WorkerState) {
        for ((id, way), parts) in worker.node.ways.iter().enumerate().zip(&mut self.handoffs) {
            if !parts.is_empty() {
                parts.iter_mut().for_each(|part| part.room = Some(way.inbound.enter(part.weight)));
                let parts = ToTrie::Handoffs(std::mem::take(parts));
                worker.errands.push(Errand::ToTrie(id as u16, parts));
            }
        }
    }
}

impl Handoff {
    /// Members of this worker were chosen at their group's home. Who went offline meanwhile gives back. Returns what is
    /// left of it when `budget` is spent.
    pub(super) fn take_piece(
        worker: &mut WorkerState,
        mut handoff: Box<Self>,
        budget: &mut usize,
        now: Instant,
    ) -> Option<Box<Self>> {
        handoff.is_begun = true;
        let (mut returned, mut conditions) = (VecDeque::new(), Vec::new());
        {
            let WorkerState { node, ledger, sessions, pool, frames, wakes, copies, .. } = &mut *worker;
            while *budget > 0
                && let Some(mut chosen) = handoff.chosen.pop_front()
            {
                let publication = handoff.publication(&chosen);
                *budget = budget.saturating_sub(DELIVERIES_EACH + cost_of_copy(&publication));
                let mut stored = match &chosen.message {
                    HandedOver::Item { .. } => Storing::default(),
                    HandedOver::Stored(message) => Storing::of(Arc::clone(message)),
                };
                let session = sessions.get_mut(chosen.session).filter(|session| session.online.is_some());
                let Some(session) = session else {
                    let qos = publication.qos.min(chosen.wanted.qos);
                    returned.push_back(queued(&publication, qos, &chosen.wanted, &mut stored));
                    // What is on its way between members is kept by the next one.
                    chosen.condition.take().into_iter().for_each(Condition::done);
                    continue;
                };
                // Those of another message.
                frames.forget();
                let mut desk = Desk { settings: &node.settings, ledger, pool, frames, now };
                match session.offer(&publication, &chosen.wanted, &mut stored, &mut desk) {
                    Offered::Sent => wakes.touch(session.online.as_mut(), chosen.session),
                    Offered::Queued | Offered::Dropped(_) => session.publish_load(),
                }
                if session.has_notes() {
                    copies.note(chosen.session);
                }
                conditions.extend(chosen.condition.take());
            }
            frames.forget();
        }
        worker.record_given(conditions);
        if !returned.is_empty() {
            worker.give_back(
                Owner::Group(handoff.group),
                vec![GivenBack { group: handoff.group, messages: returned }],
            );
        }
        for mut batch in handoff.pass_batches() {
            if let Some(batch) = Arc::get_mut(&mut batch) {
                worker.recycle(std::mem::take(batch));
            }
        }
        (!handoff.chosen.is_empty()).then_some(handoff)
    }
}
