//! Something that an operator has done to what a worker has.

use std::fmt;
use std::time::Instant;

use actix::prelude::*;
use micro_mq_core::worker::WorkerState;

/// What is done; it tells who asked for it what came of it.
pub type Deed = Box<dyn FnOnce(&mut WorkerState, Instant) + Send>;

/// Does something short to what a worker has, on its thread.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Act(pub Deed);

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Act")
    }
}
