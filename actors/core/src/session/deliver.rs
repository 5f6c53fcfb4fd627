//! How a message gets to one session: straight into its outbox, into its queue, or dropped with a reason.
//!
//! Pure: the topic trie calls it for every match, the connection when the client acknowledges or reads on. Each fate
//! that is decided here is counted here.

use mqtt_codec::{PacketIdentifier, QoS, ReasonCode};
use std::sync::Arc;
use std::time::Instant;

use super::frames::{FrameCache, Sending};
use super::inflight::{InflightEntry, Owed};
use super::retained_first::has_room_for_at_most_once;
use super::state::{Outgoing, Session};
use super::storing::Storing;
use crate::ids::GroupKey;
use crate::ledger::{DropReason, Ledger};
use crate::message::Publication;
use crate::pool::BufferPool;
use crate::queue::{Identifiers, Queued};
use crate::records::Fate;
use crate::settings::{QueueOverflow, SessionSettings, Settings};

/// What deciding a message's fate needs beside the session.
pub struct Desk<'a> {
    /// Limits and policies.
    pub settings: &'a Settings,
    /// The worker's ledger.
    pub ledger: &'a Ledger,
    /// Write buffers.
    pub pool: &'a mut BufferPool,
    /// Frames of the message being delivered.
    pub frames: &'a mut FrameCache,
    /// The present moment.
    pub now: Instant,
}

/// How a message is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Maximum QoS of the subscription [MQTT-3.8.4-8].
    pub qos: QoS,
    /// RETAIN to send.
    pub retain: bool,
    /// Subscription identifiers to send.
    pub identifiers: Identifiers,
    /// The shared subscription it comes through.
    pub group: Option<GroupKey>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It stands in the outbox: the connection has to be woken.
    Sent,
    /// It waits in the session's queue.
    Queued,
    /// It is dropped, and counted so.
    Dropped(DropReason),
}

impl Session {
    pub(super) fn dropped(&mut self, reason: DropReason, own: bool, desk: &Desk<'_>) -> Offered {
        self.tally.drop_n(reason, 1);
        desk.ledger.drop_n(reason, 1, own);
        Offered::Dropped(reason)
    }

    /// Takes a message that matched.
    pub fn offer(
        &mut self,
        publication: &Publication<'_>,
        wanted: &Wanted,
        storing: &mut Storing,
        desk: &mut Desk<'_>,
    ) -> Offered {
        self.tally.matched += 1;
        let qos = publication.qos.min(wanted.qos);
        if self.replays.is_some()
            && self.online.is_some()
            && let Some(held) = self.hold_for_retained(publication, qos, wanted, storing, desk)
        {
            return held;
        }
        if qos == QoS::AtMostOnce && !self.queues_at_most_once(desk.settings) {
            return self.send_at_most_once(publication, wanted, desk);
        }
        if !self.is_durable() && self.online.is_none() {
            return self.dropped(DropReason::SessionGone, publication.is_own(), desk);
        }
        let keep = self.is_durable() || wanted.group.is_some();
        let kept_bytes = if keep { publication.queued_bytes() } else { 0 };
        if self.may_send_now(kept_bytes, desk.settings, desk.ledger)
            && !(self.keeps_messages && self.would_overtake(qos))
        {
            let kept = keep.then(|| self.boxed_copy_of(publication, qos, wanted, storing));
            let offered = self.send(publication, qos, wanted.retain, &wanted.identifiers, kept, desk);
            return if storing.has_copies() { storing.confirm(self.key, offered) } else { offered };
        }
        self.enqueue_copy(publication, qos, wanted, storing, desk)
    }

    /// Puts a message behind those that wait already, within the limits of the session's queue.
    pub(super) fn enqueue_copy(
        &mut self,
        publication: &Publication<'_>,
        qos: QoS,
        wanted: &Wanted,
        storing: &mut Storing,
        desk: &mut Desk<'_>,
    ) -> Offered {
        let queued = self.copy_of(publication, qos, wanted, storing);
        let offered = self.enqueue(queued, desk);
        storing.confirm(self.key, offered)
    }

    /// Whether QoS 0 waits in the queue: while the session is offline, and then behind what waits from that time.
    fn queues_at_most_once(&self, settings: &Settings) -> bool {
        settings.session.queue_qos0_offline
            && (self.online.is_none()
                || self.outgoing.as_ref().is_some_and(|outgoing| !outgoing.queue.is_empty()))
    }

