//! What becomes of copies of messages, and of the messages when nobody waits for them any more.

use std::sync::Arc;

use mqtt_codec::PacketIdentifier;

use super::key::Key;
use super::parts::Parts;
use super::session::SentCopy;
use super::{Applied, KeptShard};
use crate::records::{CopyId, Fate, Of, Position, Settled};

impl<P: Parts> KeptShard<P> {
    pub(super) fn send(&mut self, at: Position, of: &Of<'_>, identifier: PacketIdentifier, id: &CopyId) {
        let Some(index) = self.held_by(of) else { return };
        self.hold_copy(index, id);
        let (client, session) = &mut self.sessions[index];
        let Some(copy) = session.copies.get_mut(id).filter(|copy| copy.sent.is_none()) else { return };
        copy.sent = Some(SentCopy { identifier, at, released: false });
        self.changed.touch(Key::Copy(Arc::clone(client), *id), true);
    }

    pub(super) fn release(&mut self, of: &Of<'_>, identifier: PacketIdentifier, id: &CopyId) {
        let Some(index) = self.held_by(of) else { return };
        self.hold_copy(index, id);
        let (client, session) = &mut self.sessions[index];
        let sent = session.copies.get_mut(id).and_then(|copy| copy.sent.as_mut());
        let Some(sent) = sent.filter(|sent| sent.identifier == identifier && !sent.released) else { return };
        sent.released = true;
        self.changed.touch(Key::Copy(Arc::clone(client), *id), true);
        self.leave(id.message);
    }

    pub(super) fn settle(&mut self, settled: &Settled<'_>, applied: &mut Applied) {
        let Some(index) = self.find(settled.client) else { return };
        for id in &settled.copies {
            self.hold_copy(index, id);
            let (client, session) = &mut self.sessions[index];
            let Some(copy) = session.copies.remove(id) else { continue };
            self.changed.touch(Key::Copy(Arc::clone(client), *id), true);
            if copy.sent.is_none_or(|sent| !sent.released) {
                self.leave(id.message);
            }
            applied.settle(settled.fate, 1);
        }
    }

    pub(super) fn take_from_group(
        &mut self,
        group: &str,
        fate: Fate,
        messages: &[Position],
        applied: &mut Applied,
    ) {
        for message in messages {
            self.hold_waiting(group, *message);
            let Some((name, waiting)) = self.groups.get_key_value(group) else { continue };
            let (name, is_there) = (Arc::clone(name), waiting.contains(message));
            if !is_there {
                continue;
            }
            if waiting.len() == 1 {
                self.groups.remove(group);
            } else if let Some(waiting) = self.groups.get_mut(group) {
                waiting.remove(message);
            }
            self.changed.touch(Key::Waiting(name, *message), true);
            self.leave(*message);
            applied.settle(fate, 1);
        }
    }

    /// A message leaves one of its places.
    pub(super) fn leave(&mut self, position: Position) {
        let Some(places) = self.places_of(position) else { return };
        if places > 1 {
            self.changed.touch(Key::Places(position), true);
            self.places.insert(position, places - 1);
        } else {
            self.changed.touch(Key::Message(position), true);
            self.places.remove(&position);
            self.messages.remove(&position);
        }
    }
}
