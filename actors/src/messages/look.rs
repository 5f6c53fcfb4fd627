//! Looking through what a worker has, for an operator, in pieces that hold nobody up.

use std::any::Any;
use std::fmt;
use std::sync::Weak;
use std::time::Instant;

use actix::prelude::*;
use micro_mq_core::groups::Group;
use micro_mq_core::session::Session;
use micro_mq_core::worker::NodeState;

/// What a visitor may want to know beside what it looks at.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// What all workers share.
    pub node: &'a NodeState,
    /// Which worker this is.
    pub worker: u16,
    /// The present moment.
    pub now: Instant,
}

/// How far a visitor came with what it looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Rows that it looked at.
    pub rows: usize,
    /// Whether it wants to see the next piece of the same.
    pub is_to_go_on: bool,
}

impl Looked {
    /// It is done with what it looked at, which was one row.
    pub const DONE: Self = Self { rows: 1, is_to_go_on: false };
}

/// Looks at what a worker has, on that worker's thread. Each look is to be short.
pub trait Visitor: Any + Send {
    /// Looks at a piece of a session, numbered from 0.
    fn visit(&mut self, session: &mut Session, piece: usize, surroundings: &Surroundings<'_>) -> Looked {
        let _ = (session, piece, surroundings);
        Looked::DONE
    }

    /// Looks at a shared group whose home is here.
    fn visit_group(&mut self, group: &Group) -> Looked {
        let _ = group;
        Looked::DONE
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// All sessions whose home is here.
    Sessions,
    /// That of one client identifier.
    Client(String),
    /// All shared groups whose home is here.
    Groups,
}

/// Shows a visitor what it wants to see, piece by piece. What comes or goes meanwhile is seen or not. Answered by the
/// visitor, with what it gathered.
#[derive(Message)]
#[rtype(result = "Box<dyn Visitor>")]
pub struct LookThrough {
    /// Who looks.
    pub visitor: Box<dyn Visitor>,
    /// At what.
    pub sight: Sight,
    /// Who asked: when it is gone, nobody looks on.
    pub asker: Weak<()>,
}

impl fmt::Debug for LookThrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookThrough").field("sight", &self.sight).finish_non_exhaustive()
    }
}