    fn may_send_now(&self, kept_bytes: usize, settings: &Settings, ledger: &Ledger) -> bool {
        let Some(online) = &self.online else { return false };
        let room = online.outbox.waiting_bytes() < settings.node.outbox_bytes_max;
        room && online.inflight_max > 0
            && (kept_bytes == 0 || ledger.kept.has_room(kept_bytes))
            && self.outgoing.as_ref().is_none_or(|outgoing| {
                outgoing.queue.is_empty()
                    && outgoing.resend.is_empty()
                    && outgoing.inflight.has_place(online.inflight_max)
                    && self.fits(outgoing, kept_bytes, &settings.session)
            })
    }

    /// Whether a message would find a place with this client: in its outbox, or in its queue. What it `pays` for already
    /// waits in a group.
    pub fn has_room(
        &self,
        publication: &Publication<'_>,
        qos: QoS,
        pays: bool,
        settings: &Settings,
        ledger: &Ledger,
    ) -> bool {
        if publication.qos.min(qos) == QoS::AtMostOnce {
            let bytes = publication.stored_bytes();
            let waiting = self.online.as_ref().map_or(0, |online| online.outbox.waiting_bytes());
            return self.online.is_some()
                && (waiting == 0 || waiting + bytes <= settings.node.outbox_bytes_max);
        }
        let (limits, bytes) = (&settings.session, publication.queued_bytes());
        let paid = if pays { (1, bytes) } else { (0, 0) };
        self.may_send_now(bytes, settings, ledger)
            || ledger.kept.has_room(bytes)
                && self.outgoing.as_ref().is_none_or(|outgoing| {
                    let (messages, beside) = self.beside_queue(paid);
                    outgoing.queued() + messages < limits.queue_messages_max
                        && fits(outgoing, beside, bytes, self.queue_bytes_max(limits))
                })
    }

    pub(super) fn fits(&self, outgoing: &Outgoing, bytes: usize, limits: &SessionSettings) -> bool {
        fits(outgoing, self.beside_queue((0, 0)).1, bytes, self.queue_bytes_max(limits))
    }

    fn queue_bytes_max(&self, limits: &SessionSettings) -> usize {
        if self.is_durable() { limits.queue_bytes_max } else { limits.clean_queue_bytes_max }
    }

    /// Messages and bytes that count as what waits for the client though they are not in its session: those of groups that
    /// it pays for, less what it was `paid` for and gets now.
    pub(super) fn beside_queue(&self, (paid_messages, paid_bytes): (usize, usize)) -> (usize, usize) {
        let Some(burden) = &self.burden else { return (0, 0) };
        let (messages, bytes) = burden.in_groups();
        (messages.saturating_sub(paid_messages), bytes.saturating_sub(paid_bytes))
    }

    pub(super) fn send_at_most_once(
        &mut self,
        publication: &Publication<'_>,
        wanted: &Wanted,
        desk: &mut Desk<'_>,
    ) -> Offered {
        let Some(online) = &mut self.online else {
            let reason = if self.is_durable() { DropReason::Offline } else { DropReason::SessionGone };
            return self.dropped(reason, publication.is_own(), desk);
        };
        let sending = Sending {
            qos: QoS::AtMostOnce,
            retain: wanted.retain,
            dup: false,
            identifiers: wanted.identifiers.as_slice(),
        };
        if desk.frames.check(online, publication, sending, desk.now).is_err() {
            return self.dropped(DropReason::TooLargeForClient, publication.is_own(), desk);
        }
        let waiting = online.outbox.waiting_bytes();
        // One message is always taken, however large: a limit below its size must not make it undeliverable.
        if waiting > 0 && waiting + publication.stored_bytes() > desk.settings.node.outbox_bytes_max {
            return self.dropped(DropReason::OutboxFull, publication.is_own(), desk);
        }
        desk.frames.append(online, desk.pool, publication, sending, None, desk.now);
        let own = publication.is_own();
        desk.ledger.note_sent(publication.payload.len(), own);
        online.outbox.note_qos0(own);
        desk.ledger.kept.wait_n(1, own);
        Offered::Sent
    }

    /// Sends a QoS 1 or 2 message for the first time; the caller made sure that there is room.
    pub(super) fn send(
        &mut self,
        publication: &Publication<'_>,
        qos: QoS,
        retain: bool,
        identifiers: &Identifiers,
        kept: Option<Box<Queued>>,
        desk: &mut Desk<'_>,
    ) -> Offered {
        let online = self.online.as_mut().expect("only called while online");
        let sending = Sending { qos, retain, dup: false, identifiers: identifiers.as_slice() };
        if desk.frames.check(online, publication, sending, desk.now).is_err() {
            return self.dropped(DropReason::TooLargeForClient, publication.is_own(), desk);
        }
        let owed = if qos == QoS::ExactlyOnce { Owed::PubRec } else { Owed::PubAck };
        let will = self.will.as_deref();
        let outgoing = self.outgoing.get_or_insert_with(|| Outgoing::beside(will));
        if let Some(kept) = &kept {
            outgoing.note_kept(kept);
            desk.ledger.kept.enter(&kept.message);
        }
        let own = publication.is_own();
        let identifier = outgoing.inflight.push(InflightEntry { owed, on_wire: true, own, kept });
        desk.ledger.kept.wait_n(1, own);
        if self.keeps_messages && outgoing.note_in_flight(identifier, qos) {
            return Offered::Queued;
        }
        desk.frames.append(online, desk.pool, publication, sending, Some(identifier), desk.now);
        desk.ledger.note_sent(publication.payload.len(), own);
        Offered::Sent
    }

