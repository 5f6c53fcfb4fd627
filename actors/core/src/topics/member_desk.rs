//! What deciding about the members of a group needs, beside the groups themselves.

use std::sync::Arc;
use std::time::Instant;

use crate::groups::{Burden, Chosen, Group, Groups, Member, MemberRoom};
use crate::ids::{CopyId, SessionKey};
use crate::ledger::{DropReason, Ledger};
use crate::message::Publication;
use crate::pool::BufferPool;
use crate::queue::{Identifiers, Queued};
use crate::records::Fate;
use crate::session::{Desk, FrameCache, Offered, SessionTable, Wakes, Wanted};
use crate::worker::{CopyRecords, NodeState, WorkerState, keeps};
use mqtt_codec::QoS;

use super::handoff::Passing;

/// See the module.
pub(super) struct MemberDesk<'a> {
    pub(super) id: u16,
    pub(super) ledger: &'a Ledger,
    node: &'a NodeState,
    sessions: &'a mut SessionTable,
    pool: &'a mut BufferPool,
    frames: &'a mut FrameCache,
    wakes: &'a mut Wakes,
    /// What is recorded of messages.
    pub(super) copies: &'a mut CopyRecords,
    now: Instant,
}

impl<'a> MemberDesk<'a> {
    /// The groups of a worker, and all the rest.
    pub(super) fn beside_groups(worker: &'a mut WorkerState, now: Instant) -> (&'a mut Groups, Self) {
        let WorkerState { id, node, ledger, groups, sessions, pool, frames, wakes, copies, .. } = worker;
        (groups, Self { id: *id, ledger, node, sessions, pool, frames, wakes, copies, now })
    }

    /// A message that waits at the cost of `payer` takes no more room with that member.
    pub(super) fn choose(
        &self,
        group: &mut Group,
        publication: &Publication<'_>,
        payer: Option<&Arc<Burden>>,
    ) -> Chosen {
        group.choose(
            publication,
            |member| match member.session.worker == self.id {
                true => {
                    let pays = payer.is_some_and(|payer| Arc::ptr_eq(payer, &member.burden));
                    self.room_with(member, publication, pays)
                }
                false => MemberRoom::Free,
            },
            |other| other != self.id && self.node.ways[usize::from(other)].inbound.is_full(),
        )
    }

    fn room_with(&self, member: &Member, publication: &Publication<'_>, pays: bool) -> MemberRoom {
        let Self { node, ledger, sessions, .. } = self;
        match sessions.get(member.session).filter(|session| session.online.is_some()) {
            // That it left is on its way to this group.
            None => MemberRoom::Gone,
            Some(session)
                if session.has_room(publication, member.options.qos, pays, &node.settings, ledger) =>
            {
                MemberRoom::Free
            }
            Some(_) => MemberRoom::Full,
        }
    }

    /// Offers a message to a member that lives here; with its group's whole filter, if it waits there by its record.
    pub(super) fn offer(
        &mut self,
        key: SessionKey,
        passing: &mut Passing<'_>,
        wanted: &Wanted,
        full_filter: Option<&Arc<str>>,
    ) {
        let Self { node, ledger, sessions, pool, frames, wakes, copies, now, .. } = self;
        let Some(session) = sessions.get_mut(key) else {
            debug_assert!(false, "whoever chose it looked it up");
            return;
        };
        // Those of another message.
        frames.forget();
        let mut desk = Desk { settings: &node.settings, ledger, pool, frames, now: *now };
        let keeps = keeps(session.is_recorded, passing.publication.qos.min(wanted.qos));
        passing.stored.offer_in_group(if keeps { passing.recorded } else { CopyId::default() });
        let offered = session.offer(passing.publication, wanted, passing.stored, &mut desk);
        if offered == Offered::Sent {
            wakes.touch(session.online.as_mut(), key);
        }
        session.publish_load();
        if session.has_notes() {
            copies.note(key);
        }
        if let Some(full_filter) = full_filter {
            copies.groups.note_offered(full_filter, passing.recorded, keeps, offered);
        }
        frames.forget();
    }

    /// No member can take it now: QoS 1 and 2 wait for one that is online or whose session is durable.
    pub(super) fn wait_in_group(&mut self, group: &mut Group, mut passing: Passing<'_>) {
        let publication = passing.publication;
        let limits = &self.node.settings.session;
        let ledger = self.ledger;
        let is_online = group.is_any_online();
        let reason = if publication.qos == QoS::AtMostOnce && (is_online || !limits.queue_qos0_offline) {
            if is_online { DropReason::OutboxFull } else { DropReason::Offline }
        } else if !is_online && !group.has_durable_member() {
            DropReason::SharedGroupEmpty
        } else if !group.has_room(publication.queued_bytes(), limits) {
            DropReason::QueueFull
        } else if !ledger.kept.has_room_for(publication.qos, publication.queued_bytes()) {
            DropReason::NodeQueueFull
        } else if let Some(payer) = group.payer(publication.queued_bytes(), limits) {
            let queued = Queued {
                recorded: passing.record_in(group),
                message: passing.stored(),
                qos: publication.qos,
                retain: publication.retain,
                identifiers: Identifiers::None,
                group: Some(group.key),
                replayed: false,
            };
            return group.queue.push(queued, &payer, &ledger.kept);
        } else {
            DropReason::QueueFull
        };
        ledger.drop_n(reason, 1, publication.is_own());
        self.copies.groups.take(&group.full_filter, Fate::Dropped(reason), passing.recorded);
    }
}
