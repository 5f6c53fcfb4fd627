//! What is to be recorded of the messages to a session that outlives the process.
//!
//! What becomes of a copy is noted here, where it is decided, and turned into records by the session's worker. A QoS 2
//! PUBLISH, and a PUBREL, is noted before it is sent, and sent when its record is kept.

use std::collections::HashMap;
use std::sync::Arc;

use mqtt_codec::{PacketIdentifier, PacketType, QoS, ReasonCode, encode_ack};

use super::deliver::Desk;
use super::state::{Outgoing, Session};
use crate::ids::{CopyId, GroupKey};
use crate::queue::Queued;
use crate::records::Fate;

/// See the module.
#[derive(Debug, Default)]
pub struct RecordedCopies {
    /// What is to be recorded.
    notes: Notes,
    /// Copies that are to be sent as QoS 2 once that is kept: until then nothing is sent for the first time behind them.
    leaving: usize,
    /// Copies between PUBREC and PUBCOMP, and whether that is kept.
    released: HashMap<PacketIdentifier, (CopyId, bool), rustc_hash::FxBuildHasher>,
}

/// What is to be recorded of one session.
#[derive(Debug, Default)]
pub struct Notes {
    /// Copies that it was given and that no record names yet.
    pub given: Vec<Given>,
    /// Copies that are to be sent as QoS 2, by these packet identifiers.
    pub sent: Vec<PacketIdentifier>,
    /// Those whose PUBREC came.
    pub released: Vec<(PacketIdentifier, CopyId)>,
    /// Copies that wait no more.
    pub settled: Vec<(CopyId, Fate)>,
    /// The same of those that are recorded where they waited in their groups.
    pub taken: Vec<(CopyId, GroupKey, Fate)>,
}

/// A copy that a session was given, and that no record names yet.
#[derive(Debug)]
pub struct Given {
    place: Placed,
    /// What is to be recorded of it.
    pub queued: Queued,
}

/// Where a copy is.
#[derive(Debug, Clone, Copy)]
enum Placed {
    InFlight(PacketIdentifier),
    Queued(u64),
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.given.is_empty()
            && self.sent.is_empty()
            && self.released.is_empty()
            && self.settled.is_empty()
            && self.taken.is_empty()
    }
}

impl Outgoing {
    fn recorded_copies(&mut self) -> &mut RecordedCopies {
        self.recorded.get_or_insert_default()
    }

    /// A copy waits no more.
    pub(super) fn note_settled(&mut self, copy: CopyId, group: Option<GroupKey>, fate: Fate) {
        if let Some(group) = group.filter(|_| copy.is_in_group()) {
            self.recorded_copies().notes.taken.push((copy, group, fate));
        } else if copy.is_some() {
            self.recorded_copies().notes.settled.push((copy, fate));
        }
    }

    /// A copy is in flight: one that no record names yet is to have one. Answers whether it is sent once that is kept, as QoS 2.
    #[inline(never)]
    pub(super) fn note_in_flight(&mut self, identifier: PacketIdentifier, qos: QoS) -> bool {
        let Some(queued) = self.inflight.kept_mut(identifier) else { return false };
        let unnamed = (!queued.recorded.is_some()).then(|| queued.clone());
        let notes = &mut self.recorded_copies().notes;
        if let Some(queued) = unnamed {
            notes.given.push(Given { place: Placed::InFlight(identifier), queued });
        }
        if qos != QoS::ExactlyOnce {
            return false;
        }
        notes.sent.push(identifier);
        self.recorded_copies().leaving += 1;
        true
    }

    /// A copy waits at a place that no record names yet.
    pub(super) fn note_given(&mut self, place: u64, queued: Queued) {
        self.recorded_copies().notes.given.push(Given { place: Placed::Queued(place), queued });
    }

    /// A copy that no record names yet, if it is still where it was.
    fn unnamed(&mut self, given: &Given) -> Option<&mut Queued> {
        let found = match given.place {
            Placed::InFlight(identifier) => self.inflight.kept_mut(identifier),
            Placed::Queued(place) => self.queue.at_mut(place, &given.queued.message),
        };
        let is_it = |found: &&mut Queued| Arc::ptr_eq(&found.message, &given.queued.message);
        found.filter(is_it).filter(|found| !found.recorded.is_some())
    }

    /// The PUBREC of a copy came: its PUBREL is to be sent once that is recorded.
    pub(super) fn note_released(&mut self, identifier: PacketIdentifier, copy: CopyId) {
        let recorded = self.recorded_copies();
        recorded.notes.released.push((identifier, copy));
        recorded.released.insert(identifier, (copy, false));
    }

    /// A copy was released by an earlier process.
    pub(crate) fn restore_released(&mut self, identifier: PacketIdentifier, copy: CopyId) {
        self.recorded_copies().released.insert(identifier, (copy, true));
    }

