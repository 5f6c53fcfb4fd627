//! Packet identifiers.

use std::{fmt, num::NonZeroU16};

/// The number that ties an acknowledgement to its packet, 1 to 65535 [MQTT-2.2.1-3].
///
/// `Option<PacketIdentifier>` takes two bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketIdentifier(NonZeroU16);

impl PacketIdentifier {
    /// The smallest packet identifier, 1.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The largest packet identifier, 65535.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// A packet identifier, unless the value is 0.
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for PacketIdentifier {
    fn from(value: NonZeroU16) -> Self {
        Self(value)
    }
}

impl From<PacketIdentifier> for u16 {
    fn from(identifier: PacketIdentifier) -> Self {
        identifier.get()
    }
}

impl fmt::Display for PacketIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
