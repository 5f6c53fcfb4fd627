//! Who has a copy of a message, as its record says.

use std::sync::Arc;

use super::key::Key;
use super::message::KeptMessage;
use super::parts::Parts;
use super::session::KeptCopy;
use super::{Applied, KeptShard};
use crate::records::{Copied, CopyId, Origin, Position, Publish, Through};

impl<P: Parts> KeptShard<P> {
    /// Takes in a message, of whose copies these are for sessions of this shard.
    pub(super) fn publish(
        &mut self,
        at: Position,
        publish: &Publish<'_>,
        copies: impl Iterator<Item = usize>,
        applied: &mut Applied,
    ) {
        publish.origin.iter().for_each(|origin| self.see(origin));
        let mut places = 0;
        for copy in copies {
            let id = CopyId { message: at, copy: copy as u32 };
            places += u64::from(self.give(id, &publish.copies[copy]));
        }
        for group in &publish.waits {
            if self.homes.shard_of(group) == self.shard {
                places += u64::from(self.wait_in(group, at));
            }
        }
        applied.matched += places;
        if places > 0 {
            self.changed.touch(Key::Message(at), false);
            self.messages.insert(at, KeptMessage::new(publish));
            self.changed.touch(Key::Places(at), false);
            self.places.insert(at, places);
        }
    }

    /// Whoever publishes asks whether a message was seen before. Here each is taken: copies of one may come in several
    /// records.
    fn see(&mut self, origin: &Origin) {
        self.hold_seen(origin.publisher);
        let seen = self.seen.get(&origin.publisher).copied();
        if seen.is_none_or(|seen| seen < origin.count) {
            self.changed.touch(Key::Seen(origin.publisher), seen.is_some());
            self.seen.insert(origin.publisher, origin.count);
        }
    }

    /// Whether the session is there that has a copy: it may have ended just before.
    fn give(&mut self, id: CopyId, copied: &Copied<'_>) -> bool {
        let Copied { client, qos, retain, identifiers, through } = copied;
        let Some(index) = self.find(client) else { return false };
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
        true
    }

    /// Whether a message did not wait in a group yet; from now on it does.
    fn wait_in(&mut self, group: &str, at: Position) -> bool {
        let group = match self.groups.get_key_value(group) {
            Some((group, _)) => Arc::clone(group),
            None => Arc::from(group),
        };
        self.changed.touch(Key::Waiting(Arc::clone(&group), at), false);
        self.groups.entry(group).or_default().insert(at)
    }
}
