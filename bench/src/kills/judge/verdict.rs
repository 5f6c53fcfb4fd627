//! What is found: faults, each with the message that it is about, and counts.

use std::time::Duration;

use serde::Serialize;

use crate::kills::event::{Audience, Client, Topic};

/// So many violations are kept; the others are counted.
const KEPT_MAX: usize = 10;

/// A kind of broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Acknowledged, and not delivered to a durable subscriber.
    Lost,
    /// QoS 2 delivered twice.
    Twice,
    /// QoS 1 delivered twice on one connection, though it was published once.
    Repeated,
    /// Delivered for the first time behind a later message of the same publisher, topic name and QoS.
    OutOfOrder,
    /// Session present was 0 where the session had to be there, or 1 where it had to be gone.
    Session,
    /// Heard without a subscription.
    Subscription,
    /// A new subscriber got no retained message, or an old one.
    Retained,
    /// A will was published after its client had taken leave.
    Will,
    /// Anything else that a broker must not do.
    Conduct,
}

/// How many of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// See [`Fault`], as the others.
    pub lost: u64,
    pub twice: u64,
    pub repeated: u64,
    pub out_of_order: u64,
    pub session: u64,
    pub subscription: u64,
    pub retained: u64,
    pub will: u64,
    pub conduct: u64,
}

/// A fault, with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub fault: Fault,
    /// When it was found.
    pub at: Duration,
    pub sentence: String,
    pub client: Option<Client>,
    /// The subscription.
    pub audience: Option<Audience>,
    pub message: Option<(Topic, u32)>,
}

/// Messages counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Publishes that were begun, wills included.
    pub published: u64,
    /// PUBLISH packets sent again after a reconnect.
    pub published_again: u64,
    /// PUBACK and PUBCOMP that publishers have, and wills that were due.
    pub acknowledged: u64,
    /// Publishes refused, or in flight as the broker forgot the publisher's session.
    pub abandoned: u64,
    /// Messages that durable subscribers heard, first copies.
    pub delivered: u64,
    /// QoS 1 messages heard again, as they may be.
    pub duplicates: u64,
    /// Messages heard by those for whom nothing is claimed.
    pub unclaimed: u64,
    /// Connections that were accepted.
    pub connects: u64,
    /// Of these, with session present 1.
    pub resumed: u64,
    /// Sessions that ended as they were asked to.
    pub expired: u64,
    /// SUBACK.
    pub subscribed: u64,
    /// UNSUBACK.
    pub unsubscribed: u64,
    /// Retained messages, or their absence, that new subscribers saw.
    pub retained_seen: u64,
    /// Wills that were due.
    pub wills_due: u64,
    /// Wills that were heard, by each durable subscriber.
    pub wills_heard: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub faults: Faults,
    pub counts: Counts,
    pub violations: Vec<Violation>,
}

impl Faults {
    pub(super) fn of(&mut self, fault: Fault) -> &mut u64 {
        match fault {
            Fault::Lost => &mut self.lost,
            Fault::Twice => &mut self.twice,
            Fault::Repeated => &mut self.repeated,
            Fault::OutOfOrder => &mut self.out_of_order,
            Fault::Session => &mut self.session,
            Fault::Subscription => &mut self.subscription,
            Fault::Retained => &mut self.retained,
            Fault::Will => &mut self.will,
            Fault::Conduct => &mut self.conduct,
        }
    }
}

impl Verdict {
    /// Counts a violation, and keeps the first: half of the room is for kinds that are not there yet.
    pub(super) fn add(&mut self, violation: Violation) {
        *self.faults.of(violation.fault) += 1;
        let is_new = self.violations.iter().all(|it| it.fault != violation.fault);
        if self.violations.len() < if is_new { KEPT_MAX } else { KEPT_MAX / 2 } {
            self.violations.push(violation);
        }
    }
}
