//! Figures of pairs beside slow subscribers.

use std::fmt;

use serde::Serialize;

use super::{Flood, MEBIBYTE, row, write_latency};
use crate::latency::Percentiles;

/// Figures of `slow`.
#[derive(Debug, Serialize)]
pub(crate) struct Slow {
    /// Subscribers that never read.
    pub deaf: u32,
    /// Of these, disconnected by the broker.
    pub closed_by_broker: usize,
    /// Length of each of the two phases.
    pub seconds_each: f64,
    /// Latency of the pairs alone.
    pub alone_us: Option<Percentiles>,
    /// Latency of the pairs beside the deaf.
    pub beside_us: Option<Percentiles>,
    /// p99 beside over p99 alone.
    pub p99_ratio: Option<f64>,
    /// With `--flood`.
    pub flood: Option<Flood>,
    /// Resident bytes before the deaf came.
    pub resident_before: Option<u64>,
    /// Most bytes above that.
    pub resident_growth: Option<u64>,
}

pub(super) fn write_slow(out: &mut fmt::Formatter<'_>, slow: &Slow) -> fmt::Result {
    if let Some(latency) = &slow.alone_us {
        write_latency(out, "alone", latency)?;
    }
    if let Some(latency) = &slow.beside_us {
        write_latency(out, "beside", latency)?;
    }
    if let Some(ratio) = slow.p99_ratio {
        row(out, "p99", format_args!("x {ratio:.2}"))?;
    }
    if let Some(bytes) = slow.resident_growth {
        row(out, "broker memory", format_args!("grew by {:.1} MiB", bytes as f64 / MEBIBYTE))?;
    }
    if let Some(flood) = &slow.flood {
        flood.write(out)?;
    }
    let slow_readers = if slow.flood.as_ref().is_some_and(|it| it.read_bytes_per_second > 0) {
        "reading slowly"
    } else {
        "never reading"
    };
    row(out, slow_readers, format_args!("{}, {} closed by the broker", slow.deaf, slow.closed_by_broker))
}
