//! What is kept of one shard: the state that its records make.
//!
//! [`KeptShard::apply`] is the one way by which it changes. It reads no clock and no setting, and decides nothing:
//! the same records give the same state, in whatever process, and a record that it has applied already changes nothing.
//! What changed since the last time is written to a checkpoint ([`KeptShard::take_changes`]); a checkpoint and the
//! records behind it, or any that it already holds and those behind it, give the state again ([`KeptShard::of_parts`]).
//!
//! A shard holds all that is kept of it, or reads what records need of a checkpoint ([`Parts`]) and holds that until its
//! changes are taken: so a checkpoint is brought forward at the cost of what changed.
//!
//! Three kinds of records may come through the log of another worker than the shard's, since what they say concerns more
//! than one: they hold in whatever order they come.

mod all;
mod changed_parts;
mod check;
mod copies;
mod encoding;
mod key;
mod message;
mod parts;
mod publish;
mod session;
mod stored;
#[cfg(test)]
mod tests;

pub use all::KeptShards;
pub use key::{before_client, behind_client, client_of};
pub use message::{KeptBody, KeptMessage, KeptRetained};
pub use parts::{AllHeld, Parts};
pub use session::{KeptCopy, KeptReplay, KeptSession, KeptSubscription, KeptWill, SentCopy};
pub use stored::{Blob, KeptParts, LoadError};

use std::collections::BTreeMap;
use std::ops::{AddAssign, Bound};
use std::sync::Arc;

use slab::Slab;

