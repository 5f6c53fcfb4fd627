//! The store of retained messages: its limits, what expires, and what is found, against a naive list.

use mqtt_codec::{QoS, matches};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::store::EXAMINED_MAX;
use super::{Piece, Rest, RetainedStore};
use crate::message::{Publication, StoredMessage};
use crate::testing::{Instant, publication};

fn message(topic: &str, payload: &str, stamp: u64, expires_at: Option<Instant>) -> Arc<StoredMessage> {
    let message =
        Publication { retain: true, stamp, expires_at, ..publication(topic, payload, QoS::AtLeastOnce) };
    Arc::new(StoredMessage::new(&message))
}

fn topics(piece: &Piece) -> Vec<&str> {
    piece.messages.iter().map(|message| message.topic()).collect()
}

/// All that matches, piece by piece, and how many pieces that took.
fn all(
    store: &mut RetainedStore,
    filter: &str,
    messages_max: usize,
    bytes_max: usize,
    now: Instant,
) -> (Vec<String>, usize) {
    let (mut found, mut after, mut pieces): (Vec<String>, Option<Arc<str>>, _) = (Vec::new(), None, 0);
    loop {
        let piece = store.find(filter, after.as_deref(), messages_max, bytes_max, &mut 0, now);
        found.extend(topics(&piece).into_iter().map(str::to_owned));
        pieces += 1;
        match piece.rest {
            Rest::Behind(topic) => after = Some(topic),
            Rest::Nothing => return (found, pieces),
            Rest::All => panic!("the store always begins"),
        }
    }
}

/// Just the limits are kept. A message in place of another needs only the difference.
#[test]
fn limits() {
    let now = Instant::now();
    let mut store = RetainedStore::new(2, 20);
    assert!(store.is_empty());
    store.keep(message("a", "123456789", 1, None), now);
    store.keep(message("b", "123456789", 2, None), now);
    assert_eq!((store.len(), store.bytes(), store.refused()), (2, 20, 0));
    assert!(!store.is_empty());
    store.keep(message("c", "1", 3, None), now);
    assert_eq!((store.len(), store.bytes(), store.refused()), (2, 20, 1));
    store.keep(message("a", "12345678", 4, None), now);
    store.keep(message("b", "1234567890", 5, None), now);
    assert_eq!((store.len(), store.bytes(), store.refused()), (2, 20, 1));
    // A byte too many: what was kept is outdated, and the new one finds no room.
    store.keep(message("b", "12345678901", 6, None), now);
    assert_eq!((store.len(), store.bytes(), store.refused()), (1, 9, 2));
    store.keep(message("b", "1234567890", 7, None), now);
    assert_eq!((store.len(), store.bytes(), store.refused()), (2, 20, 2));
}

/// Of two for one topic name the later stamp wins; with the same stamp the last.
#[test]
fn stamps() {
    let now = Instant::now();
    let mut store = RetainedStore::new(9, 99);
    for (payload, stamp, kept) in [("a", 5, "a"), ("b", 4, "a"), ("c", 5, "c"), ("", 4, "c"), ("d", 6, "d")] {
        store.keep(message("t", payload, stamp, None), now);
        let found = store.find("t", None, 9, 99, &mut 0, now);
        assert_eq!(found.messages[0].publication().payload.as_slice(), kept.as_bytes());
    }
    store.keep(message("t", "", 6, None), now);
    store.keep(message("never kept", "", 1, None), now);
    assert_eq!((store.len(), store.bytes(), store.refused()), (0, 0, 0));
}

/// [MQTT-3.3.2-5] What has expired is not found, and is gone with the first look at it.
#[test]
fn expired_messages_are_not_found() {
    let now = Instant::now();
    let after = |seconds| now + Duration::from_secs(seconds);
    let mut store = RetainedStore::new(99, 999);
    for (topic, seconds) in [("a", 1), ("b", 2), ("c/d", 1), ("c/e", 3)] {
        store.keep(message(topic, "x", 1, Some(after(seconds))), now);
    }
    assert_eq!(topics(&store.find("a", None, 9, 999, &mut 0, now)), ["a"]);
    assert!(topics(&store.find("a", None, 9, 999, &mut 0, after(1))).is_empty());
    assert_eq!((store.len(), store.bytes()), (3, 10));
    assert_eq!(all(&mut store, "#", 9, 999, after(2)).0, ["c/e"]);
    assert_eq!((store.len(), store.bytes()), (1, 4));
}