    fn enqueue(&mut self, queued: Queued, desk: &mut Desk<'_>) -> Offered {
        let limits = &desk.settings.session;
        let (bytes, bytes_max) = (queued.message.queued_bytes(), self.queue_bytes_max(limits));
        let mut outgoing = self.outgoing.take().unwrap_or_else(|| Outgoing::beside(self.will.as_deref()));
        let (messages, beside) = self.beside_queue((0, 0));
        let full = |outgoing: &Outgoing| {
            outgoing.queued() + messages >= limits.queue_messages_max
                || !fits(outgoing, beside, bytes, bytes_max)
        };
        let kept = &desk.ledger.kept;
        let (qos, own) = (queued.qos, queued.message.is_own());
        let why_not = |outgoing: &Outgoing| match kept.has_room_for(qos, bytes) {
            _ if full(outgoing) => Some(DropReason::QueueFull),
            true => None,
            false => Some(DropReason::NodeQueueFull),
        };
        let mut refused = why_not(&outgoing);
        if refused.is_some() {
            for expired in outgoing.queue.take_expired(desk.now, kept) {
                outgoing.note_settled(expired.recorded, expired.group, Fate::Dropped(DropReason::Expired));
                self.dropped(DropReason::Expired, expired.message.is_own(), desk);
            }
            refused = why_not(&outgoing);
        }
        while refused == Some(DropReason::QueueFull)
            && qos > QoS::AtMostOnce
            && let Some(last) = outgoing.held_at_most_once.pop_last(kept)
        {
            self.dropped(DropReason::QueueFull, last.message.is_own(), desk);
            refused = why_not(&outgoing);
        }
        let mut given_up = 0;
        while let Some(reason) = refused
            && limits.queue_overflow == QueueOverflow::DropOldest
            // To the node it gives no more than it takes: others may hold what takes the room.
            && (reason == DropReason::QueueFull || given_up < bytes)
            && let Some(oldest) = outgoing.queue.pop(kept)
        {
            given_up += oldest.message.queued_bytes();
            outgoing.note_settled(oldest.recorded, oldest.group, Fate::Dropped(reason));
            self.dropped(reason, oldest.message.is_own(), desk);
            refused = why_not(&outgoing);
        }
        if refused.is_none() {
            let place = outgoing.next_place();
            if self.keeps_messages && qos > QoS::AtMostOnce && !queued.recorded.is_some() {
                outgoing.note_given(place, queued.clone());
            }
            outgoing.queue.push(place, queued, kept);
        }
        self.outgoing = Some(outgoing);
        refused.map_or(Offered::Queued, |reason| self.dropped(reason, own, desk))
    }

    /// Sends what waits, as far as the client's receive maximum and the outbox have room: first what has to be sent
    /// again, then the queue. Returns whether anything was appended.
    pub fn pump(&mut self, desk: &mut Desk<'_>) -> bool {
        if self.replays.is_none() {
            return self.pump_queue(desk);
        }
        let mut appended = false;
        loop {
            appended |= self.pump_at_most_once(desk);
            if !self.pump_queue(desk) {
                return appended;
            }
            // What was retained and is sent now may be what others wait for.
            appended = true;
        }
    }

    fn pump_queue(&mut self, desk: &mut Desk<'_>) -> bool {
        let mut appended = false;
        while let Some(online) = &self.online {
            let Some(outgoing) = &mut self.outgoing else { break };
            if online.outbox.waiting_bytes() >= desk.settings.node.outbox_bytes_max {
                break;
            }
            let window = outgoing.inflight.has_place(online.inflight_max);
            if let Some(identifier) = outgoing.resend.front().copied() {
                let is_full = outgoing.inflight.on_wire() >= usize::from(online.inflight_max);
                if is_full && !outgoing.owes_release(identifier) {
                    if outgoing.releases_first {
                        break;
                    }
                    outgoing.bring_releases_forward();
                    continue;
                }
                outgoing.resend.pop_front();
                self.send_in_flight(identifier, true, desk);
            } else {
                let Some((place, first)) = self.outgoing.as_ref().and_then(|outgoing| outgoing.queue.front())
                else {
                    break;
                };
                if !(window || first.qos == QoS::AtMostOnce) {
                    break;
                }
                if self.would_overtake(first.qos)
                    || self.replays.is_some() && self.waits_for_retained(place, first, desk.settings)
                {
                    break;
                }
                let waiting = online.outbox.waiting_bytes();
                // What is retained is not dropped for want of room.
                if first.replayed
                    && !has_room_for_at_most_once(waiting, &first.message.publication(), desk.settings)
                {
                    break;
                }
                let queued =
                    self.outgoing.as_mut().and_then(|outgoing| outgoing.queue.pop(&desk.ledger.kept));
                self.send_queued(queued.expect("there is a first"), desk);
            }
            appended = true;
        }
        appended
    }

