//! Who has a copy of a message, as the subscriptions of the shard say and the record of the message adds.

use std::sync::Arc;

use mqtt_codec::QoS;

use super::changed_parts::Key;
use super::message::KeptMessage;
use super::session::KeptCopy;
use super::{Applied, KeptShard};
use crate::ledger::DropReason;
use crate::matching::Subscriber;
use crate::records::{CopyId, Directed, Fate, Origin, Position, Publish, Through};

impl KeptShard {
    pub(super) fn publish(&mut self, at: Position, publish: &Publish<'_>, applied: &mut Applied) {
        if let Some(origin) = &publish.origin
            && self.has_seen(origin)
        {
            return;
        }
        let mut message = KeptMessage::new(publish);
        if publish.shards.binary_search(&self.shard).is_ok() {
            self.give_to_subscribers(at, publish, &mut message, applied);
        }
        for directed in &publish.directed {
            self.give_to_chosen(at, directed, &mut message, applied);
        }
        for group in publish.waits.iter().filter(|group| self.homes.shard_of(group) == self.shard) {
            let group = match self.groups.get_key_value(*group) {
                Some((group, _)) => Arc::clone(group),
                None => Arc::from(*group),
            };
            self.changed.touch(Key::Waiting(Arc::clone(&group), at), false);
            self.groups.entry(group).or_default().insert(at);
            message.places += 1;
            applied.matched += 1;
        }
        if message.places > 0 {
            self.changed.touch(Key::Message(at), false);
            self.messages.insert(at, message);
        }
    }

    /// Whether a message was seen before; from now on it was.
    fn has_seen(&mut self, origin: &Origin) -> bool {
        let seen = self.seen.get(&origin.publisher).copied();
        if seen.is_some_and(|seen| seen >= origin.count) {
            return true;
        }
        self.changed.touch(Key::Seen(origin.publisher), seen.is_some());
        self.seen.insert(origin.publisher, origin.count);
        false
    }

    fn give_to_subscribers(
        &mut self,
        at: Position,
        publish: &Publish<'_>,
        message: &mut KeptMessage,
        applied: &mut Applied,
    ) {
        let mut matches = std::mem::take(&mut self.matches);
        matches.clear();
        self.trie.collect(publish.body.topic, &mut matches);
        matches.subscribers.retain(|subscriber| {
            let client = &self.sessions[subscriber.session.index as usize].0;
            !(subscriber.options.no_local && self.homes.hash_of(client) == publish.publisher_hash)
        });
        // Those of one session side by side, in the order subscribed.
        matches.subscribers.sort_unstable_by_key(|subscriber| (subscriber.session, number_of(subscriber)));
        let same = |one: &Subscriber, other: &Subscriber| publish.merges && one.session == other.session;
        for merged in matches.subscribers.chunk_by(same) {
            self.give_to_subscriber(at, publish, merged, message, applied);
        }
        self.matches = matches;
    }

    fn give_to_subscriber(
        &mut self,
        at: Position,
        publish: &Publish<'_>,
        merged: &[Subscriber],
        message: &mut KeptMessage,
        applied: &mut Applied,
    ) {
        let granted = merged.iter().map(|subscriber| subscriber.options.qos).max().unwrap_or_default();
        let qos = publish.body.qos.min(granted);
        if qos == QoS::AtMostOnce {
            return;
        }
        let (index, subscription) = (merged[0].session.index as usize, number_of(&merged[0]));
        let (client, session) = &mut self.sessions[index];
        applied.matched += 1;
        let was_dropped =
            |(other, number, _): &&(&str, u32, DropReason)| **client == **other && *number == subscription;
        if let Some((.., reason)) = publish.dropped.iter().find(was_dropped) {
            return applied.settle(Fate::Dropped(*reason), 1);
        }
        let copy = KeptCopy {
            qos,
            retain: publish.retain && merged.iter().any(|subscriber| subscriber.options.retain_as_published),
            identifiers: merged
                .iter()
                .map(|subscriber| subscriber.identifier)
                .filter(|it| *it != 0)
                .collect(),
            group: None,
            ahead_of: None,
            sent: None,
        };
        let id = CopyId { message: at, subscription };
        self.changed.touch(Key::Copy(Arc::clone(client), id), false);
        session.copies.insert(id, copy);
        message.places += 1;
    }

    fn give_to_chosen(
        &mut self,
        at: Position,
        directed: &Directed<'_>,
        message: &mut KeptMessage,
        applied: &mut Applied,
    ) {
        let Directed { client, subscription, qos, retain, identifiers, through } = directed;
        // Of another shard, or it ended meanwhile.
        let Some(index) = self.names.get(*client).copied() else { return };
        let (client, session) = &mut self.sessions[index];
        let id = CopyId { message: at, subscription: *subscription };
        let (group, ahead_of) = match through {
            Through::Group(group) => (Some(Arc::from(*group)), None),
            Through::Retained(began) => (None, Some(*began)),
        };
        let copy = KeptCopy {
            qos: *qos,
            retain: *retain,
            identifiers: identifiers.as_slice().into(),
            group,
            ahead_of,
            sent: None,
        };
        if session.copies.insert(id, copy).is_none() {
            self.changed.touch(Key::Copy(Arc::clone(client), id), false);
            message.places += 1;
            applied.matched += 1;
        }
    }
}

/// The number of a subscription in its session.
fn number_of(subscriber: &Subscriber) -> u32 {
    subscriber.since.stamp() as u32
}
