//! The retained messages in the order of their topic names. Pure.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::matches;

use super::charges::{Amount, Charge, Charges, Full, RetainedLimits};
use super::order::{self, Next};
use crate::message::{Publication, StoredMessage};

/// A question examines at most this many topic names, for all of its filters together, before it is answered with what
/// was found.
pub const EXAMINED_MAX: usize = 2000;
/// Messages that have expired and are removed at a time, since publishers wait meanwhile.
const EXPIRED_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct RetainedStore {
    by_topic: BTreeSet<ByTopic>,
    /// Those that expire.
    by_expiry: BTreeSet<ByExpiry>,
    bytes: usize,
    charges: Charges,
    /// Topic names of publishes that were admitted and are still to be kept, with what those are charged in place of what
    /// is kept: as much as the last of them takes, and nothing if it removes.
    admitted: HashMap<Box<str>, Admitted>,
}

/// Publishes to one topic name that were admitted and are still to be kept.
#[derive(Debug)]
struct Admitted {
    count: usize,
    charge: Option<Charge>,
}

/// A message in the place of its topic name, which it holds itself.
#[derive(Debug)]
struct ByTopic(Arc<StoredMessage>);

impl Borrow<str> for ByTopic {
    fn borrow(&self) -> &str {
        self.0.topic()
    }
}

impl Ord for ByTopic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.topic().cmp(other.0.topic())
    }
}

impl PartialOrd for ByTopic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByTopic {}

/// A message in the place of the moment at which it expires.
#[derive(Debug)]
struct ByExpiry(Arc<StoredMessage>);

impl ByExpiry {
    fn place(&self) -> (Option<Instant>, &str) {
        (self.0.publication().expires_at, self.0.topic())
    }
}

impl Ord for ByExpiry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for ByExpiry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByExpiry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByExpiry {}

/// A part of what matches a topic filter.
#[derive(Debug, Default)]
pub struct Piece {
    /// In the order of their topic names.
    pub messages: Vec<Arc<StoredMessage>>,
    /// What is left.
    pub rest: Rest,
}

/// What a piece leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    #[default]
    Nothing,
    /// All of it.
    All,
    /// What is behind this topic name.
    Behind(Arc<str>),
}

impl RetainedStore {
    /// Empty, with limits.
    pub fn new(limits: RetainedLimits) -> Self {
        Self {
            by_topic: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            bytes: 0,
            charges: Charges::new(limits),
            admitted: HashMap::new(),
        }
    }

    /// Messages kept.
    pub fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is charged to a client, by the hash of its client identifier.
    pub fn of_client(&self, publisher_hash: u64) -> Amount {
        self.charges.of_client(publisher_hash)
    }

    /// How often room was made.
    pub fn freed(&self) -> u64 {
        self.charges.freed()
    }

    /// Judges a client's publish, which is to be kept later: until then it has its place. A limit is not exceeded but by
    /// what several clients publish to one topic name, and keep in another order than they were admitted in.
    ///
    /// # Errors
    /// The limit that has no room for it; nothing but expired messages is gone then.
    pub fn admit(&mut self, publication: &Publication<'_>, now: Instant) -> Result<(), Full> {
        let charge = self.charge(publication, now)?;
        match self.admitted.get_mut(publication.topic) {
            Some(admitted) => {
                admitted.count += 1;
                admitted.charge = charge;
            }
            None => {
                self.admitted.insert(publication.topic.into(), Admitted { count: 1, charge });
            }
        }
        Ok(())
    }

    /// Keeps a message that was admitted in place of an earlier one, or, if it has no payload, removes that
    /// [MQTT-3.3.1-6]. One that is older than what is kept changes nothing.
    pub fn keep_admitted(&mut self, message: Arc<StoredMessage>) {
        let kept = Arc::clone(&message);
        self.put(message);
        self.forget_admitted(kept.topic());
    }

