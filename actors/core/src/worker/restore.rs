//! How a session that was kept comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::WorkerState;
use crate::ids::{Epoch, SessionKey, shared_part};
use crate::kept::Share;
use crate::kept_shard::{KeptSession, KeptWill};
use crate::message::StoredMessage;
use crate::records::{Position, WallClock};
use crate::session::{NEVER_EXPIRES, Session, Will};
use crate::subscriptions::{Subscription, subscription_bytes};

/// How long the wills wait of clients that were online when the process ended: they were cut off, and are not gone.
const WILL_GRACE: Duration = Duration::from_secs(10);

/// A session that was brought back, of which something is to become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    key: SessionKey,
    epoch: Epoch,
    /// Its client was online when the process ended.
    was_cut_off: bool,
}

impl WorkerState {
    /// Brings a session back, as it was kept, with the messages that wait for it, each by the position of its record. Nothing
    /// of it is due before its absence begins ([`begin_absence`](Self::begin_absence)); none is returned if nothing ever
    /// will be.
    pub fn restore(
        &mut self,
        client_identifier: &str,
        kept: &KeptSession,
        mut message: impl FnMut(Position) -> Option<Arc<StoredMessage>>,
        now: Instant,
    ) -> Option<Restored> {
        // Whatever the limit is now: it was taken in under an earlier one.
        let names = client_identifier.len() + kept.user_name.as_ref().map_or(0, |name| name.len());
        if let Ok(place) = self.node.session_places.take(Some(names), names) {
            place.keep();
        }
        self.node.session_places.rename(0, names);
        let remaining = |since: WallClock, interval: Duration| {
            let passed = self.node.wall_clock(now).0.saturating_sub(since.0);
            now + interval.saturating_sub(Duration::from_millis(passed))
        };
        let expires_at = kept
            .parted
            .filter(|_| kept.expiry_interval != NEVER_EXPIRES)
            .map(|since| remaining(since, Duration::from_secs(kept.expiry_interval.into())));
        let will_due = kept.parted.zip(kept.will.as_ref()).map(|(since, will)| {
            // It may have been cut off in an earlier life of the node.
            remaining(since, will_delay(will.delay_seconds).max(WILL_GRACE))
        });
        let session = self.sessions.create(client_identifier, kept.version);
        session.epoch = kept.epoch.epoch();
        session.is_recorded = true;
        session.keeps_messages = self.copies.is_on;
        self.node.ways[usize::from(self.id)].note_recorded();
        session.set_user_name(kept.user_name.as_deref());
        session.expiry_interval = kept.expiry_interval;
        let subscriptions = kept.subscriptions.iter().map(|(filter, subscription)| {
            let (options, identifier) = (subscription.options, subscription.identifier);
            (Arc::clone(filter), Subscription { options, identifier })
        });
        session.subscriptions = subscriptions.collect();
        session.subscriptions.keys().for_each(|filter| self.counters.gauges.subscribed(filter));
        session.subscription_bytes =
            session.subscriptions.keys().map(|filter| subscription_bytes(filter)).sum();
        if session.subscriptions.keys().any(|filter| shared_part(filter).is_some()) {
            session.burden = Some(Arc::default());
        }
        kept.incoming.iter().for_each(|(identifier, at)| session.incoming.restore(*identifier, *at));
        let will = kept.will.as_ref().map(|will| will_again(session, will));
        session.absence().expires_at = expires_at;
        session.absence().will_due = will_due;
        if let Some(mut will) = will {
            will.share = Share::take(&self.node.kept, will.queued_bytes());
            session.replace_will(Some(will));
        }
        let restored =
            Restored { key: session.key, epoch: session.epoch, was_cut_off: kept.parted.is_none() };
        let is_any_due = session.next_due().is_some();
        for (id, copy) in kept.in_order() {
            self.restore_copy(restored.key, (id, copy), message(id.message));
        }
        self.subscribe_all(restored.key);
        (restored.was_cut_off || is_any_due).then_some(restored)
    }

    /// All that is kept of this worker's shards was loaded: what changes from now on is recorded behind it.
    pub fn begin_recording_behind(&mut self, highest: Position) {
        self.changes.begin_behind(highest);
        self.copies.groups.begin_behind(highest);
    }

    /// All sessions of the node are back, and what becomes of them is recorded: what is due of one that was restored is due
    /// from now on, unless its client came back. Who was online when the process ended parts from its session now, which
    /// is recorded, so that the next end does not begin its time anew.
    pub fn begin_absence(&mut self, restored: Restored, now: Instant) {
        let Restored { key, epoch, was_cut_off } = restored;
        let session = self.sessions.get_mut(key);
        let held = session.filter(|session| session.epoch == epoch && session.online.is_none());
        let Some(session) = held else { return };
        if was_cut_off {
            let delay = session.will.as_ref().map(|will| will_delay(will.delay_seconds).max(WILL_GRACE));
            session.absence().will_due = delay.map(|delay| now + delay);
            session.absence().expires_at = (session.expiry_interval != NEVER_EXPIRES)
                .then(|| now + Duration::from_secs(session.expiry_interval.into()));
            self.record_parted(key, now);
        }
        self.offline_due(key, epoch, now);
    }
}

fn will_delay(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// It was allowed by rules that nobody remembers: those in force judge it when it is due.
fn will_again(session: &Session, will: &KeptWill) -> Box<Will> {
    Box::new(Will {
        topic: (*will.body.topic).into(),
        payload: will.body.payload.to_vec().into(),
        properties: will.body.properties.clone(),
        qos: will.body.qos,
        retain: will.retain,
        delay_seconds: will.delay_seconds,
        expiry_seconds: will.expiry_seconds,
        share: None,
        client_identifier: session.client_identifier().into(),
        user_name: session.user_name().map(Into::into),
        grant: None,
        revision: u64::MAX,
        allowed_until: None,
    })
}