/// A full store is searched for what has expired, once a second.
#[test]
fn expired_messages_make_room() {
    let now = Instant::now();
    let after = |milliseconds| now + Duration::from_millis(milliseconds);
    for (messages_max, bytes_max) in [(2, 99), (99, 4)] {
        let mut store = RetainedStore::new(messages_max, bytes_max);
        for (topic, milliseconds) in [("a", 500), ("b", 1500)] {
            store.keep(message(topic, "x", 1, Some(after(milliseconds))), now);
        }
        store.keep(message("c", "x", 2, None), after(499));
        assert_eq!((store.len(), store.refused()), (2, 1));
        store.keep(message("c", "x", 3, None), after(1498));
        assert_eq!((store.len(), store.refused()), (2, 2), "it was searched less than a second ago");
        store.keep(message("c", "x", 4, None), after(1499));
        assert_eq!((store.len(), store.refused(), store.bytes()), (2, 2, 4));
        assert_eq!(all(&mut store, "+", 9, 99, after(1499)).0, ["b", "c"]);
    }
}

/// A piece ends at just as many messages, or bytes, as asked for; the last may be longer.
#[test]
fn pieces() {
    let now = Instant::now();
    let mut store = RetainedStore::new(99, 999);
    for topic in ["a", "b", "c", "d", "e"] {
        store.keep(message(topic, "x", 1, None), now);
    }
    let piece = |store: &mut RetainedStore, messages_max, bytes_max| {
        let piece = store.find("+", None, messages_max, bytes_max, &mut 0, now);
        (piece.messages.len(), piece.rest)
    };
    assert_eq!(piece(&mut store, 9, 999), (5, Rest::Nothing));
    assert_eq!(piece(&mut store, 2, 999), (2, Rest::Behind("b".into())));
    assert_eq!(piece(&mut store, 9, 4), (2, Rest::Behind("b".into())));
    assert_eq!(piece(&mut store, 9, 5), (3, Rest::Behind("c".into())));
    assert_eq!(all(&mut store, "+", 2, 999, now).1, 3);
    // Without wildcards there is one or none, whatever came before.
    assert_eq!(topics(&store.find("a", None, 1, 1, &mut 0, now)), ["a"]);
    assert!(store.find("a", Some("a"), 1, 1, &mut 0, now).messages.is_empty());
}

/// A question looks at a bounded number of topic names, found or not, for all its filters together.
#[test]
fn topic_names_examined() {
    let now = Instant::now();
    let mut store = RetainedStore::new(99_999, 9_999_999);
    for number in 0..EXAMINED_MAX + 10 {
        store.keep(message(&format!("t/{number:05}"), "x", 1, None), now);
    }
    let mut examined = 0;
    let piece = store.find("t/+/none", None, 99, 999, &mut examined, now);
    assert_eq!((piece.messages.len(), examined), (0, EXAMINED_MAX));
    let last = format!("t/{:05}", EXAMINED_MAX - 1);
    assert_eq!(piece.rest, Rest::Behind(last.as_str().into()));
    let piece = store.find("t/+/none", Some(&last), 99, 999, &mut 0, now);
    assert_eq!((piece.messages.len(), piece.rest), (0, Rest::Nothing));
    let mut examined = EXAMINED_MAX - 1;
    let piece = store.find("t/+", None, 99, 999, &mut examined, now);
    assert_eq!((piece.messages.len(), piece.rest), (1, Rest::Behind("t/00000".into())));
    // Only what may match is looked at.
    let mut examined = 0;
    store.find("t/00001/#", None, 99, 999, &mut examined, now);
    assert_eq!(examined, 1);
}

proptest! {
    #[test]
    fn agrees_with_a_naive_list(
        kept in proptest::collection::vec(("[ab!$](/[ab!]{0,2}){0,3}", 0..3usize), 0..40),
        filters in proptest::collection::vec("(\\+|[ab$])(/(\\+|[ab])){0,2}(/#)?|#", 10),
        (messages_max, bytes_max) in (1..4usize, 1..30usize),
    ) {
        let now = Instant::now();
        let mut store = RetainedStore::new(999, 9999);
        let mut model: BTreeMap<String, usize> = BTreeMap::new();
        for (stamp, (topic, payload)) in kept.into_iter().enumerate() {
            store.keep(message(&topic, &"x".repeat(payload), stamp as u64, None), now);
            if payload == 0 {
                model.remove(&topic);
            } else {
                model.insert(topic, payload);
            }
            prop_assert_eq!(store.len(), model.len());
            prop_assert_eq!(store.bytes(), model.iter().map(|(topic, payload)| topic.len() + payload).sum::<usize>());
        }
        for filter in filters {
            let expected: Vec<String> = model.keys().filter(|topic| matches(&filter, topic)).cloned().collect();
            prop_assert_eq!(all(&mut store, &filter, messages_max, bytes_max, now).0, expected, "{}", filter);
        }
    }
}