    /// A publish that was admitted is dealt with.
    pub fn forget_admitted(&mut self, topic: &str) {
        let Some(admitted) = self.admitted.get_mut(topic) else { return };
        admitted.count -= 1;
        if admitted.count == 0 {
            let charge = admitted.charge;
            self.admitted.remove(topic);
            self.charges.replace(charge, self.charge_of_kept(topic));
            if self.admitted.is_empty() && self.admitted.capacity() > 1024 {
                self.admitted = HashMap::new();
            }
        }
    }

    /// The same as to admit and to keep it, at once.
    ///
    /// # Errors
    /// The limit that has no room for it; nothing but expired messages is gone then.
    pub fn keep(&mut self, message: Arc<StoredMessage>, now: Instant) -> Result<(), Full> {
        self.admit(&message.publication(), now)?;
        self.keep_admitted(message);
        Ok(())
    }

    /// Keeps what was kept before the process was started, whatever the limits are now.
    pub fn restore(&mut self, message: Arc<StoredMessage>) {
        let restored = Arc::clone(&message);
        let before = self.charge_of_kept(restored.topic());
        self.put(message);
        // What is admitted for a topic name is charged in place of what is kept.
        if !self.admitted.contains_key(restored.topic()) {
            self.charges.replace(before, self.charge_of_kept(restored.topic()));
        }
    }

    /// Removes what is kept under a topic name, if anything is.
    pub fn remove(&mut self, topic: &str) {
        let Some(ByTopic(message)) = self.by_topic.take(topic) else { return };
        self.is_gone(&message);
        if !self.admitted.contains_key(topic) {
            self.charges.replace(Some(Charge::of(&message)), None);
        }
    }

    fn charge_of_kept(&self, topic: &str) -> Option<Charge> {
        self.by_topic.get(topic).map(|ByTopic(kept)| Charge::of(kept))
    }

    /// Charges a topic name for a publish, in place of what it was charged for, if there is room.
    fn charge(&mut self, publication: &Publication<'_>, now: Instant) -> Result<Option<Charge>, Full> {
        let new = (!publication.payload.is_empty()).then(|| Charge::of_publication(publication));
        let charged = |store: &Self| match store.admitted.get(publication.topic) {
            Some(admitted) => admitted.charge,
            None => store.charge_of_kept(publication.topic),
        };
        let mut old = charged(self);
        let mut expired = 0;
        while let Some(new) = new
            && let Err(full) = self.charges.admit(new, old)
        {
            if expired == EXPIRED_MAX || !self.remove_first_expired(now) {
                return Err(full);
            }
            expired += 1;
            old = charged(self);
        }
        self.charges.replace(old, new);
        Ok(new)
    }

    /// Puts a message into its place, whatever it is charged.
    fn put(&mut self, message: Arc<StoredMessage>) {
        let publication = message.publication();
        let earlier = self.by_topic.get(publication.topic);
        if earlier.is_some_and(|ByTopic(earlier)| earlier.publication().stamp > publication.stamp) {
            return;
        }
        if publication.payload.is_empty() {
            if let Some(ByTopic(earlier)) = self.by_topic.take(publication.topic) {
                self.is_gone(&earlier);
            }
            return;
        }
        if publication.expires_at.is_some() {
            self.by_expiry.replace(ByExpiry(Arc::clone(&message)));
        }
        self.bytes += message.bytes();
        if let Some(ByTopic(earlier)) = self.by_topic.replace(ByTopic(message)) {
            self.is_gone(&earlier);
        }
    }

    /// A message is in its place no more.
    fn is_gone(&mut self, message: &Arc<StoredMessage>) {
        self.bytes -= message.bytes();
        if message.publication().expires_at.is_some() {
            let at = ByExpiry(Arc::clone(message));
            // One that took its place under its topic name may expire at the very same moment.
            if self.by_expiry.get(&at).is_some_and(|ByExpiry(held)| Arc::ptr_eq(held, message)) {
                self.by_expiry.remove(&at);
            }
        }
    }

