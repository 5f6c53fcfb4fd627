//! Retained messages for a new subscription, at the pace of the reader.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use super::actor::Connection;
use crate::message::{Publication, StoredMessage};
use crate::retained::Query;
use crate::sessions::{Epoch, Identifiers, Session, SessionKey, Wanted};
use crate::settings::Settings;
use crate::worker::Worker;

/// Messages in one piece.
const PIECE_MESSAGES: usize = 256;
/// Bytes in one piece; a single message may exceed it.
const PIECE_BYTES: usize = 256 * 1024;

/// The next retained messages of the subscription that is being served.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RetainedPiece {
    /// Which network connection asked.
    pub epoch: Epoch,
    /// The topic filter it asked for.
    pub filter: Arc<str>,
    /// In the order of their topic names.
    pub messages: Vec<Arc<StoredMessage>>,
    /// Where the next piece begins; none if this was the last.
    pub next: Option<Arc<str>>,
}

/// A question for the retained actor.
pub(super) struct NextQuery {
    filter: Arc<str>,
    after: Option<Arc<str>>,
    epoch: Epoch,
}

impl NextQuery {
    pub(super) fn for_connection(self, connection: Addr<Connection>) -> Query {
        Query {
            filter: self.filter,
            after: self.after,
            epoch: self.epoch,
            connection,
            messages_max: PIECE_MESSAGES,
            bytes_max: PIECE_BYTES,
        }
    }
}

/// What to ask for now: nothing as long as the client has not taken in what it was sent.
pub(super) fn next_query(session: &mut Session, epoch: Epoch, settings: &Settings) -> Option<NextQuery> {
    let replays = session.replays.as_mut()?;
    let online = session.online.as_ref().filter(|_| session.epoch == epoch)?;
    if replays.asked {
        return None;
    }
    let Some(first) = replays.pending.front() else {
        session.replays = None;
        return None;
    };
    let relaxed = online.outbox.waiting_bytes() < settings.node.outbox_bytes_max / 2;
    let taken_in = session.outgoing.as_ref().is_none_or(|outgoing| outgoing.queue.is_empty());
    if !relaxed || !taken_in {
        return None;
    }
    replays.asked = true;
    Some(NextQuery { filter: first.filter.clone(), after: first.after.clone(), epoch })
}

impl Worker {
    /// Sends a piece to its session.
    pub(super) fn take_retained(&self, key: SessionKey, epoch: Epoch, piece: RetainedPiece, now: Instant) {
        if piece.epoch != epoch {
            return;
        }
        self.with_desk(key, now, |session, desk| {
            let Some(replays) = session.replays.as_mut().filter(|_| session.epoch == epoch) else { return };
            replays.asked = false;
            let Some(first) = replays.pending.front_mut().filter(|first| first.filter == piece.filter) else {
                // Unsubscribed meanwhile.
                return;
            };
            let subscription = first.subscription;
            match piece.next {
                Some(next) => first.after = Some(next),
                None => {
                    replays.pending.pop_front();
                }
            }
            for message in piece.messages {
                let retained = message.publication();
                let outdated = session.replays.as_ref().is_some_and(|replays| {
                    replays.is_outdated(retained.topic, retained.stamp)
                });
                if outdated || retained.is_expired(now) {
                    continue;
                }
                let wanted = Wanted {
                    qos: subscription.options.qos,
                    retain: true,
                    identifiers: match subscription.identifier {
                        0 => Identifiers::None,
                        identifier => Identifiers::One(identifier),
                    },
                    group: None,
                };
                desk.ledger.matched.add(1);
                desk.frames.forget();
                let publication = Publication { stamp: 0, ..retained };
                session.offer(&publication, &wanted, &mut Some(Arc::clone(&message)), desk);
                desk.frames.forget();
            }
        });
    }
}
