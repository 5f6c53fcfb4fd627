//! Who has a copy of a message, as its record says.

use std::sync::Arc;

use super::key::Key;
use super::message::KeptMessage;
use super::session::KeptCopy;
use super::{Applied, KeptShard};
use crate::records::{Copied, CopyId, Origin, Position, Publish, Through};

impl KeptShard {
    pub(super) fn publish(&mut self, at: Position, publish: &Publish<'_>, applied: &mut Applied) {
        publish.origin.iter().for_each(|origin| self.see(origin));
        let mut message = KeptMessage::new(publish);
        for (copied, copy) in publish.copies.iter().zip(0..) {
            self.give(CopyId { message: at, copy }, copied, &mut message, applied);
        }
        for group in publish.waits.iter().filter(|group| self.homes.shard_of(group) == self.shard) {
            let group = match self.groups.get_key_value(*group) {
                Some((group, _)) => Arc::clone(group),
                None => Arc::from(*group),
            };
            self.changed.touch(Key::Waiting(Arc::clone(&group), at), false);
            if self.groups.entry(group).or_default().insert(at) {
                message.places += 1;
                applied.matched += 1;
            }
        }
        if message.places > 0 {
            self.changed.touch(Key::Message(at), false);
            self.messages.insert(at, message);
        }
    }

    /// Whoever publishes asks whether a message was seen before. Here each is taken: copies of one may come in several
    /// records.
    fn see(&mut self, origin: &Origin) {
        let seen = self.seen.get(&origin.publisher).copied();
        if seen.is_none_or(|seen| seen < origin.count) {
            self.changed.touch(Key::Seen(origin.publisher), seen.is_some());
            self.seen.insert(origin.publisher, origin.count);
        }
    }

    fn give(&mut self, id: CopyId, copied: &Copied<'_>, message: &mut KeptMessage, applied: &mut Applied) {
        let Copied { client, qos, retain, identifiers, through } = copied;
        // Of another shard, or it ended meanwhile.
        let Some(index) = self.names.get(&**client).copied() else { return };
        let (client, session) = &mut self.sessions[index];
        let (group, ahead_of) = match through {
            Through::Subscription => (None, None),
            Through::Group(group) => (Some(Arc::from(*group)), None),
            Through::Retained(began) => (None, Some(*began)),
        };
        let identifiers = (&**identifiers).into();
        let copy = KeptCopy { qos: *qos, retain: *retain, identifiers, group, ahead_of, sent: None };
        self.changed.touch(Key::Copy(Arc::clone(client), id), false);
        session.copies.insert(id, copy);
        message.places += 1;
        applied.matched += 1;
    }
}
