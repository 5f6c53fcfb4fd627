//! Figures of a QoS 0 flood into subscribers that read slowly or never.

use std::fmt;

use serde::Serialize;

use super::row;
use crate::{arguments::Arguments, engine::Outcome};

/// Figures of `slow --flood`.
#[derive(Debug, Serialize)]
pub(crate) struct Flood {
    /// Flooding clients.
    pub publishers: u32,
    /// What each slow subscriber reads at most; 0 is nothing.
    pub read_bytes_per_second: u64,
    /// Publishes that the broker handled in a second while nobody listened.
    pub alone_per_second: f64,
    /// The same beside the slow subscribers.
    pub beside_per_second: f64,
    /// The latter over the former: 1 where publishers are not slowed.
    pub rate_ratio: f64,
    /// Published while the slow subscribers were there, once for each of them.
    pub published: u64,
    /// Of these, received by them.
    pub received: u64,
    /// Dropped, or still on the way when the run ended.
    pub not_delivered: u64,
}

impl Flood {
    /// Of the time with nobody listening, and that beside the slow subscribers.
    pub(crate) fn new(arguments: &Arguments, alone: Outcome, beside: Outcome) -> Self {
        let rate = |outcome: Outcome| outcome.flooded as f64 / outcome.seconds;
        let published = beside.flooded * u64::from(arguments.deaf);
        Self {
            publishers: arguments.flood,
            read_bytes_per_second: arguments.read_rate,
            alone_per_second: rate(alone),
            beside_per_second: rate(beside),
            rate_ratio: rate(beside) / rate(alone),
            published,
            received: beside.slow_deliveries,
            not_delivered: published.saturating_sub(beside.slow_deliveries),
        }
    }

    /// Lines to read.
    pub(super) fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            alone_per_second, beside_per_second, rate_ratio, published, received, not_delivered, ..
        } = self;
        row(
            out,
            "flood",
            format_args!(
                "{alone_per_second:.0} messages/s alone, {beside_per_second:.0} beside, x {rate_ratio:.2}"
            ),
        )?;
        row(
            out,
            "flood to them",
            format_args!("{published} published, {received} received, {not_delivered} not delivered"),
        )
    }
}
