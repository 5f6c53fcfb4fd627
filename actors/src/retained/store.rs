//! The retained messages in the order of their topic names. Pure.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use mqtt_codec::matches;
use tokio::time::Instant;

use crate::message::StoredMessage;

/// A question examines at most this many topic names, for all of its filters together, before it is answered with what
/// was found.
pub(super) const EXAMINED_MAX: usize = 2000;
/// How often a full store is searched for messages that have expired.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct RetainedStore {
    by_topic: BTreeSet<ByTopic>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    refused: u64,
    swept_at: Option<Instant>,
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

/// A part of what matches a topic filter.
#[derive(Debug, Default)]
pub struct Piece {
    /// In the order of their topic names.
    pub messages: Vec<Arc<StoredMessage>>,
    /// What is left.
    pub rest: Rest,
}

impl Piece {
    /// A topic name behind which one has to go on who sends it, all of it or as much as there is room for.
    pub fn place_behind(&self) -> Option<&str> {
        match &self.rest {
            Rest::Behind(topic) => Some(topic),
            Rest::All => self.messages.last().map(|message| message.topic()),
            Rest::Nothing => self.messages.iter().nth_back(1).map(|message| message.topic()),
        }
    }
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
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { by_topic: BTreeSet::new(), bytes: 0, messages_max, bytes_max, refused: 0, swept_at: None }
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

    /// Messages that were not kept, for one of the limits.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Keeps a message in place of an earlier one, or, if it has no payload, removes that [MQTT-3.3.1-6]. One that is
    /// older than what is kept changes nothing.
    pub fn keep(&mut self, message: Arc<StoredMessage>, now: Instant) {
        if self.by_topic.len() >= self.messages_max || self.bytes + message.bytes() > self.bytes_max {
            self.remove_expired(now);
        }
        let topic = message.topic();
        let earlier = self.by_topic.get(topic).map(|ByTopic(earlier)| earlier);
        if earlier.is_some_and(|earlier| earlier.publication().stamp > message.publication().stamp) {
            return;
        }
        let freed = earlier.map_or(0, |earlier| earlier.bytes());
        let is_new = earlier.is_none();
        if message.publication().payload.is_empty() {
            self.by_topic.remove(topic);
            self.bytes -= freed;
            return;
        }
        let bytes = self.bytes - freed + message.bytes();
        if bytes > self.bytes_max || (is_new && self.by_topic.len() >= self.messages_max) {
            self.refused += 1;
            // What was kept is outdated, and the new one finds no room.
            if self.by_topic.remove(topic) {
                self.bytes -= freed;
            }
            return;
        }
        self.bytes = bytes;
        self.by_topic.replace(ByTopic(message));
    }

    /// All that are kept, in the order of their topic names.
    #[cfg(feature = "simulation")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<StoredMessage>> {
        self.by_topic.iter().map(|ByTopic(message)| message)
    }

    /// Forgets all of them.
    #[cfg(feature = "simulation")]
    pub(crate) fn clear(&mut self) {
        self.by_topic.clear();
        self.bytes = 0;
    }

    /// What has expired makes room.
    fn remove_expired(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_INTERVAL) {
            return;
        }
        self.swept_at = Some(now);
        self.by_topic.retain(|ByTopic(message)| {
            let expired = message.publication().is_expired(now);
            self.bytes -= if expired { message.bytes() } else { 0 };
            !expired
        });
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
                for ByTopic(message) in self.by_topic.range::<str, _>((from, Bound::Unbounded)) {
                    let topic = message.topic();
                    if !topic.starts_with(base) {
                        break;
                    }
                    *examined += 1;
                    if matches(filter, topic) {
                        take(message, now, &mut piece, &mut expired);
                        bytes += message.bytes();
                    }
                    if piece.messages.len() >= messages_max || bytes >= bytes_max || *examined >= EXAMINED_MAX
                    {
                        piece.rest = Rest::Behind(topic.into());
                        break;
                    }
                }
            }
        }
        for message in expired {
            self.bytes -= message.bytes();
            self.by_topic.remove(message.topic());
        }
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
    use crate::message::{Payload, Publication};
    use mqtt_codec::QoS;

    fn message(topic: &str, payload: &str, stamp: u64) -> Arc<StoredMessage> {
        Arc::new(StoredMessage::new(&Publication {
            topic,
            properties: &[],
            payload: Payload::Short(payload.as_bytes()),
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at: None,
            publisher: None,
            publisher_hash: 0,
            stamp,
        }))
    }

    fn store(topics: &[&str]) -> RetainedStore {
        let mut store = RetainedStore::new(1000, 100_000);
        for topic in topics {
            store.keep(message(topic, "x", 1), Instant::now());
        }
        store
    }

    #[track_caller]
    fn check(store: &mut RetainedStore, filter: &str, expected: &[&str]) {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let piece = store.find(filter, after.as_deref(), 2, 1000, &mut 0, Instant::now());
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
        store.keep(message("a", "new", 5), Instant::now());
        store.keep(message("a", "old", 3), Instant::now());
        assert_eq!(store.find("a", None, 9, 99, &mut 0, Instant::now()).messages[0].publication().stamp, 5);
        store.keep(message("a", "", 6), Instant::now());
        assert_eq!((store.len(), store.bytes()), (0, 0));
    }

    #[test]
    fn at_its_limits_a_message_is_not_kept_and_counted() {
        let mut store = RetainedStore::new(2, 100);
        for topic in ["a", "b", "c"] {
            store.keep(message(topic, "x", 1), Instant::now());
        }
        assert_eq!((store.len(), store.refused()), (2, 1));
        store.keep(message("a", &"y".repeat(200), 2), Instant::now());
        assert_eq!((store.len(), store.refused()), (1, 2));
    }
}