    fn remove_first_expired(&mut self, now: Instant) -> bool {
        let first = self.by_expiry.first().filter(|ByExpiry(message)| message.publication().is_expired(now));
        let Some(message) = first.map(|ByExpiry(message)| Arc::clone(message)) else { return false };
        self.remove(message.topic());
        true
    }

    /// Whether there are messages that will expire.
    pub fn has_expiring(&self) -> bool {
        !self.by_expiry.is_empty()
    }

    /// Removes what has expired, [`EXPIRED_MAX`] at most. Returns whether there may be more.
    pub fn remove_expired(&mut self, now: Instant) -> bool {
        (0..EXPIRED_MAX).all(|_| self.remove_first_expired(now))
    }

    /// What a topic name has.
    pub fn get(&self, topic: &str) -> Option<&Arc<StoredMessage>> {
        self.by_topic.get(topic).map(|ByTopic(message)| message)
    }

    /// The topic names between two, in order.
    pub fn names(&self, between: (Bound<&str>, Bound<&str>)) -> impl DoubleEndedIterator<Item = &str> {
        self.by_topic.range::<str, _>(between).map(|ByTopic(message)| message.topic())
    }

    /// All that are kept, in the order of their topic names.
    #[cfg(feature = "simulation")]
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredMessage>> {
        self.by_topic.iter().map(|ByTopic(message)| message)
    }

    /// Forgets all of them.
    #[cfg(feature = "simulation")]
    pub fn clear(&mut self) {
        let kept: Vec<_> = self.iter().map(|message| message.topic().to_owned()).collect();
        kept.iter().for_each(|topic| self.remove(topic));
    }

    /// What does not add up; nothing may be admitted and not kept.
    ///
    /// # Errors
    /// What is wrong.
    #[cfg(any(test, feature = "simulation"))]
    pub fn check(&self) -> Result<(), String> {
        let kept = || self.by_topic.iter().map(|ByTopic(message)| message);
        let clients = || kept().filter(|message| message.publication().publisher.is_some());
        let sum =
            Amount { messages: clients().count(), bytes: clients().map(|message| message.bytes()).sum() };
        let expiring = kept().filter(|message| message.publication().expires_at.is_some()).count();
        let bytes: usize = kept().map(|message| message.bytes()).sum();
        let (all, of_clients) = (self.charges.all(), self.charges.sum_of_clients());
        let (admitted, left) = (self.admitted.len(), 0);
        if (all, of_clients, self.bytes, self.by_expiry.len(), admitted) == (sum, sum, bytes, expiring, left)
        {
            return Ok(());
        }
        Err(format!(
            "{admitted} admitted; {all:?} charged, {of_clients:?} to clients, of {sum:?}; {} of {bytes} bytes, {} of {expiring} expire",
            self.bytes,
            self.by_expiry.len()
        ))
    }

    /// The messages that match a filter, behind a topic name, as many as fit. Expired ones are removed.
    pub fn find(
        &mut self,
        filter: &str,
        after: Option<&str>,
        messages_max: usize,
        bytes_max: usize,
        examined: &mut usize,
        now: Instant,
    ) -> Piece {
        let mut piece = Piece::default();
        let mut expired = Vec::new();
        let wild = filter.find(['+', '#']);
        match wild {
            None => {
                if let Some(ByTopic(message)) = self.by_topic.get(filter).filter(|_| after.is_none()) {
                    take(message, now, &mut piece, &mut expired);
                }
            }
            Some(wild) => {
                // `a/#` also matches `a`, which comes before `a/`.
                let prefix = &filter[..wild];
                let base = prefix.strip_suffix('/').unwrap_or(prefix);
                let from = match after {
                    Some(after) => Bound::Excluded(after),
                    None => Bound::Included(base),
                };
                let mut bytes = 0;
                let mut following = self.by_topic.range::<str, _>((from, Bound::Unbounded));
                while let Some(ByTopic(message)) = following.next() {
                    let topic = message.topic();
                    if !topic.starts_with(base) {
                        break;
                    }
                    *examined += 1;
                    if matches(filter, topic) {
                        take(message, now, &mut piece, &mut expired);
                        bytes += message.bytes();
                    } else {
                        match order::behind(filter, topic) {
                            Next::Following => {}
                            Next::From(name) => {
                                let from = Bound::Included(name.as_str());
                                following = self.by_topic.range::<str, _>((from, Bound::Unbounded));
                            }
                            Next::Nowhere => break,
                        }
                    }
                    if piece.messages.len() >= messages_max || bytes >= bytes_max || *examined >= EXAMINED_MAX
                    {
                        piece.rest = Rest::Behind(topic.into());
                        break;
                    }
                }
            }
        }
        expired.iter().for_each(|message| self.remove(message.topic()));
        piece
    }
}

