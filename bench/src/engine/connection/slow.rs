//! Connections that read slowly, and those that flood them.

use super::{Connection, Stage};
use crate::{
    engine::{Role, traffic::Traffic},
    failure::Failure,
};

impl Connection {
    /// Reads what a slow subscriber may read at `now`. It is gone if the broker closed its connection.
    pub(in crate::engine) fn read_slowly(
        &mut self,
        now: u64,
        buffer: &mut [u8],
        traffic: &mut Traffic,
    ) -> Result<(), Failure> {
        let Role::Deaf(deaf) = &mut self.client.role else { return Ok(()) };
        let end = deaf.due(now).saturating_add(self.partial.len()).min(buffer.len());
        if end == self.partial.len() {
            return Ok(());
        }
        match self.take(&mut buffer[..end], traffic) {
            Err(Failure::Closed { .. } | Failure::Broken { .. }) => {
                self.stage = Stage::Gone;
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Appends so many messages, if this is a flooder whose socket takes them.
    pub(in crate::engine) fn flood(&mut self, count: u32, traffic: &mut Traffic) -> bool {
        if self.is_blocked() || self.stage != Stage::Up {
            return false;
        }
        let Role::Flooder(flooder) = &mut self.client.role else { return false };
        flooder.publish(count, traffic);
        true
    }
}
