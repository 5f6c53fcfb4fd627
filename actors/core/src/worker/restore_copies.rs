//! How the messages to a session come back that was kept.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mqtt_codec::QoS;

use super::state::WorkerState;
use crate::homes::Shard;
use crate::ids::{CopyId, Position, Publisher, SessionKey};
use crate::kept_shard::{KeptBody, KeptCopy, KeptMessage, KeptRetained};
use crate::message::{Payload, Publication, StoredMessage};
use crate::queue::{Identifiers, Queued};
use crate::records::WallClock;
use crate::session::{InflightEntry, Outgoing, Owed};

/// Messages that have come back, of one shard by their positions: each once, however many sessions and shards it waits in.
#[derive(Debug, Default)]
pub struct RestoredMessages {
    shard: Shard,
    messages: HashMap<Position, Arc<StoredMessage>>,
    /// Those of other shards.
    earlier: HashMap<Position, Weak<StoredMessage>>,
}

impl RestoredMessages {
    /// More messages of a shard; when another one begins, those of the one before are over.
    pub fn take_in(
        &mut self,
        worker: &WorkerState,
        shard: Shard,
        messages: &[(Position, KeptMessage)],
        now: Instant,
    ) {
        if self.shard != shard {
            self.shard = shard;
            let over = self.messages.drain().map(|(at, message)| (at, Arc::downgrade(&message)));
            self.earlier.extend(over);
        }
        for (at, kept) in messages {
            let earlier = self.earlier.get(at).and_then(Weak::upgrade);
            // Records of two shards with one position are of different messages, if the node had another number of workers.
            let message = earlier.filter(|other| is_it(&other.publication(), kept));
            self.messages.insert(*at, message.unwrap_or_else(|| worker.stored_again(kept, now)));
        }
    }

    /// The message of a record of the present shard.
    pub fn get(&self, at: Position) -> Option<Arc<StoredMessage>> {
        self.messages.get(&at).cloned()
    }
}

fn is_it(message: &Publication<'_>, kept: &KeptMessage) -> bool {
    let KeptBody { topic, properties, payload, qos } = &kept.body;
    (message.topic, message.properties, message.payload.as_slice()) == (&**topic, &**properties, &**payload)
        && (message.qos, message.retain) == (*qos, kept.retain)
}

impl WorkerState {
    /// The moment of a time of day; one that has passed is the present one.
    fn moment_of(&self, at: WallClock, now: Instant) -> Instant {
        now + Duration::from_millis(at.0.saturating_sub(self.node.wall_clock(now).0))
    }

    /// What was kept of a message, as it waits.
    fn stored_again(&self, kept: &KeptMessage, now: Instant) -> Arc<StoredMessage> {
        let (expires_at, hash) = (kept.expires_at, kept.publisher_hash);
        Arc::new(StoredMessage::new(&self.published(&kept.body, kept.retain, expires_at, hash, now)))
    }

    /// A message as its publisher published it, in an earlier process.
    fn published<'a>(
        &self,
        body: &'a KeptBody,
        retain: bool,
        expires_at: Option<WallClock>,
        publisher_hash: u64,
        now: Instant,
    ) -> Publication<'a> {
        Publication {
            topic: &body.topic,
            properties: &body.properties,
            payload: Payload::Short(&body.payload),
            qos: body.qos,
            retain,
            expires_at: expires_at.map(|at| self.moment_of(at, now)),
            publisher: Some(SessionKey::EARLIER),
            publisher_hash,
            stamp: 0,
        }
    }

    /// Brings a retained message back. One that has expired is over, and that is recorded once something can be.
    pub fn restore_retained(&mut self, kept: &KeptRetained, now: Instant) {
        self.node.order.begin_behind(kept.stamp);
        let Some((body, expires_at, hash)) = &kept.message else { return };
        let publication = self.published(body, true, *expires_at, *hash, now);
        let message = StoredMessage::new(&Publication { stamp: kept.stamp, ..publication });
        self.node.retained_messages.with_store(|store| store.restore(Arc::new(message)));
    }

    /// A QoS 2 message of a publisher was given to sessions of a shard by an earlier process.
    pub fn restore_seen(&mut self, shard: Shard, publisher: Publisher, count: Position) {
        self.copies.note_seen(shard, publisher, count);
    }

    /// Brings a copy back, behind those of its session that come before it. Limits that are lower now than they were drop
    /// nothing that was accepted under them. One that was sent and released has no message any more.
    pub fn restore_copy(
        &mut self,
        key: SessionKey,
        (id, copy): (CopyId, &KeptCopy),
        message: Option<Arc<StoredMessage>>,
    ) {
        let Self { sessions, ledger, .. } = self;
        let Some(session) = sessions.get_mut(key) else { return };
        let queued = message.map(|message| Queued {
            message,
            qos: copy.qos,
            retain: copy.retain,
            identifiers: match &*copy.identifiers {
                [] => Identifiers::None,
                [identifier] => Identifiers::One(*identifier),
                several => Identifiers::Many(several.into()),
            },
            group: None,
            replayed: false,
            recorded: id,
        });
        session.tally.matched += 1;
        ledger.restored.add(1);
        let will = session.will.as_deref();
        let outgoing = session.outgoing.get_or_insert_with(|| Outgoing::beside(will));
        match (copy.sent.filter(|_| copy.qos == QoS::ExactlyOnce), queued) {
            (Some(sent), queued) => {
                let owed = if sent.released { Owed::PubComp } else { Owed::PubRec };
                ledger.kept.wait_n(1, false);
                if let Some(queued) = &queued {
                    outgoing.inflight_bytes += queued.message.queued_bytes();
                    ledger.kept.enter(&queued.message);
                } else {
                    outgoing.restore_released(sent.identifier, id);
                }
                let entry = InflightEntry { owed, on_wire: false, own: false, kept: queued.map(Box::new) };
                outgoing.inflight.restore(sent.identifier, entry);
            }
            (None, Some(queued)) => {
                let place = outgoing.next_place();
                outgoing.queue.push(place, queued, &ledger.kept);
            }
            (None, None) => debug_assert!(false, "only what is released has no message"),
        }
    }
}
