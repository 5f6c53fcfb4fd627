//! Retained messages for new subscriptions: which pieces are asked for, and what becomes of those that come. The first of
//! them stands right behind the SUBACK, the others come at the pace of the reader.

use std::ops::Range;
use std::sync::Arc;

use super::deliver::{Desk, Wanted};
use super::replay::Replay;
use super::state::Session;
use super::storing::Storing;
use crate::ids::{Epoch, client_hash};
use crate::message::StoredMessage;
use crate::queue::Identifiers;
use crate::retained::{Piece, Rest};
use crate::settings::Settings;

/// Subscriptions whose pieces are asked for together.
const SUBSCRIPTIONS_TOGETHER: usize = 256;

impl Session {
    /// The subscriptions whose next pieces its network connection is to ask for now: none as long as the client has not
    /// taken in what it was sent. With `answers_nothing` no SUBSCRIBE of that network connection waits for its SUBACK.
    pub fn next_replays(&mut self, epoch: Epoch, answers_nothing: bool, settings: &Settings) -> Vec<Replay> {
        if let Some(replays) = self.replays.as_mut().filter(|_| answers_nothing) {
            // A SUBSCRIBE of an earlier network connection may have come into force since.
            replays.pending.answer_all();
        }
        let is_through = self.is_through_to_replays();
        let Some(replays) = &mut self.replays else { return Vec::new() };
        let Some(online) = self.online.as_ref().filter(|_| self.epoch == epoch) else { return Vec::new() };
        if replays.asked {
            return Vec::new();
        }
        let Some(first) = replays.pending.front() else {
            if self.outgoing.as_ref().is_none_or(|outgoing| outgoing.has_passed_retained()) {
                self.replays = None;
            }
            return Vec::new();
        };
        let is_begun = replays.needs_all_room || first.after.is_some();
        let waiting = online.outbox.waiting_bytes();
        let is_relaxed = match replays.needs_all_room {
            true => {
                let outgoing = self.outgoing.as_ref();
                waiting == 0 && outgoing.is_none_or(|outgoing| outgoing.inflight.is_empty())
            }
            false => waiting < settings.node.outbox_bytes_max / 2,
        };
        // The first piece is fetched at once, and waits for the client: it is what was retained when that subscribed.
        if is_begun && !(is_relaxed && is_through) {
            return Vec::new();
        }
        let next = replays.pending.first(SUBSCRIPTIONS_TOGETHER, replays.pending.answered());
        replays.asked = !next.is_empty();
        next
    }

    /// The subscriptions of a SUBSCRIBE, by their numbers, whose first pieces its SUBACK waits for. None if there are none,
    /// or those of others come first: then its SUBACK need not wait.
    pub fn first_replays(&mut self, subscribed: &Range<u64>) -> Option<Vec<Replay>> {
        let replays = self.replays.as_mut().filter(|replays| replays.pending.begins_with(subscribed))?;
        replays.asked = true;
        Some(replays.pending.first(SUBSCRIPTIONS_TOGETHER, subscribed.end))
    }

    /// Takes the pieces that were asked for, each with its subscription as it was then: what finds room is sent or waits in
    /// the queue, the rest is asked for again.
    pub fn take_retained(&mut self, pieces: Vec<(Replay, Piece)>, desk: &mut Desk<'_>) {
        let Some(replays) = &mut self.replays else { return };
        replays.asked = false;
        for (asked, piece) in pieces {
            let replays = self.replays.as_ref();
            if !replays.and_then(|replays| replays.pending.front()).is_some_and(|first| first.is(&asked)) {
                // Unsubscribed meanwhile, or subscribed again.
                continue;
            }
            let is_subscribed = self.subscriptions.contains_key(&asked.filter);
            let some = !piece.messages.is_empty();
            let sent = if is_subscribed { self.replay_piece(&asked, &piece.messages, desk) } else { 0 };
            let Some(replays) = &mut self.replays else { return };
            replays.needs_all_room = is_subscribed && some && sent == 0;
            let Some(first) = replays.pending.front_mut() else { return };
            if is_subscribed && go_on_from(first, piece, sent) {
                // What is retained for the next subscription comes behind all of this one.
                return;
            }
            replays.pending.pop_front();
        }
    }

    /// Sends as many as find room, and answers how many that were: what does not is fetched again later, never dropped.
    fn replay_piece(
        &mut self,
        replay: &Replay,
        messages: &[Arc<StoredMessage>],
        desk: &mut Desk<'_>,
    ) -> usize {
        let subscription = replay.subscription;
        let wanted = Wanted {
            qos: subscription.options.qos,
            retain: true,
            identifiers: match subscription.identifier {
                0 => Identifiers::None,
                identifier => Identifiers::One(identifier),
            },
            group: None,
        };
        let own = client_hash(self.client_identifier());
        for (sent, message) in messages.iter().enumerate() {
            let retained = message.publication();
            // No local counts for what this client identifier left here in an earlier session, too [MQTT-3.8.3-3].
            let is_own = subscription.options.no_local && retained.publisher_hash == own;
            // What is retained since the subscription began comes by itself.
            let is_newer = retained.stamp > replay.since.stamp();
            if is_own || is_newer || retained.is_expired(desk.now) {
                continue;
            }
            if !self.replay(&retained, &wanted, replay.turn, &mut Storing::of(Arc::clone(message)), desk) {
                return sent;
            }
        }
        messages.len()
    }
}

/// Whether something is left, when the first `sent` messages of a piece were sent.
fn go_on_from(replay: &mut Replay, piece: Piece, sent: usize) -> bool {
    if sent < piece.messages.len() {
        if let Some(last) = sent.checked_sub(1) {
            replay.after = Some(piece.messages[last].topic().into());
        }
        return true;
    }
    match piece.rest {
        Rest::Nothing => return false,
        Rest::All => {}
        Rest::Behind(topic) => replay.after = Some(topic),
    }
    true
}
