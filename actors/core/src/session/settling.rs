//! How messages cease to wait for a session: acknowledged by its client, given back to their group, or dropped with the
//! network connection or the session that they waited for. Each fate that is decided here is counted here.

use mqtt_codec::{PacketIdentifier, ReasonCode};

use super::deliver::Desk;
use super::inflight::{Behind, InflightEntry, Owed};
use super::state::{Outgoing, Session};
use crate::ids::GroupKey;
use crate::ledger::{DropReason, Ledger};
use crate::outbox::Outbox;
use crate::queue::Queued;
use crate::records::Fate;

/// How far a session is looked through for what it is to give back to groups: what is in flight first, in the order sent,
/// and then what waits behind a place.
#[derive(Debug, Clone, Copy)]
pub enum LeftToGive {
    /// What is in flight behind this, and all that waits.
    Inflight(Behind),
    /// What waits behind this place.
    Queued(u64),
}

impl Default for LeftToGive {
    fn default() -> Self {
        Self::Inflight(Behind::default())
    }
}

/// What a client's acknowledgement asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// Nothing more to do, at least now.
    Settled,
    /// A PUBREL is to be sent [MQTT-4.3.3-4].
    Release,
    /// No such packet identifier.
    Unknown,
}

impl Session {
    /// Returns whether it was the node's own.
    pub(super) fn forget_inflight(
        &mut self,
        identifier: PacketIdentifier,
        fate: Fate,
        ledger: &Ledger,
    ) -> bool {
        let Some(outgoing) = &mut self.outgoing else { return false };
        let Some(entry) = outgoing.inflight.remove(identifier) else { return false };
        ledger.kept.end_n(1, u64::from(entry.own));
        if let Some(kept) = entry.kept {
            outgoing.forget_kept(&kept);
            ledger.kept.leave(&kept.message);
            outgoing.note_settled(kept.recorded, kept.group, fate);
        } else if outgoing.recorded.is_some() {
            let released = outgoing.forget_released(identifier);
            outgoing.note_settled(released, None, fate);
        }
        entry.own
    }

    fn settle(&mut self, identifier: PacketIdentifier, reason: ReasonCode, desk: &Desk<'_>) -> Acknowledged {
        let fate = match reason.is_error() {
            true => Fate::Dropped(DropReason::RefusedByClient),
            false => Fate::Delivered,
        };
        let own = self.forget_inflight(identifier, fate, desk.ledger);
        if reason.is_error() {
            self.dropped(DropReason::RefusedByClient, own, desk);
        } else {
            self.tally.delivered += 1;
            desk.ledger.deliver_n(1, u64::from(own));
        }
        Acknowledged::Settled
    }

    fn owed(&self, identifier: PacketIdentifier) -> Option<Owed> {
        Some(self.outgoing.as_ref()?.inflight.get(identifier)?.owed)
    }

    /// PUBACK [MQTT-4.3.2-3].
    pub fn on_puback(
        &mut self,
        identifier: PacketIdentifier,
        reason: ReasonCode,
        desk: &Desk<'_>,
    ) -> Acknowledged {
        match self.owed(identifier) {
            Some(Owed::PubAck) => self.settle(identifier, reason, desk),
            _ => Acknowledged::Unknown,
        }
    }

    /// PUBREC: from here on the message must not be sent again, only its PUBREL [MQTT-4.3.3-6].
    pub fn on_pubrec(
        &mut self,
        identifier: PacketIdentifier,
        reason: ReasonCode,
        desk: &Desk<'_>,
    ) -> Acknowledged {
        match self.owed(identifier) {
            Some(Owed::PubRec) if reason.is_error() => self.settle(identifier, reason, desk),
            Some(Owed::PubRec | Owed::PubComp) => {
                let outgoing = self.outgoing.as_mut().expect("it is in flight");
                let freed = outgoing.inflight.update(identifier, |entry| {
                    entry.owed = Owed::PubComp;
                    entry.on_wire = true;
                    entry.kept.take()
                });
                if let Some(freed) = freed.flatten() {
                    outgoing.forget_kept(&freed);
                    desk.ledger.kept.leave(&freed.message);
                    if self.keeps_messages && freed.recorded.is_some() {
                        outgoing.note_released(identifier, freed.recorded);
                    }
                }
                if self.keeps_messages && outgoing.is_release_unkept(identifier) {
                    return Acknowledged::Settled;
                }
                Acknowledged::Release
            }
            _ => Acknowledged::Unknown,
        }
    }

