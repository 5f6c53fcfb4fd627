//! What was retained when a subscription began comes before what is published behind it, whatever the QoS of both.
//!
//! Messages wait in two lines: QoS 0 in one, which the client's receive maximum does not hold up, all else in the other.
//! Each message has a place, rising over both. What is retained has the last place that was taken when its subscription
//! began, and others of its topic name wait only for what has a place before their own: so nothing waits in a circle.

use mqtt_codec::QoS;

use super::deliver::{Desk, Offered, Wanted};
use super::replay::ReplayPlace;
use super::state::{Outgoing, Session};
use super::storing::{Storing, queued};
use crate::ids::client_hash;
use crate::ledger::{DropReason, Ledger};
use crate::message::Publication;
use crate::queue::{Queue, Queued};
use crate::settings::Settings;

/// The place of what is not appended yet: behind all others.
const BEHIND_ALL: u64 = u64::MAX;

impl Session {
    /// Takes a retained message for a new subscription: it is sent, or waits for its turn, ahead of what came behind that.
    /// False, and nothing is counted, if there is no room for it.
    pub fn replay(
        &mut self,
        publication: &Publication<'_>,
        wanted: &Wanted,
        turn: ReplayPlace,
        storing: &mut Storing,
        desk: &mut Desk<'_>,
    ) -> bool {
        let qos = publication.qos.min(wanted.qos);
        let turn = self.turn_of(publication, turn);
        let is_sent = self.may_replay_now(publication, qos, turn, desk.settings, desk.ledger);
        let mut replayed = || Queued { replayed: true, ..queued(publication, qos, wanted, storing) };
        if !is_sent {
            return self.enqueue_ahead(replayed(), turn, desk);
        }
        self.tally.matched += 1;
        desk.ledger.match_n(1, publication.is_own());
        desk.frames.forget();
        if qos == QoS::AtMostOnce {
            self.send_at_most_once(publication, wanted, desk);
        } else {
            let kept = self.is_durable().then(|| Box::new(replayed()));
            self.send(publication, qos, wanted.retain, &wanted.identifiers, kept, desk);
        }
        desk.frames.forget();
        true
    }

    /// Where the client subscribes anew to what it had, what was on its way to it then comes by itself, and first.
    fn turn_of(&self, publication: &Publication<'_>, turn: ReplayPlace) -> ReplayPlace {
        let Some(outgoing) = self.outgoing.as_ref().filter(|_| turn.renews) else { return turn };
        let last = |line: &Queue| line.last_until(publication.topic, publication.stamp, turn.place);
        let last = last(&outgoing.queue).max(last(&outgoing.held_at_most_once));
        ReplayPlace { place: last.unwrap_or(turn.place), ..turn }
    }

    fn may_replay_now(
        &self,
        publication: &Publication<'_>,
        qos: QoS,
        turn: ReplayPlace,
        settings: &Settings,
        ledger: &Ledger,
    ) -> bool {
        let Some(online) = &self.online else { return false };
        let waiting = online.outbox.waiting_bytes();
        let may_go = |outgoing: &Outgoing| {
            let line = if stands_apart(qos, turn, outgoing, settings) {
                &outgoing.held_at_most_once
            } else {
                &outgoing.queue
            };
            line.front().is_none_or(|(first, _)| first > turn.place)
                && (!turn.renews || outgoing.resend.is_empty())
                && !waits_for_sent(publication, qos, turn.place, outgoing, settings)
        };
        if qos == QoS::AtMostOnce {
            return has_room_for_at_most_once(waiting, publication, settings)
                && self.outgoing.as_deref().is_none_or(may_go);
        }
        let kept_bytes = if self.is_durable() { publication.queued_bytes() } else { 0 };
        waiting < settings.node.outbox_bytes_max
            && !self.would_overtake(qos)
            && online.inflight_max > 0
            && (kept_bytes == 0 || ledger.kept.has_room(kept_bytes))
            && self.outgoing.as_ref().is_none_or(|outgoing| {
                outgoing.resend.is_empty()
                    && may_go(outgoing)
                    && outgoing.inflight.has_place(online.inflight_max)
                    // One at a time always, or what waits for it would fill the place that it needs.
                    && (outgoing.inflight.is_empty() || self.fits(outgoing, kept_bytes, &settings.session))
            })
    }

