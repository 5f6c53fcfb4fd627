//! What the actor counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::MessageResponse;

use crate::Refusal;

/// What the actor has been asked, and what it said, since it started.
///
/// `asked = allowed + refused + continued + pending`, where each step of an exchange counts as one.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, MessageResponse)]
pub struct AuthObservation {
    /// Authentications and steps of exchanges.
    pub asked: u64,
    /// Of these, allowed.
    pub allowed: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of the refused ones, those for which no answer could be found, as the queue for passwords was full.
    pub unavailable: u64,
    /// Of these, steps of an exchange that wait for the client's next message.
    pub continued: u64,
    /// Of these, not yet answered.
    pub pending: u64,
    /// Publishes and subscriptions that were allowed.
    pub actions_allowed: u64,
    /// Publishes and subscriptions that were refused.
    pub actions_refused: u64,
}

/// The counters behind [`AuthObservation`], shared with the answers under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    asked: AtomicU64,
    allowed: AtomicU64,
    refused: AtomicU64,
    unavailable: AtomicU64,
    continued: AtomicU64,
    actions_allowed: AtomicU64,
    actions_refused: AtomicU64,
}

/// How an authentication, or a step of one, ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Allowed,
    Continued,
    Refused(Refusal),
}

impl Counters {
    pub(crate) fn asked(&self) {
        count(&self.0.asked, 1);
    }

    pub(crate) fn ended(&self, ended: Ended) {
        match ended {
            Ended::Allowed => count(&self.0.allowed, 1),
            Ended::Continued => count(&self.0.continued, 1),
            Ended::Refused(refusal) => {
                count(&self.0.refused, 1);
                if refusal == Refusal::Unavailable {
                    count(&self.0.unavailable, 1);
                }
            }
        }
    }

    pub(crate) fn authorized(&self, answers: &[bool]) {
        let allowed = answers.iter().filter(|allowed| **allowed).count();
        count(&self.0.actions_allowed, allowed);
        count(&self.0.actions_refused, answers.len() - allowed);
    }

    /// Read and written on the actor's thread alone, so the sum is exact.
    pub(crate) fn observe(&self) -> AuthObservation {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let cells = &*self.0;
        let (asked, allowed) = (read(&cells.asked), read(&cells.allowed));
        let (refused, continued) = (read(&cells.refused), read(&cells.continued));
        AuthObservation {
            asked,
            allowed,
            refused,
            unavailable: read(&cells.unavailable),
            continued,
            pending: asked - allowed - refused - continued,
            actions_allowed: read(&cells.actions_allowed),
            actions_refused: read(&cells.actions_refused),
        }
    }
}

fn count(cell: &AtomicU64, by: usize) {
    cell.fetch_add(by as u64, Ordering::Relaxed);
}