    /// PUBCOMP.
    pub fn on_pubcomp(&mut self, identifier: PacketIdentifier, desk: &Desk<'_>) -> Acknowledged {
        match self.owed(identifier) {
            Some(Owed::PubComp) => self.settle(identifier, ReasonCode::Success, desk),
            _ => Acknowledged::Unknown,
        }
    }

    /// Takes out what came through a shared subscription and may go to another member: all that was not sent, and
    /// QoS 1 that was not acknowledged. QoS 2 that was sent stays [MQTT-4.8.2-4]. It looks at `most` messages, of those that
    /// are left to look at, and notes how far it came; that is none when it is through.
    pub fn give_back(
        &mut self,
        wanted: impl Fn(GroupKey) -> bool,
        left: &mut Option<LeftToGive>,
        most: usize,
        ledger: &Ledger,
    ) -> Vec<Queued> {
        let Some(outgoing) = self.outgoing.as_mut() else {
            *left = None;
            return Vec::new();
        };
        let mut returned = match *left {
            Some(LeftToGive::Inflight(behind)) => {
                let (identifiers, last) = outgoing.inflight.next_behind(behind, most);
                *left = Some(last.map_or(LeftToGive::Queued(0), LeftToGive::Inflight));
                outgoing.give_back_inflight(identifiers, wanted, ledger)
            }
            Some(LeftToGive::Queued(behind)) => {
                let wanted = |queued: &Queued| queued.group.is_some_and(&wanted);
                let (returned, last) = outgoing.queue.extract_behind(behind, most, &ledger.kept, wanted);
                *left = last.map(LeftToGive::Queued);
                returned
            }
            None => Vec::new(),
        };
        if !returned.is_empty() {
            self.tally.return_n(returned.len() as u64);
            // What waits in its group by its record does so, whoever had it.
            for queued in returned.iter_mut().filter(|queued| !queued.recorded.is_in_group()) {
                outgoing.note_settled(std::mem::take(&mut queued.recorded), None, Fate::Returned);
            }
        }
        returned
    }

    /// The network connection is gone: QoS 0 that was not written is lost.
    pub fn close_outbox(&mut self, outbox: Outbox, ledger: &Ledger) {
        let (written, lost) = ledger.close(outbox);
        self.tally.delivered += written;
        if lost > 0 {
            self.tally.drop_n(DropReason::ConnectionClosed, lost);
        }
    }
}

impl Outgoing {
    fn give_back_inflight(
        &mut self,
        identifiers: Vec<PacketIdentifier>,
        wanted: impl Fn(GroupKey) -> bool,
        ledger: &Ledger,
    ) -> Vec<Queued> {
        let mut returned = Vec::new();
        for identifier in identifiers {
            let entry = self.inflight.get(identifier);
            let matches = entry.is_some_and(|entry| {
                entry.owed == Owed::PubAck
                    && entry.kept.as_ref().is_some_and(|kept| kept.group.is_some_and(&wanted))
            });
            if matches && let Some(InflightEntry { kept: Some(kept), .. }) = self.inflight.remove(identifier)
            {
                self.forget_kept(&kept);
                ledger.kept.leave(&kept.message);
                ledger.kept.end_n(1, u64::from(kept.message.is_own()));
                returned.push(*kept);
            }
        }
        returned
    }
}