    fn enqueue_ahead(&mut self, queued: Queued, turn: ReplayPlace, desk: &mut Desk<'_>) -> bool {
        let kept = &desk.ledger.kept;
        let own = queued.message.is_own();
        let has_room = self.has_queue_room(queued.qos, queued.message.queued_bytes(), desk);
        let outgoing = self.outgoing.as_mut().filter(|_| has_room);
        let unnamed = (self.keeps_messages && queued.qos > QoS::AtMostOnce).then(|| queued.clone());
        let is_kept =
            outgoing.is_some_and(|outgoing| match stands_apart(queued.qos, turn, outgoing, desk.settings) {
                true => outgoing.held_at_most_once.insert(turn.place, queued, kept),
                false => outgoing.queue.insert(turn.place, queued, kept),
            });
        if is_kept {
            if let (Some(unnamed), Some(outgoing)) = (unnamed, &mut self.outgoing) {
                outgoing.note_given(turn.place, unnamed);
            }
            self.tally.matched += 1;
            desk.ledger.match_n(1, own);
        }
        is_kept
    }

    fn has_queue_room(&self, qos: QoS, bytes: usize, desk: &Desk<'_>) -> bool {
        let limits = &desk.settings.session;
        let messages = self.beside_queue((0, 0)).0;
        let fits = self.outgoing.as_ref().is_none_or(|outgoing| {
            outgoing.queued() + messages < limits.queue_messages_max && self.fits(outgoing, bytes, limits)
        });
        fits && desk.ledger.kept.has_room_for(qos, bytes)
    }

    /// Keeps a message that matched until what was retained before it is sent. QoS 0 waits behind QoS 0 that waits, too.
    /// None if it need not wait: nothing is retained for a shared subscription, so that what comes through one never does.
    pub(super) fn hold_for_retained(
        &mut self,
        publication: &Publication<'_>,
        qos: QoS,
        wanted: &Wanted,
        storing: &mut Storing,
        desk: &mut Desk<'_>,
    ) -> Option<Offered> {
        if wanted.group.is_some() {
            return None;
        }
        let waits = self.waits(publication, qos, BEHIND_ALL, desk.settings);
        if !is_apart(qos, desk.settings) {
            return waits.then(|| self.enqueue_copy(publication, qos, wanted, storing, desk));
        }
        let holds_any = self.outgoing.as_ref().is_some_and(|outgoing| !outgoing.held_at_most_once.is_empty());
        (waits || holds_any).then(|| self.hold_at_most_once(queued(publication, qos, wanted, storing), desk))
    }

    /// No older message is dropped in place of QoS 0 that finds no room.
    fn hold_at_most_once(&mut self, queued: Queued, desk: &mut Desk<'_>) -> Offered {
        let bytes = queued.message.queued_bytes();
        if !self.has_queue_room(queued.qos, bytes, desk) {
            let is_node_full = !desk.ledger.kept.has_room_for(queued.qos, bytes);
            let reason = if is_node_full { DropReason::NodeQueueFull } else { DropReason::QueueFull };
            return self.dropped(reason, queued.message.is_own(), desk);
        }
        let will = self.will.as_deref();
        let outgoing = self.outgoing.get_or_insert_with(|| Outgoing::beside(will));
        let place = outgoing.next_place();
        outgoing.held_at_most_once.push(place, queued, &desk.ledger.kept);
        Offered::Queued
    }

    /// Whether one of those that wait waits for what was retained before it.
    pub(super) fn waits_for_retained(&self, place: u64, queued: &Queued, settings: &Settings) -> bool {
        let publication = queued.message.publication();
        queued.group.is_none() && self.waits(&publication, queued.qos, place, settings)
    }

