//! What is kept of one shard: the state that its records make.
//!
//! [`KeptShard::apply`] is the one way by which it changes. It reads no clock and no setting, and decides nothing:
//! the same records give the same state, in whatever process, and a record that it has applied already changes nothing.
//! What changed since the last time is written to a checkpoint ([`KeptShard::take_changes`]); a checkpoint and the
//! records behind it, or any that it already holds and those behind it, give the state again ([`KeptShard::load`]).
//!
//! Three kinds of records may come through the log of another worker than the shard's, since what they say concerns more
//! than one: they hold in whatever order they come.

mod all;
mod changed_parts;
#[cfg(any(test, feature = "simulation"))]
mod check;
mod key;
mod message;
mod publish;
mod session;
mod stored;
#[cfg(test)]
mod tests;

pub use all::KeptShards;
pub use key::{APPLIED_KEY, before_client, behind_client, client_of};
pub use message::{KeptBody, KeptMessage, KeptRetained};
pub use session::{KeptCopy, KeptReplay, KeptSession, KeptSubscription, KeptWill, SentCopy};
pub use stored::{Blob, KeptParts, LoadError};

use std::collections::BTreeMap;
use std::ops::{AddAssign, Bound};
use std::sync::Arc;

use mqtt_codec::PacketIdentifier;
use slab::Slab;

use crate::homes::{Homes, Shard};
use crate::ledger::DropReason;
use crate::records::{
    Connected, CopyId, Fate, Of, Parted, Position, Publisher, Record, Retained, Settled, Subscribed,
};
use changed_parts::Changed;
use key::Key;
use message::Waiting;

/// What a record did to the messages that wait in the shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Copies that matched, for sessions and for groups in which they wait.
    pub matched: u64,
    /// Copies that were acknowledged.
    pub delivered: u64,
    /// Copies that were dropped.
    pub dropped: u64,
    /// Copies that went to other members of their groups.
    pub returned: u64,
}

impl AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.matched += other.matched;
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.returned += other.returned;
    }
}

impl Applied {
    /// Copies that wait no more.
    pub fn settled(&self) -> u64 {
        self.delivered + self.dropped + self.returned
    }

