//! One subscribing client that hears every message of its publishers: what it was sent.

use super::traffic::Traffic;
use crate::{
    order::{Arrival, Stream},
    wire::{PublishHead, Stamp},
};

/// State of a subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// Number of the first publisher it hears.
    first: u32,
    /// One for each publisher from that on.
    streams: Vec<Stream>,
}

impl Subscriber {
    /// A subscriber of `count` publishers, from number `first` on.
    pub(crate) fn new(first: u32, count: u32) -> Self {
        Self { first, streams: (0..count).map(|_| Stream::default()).collect() }
    }

    /// Takes one delivery and appends its acknowledgement; false if it is of no publisher of this subscriber.
    pub(crate) fn delivered(&mut self, head: PublishHead, stamp: Stamp, traffic: &mut Traffic) -> bool {
        let index = stamp.publisher.wrapping_sub(self.first) as usize;
        let Some(stream) = self.streams.get_mut(index) else { return false };
        match stream.arrived(stamp.sequence) {
            Arrival::InOrder => traffic.arrived(1),
            // What was passed over is no longer waited for.
            Arrival::Skipped(count) => traffic.arrived(1 + u64::from(count)),
            Arrival::Late => traffic.faults.out_of_order += 1,
            Arrival::Duplicate => traffic.faults.duplicated += 1,
        }
        traffic.delivery(head, stamp);
        true
    }

    /// Messages that never came, given how many each publisher published.
    pub(crate) fn lost(&self, published: &[u32]) -> u64 {
        self.lost_in_turn(&published[self.first as usize..])
    }

    /// The same, given the counts from the first publisher that it hears on.
    pub(super) fn lost_in_turn(&self, published: &[u32]) -> u64 {
        published.iter().zip(&self.streams).map(|(&count, stream)| stream.lost(count)).sum()
    }
}
