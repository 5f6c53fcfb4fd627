//! A flood of QoS 0 that nobody paces, and subscribers that read slowly or not at all.
//!
//! Neither counts among the deliveries that a run waits for: what a broker drops here, it may drop.

use std::time::Duration;

use super::{Engine, LONGEST_WAIT, connection::Stage, traffic::Traffic};
use crate::{
    failure::Failure,
    wire::{PublishFrame, Stamp},
};

/// What the kernel holds for a slow subscriber, at least and at most, in bytes; it rounds this up.
const RECEIVE_BUFFER_BYTES: (u64, u64) = (4096, 1 << 20);
/// Between two reads of a slow subscriber.
const SLOW_READ_WAIT: Duration = Duration::from_millis(5);

/// A client that publishes as much as its socket takes.
#[derive(Debug)]
pub(crate) struct Flooder {
    number: u32,
    frame: PublishFrame,
    /// How many messages were published.
    published: u32,
}

impl Flooder {
    /// Publishes copies of `frame`, of QoS 0.
    pub(crate) fn new(number: u32, frame: PublishFrame) -> Self {
        Self { number, frame, published: 0 }
    }

    /// Appends the next `count` messages.
    pub(super) fn publish(&mut self, count: u32, traffic: &mut Traffic) {
        for _ in 0..count {
            let stamp = Stamp { publisher: self.number, sequence: self.published, nanoseconds: traffic.now };
            self.frame.append(&mut traffic.out, &traffic.filler, 0, stamp);
            self.published = self.published.wrapping_add(1);
        }
        traffic.flooded += u64::from(count);
    }
}

/// A client that is subscribed and reads no more than so many bytes a second.
#[derive(Debug)]
pub(crate) struct Deaf {
    bytes_per_second: u64,
    /// When it was last allowed to read.
    since: Option<u64>,
}

impl Deaf {
    /// At 0 it never reads.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, since: None }
    }

    /// It does read.
    pub(super) fn reads(&self) -> bool {
        self.bytes_per_second > 0
    }

    /// Little, so that what it has not read is at the broker, and twice what it reads at once.
    pub(super) fn receive_buffer_bytes(&self) -> usize {
        let (least, most) = RECEIVE_BUFFER_BYTES;
        (self.bytes_per_second / 100).clamp(least, most) as usize
    }

    /// Bytes that it may read at `now`. What it cannot use is forfeited.
    pub(super) fn due(&mut self, now: u64) -> usize {
        let since = *self.since.get_or_insert(now);
        let due = u128::from(now - since) * u128::from(self.bytes_per_second) / 1_000_000_000;
        if due > 0 {
            self.since = Some(now);
        }
        usize::try_from(due).unwrap_or(usize::MAX)
    }
}

impl Engine {
    /// Longest wait for events: slow subscribers read without any.
    pub(super) fn longest_wait(&self) -> Duration {
        if self.reads_slowly { SLOW_READ_WAIT } else { LONGEST_WAIT }
    }

    /// Each flooder writes once, if its socket takes it. Returns true if any could.
    pub(super) fn flood(&mut self) -> Result<bool, Failure> {
        let mut any = false;
        for position in 0..self.flooders.len() {
            let index = self.flooders[position];
            let Self { connections, traffic, settings, .. } = self;
            let connection = &mut connections[index];
            let interest = connection.interest();
            traffic.out.clear();
            traffic.tick();
            if connection.flood(settings.burst, traffic) {
                connection.write(&traffic.out)?;
                self.register(index, interest)?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Slow subscribers read what they may by now.
    pub(super) fn read_slowly(&mut self, now: u64) -> Result<(), Failure> {
        for position in 0..self.deaf.len() {
            let index = self.deaf[position];
            let Self { connections, buffer, traffic, .. } = self;
            let connection = &mut connections[index];
            let interest = connection.interest();
            traffic.out.clear();
            if connection.stage() == Stage::Up {
                connection.read_slowly(now, buffer, traffic)?;
                self.gone += usize::from(self.connections[index].stage() == Stage::Gone);
                self.register(index, interest)?;
            }
        }
        Ok(())
    }

    /// Waits until the broker has handled all that these clients wrote; false if `stalled` says that it does not.
    pub(super) fn await_pongs(
        &mut self,
        clients: &[usize],
        mut stalled: impl FnMut(&mut Self) -> bool,
    ) -> Result<bool, Failure> {
        self.traffic.pongs = 0;
        for &index in clients {
            let interest = self.connections[index].interest();
            self.connections[index].ping()?;
            self.register(index, interest)?;
        }
        while self.traffic.pongs < clients.len() {
            self.serve(self.longest_wait())?;
            let now = self.traffic.tick();
            self.read_slowly(now)?;
            if stalled(self) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_keeps_its_rate_and_saves_nothing_up() {
        let mut deaf = Deaf::new(1000);
        assert_eq!(deaf.due(5), 0);
        assert_eq!(deaf.due(2_000_005), 2);
        assert_eq!(deaf.due(2_500_005), 0);
        assert_eq!(deaf.due(3_000_005), 1);
        let mut never = Deaf::new(0);
        assert_eq!((never.due(0), never.due(u64::MAX)), (0, 0));
    }
}
