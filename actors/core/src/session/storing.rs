//! A message that is being delivered: as it waits for those who cannot have it now, and which sessions have a copy of it
//! that outlives the process.

use std::sync::Arc;

use mqtt_codec::QoS;

use super::deliver::{Offered, Wanted};
use super::state::Session;
use crate::ids::{CopyId, GroupKey, Position, SessionKey};
use crate::message::{Publication, StoredMessage};
use crate::queue::{Identifiers, Queued};

/// See the module.
#[derive(Debug, Default)]
pub struct Storing {
    message: Option<Arc<StoredMessage>>,
    /// Where its record will stand; none: nothing of it is recorded.
    at: Position,
    /// What records call it for the member of a group that it is offered to; none: nothing.
    in_group: CopyId,
    new: Option<Box<NewCopies>>,
}

/// Who has been given a message that outlives the process.
#[derive(Debug, Default)]
pub struct NewCopies {
    /// Sessions.
    pub copies: Vec<NewCopy>,
    /// Groups in which it waits until it is taken.
    pub waits: Vec<GroupKey>,
    /// The last copy is of the session that it is being offered to.
    is_last_noted: bool,
}

/// A copy that a session has just been given, and that outlives the process.
#[derive(Debug)]
pub struct NewCopy {
    /// Whose.
    pub session: SessionKey,
    /// QoS it is sent with.
    pub qos: QoS,
    /// RETAIN it is sent with.
    pub retain: bool,
    /// Subscription identifiers it is sent with.
    pub identifiers: Identifiers,
}

impl Storing {
    /// One that waits already.
    pub fn of(message: Arc<StoredMessage>) -> Self {
        Self { message: Some(message), ..Self::default() }
    }

    /// Another message takes its place.
    #[inline]
    pub fn forget(&mut self) {
        if self.message.is_some() {
            self.forget_message();
        }
    }

    #[cold]
    fn forget_message(&mut self) {
        *self = Self::default();
    }

    /// Its next copies are recorded there.
    pub fn begin_record(&mut self, at: Position) {
        self.at = at;
    }

    /// The message as it waits, made when the first session needs it.
    pub fn message(&mut self, publication: &Publication<'_>) -> &Arc<StoredMessage> {
        self.message.get_or_insert_with(|| Arc::new(StoredMessage::new(publication)))
    }

    /// Whether a session needed it to wait.
    #[cfg(test)]
    pub(crate) fn is_stored(&self) -> bool {
        self.message.is_some()
    }

    /// Whether copies are to be recorded.
    pub fn has_copies(&self) -> bool {
        self.new.is_some()
    }

    /// The copies since the record began: from now on none is noted.
    pub fn take_copies(&mut self) -> (Position, NewCopies) {
        let new = self.new.take().map_or_else(NewCopies::default, |new| *new);
        (std::mem::take(&mut self.at), new)
    }

    /// It waits in a group until it is taken. Returns what records call it there; none where nothing of it is recorded.
    pub fn wait_in(&mut self, group: GroupKey) -> CopyId {
        if self.at == Position::default() {
            return CopyId::default();
        }
        self.new.get_or_insert_default().waits.push(group);
        CopyId::in_group(self.at)
    }

    /// The member of a group that it is offered to next has it by this name.
    pub fn offer_in_group(&mut self, recorded: CopyId) {
        self.in_group = recorded;
    }

    fn note(&mut self, session: SessionKey, queued: &mut Queued) {
        let new = self.new.get_or_insert_default();
        queued.recorded = CopyId { message: self.at, copy: new.copies.len() as u32 };
        new.is_last_noted = true;
        new.copies.push(NewCopy {
            session,
            qos: queued.qos,
            retain: queued.retain,
            identifiers: queued.identifiers.clone(),
        });
    }

    /// A session has its copy, or it is dropped already: then there is nothing to record.
    pub(super) fn confirm(&mut self, session: SessionKey, offered: Offered) -> Offered {
        let Some(new) = &mut self.new else { return offered };
        let is_its = new.is_last_noted && new.copies.last().is_some_and(|last| last.session == session);
        new.is_last_noted = false;
        if matches!(offered, Offered::Dropped(_)) && is_its {
            new.copies.pop();
            if new.copies.is_empty() && new.waits.is_empty() {
                self.new = None;
            }
        }
        offered
    }
}

impl Session {
    /// Its copy of a message, in memory of its own.
    #[inline(never)]
    pub(super) fn boxed_copy_of(
        &self,
        publication: &Publication<'_>,
        qos: QoS,
        wanted: &Wanted,
        storing: &mut Storing,
    ) -> Box<Queued> {
        Box::new(self.copy_of(publication, qos, wanted, storing))
    }

    /// Its copy of a message, noted where that outlives the process.
    pub(super) fn copy_of(
        &self,
        publication: &Publication<'_>,
        qos: QoS,
        wanted: &Wanted,
        storing: &mut Storing,
    ) -> Queued {
        let mut queued = queued(publication, qos, wanted, storing);
        if wanted.group.is_some() {
            queued.recorded = storing.in_group;
        } else if storing.at > Position::default() && self.is_recorded && qos > QoS::AtMostOnce {
            storing.note(self.key, &mut queued);
        }
        queued
    }
}

/// A copy of a message as it waits.
pub fn queued(publication: &Publication<'_>, qos: QoS, wanted: &Wanted, storing: &mut Storing) -> Queued {
    Queued {
        message: Arc::clone(storing.message(publication)),
        qos,
        retain: wanted.retain,
        identifiers: wanted.identifiers.clone(),
        group: wanted.group,
        replayed: false,
        recorded: CopyId::default(),
    }
}
