//! What all clients of a soak share.

use std::time::Instant;

use rustix::fd::OwnedFd;

use super::board::Board;
use crate::{exchange::link::Endpoints, random::Random};

/// What the clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Publish, come and go.
    Load,
    /// Come to rest: temporary clients leave, the others come online, and all that is promised arrives.
    Settle,
    /// Compare the retained messages.
    Check,
    /// Nothing.
    Quiet,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    /// Tells which sockets have something.
    pub epoll: OwnedFd,
    /// The broker's.
    pub endpoints: Endpoints,
    /// The moment of the current turn.
    pub now: Instant,
    /// What is to be done.
    pub phase: Phase,
    /// Chance.
    pub random: Random,
    /// The account.
    pub board: Board,
    /// What sockets are read into.
    pub buffer: Vec<u8>,
}
