//! One message from every client at the same time, out of silence.

use std::time::{Duration, Instant};

use super::{Engine, LONGEST_WAIT};
use crate::{
    failure::Failure,
    wire::{PINGREQ, PublishFrame, Stamp},
};

/// Clients that write before answers are read again.
const WRITES_PER_TURN: usize = 64;

impl Engine {
    /// Every client publishes its frame with QoS 0. Ends when a PINGRESP on each connection said that all was handled,
    /// and each message came back if it is `heard`; true if that did not happen.
    pub(super) fn burst(
        &mut self,
        frame: impl Fn(u32) -> PublishFrame,
        heard: bool,
    ) -> Result<bool, Failure> {
        let clients = self.connections.len();
        let goal = self.traffic.delivered + if heard { clients as u64 } else { 0 };
        self.traffic.pongs = 0;
        for index in 0..clients {
            let number = self.number_of(index) as u32;
            let Self { connections, traffic, .. } = self;
            let connection = &mut connections[index];
            let interest = connection.interest();
            traffic.out.clear();
            let stamp = Stamp { publisher: number, sequence: 0, nanoseconds: traffic.tick() };
            frame(number).append(&mut traffic.out, &traffic.filler, 0, stamp);
            traffic.out.extend_from_slice(&PINGREQ);
            connection.write(&traffic.out)?;
            self.register(index, interest)?;
            if index % WRITES_PER_TURN == WRITES_PER_TURN - 1 {
                self.serve(Duration::ZERO)?;
            }
        }
        let mut seen = (0, 0);
        let mut since = Instant::now();
        while self.traffic.pongs < clients || self.traffic.delivered < goal {
            self.serve(LONGEST_WAIT)?;
            let now = (self.traffic.pongs, self.traffic.delivered);
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > self.settings.timeout {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deliveries so far, whatever they were.
    pub(super) fn delivered(&self) -> u64 {
        self.traffic.delivered
    }
}