    /// Whether a PUBREL waits for being recorded.
    pub(super) fn is_release_unkept(&self, identifier: PacketIdentifier) -> bool {
        let recorded = self.recorded.as_ref();
        recorded.and_then(|recorded| recorded.released.get(&identifier)).is_some_and(|(_, is_kept)| !is_kept)
    }

    /// The copy that was released with this packet identifier is over. Answers which it was.
    pub(super) fn forget_released(&mut self, identifier: PacketIdentifier) -> CopyId {
        let recorded = self.recorded.as_mut();
        let copy = recorded.and_then(|recorded| recorded.released.remove(&identifier));
        copy.map_or(CopyId::default(), |(copy, _)| copy)
    }
}

impl Session {
    /// A copy that was to be sent once that is kept is sent, or will not be.
    pub fn note_left(&mut self) {
        if let Some(recorded) = self.outgoing.as_mut().and_then(|outgoing| outgoing.recorded.as_mut()) {
            recorded.leaving = recorded.leaving.saturating_sub(1);
        }
    }

    /// Whether a message of this QoS would be sent before one that is to be sent once that is kept.
    pub(super) fn would_overtake(&self, qos: QoS) -> bool {
        let recorded = self.outgoing.as_ref().and_then(|outgoing| outgoing.recorded.as_ref());
        qos != QoS::ExactlyOnce && recorded.is_some_and(|recorded| recorded.leaving > 0)
    }

    /// Whether something is to be recorded of the messages to it.
    #[inline]
    pub fn has_notes(&self) -> bool {
        let recorded = || self.outgoing.as_ref().and_then(|outgoing| outgoing.recorded.as_ref());
        self.keeps_messages && recorded().is_some_and(|recorded| !recorded.notes.is_empty())
    }

    /// Whether a copy is still where it was, and no record names it.
    pub fn is_unnamed(&mut self, given: &Given) -> bool {
        self.outgoing.as_mut().is_some_and(|outgoing| outgoing.unnamed(given).is_some())
    }

    /// A record names a copy.
    pub fn name(&mut self, given: &Given, copy: CopyId) {
        if let Some(unnamed) = self.outgoing.as_mut().and_then(|outgoing| outgoing.unnamed(given)) {
            unnamed.recorded = copy;
        }
    }

    /// What records call the copy that is sent with a packet identifier; none if it has been acknowledged.
    pub fn copy_in_flight(&self, identifier: PacketIdentifier) -> Option<CopyId> {
        let entry = self.outgoing.as_ref()?.inflight.get(identifier)?;
        entry.kept.as_ref().map(|kept| kept.recorded).filter(|copy| copy.is_some())
    }

    /// A copy that is sent with a packet identifier, as it waits in its group by its record; none where that is otherwise.
    pub fn in_flight_of_group(&self, identifier: PacketIdentifier) -> Option<&Queued> {
        let entry = self.outgoing.as_ref()?.inflight.get(identifier)?;
        entry.kept.as_deref().filter(|kept| kept.recorded.is_in_group())
    }

    /// The session has a copy of its own that is sent with a packet identifier.
    pub fn name_in_flight(&mut self, identifier: PacketIdentifier, copy: CopyId) {
        let outgoing = self.outgoing.as_mut();
        if let Some(kept) = outgoing.and_then(|outgoing| outgoing.inflight.kept_mut(identifier)) {
            kept.recorded = copy;
        }
    }

    /// Takes what is to be recorded.
    pub fn take_notes(&mut self) -> Notes {
        let recorded = self.outgoing.as_mut().and_then(|outgoing| outgoing.recorded.as_mut());
        recorded.map_or_else(Notes::default, |recorded| std::mem::take(&mut recorded.notes))
    }

    /// It is kept that a copy is sent as QoS 2, or released: the PUBLISH or PUBREL leaves now. What the client has
    /// acknowledged meanwhile is over. What was to be sent on an earlier network connection is sent again by the present one.
    pub fn send_recorded(
        &mut self,
        identifier: PacketIdentifier,
        is_release: bool,
        is_present: bool,
        desk: &mut Desk<'_>,
    ) {
        if !is_release {
            self.note_left();
            if is_present {
                desk.frames.forget();
                self.send_in_flight(identifier, false, desk);
                desk.frames.forget();
            }
            return;
        }
        let recorded = self.outgoing.as_mut().and_then(|outgoing| outgoing.recorded.as_mut());
        let released = recorded.and_then(|recorded| recorded.released.get_mut(&identifier));
        let Some((_, is_kept)) = released else { return };
        *is_kept = true;
        if let Some(online) = self.online.as_mut().filter(|_| is_present) {
            let version = online.version;
            online.outbox.append_with(desk.pool, |out| {
                encode_ack(PacketType::PubRel, version, identifier, ReasonCode::Success, out);
            });
        }
    }
}
