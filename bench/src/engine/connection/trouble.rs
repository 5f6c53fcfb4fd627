//! What ends a run, said with the name of the client and what its connection was doing.

use std::io;

use super::{Connection, Stage};
use crate::{failure::Failure, wire::WireError};

impl Connection {
    pub(super) fn doing(&self) -> &'static str {
        match self.stage {
            Stage::Opening => "opening it",
            Stage::Greeting if !self.transport.is_open() => "shaking hands",
            Stage::Greeting => "waiting for CONNACK",
            Stage::Subscribing => "waiting for SUBACK",
            Stage::Up | Stage::Gone => "in use",
            Stage::Leaving => "leaving",
        }
    }

    pub(super) fn name(&self) -> String {
        self.client.client_identifier.clone()
    }

    pub(super) fn broken(&self, source: io::Error) -> Failure {
        Failure::Broken { client_identifier: self.name(), doing: self.doing(), source }
    }

    pub(super) fn closed(&self) -> Failure {
        Failure::Closed { client_identifier: self.name(), doing: self.doing() }
    }

    pub(super) fn malformed(&self, source: WireError) -> Failure {
        Failure::Malformed { client_identifier: self.name(), source }
    }

    pub(super) fn unexpected(&self, what: String) -> Failure {
        Failure::Unexpected { client_identifier: self.name(), what }
    }
}
