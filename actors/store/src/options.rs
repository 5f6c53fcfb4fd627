//! How a log is written.

/// When an entry counts as kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on the disk: it outlives the loss of power.
    #[default]
    Fsync,
    /// Once the operating system has it: it outlives the process; of what is lost with the power a second is.
    Written,
    /// Once the log has it: what was kept in the last tenth of a second is lost with the process.
    Deferred,
}

/// How a log is written.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// When an entry counts as kept.
    pub durability: Durability,
    /// Bytes of a segment, unless a group needs more.
    pub segment_bytes: u64,
    /// Bytes that a lane may have waiting before it is full.
    pub lane_bytes_max: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { durability: Durability::Fsync, segment_bytes: 16 << 20, lane_bytes_max: 4 << 20 }
    }
}