    fn waits(&self, publication: &Publication<'_>, qos: QoS, place: u64, settings: &Settings) -> bool {
        let is_to_fetch = || self.replays.as_ref().is_some_and(|replays| replays.hold(publication, place));
        let is_to_send = |outgoing: &Outgoing| waits_for_sent(publication, qos, place, outgoing, settings);
        is_to_fetch() || self.outgoing.as_deref().is_some_and(is_to_send)
    }

    /// Whether all is sent that comes before the retained messages to be fetched next.
    pub fn is_through_to_replays(&self) -> bool {
        let Some(first) = self.replays.as_ref().and_then(|replays| replays.pending.front()) else {
            return true;
        };
        self.outgoing.as_ref().is_none_or(|outgoing| outgoing.is_through(first.turn.place))
    }

    /// Sends QoS 0 that waited for retained messages, as far as these are sent. Returns whether anything was appended.
    pub(super) fn pump_at_most_once(&mut self, desk: &mut Desk<'_>) -> bool {
        let mut appended = false;
        while let (Some(online), Some(outgoing)) = (&self.online, &self.outgoing)
            && let Some((place, first)) = outgoing.held_at_most_once.front()
        {
            let waiting = online.outbox.waiting_bytes();
            if self.waits_for_retained(place, first, desk.settings)
                || !has_room_for_at_most_once(waiting, &first.message.publication(), desk.settings)
            {
                break;
            }
            let queued =
                self.outgoing.as_mut().and_then(|outgoing| outgoing.held_at_most_once.pop(&desk.ledger.kept));
            self.send_queued(queued.expect("there is a first"), desk);
            appended = true;
        }
        appended
    }

    /// The network connection is gone, and with it the QoS 0 that waited for retained messages: the caller is to drop it.
    /// With it comes the hash of the client identifier. None if there is none.
    pub fn take_held_at_most_once(&mut self) -> Option<(u64, Queue)> {
        let outgoing = self.outgoing.as_mut().filter(|outgoing| !outgoing.held_at_most_once.is_empty())?;
        let held = std::mem::take(&mut outgoing.held_at_most_once);
        self.tally.drop_n(DropReason::ConnectionClosed, held.len() as u64);
        Some((client_hash(self.client_identifier()), held))
    }
}

/// Whether something that was retained for its topic name is in the other line, or is to be sent again. Its own line
/// keeps the order by itself.
fn waits_for_sent(
    publication: &Publication<'_>,
    qos: QoS,
    place: u64,
    outgoing: &Outgoing,
    settings: &Settings,
) -> bool {
    let other_line = match is_apart(qos, settings) {
        true => &outgoing.queue,
        false => &outgoing.held_at_most_once,
    };
    other_line.replays_before(publication.topic, place)
        || qos == QoS::AtMostOnce && outgoing.is_resending_retained()
}

/// Whether messages wait for retained ones beside the queue: QoS 0, unless that waits in the queue for sessions that are
/// offline, and so in order with the others.
fn is_apart(qos: QoS, settings: &Settings) -> bool {
    qos == QoS::AtMostOnce && !settings.session.queue_qos0_offline
}

/// The same of what is retained. Where the client subscribes anew to what it had, what waits may be what this replaced, and
/// comes first, whatever the QoS.
fn stands_apart(qos: QoS, turn: ReplayPlace, outgoing: &Outgoing, settings: &Settings) -> bool {
    let is_behind =
        outgoing.queue.front().is_some_and(|(first, _)| first <= turn.place) || !outgoing.resend.is_empty();
    is_apart(qos, settings) && !(turn.renews && is_behind)
}

/// One message is always taken, however large: a limit below its size must not make it undeliverable.
pub(super) fn has_room_for_at_most_once(
    waiting: usize,
    publication: &Publication<'_>,
    settings: &Settings,
) -> bool {
    waiting == 0 || waiting + publication.stored_bytes() <= settings.node.outbox_bytes_max
}
