//! What a panic within a turn leaves is put in order, and the panics that tests inject.

use mqtt_codec::ReasonCode;

use super::Topics;
use super::router::Router;
use crate::routing::Work;
use crate::worker::{Errand, WorkerState};

impl Topics {
    /// A turn panicked. What it was doing is given up, and whoever waits for that is disconnected and will send again;
    /// all that waits behind it is done as ever, by a trie made anew from the sessions. What a panic in here leaves
    /// undone is done by the next try.
    pub fn go_on_after_panic(&mut self, worker: &mut WorkerState) {
        #[cfg(any(test, feature = "panics"))]
        self.panic_in_recovery();
        self.trie = Self::all_subscriptions(worker);
        let (router, current) = Router::after_panic(&mut self.router, worker);
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
        if let Some(reply) = self.replying.take() {
            worker.errands.push(Errand::Lost(reply));
        }
        if let Some(publisher) = self.answering.take() {
            let session = worker.sessions.get_mut(publisher);
            if let Some(online) = session.and_then(|session| session.online.as_mut()) {
                online.end(ReasonCode::ImplementationSpecificError);
            }
        }
        worker.skip_lost_copies();
        worker.wake_all();
        worker.errands.push(Errand::TrieMadeAnew);
    }
}

#[cfg(any(test, feature = "panics"))]
pub(super) use injected::Panics;

#[cfg(any(test, feature = "panics"))]
mod injected {
    use std::time::Instant;

    use super::Topics;
    use crate::routing::{Current, InjectPanic, Owner, Work};
    use crate::worker::WorkerState;

    /// The panics that are still to come.
    #[derive(Debug, Default)]
    pub(in super::super) struct Panics {
        in_batch: bool,
        in_recovery: bool,
    }

    impl Topics {
        /// Something is to panic.
        pub(in super::super) fn inject(&mut self, inject: InjectPanic) {
            self.panics.in_batch |= inject == InjectPanic::InBatch;
            self.panics.in_recovery |= inject == InjectPanic::InRecovery;
            if inject != InjectPanic::InBatch {
                self.lanes.push(Owner::Own, Work::Panic);
            }
        }

        /// Delivers one copy of a message, and then fails, if a batch is to.
        #[expect(clippy::panic, reason = "this is what it is for")]
        pub(in super::super) fn panic_in_batch(
            &mut self,
            worker: &mut WorkerState,
            current: &mut Current,
            now: Instant,
        ) {
            if std::mem::take(&mut self.panics.in_batch) {
                self.router.go_on(worker, current, &self.trie, &mut 2, now);
                panic!("a panic was injected into the routing of a batch");
            }
        }

        #[expect(clippy::panic, reason = "this is what it is for")]
        pub(super) fn panic_in_recovery(&mut self) {
            if std::mem::take(&mut self.panics.in_recovery) {
                panic!("a panic was injected into a recovery");
            }
        }
    }
}