fn take(
    message: &Arc<StoredMessage>,
    now: Instant,
    piece: &mut Piece,
    expired: &mut Vec<Arc<StoredMessage>>,
) {
    if message.publication().is_expired(now) {
        expired.push(Arc::clone(message));
    } else {
        piece.messages.push(Arc::clone(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionKey;
    use crate::message::Payload;
    use mqtt_codec::QoS;

    fn message(topic: &str, payload: &str, stamp: u64) -> Arc<StoredMessage> {
        Arc::new(StoredMessage::new(&Publication {
            topic,
            properties: &[],
            payload: Payload::Short(payload.as_bytes()),
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at: None,
            publisher: Some(SessionKey { index: 1, generation: 1, worker: 0 }),
            publisher_hash: 1,
            stamp,
        }))
    }

    fn store(topics: &[&str]) -> RetainedStore {
        let amount = Amount { messages: 1000, bytes: 100_000 };
        let mut store = RetainedStore::new(RetainedLimits { node: amount, client: amount });
        for topic in topics {
            assert_eq!(store.keep(message(topic, "x", 1), crate::testing::now()), Ok(()));
        }
        store
    }

    #[track_caller]
    fn check(store: &mut RetainedStore, filter: &str, expected: &[&str]) {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let piece = store.find(filter, after.as_deref(), 2, 1000, &mut 0, crate::testing::now());
            found.extend(piece.messages.iter().map(|message| message.topic().to_owned()));
            match piece.rest {
                Rest::Behind(topic) => after = Some(topic),
                _ => break,
            }
        }
        assert_eq!(found, expected, "{filter}");
    }

    #[test]
    fn finds_what_matches_piece_by_piece() {
        let mut store = store(&["a", "a!", "a/b", "a/b/c", "a/c", "ab", "b", "$SYS/a"]);
        check(&mut store, "a", &["a"]);
        check(&mut store, "a/#", &["a", "a/b", "a/b/c", "a/c"]);
        check(&mut store, "a/+", &["a/b", "a/c"]);
        check(&mut store, "+/b", &["a/b"]);
        check(&mut store, "#", &["a", "a!", "a/b", "a/b/c", "a/c", "ab", "b"]);
        check(&mut store, "$SYS/#", &["$SYS/a"]);
        check(&mut store, "+", &["a", "a!", "ab", "b"]);
        check(&mut store, "x/#", &[]);
    }

    #[test]
    fn an_empty_payload_removes_and_an_older_message_changes_nothing() {
        let mut store = store(&["a"]);
        assert_eq!(store.keep(message("a", "new", 5), crate::testing::now()), Ok(()));
        assert_eq!(store.keep(message("a", "old", 3), crate::testing::now()), Ok(()));
        assert_eq!(
            store.find("a", None, 9, 99, &mut 0, crate::testing::now()).messages[0].publication().stamp,
            5
        );
        assert_eq!(store.keep(message("a", "", 6), crate::testing::now()), Ok(()));
        assert_eq!((store.len(), store.bytes()), (0, 0));
    }
}
