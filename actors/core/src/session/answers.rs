//! Answers to what a client sent: PUBACK and PUBREC in one line, PUBCOMP in another, each in the order of its packets
//! [MQTT-4.6.0-2, MQTT-4.6.0-3]. What nothing is open for leaves at once, as long as nothing waits before it.

use mqtt_codec::{PacketIdentifier, PacketType, ProtocolVersion, ReasonCode, encode_ack};

use super::incoming::IncomingIdentifiers;
use super::online::{Online, RareOnline};
use super::state::Session;
use crate::completion::{Awaited, Completion, Pending, State};
use crate::message::Ack;
use crate::pool::BufferPool;

/// Answers that wait for something that is to be done before they leave, or behind such.
#[derive(Debug, Default)]
pub struct PendingAnswers {
    /// PUBACK and PUBREC.
    pub publishes: Pending<(Ack, ReasonCode)>,
    /// PUBCOMP.
    pub releases: Pending<PacketIdentifier>,
}

impl PendingAnswers {
    fn is_empty(&self) -> bool {
        self.publishes.is_empty() && self.releases.is_empty()
    }
}

/// What became of the answers that could leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// How many left.
    pub sent: u64,
    /// What the first of a line waited for has failed: it will never leave, nor will those behind it.
    pub failed: bool,
}

impl Online {
    /// Answers that wait; none if nothing does.
    #[inline]
    pub fn pending(&self) -> Option<&PendingAnswers> {
        self.rare.as_ref()?.pending.as_deref()
    }

    fn pending_mut(&mut self) -> &mut PendingAnswers {
        self.rare.get_or_insert_default().pending.get_or_insert_default()
    }

    /// PUBACK or PUBREC leaves.
    #[expect(clippy::inline_always, reason = "once per publish, in one loop; the other place is a rare one")]
    #[inline(always)]
    pub fn acknowledge(&mut self, ack: Ack, reason: ReasonCode, pool: &mut BufferPool) {
        let packet_type = if ack.exactly_once { PacketType::PubRec } else { PacketType::PubAck };
        let version = self.version;
        self.outbox
            .append_with(pool, |out| encode_ack(packet_type, version, ack.packet_identifier, reason, out));
        // A place in the receive maximum is free again, for QoS 2 only with PUBCOMP or a failing PUBREC. A 3.x
        // client knows no receive maximum and may send its PUBREL behind more publishes than are read.
        if !ack.exactly_once || reason.is_error() || version != ProtocolVersion::V5 {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
    }

    /// What few clients have is freed when nothing is left in it.
    pub(super) fn drop_rare(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }
}

impl RareOnline {
    fn is_empty(&self) -> bool {
        self.aliases.is_none()
            && self.held_up.is_none()
            && self.pending.is_none()
            && self.grant.is_none()
            && self.certificate.is_none()
    }
}

impl Session {
    /// A QoS 2 message is released [MQTT-4.3.3-11]: its packet identifier is free again, and its place in the receive
    /// maximum. Returns what the PUBCOMP says.
    pub fn release(&mut self, identifier: PacketIdentifier) -> ReasonCode {
        let Some(received) = self.incoming.remove(identifier) else {
            return ReasonCode::PacketIdentifierNotFound;
        };
        // One from an earlier network connection took no place in this one's receive maximum.
        if received == self.epoch
            && let Some(online) = &mut self.online
            && online.version == ProtocolVersion::V5
        {
            online.unanswered = online.unanswered.saturating_sub(1);
        }
        ReasonCode::Success
    }

    /// A QoS 2 message is to be released, and PUBCOMP to leave, behind what it waits for and those before it.
    pub fn release_in_turn(&mut self, identifier: PacketIdentifier, awaited: Option<Awaited>) {
        if let Some(online) = &mut self.online {
            online.pending_mut().releases.push(identifier, awaited);
        }
    }

    /// Lets all answers leave that may; when another one may, the network connection's actor is woken.
    pub fn answer_what_is_complete(&mut self, pool: &mut BufferPool) -> Answered {
        let mut answered = Answered::default();
        let Some(online) = &mut self.online else { return answered };
        let Some(mut pending) = online.rare.as_mut().and_then(|rare| rare.pending.take()) else {
            return answered;
        };
        let (waker, version) = (online.waker.clone(), online.version);
        answered.sent +=
            pending.publishes.let_leave(waker.as_ref(), &mut answered.failed, |(ack, reason)| {
                online.acknowledge(ack, reason, pool);
            });
        answered.sent += pending.releases.let_leave(waker.as_ref(), &mut answered.failed, |identifier| {
            let reason = self.release(identifier);
            if let Some(online) = &mut self.online {
                online.outbox.append_with(pool, |out| {
                    encode_ack(PacketType::PubComp, version, identifier, reason, out);
                });
            }
        });
        if let Some(online) = &mut self.online {
            if !pending.is_empty() {
                online.rare.get_or_insert_default().pending = Some(pending);
            }
            online.drop_rare();
        }
        answered
    }

    /// Whether its publishes are answered at once, unless they have conditions of their own.
    #[inline]
    pub(crate) fn answers_at_once(&self) -> bool {
        self.online.as_ref().is_some_and(|online| online.pending().is_none()) && !self.incoming.awaits_any()
    }

    /// PUBACK and PUBREC are to leave, each behind what it waits for and those before it. With each stands its place
    /// among what `completion` counts.
    pub(crate) fn acknowledge_in_turn(
        &mut self,
        acks: impl Iterator<Item = (usize, Ack, ReasonCode)>,
        completion: Option<&Completion>,
    ) {
        let Some(online) = &mut self.online else { return };
        for (packet, ack, reason) in acks {
            let awaited = match ack.settled {
                // Received before, maybe on an earlier network connection: it waits for what that publish waits for.
                Some(reason) if ack.exactly_once && !reason.is_error() => {
                    self.incoming.awaited(ack.packet_identifier)
                }
                Some(_) => None,
                None => completion.map(|completion| completion.of(packet)),
            };
            online.pending_mut().publishes.push((ack, reason), awaited);
        }
    }

    /// These will not be answered: the network connection that published them is gone. What is sent again of QoS 2 is
    /// answered when they are complete, or routed anew if they never will be.
    pub(crate) fn leave_unanswered(
        &mut self,
        acks: impl Iterator<Item = (usize, Ack)>,
        completion: &Completion,
    ) {
        for (packet, ack) in acks.filter(|(_, ack)| ack.settled.is_none()) {
            leave_unanswered(&mut self.incoming, ack, completion.of(packet));
        }
    }

    /// A network connection is over: the same with all answers that wait. Returns how many those were.
    pub(crate) fn leave_pending_unanswered(&mut self, online: &mut Online) -> usize {
        let Some(mut pending) = online.rare.as_mut().and_then(|rare| rare.pending.take()) else { return 0 };
        let left = pending.publishes.len() + pending.releases.len();
        for ((ack, _), awaited) in pending.publishes.drain() {
            if let Some(awaited) = awaited {
                leave_unanswered(&mut self.incoming, ack, awaited);
            }
        }
        online.drop_rare();
        left
    }
}

fn leave_unanswered(incoming: &mut IncomingIdentifiers, ack: Ack, awaited: Awaited) {
    if ack.exactly_once && awaited.state() != State::Done {
        incoming.wait_for(ack.packet_identifier, awaited);
    }
}
