//! The end of a connection that the client wants: DISCONNECT, and the broker closes.

use std::io::ErrorKind;

use super::{Connection, Stage};
use crate::{
    engine::{Role, traffic::Traffic},
    failure::Failure,
    transport::would_block,
    wire::DISCONNECT,
};

impl Connection {
    /// Says good-bye, if the client has nothing more to do here.
    pub(in crate::engine) fn leave_when_done(&mut self, traffic: &mut Traffic) {
        if let Role::Churner(churner) = &self.client.role
            && self.stage == Stage::Up
            && churner.is_done()
        {
            traffic.out.extend_from_slice(&DISCONNECT);
            self.stage = Stage::Leaving;
        }
    }

    /// Says good-bye; the broker is to close the connection.
    pub(in crate::engine) fn leave(&mut self) -> Result<(), Failure> {
        self.stage = Stage::Leaving;
        self.write(&DISCONNECT)
    }

    /// Waits for the end of the stream, whatever comes before it.
    pub(super) fn farewell(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        match self.transport.receive(buffer) {
            Ok(0) => self.stage = Stage::Gone,
            Ok(_) => {}
            // The broker had not read all that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.stage = Stage::Gone,
            Err(error) if would_block(&error) => {}
            Err(error) => return Err(self.broken(error)),
        }
        Ok(())
    }
}