    pub(super) fn send_queued(&mut self, queued: Queued, desk: &mut Desk<'_>) {
        desk.frames.forget();
        let message = Arc::clone(&queued.message);
        let publication = message.publication();
        let (recorded, group) = (queued.recorded, queued.group);
        let mut offered = Offered::Queued;
        if publication.is_expired(desk.now) {
            offered = self.dropped(DropReason::Expired, publication.is_own(), desk);
        } else if queued.qos == QoS::AtMostOnce {
            let wanted = Wanted {
                qos: queued.qos,
                retain: queued.retain,
                identifiers: queued.identifiers,
                group: None,
            };
            self.send_at_most_once(&publication, &wanted, desk);
        } else {
            let keep = self.is_durable() || queued.group.is_some();
            let (qos, retain, identifiers) = (queued.qos, queued.retain, queued.identifiers.clone());
            offered =
                self.send(&publication, qos, retain, &identifiers, keep.then(|| Box::new(queued)), desk);
        }
        if let Offered::Dropped(reason) = offered
            && let Some(outgoing) = &mut self.outgoing
        {
            outgoing.note_settled(recorded, group, Fate::Dropped(reason));
        }
        desk.frames.forget();
    }

    /// Sends what is in flight: the PUBLISH, with DUP on a new network connection, or the PUBREL [MQTT-4.4.0-1].
    pub(super) fn send_in_flight(&mut self, identifier: PacketIdentifier, dup: bool, desk: &mut Desk<'_>) {
        let (Some(online), Some(outgoing)) = (&mut self.online, &mut self.outgoing) else { return };
        let resent = outgoing.inflight.update(identifier, |entry| {
            entry.on_wire = true;
            (entry.owed, entry.kept.as_ref().map(|kept| (**kept).clone()))
        });
        let version = online.version;
        match resent {
            // Acknowledged meanwhile: the client remembered it from before.
            None => {}
            Some((Owed::PubComp, _)) => online.outbox.append_with(desk.pool, |out| {
                let packet_type = mqtt_codec::PacketType::PubRel;
                mqtt_codec::encode_ack(packet_type, version, identifier, ReasonCode::Success, out);
            }),
            Some((_, Some(kept))) => {
                let publication = kept.message.publication();
                let sending = Sending {
                    qos: kept.qos,
                    retain: kept.retain,
                    dup,
                    identifiers: kept.identifiers.as_slice(),
                };
                if desk.frames.check(online, &publication, sending, desk.now).is_err() {
                    // The client came back with a smaller maximum packet size [MQTT-3.1.2-24].
                    let reason = DropReason::TooLargeForClient;
                    self.forget_inflight(identifier, Fate::Dropped(reason), desk.ledger);
                    self.dropped(reason, publication.is_own(), desk);
                } else {
                    desk.frames.append(online, desk.pool, &publication, sending, Some(identifier), desk.now);
                    desk.ledger.note_sent(publication.payload.len(), publication.is_own());
                }
            }
            Some((_, None)) => {
                // Became durable after it was sent: there is nothing to send again.
                let reason = DropReason::SessionGone;
                let own = self.forget_inflight(identifier, Fate::Dropped(reason), desk.ledger);
                self.dropped(reason, own, desk);
            }
        }
    }

    /// A new network connection holds the session: what is in flight has to be sent again, in the order sent.
    pub fn resume_sending(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.inflight.forget_wire();
            outgoing.resend = outgoing.inflight.identifiers().into();
            outgoing.releases_first = false;
            outgoing.resends_retained = outgoing.replayed_in_flight > 0;
            if outgoing.resends_retained {
                self.replays.get_or_insert_default();
            }
        }
    }
}

/// Whether so many more bytes find room. One message always does: a limit below its size must not make it undeliverable.
fn fits(outgoing: &Outgoing, beside: usize, bytes: usize, bytes_max: usize) -> bool {
    let held = outgoing.bytes();
    held == 0 || held + outgoing.will_bytes + beside + bytes <= bytes_max
}
