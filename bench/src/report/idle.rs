//! Figures of connections that are held.

use std::fmt;

use serde::Serialize;

use super::{Cpu, row, write_cpu};

/// Figures of `idle`.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    /// Connections held.
    pub connections: u64,
    /// Until all were up.
    pub seconds_to_connect: f64,
    /// Up to 64 handshakes at once.
    pub connects_per_second: f64,
    /// The broker's CPU time while they connected.
    pub broker: Option<Cpu>,
    /// The generator's.
    pub generator: Cpu,
    /// Resident bytes before the first.
    pub resident_before: Option<u64>,
    /// Resident bytes with all.
    pub resident_after: Option<u64>,
    /// The difference, shared out.
    pub resident_bytes_per_connection: Option<f64>,
    /// With `--burst-bytes`.
    pub after_burst: Option<AfterBurst>,
}

/// Figures of the time behind a burst of one message from each connection.
#[derive(Debug, Serialize)]
pub(crate) struct AfterBurst {
    /// Bytes of payload of each message.
    pub bytes: usize,
    /// From the first message to the last answer and delivery.
    pub seconds: f64,
    /// How long the broker had to settle.
    pub settle_seconds: f64,
    /// Most resident bytes seen in that time.
    pub resident_peak: Option<u64>,
    /// Resident bytes at its end.
    pub resident_after: Option<u64>,
    /// What it has above that before the first connection, shared out.
    pub resident_bytes_per_connection: Option<f64>,
}

impl Idle {
    /// Lines to read.
    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Idle { connections, seconds_to_connect, connects_per_second, .. } = self;
        row(
            out,
            "connected",
            format_args!(
                "{connections} in {seconds_to_connect:.2} s, {connects_per_second:.0} connections/s"
            ),
        )?;
        if let Some(cpu) = &self.broker {
            write_cpu(out, "broker CPU", cpu, "connection")?;
        }
        if let Some(bytes) = self.resident_bytes_per_connection {
            row(out, "broker memory", format_args!("{bytes:.0} B per connection"))?;
        }
        if let Some(AfterBurst { bytes, seconds, settle_seconds, resident_bytes_per_connection, .. }) =
            &self.after_burst
        {
            row(out, "burst", format_args!("{bytes} B from each connection, handled in {seconds:.2} s"))?;
            if let Some(each) = resident_bytes_per_connection {
                row(
                    out,
                    "broker memory",
                    format_args!("{each:.0} B per connection {settle_seconds} s later"),
                )?;
            }
        }
        write_cpu(out, "generator CPU", &self.generator, "connection")
    }
}
