//! The session store actor: makes durable sessions last, behind a trait that backends implement.
//!
//! Workers send it batches of changes in the order they happened; it answers each when all of it is kept. At the start
//! of a node, and of a sessions actor, it gives back what it keeps. The memory backend keeps who the sessions are and
//! what they subscribe to for as long as the process runs; their messages live with the sessions themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::prelude::*;

use super::subscriptions::Subscription;
use crate::metrics::ActorKind;
use crate::worker::NodeShared;

/// A change of one durable session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionChange {
    /// Whose session.
    pub client_identifier: Arc<str>,
    /// What changed.
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It exists, or its session expiry interval (seconds) is another.
    Exists {
        /// In seconds.
        expiry_interval: u32,
    },
    /// It has this subscription, in place of an earlier one to the same filter.
    Subscribed(Arc<str>, Subscription),
    /// It has no subscription to this filter any more.
    Unsubscribed(Arc<str>),
    /// It ended.
    Ended,
}

/// A session as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredSession {
    /// Session expiry interval, in seconds.
    pub expiry_interval: u32,
    /// By topic filter.
    pub subscriptions: BTreeMap<Arc<str>, Subscription>,
}

/// Why changes could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend could not be reached or written to.
    #[error("session store is unavailable")]
    Unavailable(#[source] std::io::Error),
}

/// Keeps sessions. One batch is kept whole or not at all.
pub trait SessionBackend: 'static {
    /// Applies changes in order; returns when they will last.
    ///
    /// # Errors
    /// When they could not be kept; the caller keeps them and tries again.
    fn commit(&mut self, changes: Vec<SessionChange>) -> Result<(), StoreError>;

    /// All sessions kept.
    ///
    /// # Errors
    /// When they could not be read.
    fn load(&mut self) -> Result<Vec<(Arc<str>, StoredSession)>, StoreError>;
}

/// Lost when the process ends.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    sessions: BTreeMap<Arc<str>, StoredSession>,
}

impl SessionBackend for MemoryBackend {
    fn commit(&mut self, changes: Vec<SessionChange>) -> Result<(), StoreError> {
        for SessionChange { client_identifier, change } in changes {
            if change == Change::Ended {
                self.sessions.remove(&client_identifier);
                continue;
            }
            let session = self.sessions.entry(client_identifier).or_default();
            match change {
                Change::Exists { expiry_interval } => session.expiry_interval = expiry_interval,
                Change::Subscribed(filter, subscription) => {
                    session.subscriptions.insert(filter, subscription);
                }
                Change::Unsubscribed(filter) => {
                    session.subscriptions.remove(&filter);
                }
                Change::Ended => {}
            }
        }
        Ok(())
    }

    fn load(&mut self) -> Result<Vec<(Arc<str>, StoredSession)>, StoreError> {
        Ok(self.sessions.iter().map(|(client, session)| (Arc::clone(client), session.clone())).collect())
    }
}

/// Keeps changes; answered when they will last.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Commit {
    /// In the order they happened.
    pub changes: Vec<SessionChange>,
}

/// Asks for the sessions whose home is one worker.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<(Arc<str>, StoredSession)>, StoreError>")]
pub struct Load {
    /// The worker.
    pub worker: u16,
}

/// What the session store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreObservation {
    /// Sessions kept.
    pub sessions: usize,
    /// Their subscriptions.
    pub subscriptions: usize,
}

/// Asks for a [`StoreObservation`]; answered behind everything sent before.
#[derive(Debug, Message)]
#[rtype(result = "StoreObservation")]
pub struct ObserveStore;

/// See the module.
pub struct SessionStore {
    node: Arc<NodeShared>,
    backend: std::rc::Rc<std::cell::RefCell<dyn SessionBackend>>,
}

impl SessionStore {
    /// On top of a backend, which outlives the actor.
    pub fn new(node: Arc<NodeShared>, backend: std::rc::Rc<std::cell::RefCell<dyn SessionBackend>>) -> Self {
        Self { node, backend }
    }
}

impl Actor for SessionStore {
    type Context = Context<Self>;
}

impl Handler<Commit> for SessionStore {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, commit: Commit, _ctx: &mut Self::Context) -> Self::Result {
        let stats = self.node.control_stats.of(ActorKind::SessionStore);
        let timer = stats.handle(stats.send());
        let kept = self.backend.borrow_mut().commit(commit.changes);
        stats.handled(timer);
        kept
    }
}

impl Handler<Load> for SessionStore {
    type Result = Result<Vec<(Arc<str>, StoredSession)>, StoreError>;

    fn handle(&mut self, load: Load, _ctx: &mut Self::Context) -> Self::Result {
        let workers = self.node.peers.len();
        let mut sessions = self.backend.borrow_mut().load()?;
        sessions.retain(|(client, _)| super::home_worker(client, workers) == usize::from(load.worker));
        Ok(sessions)
    }
}

impl Handler<ObserveStore> for SessionStore {
    type Result = MessageResult<ObserveStore>;

    fn handle(&mut self, _: ObserveStore, _ctx: &mut Self::Context) -> Self::Result {
        let sessions = self.backend.borrow_mut().load().unwrap_or_default();
        MessageResult(StoreObservation {
            sessions: sessions.len(),
            subscriptions: sessions.iter().map(|(_, session)| session.subscriptions.len()).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_codec::SubscriptionOptions;

    fn change(client: &str, change: Change) -> SessionChange {
        SessionChange { client_identifier: client.into(), change }
    }

    #[test]
    fn gives_back_what_was_committed() {
        let mut backend = MemoryBackend::default();
        let subscription =
            Subscription { options: SubscriptionOptions::from_bits(1).unwrap(), identifier: 7 };
        backend
            .commit(vec![
                change("a", Change::Exists { expiry_interval: 60 }),
                change("a", Change::Subscribed("t/1".into(), subscription)),
                change("a", Change::Subscribed("t/2".into(), subscription)),
                change("b", Change::Exists { expiry_interval: 5 }),
                change("a", Change::Unsubscribed("t/1".into())),
                change("b", Change::Ended),
            ])
            .unwrap();
        let loaded = backend.load().unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(&*loaded[0].0, "a");
        assert_eq!(loaded[0].1.expiry_interval, 60);
        assert_eq!(loaded[0].1.subscriptions.keys().map(|filter| &**filter).collect::<Vec<_>>(), ["t/2"]);
    }
}
