//! What a panic within a turn leaves is put in order, and the panics that tests inject.

use std::time::Instant;

use actix::prelude::*;
use micro_mq_core::routing::{Current, Owner};
use mqtt_codec::ReasonCode;
use tracing::error;

use super::actor::{TopicTrie, Work};
use super::messages::{InjectPanic, Reply};
use super::route::Router;
use crate::connection::Close;
use crate::sessions::TrieMadeAnew;

impl TopicTrie {
    /// A turn panicked. What it was doing is given up, and whoever waits for that is disconnected and will send again;
    /// all that waits behind it is done as ever, by a trie made anew from the sessions. What a panic in here leaves
    /// undone is done by the next try.
    pub(super) fn go_on_after_panic(&mut self) {
        error!("the topic trie panicked; it is made anew and goes on behind what it was doing");
        self.panic_in_recovery();
        self.trie = Self::all_subscriptions(&self.worker);
        let (router, current) = Router::after_panic(&mut self.router);
        self.router = router;
        if let Some(ticket) = self.in_work.take() {
            match current {
                Some(current) => self.lanes.put_back(ticket, Work::Routing(Box::new(current)), false),
                None => _ = self.lanes.done(ticket),
            }
        }
        self.within_runs = 0;
        for work in self.lanes.iter_mut() {
            if let Work::Routing(current) = work {
                current.look_up_anew();
                self.within_runs += usize::from(current.is_within_run());
            }
        }
        if let Some(Reply { connection, .. }) = self.replying.take() {
            connection.do_send(Close { reason: ReasonCode::ImplementationSpecificError });
        }
        if let Some(publisher) = self.answering.take() {
            let mut sessions = self.worker.sessions.borrow_mut();
            if let Some(online) = sessions.get_mut(publisher).and_then(|session| session.online.as_mut()) {
                online.end(ReasonCode::ImplementationSpecificError);
            }
        }
        self.worker.wake_all();
        for peer in &self.worker.node.peers {
            peer.sessions.do_send(TrieMadeAnew { worker: self.worker.id });
        }
        self.stats().handled(None);
        self.stats().restarted();
    }

    /// Delivers one copy of a message, and then fails.
    #[expect(clippy::panic, reason = "this is what it is for")]
    pub(super) fn panic_in_batch(&mut self, current: &mut Current, now: Instant) {
        self.panics_in_batch = false;
        self.router.go_on(current, &self.trie, &mut 2, now);
        panic!("a panic was injected into the routing of a batch");
    }

    #[expect(clippy::panic, reason = "this is what it is for")]
    fn panic_in_recovery(&mut self) {
        if std::mem::take(&mut self.panics_in_recovery) {
            panic!("a panic was injected into a recovery");
        }
    }
}

impl Handler<InjectPanic> for TopicTrie {
    type Result = ();

    fn handle(&mut self, inject: InjectPanic, _ctx: &mut Self::Context) {
        self.panics_in_batch |= inject == InjectPanic::InBatch;
        self.panics_in_recovery |= inject == InjectPanic::InRecovery;
        if inject != InjectPanic::InBatch {
            self.lanes.push(Owner::Own, Work::InjectPanic);
        }
    }
}
