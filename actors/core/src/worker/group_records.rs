//! What is recorded of messages that go through shared groups.
//!
//! A message for a group that has a durable member waits in the group, as records have it, from the turn in which the
//! group's home routes it until it is over: whoever of the group has it meanwhile, and to whomever it goes from there.
//! So nothing is lost between two members, and behind a restart another one has what was not acknowledged. A member that
//! is sent it as QoS 2 takes it for good [MQTT-4.8.2-4]: one entry has its copy, and that the group has it no more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::QoS;

use super::copies::rank;
use super::errand::Errand;
use super::state::WorkerState;
use crate::homes::Shard;
use crate::ids::{CopyId, GroupKey, Origin, Position, SessionKey};
use crate::ledger::DropReason;
use crate::message::StoredMessage;
use crate::queue::{Identifiers, Queued};
use crate::records::{Fate, Record};
use crate::routing::{HandedOver, Handoff, MemberMessage, TakenFromGroup, ToTrie, Work};
use crate::session::{Offered, Wanted};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct GroupRecords {
    /// What waits in groups no more, as records have it, and is to be recorded.
    taken: Vec<(Arc<str>, Fate, Position)>,
    /// By home and place there the groups that were heard of last: generation and whole filter.
    names: HashMap<(u16, u32), (u32, Arc<str>), rustc_hash::FxBuildHasher>,
    /// Records before this position are kept.
    kept_before: Position,
    /// QoS 2 messages for members at other workers, which go there when their records are kept.
    unkept: VecDeque<Unkept>,
}

/// A message on its way to a member at another worker that has to wait until its record is kept. That worker's record of who
/// has it would otherwise stand in the log without this one.
#[derive(Debug)]
pub(crate) struct Unkept {
    pub(crate) group: GroupKey,
    pub(crate) full_filter: Arc<str>,
    pub(crate) session: SessionKey,
    pub(crate) message: Arc<StoredMessage>,
    pub(crate) wanted: Wanted,
    pub(crate) recorded: CopyId,
}

impl GroupRecords {
    /// A message waits in its group no more, if it ever did by a record.
    pub(crate) fn take(&mut self, full_filter: &Arc<str>, fate: Fate, recorded: CopyId) {
        if recorded.is_in_group() {
            self.taken.push((Arc::clone(full_filter), fate, recorded.message));
        }
    }

    /// The same, of a group of which the name alone is known.
    pub(crate) fn take_from(&mut self, key: GroupKey, fate: Fate, recorded: CopyId) {
        if let Some(full_filter) = self.name(key) {
            self.take(&full_filter, fate, recorded);
        }
    }

    /// A member was offered a message that waits in its group by a record; it `keeps` what it was given if it is durable.
    pub(crate) fn note_offered(
        &mut self,
        full_filter: &Arc<str>,
        recorded: CopyId,
        keeps: bool,
        offered: Offered,
    ) {
        match offered {
            Offered::Dropped(reason) => self.take(full_filter, Fate::Dropped(reason), recorded),
            // It is with one that ends with its network connection, or who never says that it came.
            _ if !keeps => self.take(full_filter, Fate::Returned, recorded),
            _ => {}
        }
    }

    /// Whether nothing is to be recorded.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.taken.is_empty()
    }

    /// The group of this name is called so.
    pub(crate) fn note_name(&mut self, key: GroupKey, full_filter: &Arc<str>) {
        let named = self.names.entry((key.home, key.index));
        let known = named.or_insert_with(|| (key.generation, Arc::clone(full_filter)));
        if known.0 != key.generation {
            *known = (key.generation, Arc::clone(full_filter));
        }
    }

    fn name(&self, key: GroupKey) -> Option<Arc<str>> {
        let (generation, full_filter) = self.names.get(&(key.home, key.index))?;
        (*generation == key.generation).then(|| Arc::clone(full_filter))
    }

    /// Whether a message may go to another worker that will record who has it.
    pub(crate) fn is_kept(&self, recorded: CopyId) -> bool {
        self.unkept.is_empty() && recorded.message < self.kept_before
    }

    /// It goes there when that is so.
    pub(crate) fn hold(&mut self, unkept: Unkept) {
        self.unkept.push_back(unkept);
    }

    /// All that was loaded is kept.
    pub(super) fn begin_behind(&mut self, highest: Position) {
        self.kept_before = highest.next();
    }
}

impl WorkerState {
    /// The whole filter of a group.
    pub(crate) fn group_name(&self, key: GroupKey) -> Option<Arc<str>> {
        let known = self.groups.get(key).filter(|_| key.home == self.id);
        known.map(|group| Arc::clone(&group.full_filter)).or_else(|| self.copies.groups.name(key))
    }

    /// Whether a group had a publish that came again behind a restart.
    pub(crate) fn has_seen_in_group(&self, key: GroupKey, origin: Origin) -> bool {
        let group = self.groups.get(key).filter(|_| self.copies.is_on);
        group.is_some_and(|group| self.has_seen_in(self.node.homes.shard_of(&group.full_filter), origin))
    }

