//! Packet identifiers of incoming QoS 2 messages between PUBLISH and PUBREL [MQTT-4.3.3-10].

use mqtt_codec::PacketIdentifier;
use std::collections::HashMap;

use crate::ids::Epoch;

/// Part of the session: it outlives the network connection.
#[derive(Debug, Default)]
pub struct IncomingIdentifiers {
    // Rare enough, and small while the client completes its exchanges: the box is freed when the last one is.
    held: Option<Box<HashMap<PacketIdentifier, Epoch, rustc_hash::FxBuildHasher>>>,
}

impl IncomingIdentifiers {
    /// How many are held.
    pub fn count(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.len())
    }

    /// Whether a publish with this identifier was received and not yet released.
    pub fn contains(&self, identifier: PacketIdentifier) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains_key(&identifier))
    }

    /// On which network connection a publish with this identifier came last, if it is not yet released.
    pub fn get(&self, identifier: PacketIdentifier) -> Option<Epoch> {
        self.held.as_ref()?.get(&identifier).copied()
    }

    /// How many came last on this network connection.
    #[cfg(feature = "simulation")]
    pub fn held_by(&self, epoch: Epoch) -> usize {
        self.held.iter().flat_map(|held| held.values()).filter(|held| **held == epoch).count()
    }

    /// Notes a publish. Answers on which network connection it came before, if it did.
    pub fn insert(&mut self, identifier: PacketIdentifier, epoch: Epoch) -> Option<Epoch> {
        self.held.get_or_insert_default().insert(identifier, epoch)
    }

    /// Its PUBREL came. Answers on which network connection such a publish came last; none if there was none.
    pub fn remove(&mut self, identifier: PacketIdentifier) -> Option<Epoch> {
        let held = self.held.as_mut()?;
        let found = held.remove(&identifier);
        // Kept through a run of exchanges; an idle session holds nothing.
        if held.is_empty() && held.capacity() > 64 {
            self.held = None;
        }
        found
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
            let capacity = incoming.held.as_ref().map_or(0, |held| held.capacity());
            assert!(capacity <= 64, "{many} leave room for {capacity}");
        }
    }
}
