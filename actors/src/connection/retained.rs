//! Retained messages for a new subscription: the first of them right behind the SUBACK, the others at the pace of the
//! reader.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::time::timeout;
use tokio::time::Instant;

use super::actor::Connection;
use crate::message::{Publication, StoredMessage};
use crate::retained::{Piece, Query, Rest};
use crate::sessions::{
    Age, AskedAt, Desk, Epoch, Identifiers, Replay, Session, SessionKey, Subscription, Wanted, client_hash,
};
use crate::settings::Settings;
use crate::worker::{NodeShared, Worker};

/// Messages in one piece.
const PIECE_MESSAGES: usize = 256;
/// Bytes in one piece; a single message may exceed it.
const PIECE_BYTES: usize = 256 * 1024;
/// How long the retained actor may take; one that panicked is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the retained actor answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RetainedPieces {
    /// The SUBSCRIBE whose SUBACK waits for it; none if a piece was asked for that is not the first.
    pub token: Option<u32>,
    /// When it was asked.
    pub asked_at: AskedAt,
    /// For each subscription that was asked for: its next piece.
    pub pieces: Vec<(Replay, Piece)>,
}

/// Whether there may be a retained message at all.
pub(super) fn is_any_kept(node: &NodeShared) -> bool {
    !node.retained_messages.is_empty()
}

/// Asks for the next piece of each subscription.
pub(super) fn ask(
    node: &Arc<NodeShared>,
    connection: Addr<Connection>,
    token: Option<u32>,
    asked_at: AskedAt,
    replays: Vec<Replay>,
) {
    let node = Arc::clone(node);
    actix_rt::spawn(async move {
        let filters = replays.iter().map(|replay| (replay.filter.clone(), replay.after.clone())).collect();
        let query = Query { filters, messages_max: PIECE_MESSAGES, bytes_max: PIECE_BYTES };
        let answer = async { node.retained.addr()?.send(query).await.ok() };
        let pieces = timeout(PATIENCE, answer).await.ok().flatten().unwrap_or_default();
        // Without an answer, all of it is left.
        let left = std::iter::repeat_with(|| Piece { messages: Vec::new(), rest: Rest::All });
        let pieces = replays.into_iter().zip(pieces.into_iter().chain(left)).collect();
        connection.do_send(RetainedPieces { token, asked_at, pieces });
    });
}

/// What to ask for now: nothing as long as the client has not taken in what it was sent.
pub(super) fn next_replay(
    session: &mut Session,
    epoch: Epoch,
    settings: &Settings,
) -> Option<(AskedAt, Replay)> {
    let replays = session.replays.as_mut()?;
    let online = session.online.as_ref().filter(|_| session.epoch == epoch)?;
    if replays.asked {
        return None;
    }
    let Some(first) = replays.pending.front() else {
        if replays.first_asked == 0 {
            session.replays = None;
        }
        return None;
    };
    let (waiting, outgoing) = (online.outbox.waiting_bytes(), session.outgoing.as_ref());
    let taken_in = outgoing.is_none_or(|outgoing| outgoing.queue.is_empty());
    let relaxed = match replays.needs_all_room {
        true => waiting == 0 && outgoing.is_none_or(|outgoing| outgoing.inflight.is_empty()),
        false => waiting < settings.node.outbox_bytes_max / 2,
    };
    if !relaxed || !taken_in {
        return None;
    }
    replays.asked = true;
    Some((replays.ask(), first.clone()))
}

impl Worker {
    /// Sends the first pieces of a SUBSCRIBE to its session, and notes what is left.
    pub(super) fn take_first_pieces(&self, key: SessionKey, answer: RetainedPieces, now: Instant) {
        let RetainedPieces { asked_at, pieces, .. } = answer;
        self.with_desk(key, now, |session, desk| {
            if let Some(replays) = &mut session.replays {
                replays.first_asked = replays.first_asked.saturating_sub(1);
            }
            for (mut replay, mut piece) in pieces {
                if !session.subscriptions.contains_key(&replay.filter) {
                    // Unsubscribed meanwhile.
                    continue;
                }
                let pending = session.replays.as_ref().map(|replays| &replays.pending);
                if !pending.is_none_or(|pending| pending.has_room_for(piece.place_behind())) {
                    // Fetched in its turn: with the others' places, its place would take more memory than one client has.
                    self.counters.retained_fetched_anew.add(1);
                    piece = Piece { messages: Vec::new(), rest: Rest::All };
                }
                let sent = self.send(session, replay.subscription, &piece.messages, asked_at, desk);
                if go_on_from(&mut replay, piece, sent.messages) {
                    // In place of one for the same filter: this one sends everything anyway.
                    session.replays.get_or_insert_default().pending.push_back(replay);
                }
            }
            if let Some(replays) = &mut session.replays {
                replays.forget_seen();
            }
        });
    }

    /// Sends the next piece to its session.
    pub(super) fn take_next_piece(
        &self,
        key: SessionKey,
        asked_at: AskedAt,
        (asked, piece): (Replay, Piece),
        now: Instant,
    ) {
        self.with_desk(key, now, |session, desk| {
            let Some(replays) = &mut session.replays else { return };
            replays.asked = false;
            let is_asked = |first: &&Replay| first.filter == asked.filter && first.after == asked.after;
            let Some(first) = replays.pending.front().filter(is_asked) else {
                // Unsubscribed meanwhile, or subscribed again.
                replays.forget_seen();
                return;
            };
            let (subscription, some) = (first.subscription, !piece.messages.is_empty());
            let sent = self.send(session, subscription, &piece.messages, asked_at, desk);
            let Some(replays) = &mut session.replays else { return };
            replays.needs_all_room = some && sent.messages == 0 && !sent.is_in_doubt;
            replays.forget_seen();
            let Some(first) = replays.pending.front_mut() else { return };
            if !go_on_from(first, piece, sent.messages) {
                replays.pending.pop_front();
            }
        });
    }

    /// Sends as many as find room, or up to one that may be outdated: what is left is fetched again later, never dropped.
    fn send(
        &self,
        session: &mut Session,
        subscription: Subscription,
        messages: &[Arc<StoredMessage>],
        asked_at: AskedAt,
        desk: &mut Desk<'_>,
    ) -> Sent {
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
            let replays = session.replays.as_ref();
            // No local counts for what this client identifier left here in an earlier session, too [MQTT-3.8.3-3].
            if subscription.options.no_local && retained.publisher_hash == own {
                continue;
            }
            match replays.map_or(Age::Newest, |replays| replays.age(retained.topic, retained.stamp, asked_at))
            {
                Age::Newest if !retained.is_expired(desk.now) => {}
                Age::Newest | Age::Outdated => continue,
                Age::InDoubt => {
                    self.counters.retained_fetched_anew.add(1);
                    return Sent { messages: sent, is_in_doubt: true };
                }
            }
            if !session.has_room(&retained, wanted.qos, false, desk.settings, desk.ledger) {
                return Sent { messages: sent, is_in_doubt: false };
            }
            desk.ledger.matched.add(1);
            desk.frames.forget();
            let publication = Publication { stamp: 0, ..retained };
            session.offer(&publication, &wanted, &mut Some(Arc::clone(message)), desk);
            desk.frames.forget();
        }
        Sent { messages: messages.len(), is_in_doubt: false }
    }
}

/// How much of a piece was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    messages: usize,
    /// The next one may be outdated.
    is_in_doubt: bool,
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
