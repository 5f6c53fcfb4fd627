//! Retained messages for a new subscription: the first of them right behind the SUBACK, the others at the pace of the
//! reader.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_rt::time::timeout;
use micro_mq_core::ids::{Epoch, SessionKey, client_hash};
use micro_mq_core::message::StoredMessage;
use micro_mq_core::queue::Identifiers;
use micro_mq_core::retained::{Piece, Rest};
use micro_mq_core::session::{Desk, Replay, Session, Wanted};
use micro_mq_core::settings::Settings;

use super::actor::Connection;
use super::context::ConnectionContext;
use crate::clock;
use crate::messages::{Query, Takes};
use crate::worker::Worker;

/// Messages in one piece.
const PIECE_MESSAGES: usize = 256;
/// Bytes in one piece; a single message may exceed it.
const PIECE_BYTES: usize = 256 * 1024;
/// How long the retained actor may take; one that panicked is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Subscriptions whose pieces are asked for together.
const SUBSCRIPTIONS_TOGETHER: usize = 256;

/// What the retained actor answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RetainedPieces {
    /// For each subscription that was asked for: its next piece.
    pub pieces: Vec<(Replay, Piece)>,
}

/// Asks for the next piece of each subscription, when all that was retained before it is delivered to those who were
/// subscribed before: so that its client, which may be one of them, gets nothing older behind it.
fn ask(worker: &Worker, connection: Addr<Connection>, replays: Vec<Replay>) {
    let (node, id) = (Arc::clone(&worker.node), usize::from(worker.id));
    actix_rt::spawn(async move {
        let newest = replays.iter().map(|replay| replay.since.stamp()).max().unwrap_or_default();
        node.ways[id].retained_underway.through(newest).await;
        let filters = replays.iter().map(|replay| (replay.filter.clone(), replay.after.clone())).collect();
        let query = Query { filters, messages_max: PIECE_MESSAGES, bytes_max: PIECE_BYTES };
        let answer = async { node.retained.addr()?.send(query).await.ok() };
        let pieces = timeout(PATIENCE, answer).await.ok().flatten().unwrap_or_default();
        // Without an answer, all of it is left.
        let left = std::iter::repeat_with(|| Piece { messages: Vec::new(), rest: Rest::All });
        let pieces = replays.into_iter().zip(pieces.into_iter().chain(left)).collect();
        connection.do_send(RetainedPieces { pieces });
    });
}

/// What to ask for now: nothing as long as the client has not taken in what it was sent.
fn next_replays(session: &mut Session, epoch: Epoch, settings: &Settings) -> Vec<Replay> {
    let is_through = session.is_through_to_replays();
    let Some(replays) = &mut session.replays else { return Vec::new() };
    let Some(online) = session.online.as_ref().filter(|_| session.epoch == epoch) else { return Vec::new() };
    if replays.asked {
        return Vec::new();
    }
    let Some(first) = replays.pending.front() else {
        if session.outgoing.as_ref().is_none_or(|outgoing| outgoing.has_passed_retained()) {
            session.replays = None;
        }
        return Vec::new();
    };
    let is_begun = replays.needs_all_room || first.after.is_some();
    let waiting = online.outbox.waiting_bytes();
    let is_relaxed = match replays.needs_all_room {
        true => {
            let outgoing = session.outgoing.as_ref();
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

impl Connection {
    /// Goes on with what is retained for subscriptions that were answered.
    pub(super) fn ask_for_retained(&mut self, context: &ConnectionContext) {
        let next = {
            let sessions = &mut self.worker.state().sessions;
            let Some(session) = sessions.get_mut(self.key).filter(|session| session.replays.is_some()) else {
                return;
            };
            if let Some(replays) = session.replays.as_mut().filter(|_| self.awaits_no_change()) {
                // A SUBSCRIBE of an earlier network connection may have come into force since.
                replays.pending.answer_all();
            }
            next_replays(session, self.epoch, &self.worker.node.settings)
        };
        if !next.is_empty() {
            ask(&self.worker, context.address(), next);
        }
    }

    /// Asks for the first pieces of a SUBSCRIBE, whose SUBACK waits for them. False if there are none, or others come
    /// first: then its SUBACK need not wait.
    pub(super) fn ask_for_first_pieces(&self, context: &ConnectionContext, subscribed: &Range<u64>) -> bool {
        let first = {
            let sessions = &mut self.worker.state().sessions;
            let replays = sessions.get_mut(self.key).and_then(|session| session.replays.as_mut());
            let Some(replays) = replays.filter(|replays| replays.pending.begins_with(subscribed)) else {
                return false;
            };
            replays.asked = true;
            replays.pending.first(SUBSCRIPTIONS_TOGETHER, subscribed.end)
        };
        ask(&self.worker, context.address(), first);
        true
    }
}

impl Handler<RetainedPieces> for Connection {
    type Result = ();

    fn handle(&mut self, answer: RetainedPieces, context: &mut Self::Context) {
        if !self.holds_session() {
            return;
        }
        let answered = self.answer_first_pieces();
        self.worker.take_pieces(self.key, answer.pieces, clock::now());
        if let Some(replays) = answered {
            self.note_answered(&replays);
        }
        self.answer_changes(context);
    }
}

impl Worker {
    /// Sends pieces to their session, and notes what is left.
    fn take_pieces(&self, key: SessionKey, pieces: Vec<(Replay, Piece)>, now: Instant) {
        self.state().with_desk(key, now, |session, desk| {
            let Some(replays) = &mut session.replays else { return };
            replays.asked = false;
            for (asked, piece) in pieces {
                let replays = session.replays.as_ref();
                if !replays.and_then(|replays| replays.pending.front()).is_some_and(|first| first.is(&asked))
                {
                    // Unsubscribed meanwhile, or subscribed again.
                    continue;
                }
                let is_subscribed = session.subscriptions.contains_key(&asked.filter);
                let some = !piece.messages.is_empty();
                let sent = if is_subscribed { send(session, &asked, &piece.messages, desk) } else { 0 };
                let Some(replays) = &mut session.replays else { return };
                replays.needs_all_room = is_subscribed && some && sent == 0;
                let Some(first) = replays.pending.front_mut() else { return };
                if is_subscribed && go_on_from(first, piece, sent) {
                    // What is retained for the next subscription comes behind all of this one.
                    return;
                }
                replays.pending.pop_front();
            }
        });
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

/// Sends as many as find room, and answers how many that were: what does not is fetched again later, never dropped.
fn send(
    session: &mut Session,
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
    let own = client_hash(session.client_identifier());
    for (sent, message) in messages.iter().enumerate() {
        let retained = message.publication();
        // No local counts for what this client identifier left here in an earlier session, too [MQTT-3.8.3-3].
        let is_own = subscription.options.no_local && retained.publisher_hash == own;
        // What is retained since the subscription began comes by itself.
        let is_newer = retained.stamp > replay.since.stamp();
        if is_own || is_newer || retained.is_expired(desk.now) {
            continue;
        }
        if !session.replay(&retained, &wanted, replay.turn, &mut Some(Arc::clone(message)), desk) {
            return sent;
        }
    }
    messages.len()
}
