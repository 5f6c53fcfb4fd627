//! What operators do to the sessions of clients.

use std::sync::Arc;
use std::time::Instant;

use micro_mq_core::routing::{AwaitsChange, Reply};
use micro_mq_core::subscriptions::Subscription;
use micro_mq_core::worker::{NotSubscribed, WorkerState};
use tokio::sync::mpsc;

use super::{AdminHandle, Unanswered};
use crate::messages::{Act, Takes};

/// Told by each worker that a change of subscriptions concerns.
#[derive(Debug)]
struct Told(mpsc::UnboundedSender<()>);

impl AwaitsChange for Told {
    fn in_force(&self, _token: u32, _replays: std::ops::Range<u64>) {
        // Who asked may have gone.
        let _ = self.0.send(());
    }

    fn lost(&self) {}
}

impl AdminHandle {
    /// Does something to what the home of a name has.
    ///
    /// # Errors
    /// When that worker does not answer.
    pub async fn act_at_home<R: Send + 'static>(
        &self,
        name: &str,
        act: impl FnOnce(&mut WorkerState, Instant) -> R + Send + 'static,
    ) -> Result<R, Unanswered> {
        let home = usize::from(self.shared.homes.of_client(name));
        let sessions = self.shared.peers[home].sessions.addr().ok_or(Unanswered)?;
        let (tell, told) = tokio::sync::oneshot::channel();
        let deed = move |state: &mut WorkerState, now| {
            // Who asked may have gone.
            let _ = tell.send(act(state, now));
        };
        sessions.send(Act(Box::new(deed))).await.map_err(|_| Unanswered)?;
        told.await.map_err(|_| Unanswered)
    }

    /// Subscribes a client's session to a filter that was judged before; answered when that is in force. Returns whether it
    /// replaces a subscription.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub async fn subscribe(
        &self,
        client_identifier: &str,
        filter: Arc<str>,
        subscription: Subscription,
    ) -> Result<Result<bool, NotSubscribed>, Unanswered> {
        let (tell, told) = mpsc::unbounded_channel();
        let name = client_identifier.to_owned();
        let subscribed = self.act_at_home(client_identifier, move |state, _| {
            let key = state.sessions.find(&name).ok_or(NotSubscribed::NoSession)?;
            let reply = reply(state, key, tell);
            state.subscribe_on_behalf(key, filter, subscription, &reply)
        });
        match subscribed.await? {
            Ok((replaced, asked)) => until_told(told, asked).await.map(|()| Ok(replaced)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Ends a subscription of a client's session; answered when it is gone. Returns whether there was one.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub async fn unsubscribe(&self, client_identifier: &str, filter: String) -> Result<bool, Unanswered> {
        let (tell, told) = mpsc::unbounded_channel();
        let name = client_identifier.to_owned();
        let unsubscribed = self.act_at_home(client_identifier, move |state, _| {
            let key = state.sessions.find(&name)?;
            let reply = reply(state, key, tell);
            state.unsubscribe_on_behalf(key, &filter, &reply)
        });
        match unsubscribed.await? {
            Some(asked) => until_told(told, asked).await.map(|()| true),
            None => Ok(false),
        }
    }
}

fn reply(state: &WorkerState, key: micro_mq_core::ids::SessionKey, tell: mpsc::UnboundedSender<()>) -> Reply {
    let epoch = state.sessions.get(key).map_or(0, |session| session.epoch);
    Reply { connection: Arc::new(Told(tell)), epoch, token: 0 }
}

async fn until_told(mut told: mpsc::UnboundedReceiver<()>, times: usize) -> Result<(), Unanswered> {
    for _ in 0..times {
        told.recv().await.ok_or(Unanswered)?;
    }
    Ok(())
}
