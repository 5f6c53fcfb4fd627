//! What all connections of a run share: counts, the bound on outstanding deliveries, and scratch space.

use std::{collections::VecDeque, time::Instant};

use super::pace::Pace;
use crate::{
    latency::Histogram,
    order::Faults,
    seen::Seen,
    wire::{PublishHead, Stamp, acknowledge, packet_type},
};

/// Shared by the connections of one engine, all on one thread.
#[derive(Debug)]
pub(crate) struct Traffic {
    started: Instant,
    /// Nanoseconds since the start, read once per wake-up.
    pub now: u64,
    /// What the connection at hand writes at the end of its wake-up.
    pub out: Vec<u8>,
    /// Payload bytes behind the stamps.
    pub filler: Vec<u8>,
    /// When messages are due, in a paced phase.
    pub pace: Option<Pace>,
    /// Publishers that wait for their turn, by connection.
    pub ready: VecDeque<usize>,

    /// Most publishes in one write.
    burst: u32,
    /// Most deliveries outstanding.
    outstanding_limit: u64,
    /// Deliveries that one publish brings about.
    fan_out: u64,

    /// Publishes written so far.
    pub publishes: u64,
    /// Deliveries published and not yet seen, those of this engine alone.
    pub balance: i64,
    /// The same of the other engines.
    pub others: i64,
    /// QoS 1 and 2 publishes not yet acknowledged.
    pub in_flight: u64,
    /// Deliveries seen, whatever their order.
    pub delivered: u64,
    /// Publishes of flooders.
    pub flooded: u64,
    /// Deliveries to slow subscribers.
    pub slow_deliveries: u64,
    /// PINGRESPs seen.
    pub pongs: usize,
    /// The broker's Receive Maximum, if it narrowed a window.
    pub narrowed_window: Option<u16>,
    /// Moves with everything that happens, so that a stall shows.
    pub progress: u64,
    /// Duplicates and disorder; losses are known at the end only.
    pub faults: Faults,
    /// What reached groups whose members share the messages out among them.
    pub seen: Seen,
    /// From the stamp to the read that brought the delivery.
    pub latency: Histogram,
}

impl Traffic {
    /// `fan_out` deliveries follow each publish of `payload` bytes; `groups` share messages out. The clock starts
    /// at `started`.
    pub(crate) fn new(
        payload: usize,
        burst: u32,
        outstanding_limit: u64,
        fan_out: u64,
        groups: usize,
        started: Instant,
    ) -> Self {
        Self {
            started,
            now: 0,
            out: Vec::new(),
            filler: vec![b'.'; payload],
            pace: None,
            ready: VecDeque::new(),
            burst,
            // A publish has to fit.
            outstanding_limit: outstanding_limit.max(fan_out),
            fan_out,
            publishes: 0,
            balance: 0,
            others: 0,
            in_flight: 0,
            delivered: 0,
            flooded: 0,
            slow_deliveries: 0,
            pongs: 0,
            narrowed_window: None,
            progress: 0,
            faults: Faults::default(),
            seen: Seen::new(groups),
            latency: Histogram::default(),
        }
    }

    /// Reads the clock.
    pub(crate) fn tick(&mut self) -> u64 {
        self.now = self.started.elapsed().as_nanos() as u64;
        self.now
    }

    /// Payload size of a publish in bytes.
    pub(crate) fn payload(&self) -> usize {
        self.filler.len()
    }

    /// Deliveries that one publish brings about.
    pub(crate) fn fan_out(&self) -> u64 {
        self.fan_out
    }

    /// Deliveries published and not yet seen, over all engines.
    pub(crate) fn outstanding(&self) -> u64 {
        // A delivery may be seen here before its publish is.
        (self.balance + self.others).max(0) as u64
    }

    /// How many of `room` publishes one write may hold now; 0 means wait for deliveries.
    ///
    /// A write is cut short by the limit on outstanding deliveries to no less than half of that limit: else,
    /// at the limit, every delivery would release a write of a single publish.
    pub(crate) fn allowance(&self, room: u32) -> u32 {
        let wanted = room.min(self.burst);
        if self.fan_out == 0 {
            return wanted;
        }
        let (free, least) = self.free();
        if free >= u64::from(wanted) {
            wanted
        } else if free >= least {
            free as u32
        } else {
            0
        }
    }

    /// Whether any publisher may publish as much as one write holds, or as much as the limit admits.
    pub(crate) fn is_open(&self) -> bool {
        let (free, least) = self.free();
        free >= least.min(self.burst.into())
    }

    /// How many publishes the limit leaves room for, and down to how many it cuts a write.
    fn free(&self) -> (u64, u64) {
        let fan_out = self.fan_out.max(1);
        let free = self.outstanding_limit.saturating_sub(self.outstanding()) / fan_out;
        (free, (self.outstanding_limit / fan_out / 2).max(1))
    }

    /// Counts publishes written.
    pub(crate) fn published(&mut self, count: u32, acknowledged: bool) {
        self.publishes += u64::from(count);
        self.balance += (u64::from(count) * self.fan_out) as i64;
        self.progress += u64::from(count);
        if acknowledged {
            self.in_flight += u64::from(count);
        }
    }

    /// Counts a publish whose last acknowledgement came.
    pub(crate) fn acknowledged(&mut self) {
        self.in_flight -= 1;
        self.progress += 1;
    }

    /// Counts one delivery, whatever its order, and appends its acknowledgement.
    pub(crate) fn delivery(&mut self, head: PublishHead, stamp: Stamp) {
        self.delivered += 1;
        self.latency.record(self.now.saturating_sub(stamp.nanoseconds));
        match head.qos {
            0 => {}
            1 => acknowledge(&mut self.out, packet_type::PUBACK, head.packet_identifier),
            _ => acknowledge(&mut self.out, packet_type::PUBREC, head.packet_identifier),
        }
    }

    /// Counts deliveries that are no longer waited for.
    pub(crate) fn arrived(&mut self, count: u64) {
        self.balance -= count as i64;
        self.progress += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: u64, fan_out: u64, outstanding: u64, room: u32, expected: u32) {
        let mut traffic = Traffic::new(64, 64, limit, fan_out, 0, Instant::now());
        traffic.balance = outstanding as i64;
        assert_eq!(traffic.allowance(room), expected);
    }

    #[test]
    fn allowances() {
        check(10_000, 1, 0, 1000, 64);
        check(10_000, 1, 0, 20, 20);
        check(10_000, 1, 9_990, 20, 0);
        check(10_000, 1, 9_990, 10, 10);
        check(10_000, 1, 10_000, 1, 0);
        check(50_000, 1000, 0, 1000, 50);
        check(50_000, 1000, 20_000, 1000, 30);
        check(50_000, 1000, 26_000, 1000, 0);
        check(50_000, 1000, 26_000, 3, 3);
        check(10, 1000, 0, 5, 1);
        check(10, 1000, 1, 5, 0);
        check(5_000, 0, 0, 1000, 64);
    }
}
