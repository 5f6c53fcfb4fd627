//! What happens between phases: other frames, and deliveries that belong to none.

use std::time::Instant;

use super::{Engine, LONGEST_WAIT};
use crate::{failure::Failure, wire::PublishFrame};

impl Engine {
    /// All publishers publish copies of this frame from now on.
    pub(super) fn reframe(&mut self, frame: &PublishFrame) {
        for &index in &self.publishers {
            if let Some(publisher) = self.connections[index].publisher() {
                publisher.reframe(frame.clone());
            }
        }
    }

    /// Serves until `goal` deliveries came in all, or nothing happened for as long as the time limit; returns how many came.
    pub(super) fn receive(&mut self, goal: u64) -> Result<u64, Failure> {
        let (mut delivered, mut since) = (self.traffic.delivered, Instant::now());
        while delivered < goal && since.elapsed() <= self.settings.timeout {
            self.serve(LONGEST_WAIT)?;
            if self.traffic.delivered != delivered {
                (delivered, since) = (self.traffic.delivered, Instant::now());
            }
        }
        Ok(delivered)
    }
}