use crate::homes::{Homes, Shard};
use crate::ledger::DropReason;
use crate::records::{
    Connected, Fate, Of, Parted, Position, Publish, Publisher, Record, Retained, Subscribed,
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
pub struct KeptShard<P = AllHeld> {
    shard: Shard,
    homes: Homes,
    parts: P,
    failure: Option<LoadError>,
    applied: Position,
    names: BTreeMap<Arc<str>, usize>,
    sessions: Slab<(Arc<str>, KeptSession)>,
    messages: BTreeMap<Position, KeptMessage>,
    /// In how many places each message waits.
    places: BTreeMap<Position, u64>,
    groups: BTreeMap<Arc<str>, Waiting>,
    retained: BTreeMap<Arc<str>, KeptRetained>,
    seen: BTreeMap<Publisher, Position>,
    changed: Changed,
}

impl KeptShard {
    /// Nothing is kept of this shard.
    pub fn new(shard: Shard, homes: Homes) -> Self {
        Self::with(shard, homes, AllHeld)
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

    /// Its groups in which messages wait, by whole filter, with the positions of those.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, impl Iterator<Item = Position>)> {
        self.groups.iter().map(|(group, waiting)| (group, waiting.iter().copied()))
    }

    /// What is retained, by topic name.
    pub fn retained(&self) -> impl Iterator<Item = (&Arc<str>, &KeptRetained)> {
        self.retained.iter().filter(|(_, retained)| retained.message.is_some())
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
}

impl<P: Parts> KeptShard<P> {
    fn with(shard: Shard, homes: Homes, parts: P) -> Self {
        Self {
            shard,
            homes,
            parts,
            failure: None,
            applied: Position::default(),
            names: BTreeMap::new(),
            sessions: Slab::new(),
            messages: BTreeMap::new(),
            places: BTreeMap::new(),
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
        self.advance(at);
        match record {
            Record::Publish(publish) => {
                let copies = publish.copies.iter().map(|copied| self.homes.shard_of(&copied.client)).zip(0..);
                let own: Vec<_> = copies.filter(|(of, _)| *of == self.shard).map(|(_, copy)| copy).collect();
                self.publish(at, publish, own.into_iter(), &mut applied);
            }
            Record::Connected(connected) => self.connect(at, connected, &mut applied),
            Record::Ended(client) => self.end(client, &mut applied),
            Record::Settled(settled) => self.settle(settled, &mut applied),
            Record::Passed(client, filter, after) => self.pass(client, filter, *after),
            Record::Parted(parted) => self.part(parted),
            Record::Subscribed(of, subscriptions) => self.subscribe(at, of, subscriptions),
            Record::Unsubscribed(of, filters) => self.unsubscribe(of, filters),
            Record::Received(of, identifier) => {
                self.change(of, |session| *session.incoming.entry(*identifier).or_insert(at));
            }
            Record::Forgotten(of, identifier) => {
                self.change(of, |session| session.incoming.remove(identifier));
            }
            Record::Sent(of, identifier, copy) => self.send(at, of, *identifier, copy),
            Record::Released(of, identifier, copy) => self.release(of, *identifier, copy),
            Record::WillOver(of) => _ = self.change(of, |session| session.will = None),
            Record::Taken(..) | Record::Retained(_) | Record::PublisherGone(_) => {}
        }
        applied
    }

    /// The same for a message, of whose copies these are for sessions of this shard.
    fn apply_publish(
        &mut self,
        at: Position,
        publish: &Publish<'_>,
        copies: impl Iterator<Item = usize>,
    ) -> Applied {
        let mut applied = Applied::default();
        if at > self.applied {
            self.advance(at);
            self.publish(at, publish, copies, &mut applied);
        }
        applied
    }

    fn advance(&mut self, at: Position) {
        self.changed.touch(Key::Applied, true);
        self.applied = at;
    }

    /// Lets the session of a network connection change, if it is the present one.
    fn change<R>(&mut self, of: &Of<'_>, change: impl FnOnce(&mut KeptSession) -> R) -> Option<R> {
        let index = self.held_by(of)?;
        let (client, session) = &mut self.sessions[index];
        self.changed.touch(Key::Session(Arc::clone(client)), true);
        Some(change(session))
    }

    fn held_by(&mut self, of: &Of<'_>) -> Option<usize> {
        let index = self.find(of.client)?;
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
        if let Some(index) = self.find(client) {
            let (client, session) = &mut self.sessions[index];
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
        };
        self.hold(client, session);
    }

    fn hold(&mut self, client: Arc<str>, session: KeptSession) -> usize {
        let index = self.sessions.insert((Arc::clone(&client), session));
        self.names.insert(client, index);
        index
    }

    fn part(&mut self, parted: &Parted<'_>) {
        self.change(&parted.of, |session| {
            session.parted = Some(parted.at);
            session.expiry_interval = parted.expiry_interval;
            if !parted.leaves_will {
                session.will = None;
            }
        });
    }

    fn end(&mut self, client: &str, applied: &mut Applied) {
        let Some(index) = self.find(client) else { return };
        self.hold_rest(index);
        self.names.remove(client);
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
            self.changed.touch(key, before.is_some() || !P::HOLDS_ALL);
        }
    }

    fn unsubscribe(&mut self, of: &Of<'_>, filters: &[&str]) {
        let Some(index) = self.held_by(of) else { return };
        for filter in filters {
            self.hold_subscription(index, filter);
            let (client, session) = &mut self.sessions[index];
            if let Some((filter, _)) = session.subscriptions.remove_entry(*filter) {
                self.changed.touch(Key::Subscription(Arc::clone(client), filter), true);
            }
        }
    }

    fn pass(&mut self, client: &str, filter: &str, after: Option<&str>) {
        let Some(index) = self.find(client) else { return };
        self.hold_subscription(index, filter);
        let (client, session) = &mut self.sessions[index];
        let Some((filter, _)) = session.subscriptions.get_key_value(filter) else { return };
        let filter = Arc::clone(filter);
        if let Some(subscription) = session.subscriptions.get_mut(&filter) {
            subscription.replay = after.map(|after| KeptReplay { after: Some(after.into()) });
        }
        self.changed.touch(Key::Subscription(Arc::clone(client), filter), true);
    }

    fn retain(&mut self, retained: &Retained<'_>) {
        let Retained { topic, stamp, message } = retained;
        if self.homes.shard_of(topic) != self.shard {
            return;
        }
        self.hold_retained(topic);
        let before = self.retained.get(*topic);
        if before.is_some_and(|before| before.stamp >= *stamp) {
            return;
        }
        let topic = Arc::<str>::from(*topic);
        self.changed.touch(Key::Retained(Arc::clone(&topic)), before.is_some());
        let message = message.as_ref().map(|(body, expires, hash)| (KeptBody::new(body), *expires, *hash));
        self.retained.insert(topic, KeptRetained { stamp: *stamp, message });
    }

    /// What was seen of a client up to a position need not be known.
    fn forget_publisher(&mut self, publisher: Publisher, at: Position) {
        self.hold_seen(publisher);
        if self.seen.get(&publisher).is_some_and(|seen| *seen <= at) {
            self.seen.remove(&publisher);
            self.changed.touch(Key::Seen(publisher), true);
        }
    }
}