    fn has_seen_in(&self, shard: Shard, origin: Origin) -> bool {
        self.copies.last_seen(shard, origin.publisher).is_some_and(|seen| seen >= origin.count)
    }

    /// Records what waits in groups no more: of those whose home is elsewhere, that is told of it, behind whose records these
    /// have to stand.
    pub(super) fn record_taken(&mut self) {
        if self.copies.groups.taken.is_empty() {
            return;
        }
        let mut taken = std::mem::take(&mut self.copies.groups.taken);
        taken.sort_unstable_by(|one, other| {
            (&one.0, rank(one.1), one.2).cmp(&(&other.0, rank(other.1), other.2))
        });
        for of_one in taken.chunk_by(|one, other| one.0 == other.0 && one.1 == other.1) {
            let (full_filter, fate, _) = &of_one[0];
            let mut messages: Vec<Position> = of_one.iter().map(|(.., message)| *message).collect();
            messages.dedup();
            let home = self.node.homes.of_group(full_filter);
            let taken =
                TakenFromGroup { from: self.id, full_filter: Arc::clone(full_filter), fate: *fate, messages };
            if home == self.id {
                self.record_taken_from(taken);
            } else {
                self.tell_trie(home, ToTrie::Work(Work::Taken(taken)));
            }
        }
        taken.clear();
        self.copies.groups.taken = taken;
    }

    /// Records what waits in a group of this worker no more.
    pub(crate) fn record_taken_from(&mut self, taken: TakenFromGroup) {
        let TakenFromGroup { full_filter, fate, messages, .. } = taken;
        let (_, is_first) = self.changes.push(&Record::Taken(&full_filter, fate, messages), &self.node.homes);
        self.send_records(is_first);
    }

    /// All records before a position are kept: what waited for that goes to members at other workers, in order.
    pub(super) fn send_kept_to_members(&mut self, before: Position) {
        let Self { node, copies, errands, .. } = self;
        let records = &mut copies.groups;
        records.kept_before = before;
        let mut parts: Vec<Handoff> = Vec::new();
        while records.unkept.front().is_some_and(|first| first.recorded.message < before)
            && let Some(kept) = records.unkept.pop_front()
        {
            let Unkept { group, full_filter, session, message, wanted, recorded } = kept;
            let bytes = message.publication().stored_bytes();
            let is_last = |part: &Handoff| {
                part.group == group
                    && part.chosen.back().is_some_and(|last| last.session.worker == session.worker)
            };
            if !parts.last().is_some_and(is_last) {
                parts.push(Handoff { full_filter: Some(full_filter), ..Handoff::of(group) });
            }
            let part = parts.last_mut().expect("it was pushed");
            part.weight.messages += 1;
            part.weight.bytes += bytes;
            let message = HandedOver::Stored(message);
            part.chosen.push_back(MemberMessage { session, message, wanted, recorded });
        }
        for mut part in parts {
            let worker = part.chosen.front().expect("there is one").session.worker;
            part.room = Some(node.ways[usize::from(worker)].inbound.enter(part.weight));
            errands.push(Errand::ToTrie(worker, ToTrie::Handoffs(vec![part])));
        }
    }

    /// Brings back what waited in a group, each by the position of its record, behind what waits there already. What nobody is
    /// there for any more is dropped. To be called when all workers have their sessions, and their memberships are in force.
    pub fn restore_group(
        &mut self,
        full_filter: &Arc<str>,
        messages: impl Iterator<Item = (Position, Arc<StoredMessage>)>,
        now: Instant,
    ) {
        let Self { groups, ledger, copies, node, .. } = self;
        let mut group = groups.find_mut(full_filter);
        let mut restored = 0;
        for (position, message) in messages {
            restored += 1;
            let recorded = CopyId::in_group(position);
            let (publication, bytes) = (message.publication(), message.queued_bytes());
            let payer = group.as_mut().filter(|_| !publication.is_expired(now)).map(|group| {
                // Limits that are lower than they were drop nothing that was accepted under them.
                group.payer(bytes, &node.settings.session).or_else(|| group.charge_any(bytes))
            });
            let (Some(Some(payer)), Some(group)) = (payer, &mut group) else {
                let reason = match publication.is_expired(now) {
                    true => DropReason::Expired,
                    false => DropReason::SharedGroupEmpty,
                };
                ledger.drop_n(reason, 1, false);
                copies.groups.take(full_filter, Fate::Dropped(reason), recorded);
                continue;
            };
            let queued = Queued {
                qos: publication.qos,
                retain: publication.retain,
                identifiers: Identifiers::None,
                group: Some(group.key),
                replayed: false,
                recorded,
                message: Arc::clone(&message),
            };
            group.queue.push(queued, &payer, &ledger.kept);
        }
        ledger.restored.add(restored);
        if let Some(key) = group.map(|group| group.key) {
            self.tell_trie(self.id, ToTrie::Work(Work::GiveOut(key)));
        }
        self.note_taken();
    }
}

/// Whether a member has what it is given by a record: it is durable, and says that it came.
pub(crate) fn keeps(is_recorded: bool, qos: QoS) -> bool {
    is_recorded && qos > QoS::AtMostOnce
}
