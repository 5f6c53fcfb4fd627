//! Retained messages for new subscriptions: the retained actor is asked for pieces, and the session gets them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::time::timeout;
use micro_mq_core::retained::{Piece, Rest};
use micro_mq_core::session::{Desk, Replay, Session};

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

impl Connection {
    /// Goes on with what is retained for subscriptions that were answered.
    pub(super) fn ask_for_retained(&mut self, context: &ConnectionContext) {
        let next = {
            let sessions = &mut self.worker.state().sessions;
            let Some(session) = sessions.get_mut(self.key).filter(|session| session.replays.is_some()) else {
                return;
            };
            session.next_replays(self.epoch, self.awaits_no_change(), &self.worker.node.settings)
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
            sessions.get_mut(self.key).and_then(|session| session.first_replays(subscribed))
        };
        let Some(first) = first else { return false };
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
        let take = |session: &mut Session, desk: &mut Desk<'_>| session.take_retained(answer.pieces, desk);
        self.worker.state().with_desk(self.key, clock::now(), take);
        if let Some(replays) = answered {
            self.note_answered(&replays);
        }
        self.answer_changes(context);
    }
}
