//! Messages of shared groups for members who live at other workers: collected during a turn, handed over at its end, group
//! by group, since groups take turns there.
//!
//! What comes straight from a batch stays in it, and the batch goes along: a copy of each message, made here and freed
//! there, would cost more than all the rest of handing it over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::QoS;

use crate::groups::{GivenBack, Group};
use crate::ids::{CopyId, GroupKey, SessionKey};
use crate::message::{Batch, Publication, StoredMessage};
use crate::queue::Queued;
use crate::routing::Owner;
use crate::session::{Desk, Offered, Storing, Wanted, queued};

use super::fan_out::cost_of_copy;
use super::router::Router;
use crate::routing::{HandedOver, Handoff, MemberMessage, ToTrie};
use crate::worker::{Errand, WorkerState, keeps};

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
    /// What records call it in its group; none: it is an item, or nothing of it is recorded.
    pub(super) recorded: CopyId,
}

impl Passing<'_> {
    /// The message as it waits.
    pub(super) fn stored(&mut self) -> Arc<StoredMessage> {
        Arc::clone(self.stored.message(self.publication))
    }

    /// It is given to a member of a group, or waits for one. Returns what records call it there: what outlives the process
    /// waits in the group from now on, whoever has it.
    pub(super) fn record_in(&mut self, group: &Group) -> CopyId {
        let is_new = self.item.is_some() && self.publication.qos > QoS::AtMostOnce;
        if is_new && !self.recorded.is_some() && group.has_durable_member() {
            self.recorded = self.stored.wait_in(group.key);
        }
        self.recorded
    }
}

/// Parts that a message is looked for its group in, the latest: with more groups in turn, one has several parts.
const PARTS_TRIED_MAX: usize = 8;

/// The part of a group among those for one worker.
pub(super) fn part_of(parts: &mut Vec<Handoff>, group: GroupKey) -> &mut Handoff {
    let latest = parts.iter().enumerate().rev().take(PARTS_TRIED_MAX);
    let found = latest.filter(|(_, part)| part.group == group).map(|(at, _)| at).next();
    let at = found.unwrap_or_else(|| {
        parts.push(Handoff::of(group));
        parts.len() - 1
    });
    &mut parts[at]
}

impl Handoff {
    /// Adds a message for a member.
    pub(super) fn add(&mut self, session: SessionKey, passing: &mut Passing<'_>, wanted: Wanted) {
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
        self.chosen.push_back(MemberMessage { session, message, wanted, recorded: passing.recorded });
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
        let mut returned = VecDeque::new();
        if let Some(full_filter) = &handoff.full_filter {
            worker.copies.groups.note_name(handoff.group, full_filter);
        }
        {
            let WorkerState { node, ledger, sessions, pool, frames, wakes, copies, .. } = &mut *worker;
            while *budget > 0
                && let Some(chosen) = handoff.chosen.pop_front()
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
                    let queued = queued(&publication, qos, &chosen.wanted, &mut stored);
                    returned.push_back(Queued { recorded: chosen.recorded, ..queued });
                    continue;
                };
                let keeps = keeps(session.is_recorded, publication.qos.min(chosen.wanted.qos));
                if keeps {
                    stored.offer_in_group(chosen.recorded);
                }
                // Those of another message.
                frames.forget();
                let mut desk = Desk { settings: &node.settings, ledger, pool, frames, now };
                let offered = session.offer(&publication, &chosen.wanted, &mut stored, &mut desk);
                match offered {
                    Offered::Sent => wakes.touch(session.online.as_mut(), chosen.session),
                    Offered::Queued | Offered::Dropped(_) => session.publish_load(),
                }
                if session.has_notes() {
                    copies.note(chosen.session);
                }
                if let Some(full_filter) = &handoff.full_filter {
                    copies.groups.note_offered(full_filter, chosen.recorded, keeps, offered);
                }
            }
            frames.forget();
        }
        worker.record_all_notes();
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
