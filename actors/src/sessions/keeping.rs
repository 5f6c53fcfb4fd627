//! How what changes of durable sessions reaches the store: one batch of a worker at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use micro_mq_core::session::Session;
use micro_mq_core::subscriptions::Subscription;
use micro_mq_core::timers::Timer;
use tracing::{info, warn};

use super::actor::Sessions;
use super::store::{Change, Position, SessionChange, StoreError};
use crate::clock;
use crate::worker::Worker;

/// Until a batch that was not kept is sent again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Where the changes of one worker's sessions are.
#[derive(Debug, Default)]
pub struct Changes {
    /// Not sent yet, in the order in which they happened.
    waiting: Vec<SessionChange>,
    /// A batch is with the store.
    is_under_way: bool,
    /// The batch that was sent last was not kept, and is sent again in a while.
    waits_for_store: bool,
    /// Nothing was kept since.
    is_failing: bool,
    /// As far as the store has kept what was sent.
    kept: Position,
}

impl Changes {
    /// Takes out those that were not sent yet.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> Vec<SessionChange> {
        std::mem::take(&mut self.waiting)
    }
}

impl Worker {
    /// Notes for the session store how long a session is kept, or that it ends, if that changed.
    pub fn note_expiry(&self, session: &mut Session) {
        let expiry_interval = session.expiry_interval;
        if session.stored_expiry_interval != expiry_interval {
            session.stored_expiry_interval = expiry_interval;
            let change =
                if session.is_durable() { Change::Exists { expiry_interval } } else { Change::Ended };
            self.note(session.client_identifier(), change);
        }
    }

    /// Notes a subscription for the session store, if the session is durable.
    pub fn note_subscribed(&self, session: &Session, filter: &Arc<str>, subscription: Option<Subscription>) {
        if session.is_durable() {
            let filter = Arc::clone(filter);
            self.note(
                session.client_identifier(),
                match subscription {
                    Some(subscription) => Change::Subscribed(filter, subscription),
                    None => Change::Unsubscribed(filter),
                },
            );
        }
    }

    /// Notes for the session store that what it may keep of a client is over.
    pub(super) fn note_ended(&self, client_identifier: &str) {
        self.note(client_identifier, Change::Ended);
    }

    fn note(&self, client_identifier: &str, change: Change) {
        let mut changes = self.changes.borrow_mut();
        if changes.waiting.is_empty() && !changes.is_under_way && !changes.waits_for_store {
            self.set_timer_next(Timer::Changes);
        }
        changes.waiting.push(SessionChange { client_identifier: client_identifier.into(), change });
    }

    /// Sends the changes of durable sessions to the store, one batch after the other; what it could not keep is sent
    /// again, before what changed since.
    pub(super) fn keep_changes(self: &Rc<Self>) {
        let mut changes = self.changes.borrow_mut();
        changes.waits_for_store = false;
        if changes.waiting.is_empty() || changes.is_under_way {
            return;
        }
        changes.is_under_way = true;
        actix_rt::spawn(Rc::clone(self).keep_all());
    }

    async fn keep_all(self: Rc<Self>) {
        loop {
            let batch: Arc<[SessionChange]> = {
                let mut changes = self.changes.borrow_mut();
                changes.is_under_way = !changes.waiting.is_empty();
                if !changes.is_under_way {
                    break;
                }
                std::mem::take(&mut changes.waiting).into()
            };
            match self.node.store.append(Arc::clone(&batch)).await {
                Ok(position) => self.note_kept(position),
                Err(error) => {
                    self.keep_later(&batch, &error);
                    break;
                }
            }
        }
        self.changes_settled.notify_waiters();
    }

    fn note_kept(&self, position: Position) {
        let mut changes = self.changes.borrow_mut();
        debug_assert!(position > changes.kept, "what was sent later is kept later");
        changes.kept = position;
        if std::mem::take(&mut changes.is_failing) {
            info!(worker = self.id, "the session store keeps changes again");
        }
    }

    fn keep_later(&self, batch: &[SessionChange], error: &StoreError) {
        let mut changes = self.changes.borrow_mut();
        if !std::mem::replace(&mut changes.is_failing, true) {
            let cause = std::error::Error::source(error).map(tracing::field::display);
            warn!(worker = self.id, %error, cause, "changes of sessions were not kept; it is tried every second");
        }
        changes.waiting.splice(..0, batch.iter().cloned());
        (changes.is_under_way, changes.waits_for_store) = (false, true);
        let now = clock::now();
        self.set_timer(now, now + RETRY_PAUSE, Timer::Changes);
    }
}

/// Sends what changed to the session store: the node shuts down. Answered when it was kept, or could not be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepChanges;

impl Handler<KeepChanges> for Sessions {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: KeepChanges, _ctx: &mut Self::Context) -> Self::Result {
        let worker = Rc::clone(&self.worker);
        Box::pin(async move {
            let settled = worker.changes_settled.notified();
            worker.keep_changes();
            if worker.changes.borrow().is_under_way {
                settled.await;
            }
        })
    }
}
