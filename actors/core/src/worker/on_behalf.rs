//! What an operator does in the place of a client.

use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::ReasonCode;

use super::state::WorkerState;
use crate::ids::SessionKey;
use crate::message::Publication;
use crate::protocol::Granted;
use crate::routing::Reply;
use crate::subscriptions::{Subscription, subscription_bytes};

/// Why a subscription was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSubscribed {
    /// There is no such session.
    #[error("no session has this client identifier")]
    NoSession,
    /// The session, or the node, has as many as it may have.
    #[error("there is no room for another subscription")]
    NoRoom,
}

impl WorkerState {
    /// Subscribes a session to a filter that was judged before. No retained messages are sent for it. Returns whether it
    /// replaces one to an equal filter, and how many tell who waits when it is in force.
    ///
    /// # Errors
    /// When there is no such session, or no room.
    pub fn subscribe_on_behalf(
        &mut self,
        key: SessionKey,
        filter: Arc<str>,
        subscription: Subscription,
        reply: &Reply,
    ) -> Result<(bool, usize), NotSubscribed> {
        let limits = &self.node.settings.session;
        let session = self.sessions.get_mut(key).ok_or(NotSubscribed::NoSession)?;
        let bytes = subscription_bytes(&filter);
        let room = &self.counters.gauges.subscription_room;
        let has_room = session.subscriptions.len() < limits.subscriptions_per_client_max
            && session.subscription_bytes + bytes <= limits.subscription_bytes_per_client_max
            && room.held() + bytes <= limits.subscription_bytes_max;
        if !has_room && !session.subscriptions.contains_key(&filter) {
            return Err(NotSubscribed::NoRoom);
        }
        let replaced = session.subscriptions.insert(Arc::clone(&filter), subscription).is_some();
        if !replaced {
            session.subscription_bytes += bytes;
            self.counters.gauges.subscribed(&filter);
        }
        let granted = [Granted { filter, subscription, replay: false }];
        Ok((replaced, self.subscribe(key, &granted, reply)))
    }

    /// Ends a subscription of a session. Returns how many tell who waits when it is gone; none if there was none.
    pub fn unsubscribe_on_behalf(&mut self, key: SessionKey, filter: &str, reply: &Reply) -> Option<usize> {
        let session = self.sessions.get_mut(key)?;
        let (filter, _) = session.subscriptions.remove_entry(filter)?;
        session.subscription_bytes = session.subscription_bytes.saturating_sub(subscription_bytes(&filter));
        self.counters.gauges.unsubscribed(&filter);
        if let Some(replays) = &mut session.replays {
            replays.pending.remove(&filter);
        }
        Some(self.unsubscribe(key, &[filter], reply))
    }

    /// Publishes messages of no client, which count as clients' messages; as many as may overshoot the limit between
    /// workers. What is to be retained and finds no room is routed all the same.
    pub fn publish_on_behalf(&mut self, publications: &[Publication<'_>], now: Instant) {
        let mut batch = self.batch();
        batch.publisher = Some(SessionKey::EARLIER);
        for publication in publications {
            batch.push(&Publication { publisher: Some(SessionKey::EARLIER), ..*publication }, None);
        }
        let routed = self.route(batch, None, now);
        debug_assert!(routed.is_ok());
    }

    /// Ends a session: one that is online when its network connection has been told. Returns whether there was one.
    pub fn discard_session(&mut self, key: SessionKey, now: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        match &mut session.online {
            Some(online) => {
                online.end(ReasonCode::AdministrativeAction);
                session.expiry_interval = 0;
            }
            None => _ = self.end_or_keep(key, true, now),
        }
        true
    }
}
