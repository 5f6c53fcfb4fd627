//! Packet identifiers of incoming QoS 2 messages between PUBLISH and PUBREL [MQTT-4.3.3-10].

use mqtt_codec::PacketIdentifier;
use std::collections::HashSet;

/// Part of the session: it outlives the network connection.
#[derive(Debug, Default)]
pub struct IncomingIdentifiers {
    // Rare enough, and small while the client completes its exchanges: the box is freed when the last one is.
    held: Option<Box<HashSet<PacketIdentifier, rustc_hash::FxBuildHasher>>>,
}

impl IncomingIdentifiers {
    /// How many are held.
    pub fn len(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.len())
    }

    /// Whether a publish with this identifier was received and not yet released.
    pub fn contains(&self, identifier: PacketIdentifier) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(&identifier))
    }

    /// Notes a publish.
    pub fn insert(&mut self, identifier: PacketIdentifier) {
        self.held.get_or_insert_default().insert(identifier);
    }

    /// Its PUBREL came: whether there was such a publish.
    pub fn remove(&mut self, identifier: PacketIdentifier) -> bool {
        let Some(held) = &mut self.held else { return false };
        let found = held.remove(&identifier);
        // Kept through a run of exchanges; an idle session holds nothing.
        if held.is_empty() && held.capacity() > 64 {
            self.held = None;
        }
        found
    }
}
