//! Packet identifiers of incoming QoS 2 messages between PUBLISH and PUBREL [MQTT-4.3.3-10].

use mqtt_codec::PacketIdentifier;
use std::collections::HashMap;

use crate::completion::{Awaited, State};
use crate::ids::{Epoch, Position};

/// Part of the session: it outlives the network connection.
#[derive(Debug, Default)]
pub struct IncomingIdentifiers {
    // Rare enough, and small while the client completes its exchanges: the box is freed when the last one is.
    held: Option<Box<Held>>,
}

type ByIdentifier<T> = HashMap<PacketIdentifier, T, rustc_hash::FxBuildHasher>;

#[derive(Debug, Default)]
struct Held {
    epochs: ByIdentifier<Epoch>,
    /// What the PUBRECs wait for of publishes whose network connection ended before they left.
    awaited: Option<Box<ByIdentifier<Awaited>>>,
    /// Publishes that came before the process was started, and where that is recorded: nobody knows how far they were routed.
    restored: Option<Box<ByIdentifier<Position>>>,
}

impl Held {
    /// Whether a publish could not be kept, and nobody was told: then it counts as not received.
    fn has_failed(&self, identifier: PacketIdentifier) -> bool {
        let awaited = self.awaited.as_ref().and_then(|awaited| awaited.get(&identifier));
        awaited.is_some_and(|awaited| awaited.state() == State::Failed)
    }

    /// Whether a publish came before the process was started, and has not come again.
    fn is_restored(&self, identifier: PacketIdentifier) -> bool {
        self.restored.as_ref().is_some_and(|restored| restored.contains_key(&identifier))
    }

    fn forget_awaited(&mut self, identifier: PacketIdentifier) {
        if let Some(awaited) = &mut self.awaited {
            awaited.remove(&identifier);
            if awaited.is_empty() {
                self.awaited = None;
            }
        }
    }
}

impl IncomingIdentifiers {
    /// How many are held.
    pub fn count(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.epochs.len())
    }

    /// Whether a publish with this identifier was received and not yet released.
    pub fn contains(&self, identifier: PacketIdentifier) -> bool {
        let held = self.held.as_ref();
        held.is_some_and(|held| held.epochs.contains_key(&identifier) && !held.has_failed(identifier))
    }

    /// On which network connection a publish with this identifier came last, if it is not yet released, and need not be
    /// routed again.
    pub fn get(&self, identifier: PacketIdentifier) -> Option<Epoch> {
        let held = self.held.as_ref()?;
        let is_to_come = held.has_failed(identifier) || held.is_restored(identifier);
        held.epochs.get(&identifier).copied().filter(|_| !is_to_come)
    }

    /// How many came last on this network connection.
    #[cfg(feature = "simulation")]
    pub fn held_by(&self, epoch: Epoch) -> usize {
        self.held.iter().flat_map(|held| held.epochs.values()).filter(|held| **held == epoch).count()
    }

    /// Notes a publish. Answers on which network connection it came before, if it did.
    pub fn insert(&mut self, identifier: PacketIdentifier, epoch: Epoch) -> Option<Epoch> {
        let held = self.held.get_or_insert_default();
        if held.is_restored(identifier) || held.has_failed(identifier) {
            held.forget_awaited(identifier);
            held.epochs.insert(identifier, epoch);
            return None;
        }
        held.epochs.insert(identifier, epoch)
    }

    /// A publish came before the process was started. When it comes again it is routed again.
    pub fn restore(&mut self, identifier: PacketIdentifier, received: Position) {
        let held = self.held.get_or_insert_default();
        // On no network connection of this process.
        held.epochs.insert(identifier, Epoch::MAX);
        held.restored.get_or_insert_default().insert(identifier, received);
    }

    /// A publish sets out. Answers where it was recorded, if it came before the process was started.
    pub fn take_restored(&mut self, identifier: PacketIdentifier) -> Option<Position> {
        let held = self.held.as_mut()?;
        let restored = held.restored.as_mut()?;
        let received = restored.remove(&identifier);
        if restored.is_empty() {
            held.restored = None;
        }
        received
    }

    /// Its PUBREL came. Answers on which network connection such a publish came last; none if there was none.
    pub fn remove(&mut self, identifier: PacketIdentifier) -> Option<Epoch> {
        let held = self.held.as_mut()?;
        let found = held.epochs.remove(&identifier);
        held.forget_awaited(identifier);
        if let Some(restored) = &mut held.restored {
            restored.remove(&identifier);
        }
        // Kept through a run of exchanges; an idle session holds nothing.
        if held.epochs.is_empty() && held.epochs.capacity() > 64 {
            self.held = None;
        }
        found
    }

    /// Whether there are publishes whose PUBRECs did not leave before their network connection ended.
    #[inline]
    pub fn awaits_any(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.awaited.is_some())
    }

    /// What the PUBREC of a publish waits for that came on an earlier network connection.
    pub fn awaited(&self, identifier: PacketIdentifier) -> Option<Awaited> {
        self.held.as_ref()?.awaited.as_ref()?.get(&identifier).cloned()
    }

    /// The PUBREC of a publish has not left, and will not on its network connection: the next one waits for the same.
    pub fn wait_for(&mut self, identifier: PacketIdentifier, awaited: Awaited) {
        let Some(held) = self.held.as_mut().filter(|held| held.epochs.contains_key(&identifier)) else {
            return;
        };
        held.awaited.get_or_insert_default().insert(identifier, awaited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session whose exchanges are complete holds no memory for them, however many there were.
    #[test]
    fn a_burst_leaves_no_memory_behind() {
        for many in [1, 100, 5000] {
            let mut incoming = IncomingIdentifiers::default();
            let identifiers = || (1..=many).filter_map(PacketIdentifier::new);
            identifiers().for_each(|identifier| assert_eq!(incoming.insert(identifier, 1), None));
            identifiers().for_each(|identifier| assert_eq!(incoming.remove(identifier), Some(1)));
            let capacity = incoming.held.as_ref().map_or(0, |held| held.epochs.capacity());
            assert!(capacity <= 64, "{many} leave room for {capacity}");
        }
    }
}
