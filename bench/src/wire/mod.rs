//! The few MQTT packets a load generator needs, as byte slices.
//!
//! Written on its own rather than on `mqtt-codec`: a fault of that crate must not hide itself by being on both
//! sides, and a generator may skip every check that it does not need.

mod names;
mod read;
mod write;

pub(crate) use names::{Numbered, digits, number, put_digits};
pub(crate) use read::{
    Connack, FixedHeader, PublishHead, WireError, acknowledgement, connack, fixed_header, length_prefixed,
    publish_head, short, suback_codes, variable_byte_integer,
};
pub(crate) use write::{
    DISCONNECT, PINGREQ, PublishFrame, acknowledge, connect, put_string, put_variable_byte_integer, subscribe,
};

use serde::Serialize;

/// The protocol version spoken on all connections of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    #[serde(rename = "3.1.1")]
    V3_1_1,
    /// MQTT 5.0, protocol level 5.
    #[serde(rename = "5.0")]
    V5_0,
}

/// Control packet types, the upper four bits of the first byte [MQTT-2.1.2].
pub(crate) mod packet_type {
    /// CONNACK.
    pub(crate) const CONNACK: u8 = 2;
    /// PUBLISH.
    pub(crate) const PUBLISH: u8 = 3;
    /// PUBACK.
    pub(crate) const PUBACK: u8 = 4;
    /// PUBREC.
    pub(crate) const PUBREC: u8 = 5;
    /// PUBREL.
    pub(crate) const PUBREL: u8 = 6;
    /// PUBCOMP.
    pub(crate) const PUBCOMP: u8 = 7;
    /// SUBACK.
    pub(crate) const SUBACK: u8 = 9;
    /// UNSUBACK.
    pub(crate) const UNSUBACK: u8 = 11;
    /// PINGRESP.
    pub(crate) const PINGRESP: u8 = 13;
    /// DISCONNECT.
    pub(crate) const DISCONNECT: u8 = 14;
}

/// What every payload starts with: who published it, as which message, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Number of the publisher, from 0.
    pub publisher: u32,
    /// Number of the message among those of its publisher, from 0.
    pub sequence: u32,
    /// Nanoseconds since the generator's clock started; in paced runs the moment the message was due.
    pub nanoseconds: u64,
}

impl Stamp {
    /// Encoded size, and so the smallest payload.
    pub(crate) const BYTES: usize = 16;

    /// Reads the stamp at the start of `payload`; `None` if that is shorter than a stamp.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let nanoseconds = rest.first_chunk::<8>()?;
        Some(Self {
            publisher: u32::from_be_bytes(*publisher),
            sequence: u32::from_be_bytes(*sequence),
            nanoseconds: u64::from_be_bytes(*nanoseconds),
        })
    }

    /// The stamp as the first bytes of a payload.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.publisher.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..].copy_from_slice(&self.nanoseconds.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests;
