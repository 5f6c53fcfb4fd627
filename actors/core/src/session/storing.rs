//! A message that is being delivered: as it waits for those who cannot have it now, and which sessions have a copy of it
//! that outlives the process.

use std::sync::Arc;

use mqtt_codec::QoS;

use super::deliver::{Offered, Wanted};
use super::state::Session;
use crate::ids::{CopyId, Position, SessionKey};
use crate::message::{Publication, StoredMessage};
use crate::queue::{Identifiers, Queued};

/// See the module.
#[derive(Debug, Default)]
pub struct Storing {
    message: Option<Arc<StoredMessage>>,
    /// Where its record will stand; none: nothing of it is recorded.
    at: Position,
    copies: Option<Box<Vec<NewCopy>>>,
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
        Self { message: Some(message), at: Position::default(), copies: None }
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
        self.copies.is_some()
    }

    /// The copies since the record began: from now on none is noted.
    pub fn take_copies(&mut self) -> (Position, Vec<NewCopy>) {
        let copies = self.copies.take().map_or(Vec::new(), |copies| *copies);
        (std::mem::take(&mut self.at), copies)
    }

    fn note(&mut self, session: SessionKey, queued: &mut Queued) {
        let copies = self.copies.get_or_insert_default();
        queued.recorded = CopyId { message: self.at, copy: copies.len() as u32 };
        copies.push(NewCopy {
            session,
            qos: queued.qos,
            retain: queued.retain,
            identifiers: queued.identifiers.clone(),
        });
    }

    /// A session has its copy, or it is dropped already: then there is nothing to record.
    pub(super) fn confirm(&mut self, session: SessionKey, offered: Offered) -> Offered {
        let Some(copies) = &mut self.copies else { return offered };
        if matches!(offered, Offered::Dropped(_)) && copies.last().is_some_and(|last| last.session == session)
        {
            copies.pop();
            if copies.is_empty() {
                self.copies = None;
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
        if storing.at > Position::default() && self.is_recorded && qos > QoS::AtMostOnce {
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