    fn settle(&mut self, fate: Fate, count: u64) {
        match fate {
            Fate::Delivered => self.delivered += count,
            Fate::Dropped(_) => self.dropped += count,
            Fate::Returned => self.returned += count,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct KeptShard {
    shard: Shard,
    homes: Homes,
    applied: Position,
    names: BTreeMap<Arc<str>, usize>,
    sessions: Slab<(Arc<str>, KeptSession)>,
    messages: BTreeMap<Position, KeptMessage>,
    groups: BTreeMap<Arc<str>, Waiting>,
    retained: BTreeMap<Arc<str>, KeptRetained>,
    seen: BTreeMap<Publisher, Position>,
    changed: Changed,
}

impl KeptShard {
    /// Nothing is kept of this shard.
    pub fn new(shard: Shard, homes: Homes) -> Self {
        Self {
            shard,
            homes,
            applied: Position::default(),
            names: BTreeMap::new(),
            sessions: Slab::new(),
            messages: BTreeMap::new(),
            groups: BTreeMap::new(),
            retained: BTreeMap::new(),
            seen: BTreeMap::new(),
            changed: Changed::default(),
        }
    }

    /// The position of the last record of its own log that it knows.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// Its sessions, by client identifier.
    pub fn sessions(&self) -> impl Iterator<Item = (&Arc<str>, &KeptSession)> {
        self.sessions_behind(None)
    }

    /// The same, behind a client identifier.
    pub fn sessions_behind(&self, after: Option<&str>) -> impl Iterator<Item = (&Arc<str>, &KeptSession)> {
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        self.names.range::<str, _>(behind).map(|(client, index)| (client, &self.sessions[*index].1))
    }

    /// The session of a client.
    pub fn session(&self, client: &str) -> Option<&KeptSession> {
        self.names.get(client).map(|index| &self.sessions[*index].1)
    }

    /// A message that waits.
    pub fn message(&self, position: Position) -> Option<&KeptMessage> {
        self.messages.get(&position)
    }

    /// All messages that wait.
    pub fn messages(&self) -> impl Iterator<Item = (Position, &KeptMessage)> {
        self.messages.iter().map(|(position, message)| (*position, message))
    }

    /// Its groups in which messages wait, by whole filter, with the positions of those.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, impl Iterator<Item = Position>)> {
        self.groups.iter().map(|(group, waiting)| (group, waiting.iter().copied()))
    }

    /// What is retained, by topic name.
    pub fn retained(&self) -> impl Iterator<Item = (&Arc<str>, &KeptRetained)> {
        self.retained.iter().filter(|(_, retained)| retained.message.is_some())
    }

    /// What is retained, by topic name, and what was and is not any more.
    pub fn retained_and_removed(&self) -> impl Iterator<Item = (&Arc<str>, &KeptRetained)> {
        self.retained.iter()
    }

    /// The last message that was seen of each publisher.
    pub fn seen(&self) -> impl Iterator<Item = (Publisher, Position)> {
        self.seen.iter().map(|(publisher, count)| (*publisher, *count))
    }

    /// Copies that wait, for sessions and in groups.
    pub fn waiting(&self) -> u64 {
        let copies = self.sessions.iter().map(|(_, (_, session))| session.copies.len()).sum::<usize>();
        (copies + self.groups.values().map(Waiting::len).sum::<usize>()) as u64
    }

    /// Nothing earlier than this stamp is read any more: what was removed before it need not be known.
    pub fn forget_removed(&mut self, stamp: u64) {
        let changed = &mut self.changed;
        self.retained.retain(|topic, retained| {
            let is_left = retained.message.is_some() || retained.stamp >= stamp;
            if !is_left {
                changed.touch(Key::Retained(Arc::clone(topic)), true);
            }
            is_left
        });
    }

    /// Applies the part of a record that concerns this shard. One of its own log that is not behind all that it knows
    /// changes nothing.
    pub fn apply(&mut self, at: Position, record: &Record<'_>) -> Applied {
        let mut applied = Applied::default();
        match record {
            Record::Taken(group, fate, messages) => {
                self.take_from_group(group, *fate, messages, &mut applied);
                return applied;
            }
            Record::Retained(retained) => {
                self.retain(retained);
                return applied;
            }
            Record::PublisherGone(publisher) => {
                self.forget_publisher(*publisher, at);
                return applied;
            }
            _ if at <= self.applied => return applied,
            _ => {}
        }
        self.changed.touch(Key::Applied, true);
        self.applied = at;
        match record {
            Record::Publish(publish) => self.publish(at, publish, &mut applied),
            Record::Connected(connected) => self.connect(at, connected, &mut applied),
            Record::Ended(client) => self.end(client, &mut applied),
            Record::Settled(settled) => self.settle(settled, &mut applied),
            Record::Passed(client, filter, after) => self.pass(client, filter, *after),
            Record::Parted(parted) => self.part(parted),
            Record::Subscribed(of, subscriptions) => self.subscribe(at, of, subscriptions),
            Record::Unsubscribed(of, filters) => self.unsubscribe(of, filters),
            Record::Received(of, identifier) => {
                self.with(of, |session| *session.incoming.entry(*identifier).or_insert(at));
            }
            Record::Forgotten(of, identifier) => {
                self.with(of, |session| session.incoming.remove(identifier));
            }
            Record::Sent(of, identifier, copy) => self.send(at, of, *identifier, copy),
            Record::Released(of, identifier, copy) => self.release(of, *identifier, copy),
            Record::WillOver(of) => _ = self.with(of, |session| session.will = None),
            Record::Taken(..) | Record::Retained(_) | Record::PublisherGone(_) => {}
        }
        applied
    }

    /// Lets the session of a network connection change, if it is the present one.
    fn with<R>(&mut self, of: &Of<'_>, change: impl FnOnce(&mut KeptSession) -> R) -> Option<R> {
        let index = self.held_by(of)?;
        let (client, session) = &mut self.sessions[index];
        self.changed.touch(Key::Session(Arc::clone(client)), true);
        Some(change(session))
    }

    fn held_by(&self, of: &Of<'_>) -> Option<usize> {
        let index = *self.names.get(of.client)?;
        (self.sessions[index].1.epoch.epoch() == of.epoch).then_some(index)
    }

    fn connect(&mut self, at: Position, connected: &Connected<'_>, applied: &mut Applied) {
        let Connected { client, user_name, version, expiry_interval, begins, will } = *connected;
        if begins {
            self.end(client, applied);
        }
        let will = will.as_ref().map(|will| KeptWill {
            body: KeptBody::new(&will.body),
            retain: will.retain,
            delay_seconds: will.delay_seconds,
            expiry_seconds: will.expiry_seconds,
        });
        let user_name = user_name.map(Arc::from);
        if let Some(index) = self.names.get(client) {
            let (client, session) = &mut self.sessions[*index];
            (session.user_name, session.version, session.will) = (user_name, version, will);
            (session.expiry_interval, session.epoch, session.parted) = (expiry_interval, at, None);
            self.changed.touch(Key::Session(Arc::clone(client)), true);
            return;
        }
        let client = Arc::<str>::from(client);
        self.changed.touch(Key::Session(Arc::clone(&client)), false);
        let session = KeptSession {
            user_name,
            version,
            expiry_interval,
            epoch: at,
            parted: None,
            will,
            incoming: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            copies: BTreeMap::new(),
            inflight: BTreeMap::new(),
        };
        let index = self.sessions.insert((Arc::clone(&client), session));
        self.names.insert(client, index);
    }

    fn part(&mut self, parted: &Parted<'_>) {
        self.with(&parted.of, |session| {
            session.parted = Some(parted.at);
            session.expiry_interval = parted.expiry_interval;
            if !parted.leaves_will {
                session.will = None;
            }
        });
    }

    fn end(&mut self, client: &str, applied: &mut Applied) {
        let Some(index) = self.names.remove(client) else { return };
        let (client, session) = self.sessions.remove(index);
        for filter in session.subscriptions.keys() {
            self.changed.touch(Key::Subscription(Arc::clone(&client), Arc::clone(filter)), true);
        }
        for (id, copy) in &session.copies {
            self.changed.touch(Key::Copy(Arc::clone(&client), *id), true);
            if copy.sent.is_none_or(|sent| !sent.released) {
                self.leave(id.message);
            }
        }
        applied.settle(Fate::Dropped(DropReason::SessionGone), session.copies.len() as u64);
        self.changed.touch(Key::Session(client), true);
    }

    fn subscribe(&mut self, at: Position, of: &Of<'_>, subscriptions: &[Subscribed<'_>]) {
        let Some(index) = self.held_by(of) else { return };
        let (client, session) = &mut self.sessions[index];
        for subscribed in subscriptions {
            let Subscribed { filter, options, identifier, replays } = *subscribed;
            let filter = Arc::<str>::from(filter);
            let key = Key::Subscription(Arc::clone(client), Arc::clone(&filter));
            let replay = replays.then(KeptReplay::default);
            let subscription = KeptSubscription { options, identifier, since: at, replay };
            let before = session.subscriptions.insert(filter, subscription);
            self.changed.touch(key, before.is_some());
        }
    }

    fn unsubscribe(&mut self, of: &Of<'_>, filters: &[&str]) {
        let Some(index) = self.held_by(of) else { return };
        let (client, session) = &mut self.sessions[index];
        for filter in filters {
            if let Some((filter, _)) = session.subscriptions.remove_entry(*filter) {
                self.changed.touch(Key::Subscription(Arc::clone(client), filter), true);
            }
        }
    }

    fn pass(&mut self, client: &str, filter: &str, after: Option<&str>) {
        let Some(index) = self.names.get(client) else { return };
        let (client, session) = &mut self.sessions[*index];
        let Some((filter, _)) = session.subscriptions.get_key_value(filter) else { return };
        let filter = Arc::clone(filter);
        if let Some(subscription) = session.subscriptions.get_mut(&filter) {
            subscription.replay = after.map(|after| KeptReplay { after: Some(after.into()) });
        }
        self.changed.touch(Key::Subscription(Arc::clone(client), filter), true);
    }

    fn send(&mut self, at: Position, of: &Of<'_>, identifier: PacketIdentifier, id: &CopyId) {
        let Some(index) = self.held_by(of) else { return };
        let (client, session) = &mut self.sessions[index];
        if session.inflight.contains_key(&identifier) {
            return;
        }
        let Some(copy) = session.copies.get_mut(id).filter(|copy| copy.sent.is_none()) else { return };
        copy.sent = Some(SentCopy { identifier, at, released: false });
        session.inflight.insert(identifier, *id);
        self.changed.touch(Key::Copy(Arc::clone(client), *id), true);
    }

    fn release(&mut self, of: &Of<'_>, identifier: PacketIdentifier, id: &CopyId) {
        let Some(index) = self.held_by(of) else { return };
        let (client, session) = &mut self.sessions[index];
        let sent = session.copies.get_mut(id).and_then(|copy| copy.sent.as_mut());
        let Some(sent) = sent.filter(|sent| sent.identifier == identifier && !sent.released) else { return };
        sent.released = true;
        self.changed.touch(Key::Copy(Arc::clone(client), *id), true);
        self.leave(id.message);
    }

    fn settle(&mut self, settled: &Settled<'_>, applied: &mut Applied) {
        let Some(index) = self.names.get(settled.client).copied() else { return };
        for id in &settled.copies {
            let (client, session) = &mut self.sessions[index];
            let Some(copy) = session.copies.remove(id) else { continue };
            self.changed.touch(Key::Copy(Arc::clone(client), *id), true);
            if let Some(sent) = &copy.sent {
                session.inflight.remove(&sent.identifier);
            }
            if copy.sent.is_none_or(|sent| !sent.released) {
                self.leave(id.message);
            }
            applied.settle(settled.fate, 1);
        }
    }

    fn take_from_group(&mut self, group: &str, fate: Fate, messages: &[Position], applied: &mut Applied) {
        let Some((group, _)) = self.groups.get_key_value(group) else { return };
        let group = Arc::clone(group);
        for message in messages {
            if self.groups.get_mut(&group).is_some_and(|waiting| waiting.remove(message)) {
                self.changed.touch(Key::Waiting(Arc::clone(&group), *message), true);
                self.leave(*message);
                applied.settle(fate, 1);
            }
        }
        if self.groups[&group].is_empty() {
            self.groups.remove(&group);
        }
    }

    fn retain(&mut self, retained: &Retained<'_>) {
        let Retained { topic, stamp, message } = retained;
        let before = self.retained.get(*topic);
        if self.homes.shard_of(topic) != self.shard || before.is_some_and(|before| before.stamp >= *stamp) {
            return;
        }
        let topic = Arc::<str>::from(*topic);
        self.changed.touch(Key::Retained(Arc::clone(&topic)), before.is_some());
        let message = message.as_ref().map(|(body, expires, hash)| (KeptBody::new(body), *expires, *hash));
        self.retained.insert(topic, KeptRetained { stamp: *stamp, message });
    }

    /// What was seen of a client up to a position need not be known.
    fn forget_publisher(&mut self, publisher: Publisher, at: Position) {
        if self.seen.get(&publisher).is_some_and(|seen| *seen <= at) {
            self.seen.remove(&publisher);
            self.changed.touch(Key::Seen(publisher), true);
        }
    }

    /// A message leaves one of its places.
    fn leave(&mut self, position: Position) {
        let Some(message) = self.messages.get_mut(&position) else { return };
        message.places -= 1;
        if message.places == 0 {
            self.messages.remove(&position);
            self.changed.touch(Key::Message(position), true);
        }
    }
}
