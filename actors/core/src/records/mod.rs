//! What the log says: records of everything about durable sessions that outlives the process.
//!
//! A record names things as any process of any node would: clients and groups by name, deadlines by the clock on the
//! wall, messages by the position of the record that brought them. It says what was decided, not what to decide: whoever
//! applies it ([`KeptShard`](crate::kept_shard::KeptShard)) needs nothing but the records before it.
//!
//! Positions rise within each shard. They are not part of a record, since a log may have its own.

mod decode;
mod encode;
mod entry;
mod record;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use decode::{
    quality as read_quality, read_body, read_flags, read_options, read_retained, read_will,
};
pub(crate) use encode::{write_body, write_retained, write_will};
pub use entry::{Entry, records_of};
pub use record::{
    Body, Connected, Copied, CopyId, Fate, Of, Origin, Parted, Position, Publish, Publisher, Record,
    Retained, Settled, Subscribed, Through, WallClock, Will,
};
pub use wire::{DecodeError, Reader, Writer};

/// The version of what is written. A record of a later one is refused.
pub const RECORD_VERSION: u8 = 1;
