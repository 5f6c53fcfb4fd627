//! How the sessions that the store keeps come back at the start of a node.
//!
//! Each worker loads its own, piece by piece. Until it has all of them, or where they cannot be read, a CONNECT that may
//! ask for one of them is refused (0x88; 3.x: 0x03), so that no client is told that its session is gone while it is
//! kept; clean sessions, which have nothing to come back to, are admitted.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use micro_mq_core::worker::RestoredMessages;
use tracing::{info, warn};

use super::actor::Sessions;
use crate::clock;
use crate::messages::{AllRestored, ObserveTrie, Takes};
use crate::store::{DONE, FAILED, Home, Piece, Restoring, StoreError};
use crate::worker::{NodeShared, Worker};

/// Until sessions that could not be read are asked for again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// What clients may cost of which is noted that what is kept of them is outdated, in bytes. Each
/// of them may come with an identifier of 64 KiB, and of its own.
const OUTDATED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What each costs beside its identifier.
const OUTDATED_EACH: usize = 128;
/// Restored sessions of which it is seen in one turn what is due.
const ABSENCES_PER_TURN: usize = 1024;

impl Worker {
    /// Whether all sessions are back whose home this is.
    pub(super) fn is_restored(&self) -> bool {
        self.node.restoration.is_done(self.id)
    }

    /// A client begins a clean session while an earlier one may still come back: it is not to.
    pub(super) fn note_outdated(&self, client_identifier: &str) {
        let mut restoring = self.restoring.borrow_mut();
        if restoring.outdated.insert(client_identifier.into()) {
            restoring.outdated_bytes += OUTDATED_EACH + client_identifier.len();
        }
    }

    /// Whether that can be noted of this client: it was, or there is room.
    pub(super) fn has_room_for_outdated(&self, client_identifier: &str) -> bool {
        let restoring = self.restoring.borrow();
        restoring.outdated_bytes < OUTDATED_BYTES_MAX || restoring.outdated.contains(client_identifier)
    }

    /// Brings back what is kept and not there: sessions with their messages, and what is retained.
    fn restore(&self, piece: &Piece, now: Instant) {
        let mut restoring = self.restoring.borrow_mut();
        let Restoring { outdated, messages, restored, waiting, .. } = &mut *restoring;
        let mut state = self.state();
        state.copies.is_on = self.node.store.keeps_messages();
        messages.take_in(&state, piece.shard, &piece.kept.messages, now);
        for (client_identifier, kept) in &piece.kept.sessions {
            if !outdated.contains(&**client_identifier) && state.sessions.find(client_identifier).is_none() {
                restored.extend(state.restore(client_identifier, kept, |at| messages.get(at), now));
            }
        }
        piece
            .kept
            .seen
            .iter()
            .for_each(|(publisher, count)| state.restore_seen(piece.shard, *publisher, *count));
        // Groups have their members when all workers have their sessions.
        for (full_filter, positions) in &piece.kept.waiting {
            let waits = positions.iter().filter_map(|at| Some((*at, messages.get(*at)?)));
            waiting.push_back((Arc::clone(full_filter), waits.collect()));
        }
        piece.kept.retained.iter().for_each(|(_, retained)| state.restore_retained(retained, now));
    }

    /// All that the store has is there: what changes from now on is recorded, and first that sessions ended meanwhile.
    fn begin_recording(&self) {
        let mut restoring = self.restoring.borrow_mut();
        let mut state = self.state();
        state.begin_recording_behind(restoring.highest);
        restoring.outdated.drain().for_each(|client_identifier| state.record_ended(&client_identifier));
        restoring.outdated = HashSet::new();
        restoring.messages = RestoredMessages::default();
    }

    /// What waited in a group waits there again. Returns whether there are others.
    fn restore_next_group(&self) -> bool {
        let next = self.restoring.borrow_mut().waiting.pop_front();
        next.map(|(full_filter, messages)| {
            self.state().restore_group(&full_filter, messages.into_iter(), clock::now());
        })
        .is_some()
    }

    /// What is due of some of the sessions that were restored is due now. Returns whether there are others.
    fn begin_absences(&self) -> bool {
        let restored = &mut self.restoring.borrow_mut().restored;
        let left = restored.len().saturating_sub(ABSENCES_PER_TURN);
        let (mut state, now) = (self.state(), clock::now());
        restored.drain(left..).for_each(|restored| state.begin_absence(restored, now));
        if left == 0 {
            *restored = Vec::new();
        }
        left > 0
    }
}

/// Returns when the subscriptions are in force that all tries heard of so far.
async fn until_in_force(node: Arc<NodeShared>) {
    for peer in &node.peers {
        if let Some(trie) = peer.trie.addr() {
            // A thread that has ended has no clients to miss anything.
            let _ = trie.send(ObserveTrie).await;
        }
    }
}

impl Handler<AllRestored> for Sessions {
    type Result = ();

    fn handle(&mut self, _: AllRestored, ctx: &mut Self::Context) {
        // Before any will, which may be for a group.
        if self.worker.restore_next_group() || self.worker.begin_absences() {
            ctx.notify(AllRestored);
        } else {
            ctx.spawn(self.list_if_disk_is_full().into_actor(self));
        }
    }
}

impl Sessions {
    /// Asks for the next of the sessions that are to come back.
    pub(super) fn load(&mut self, ctx: &mut Context<Self>) {
        if self.worker.node.restoration.is_complete() {
            // A predecessor that panicked may not have come to all of it.
            ctx.notify(AllRestored);
        }
        if self.worker.is_restored() {
            return;
        }
        let node = Arc::clone(&self.worker.node);
        let home = Home { worker: self.worker.id, homes: node.homes.clone() };
        let after = self.worker.restoring.borrow().after.clone();
        let loaded = async move { node.store.load(home, after).await };
        ctx.spawn(loaded.into_actor(self).map(|loaded, sessions, ctx| sessions.take_piece(loaded, ctx)));
    }

    /// All sessions of this worker are back, and what is published comes to them.
    fn note_restored(&mut self) {
        let node = &self.worker.node;
        if self.worker.is_restored() {
            // A predecessor that panicked has waited for the same.
            return;
        }
        self.worker.begin_recording();
        if node.restoration.has_failed(self.worker.id) {
            info!(worker = self.worker.id, "the sessions that the store keeps are there");
        }
        node.restoration.note(self.worker.id, DONE);
        if node.restoration.is_complete() {
            node.peers.iter().for_each(|peer| peer.sessions.do_send(AllRestored));
        }
    }

    fn take_piece(&mut self, loaded: Result<Piece, StoreError>, ctx: &mut Context<Self>) {
        let restoration = &self.worker.node.restoration;
        match loaded {
            Ok(piece) => {
                self.worker.restore(&piece, clock::now());
                {
                    let mut restoring = self.worker.restoring.borrow_mut();
                    restoring.highest = restoring.highest.max(piece.highest);
                    restoring.after.clone_from(&piece.rest);
                }
                if piece.rest.is_some() {
                    return self.load(ctx);
                }
                let in_force = until_in_force(Arc::clone(&self.worker.node));
                ctx.spawn(in_force.into_actor(self).map(|(), sessions, _| sessions.note_restored()));
            }
            Err(error) => {
                if !restoration.has_failed(self.worker.id) {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    warn!(
                        worker = self.worker.id,
                        %error,
                        cause,
                        "sessions cannot be loaded, and clients that may have one are refused; it is tried every second"
                    );
                }
                restoration.note(self.worker.id, FAILED);
                ctx.run_later(RELOAD_PAUSE, Self::load);
            }
        }
    }
}
