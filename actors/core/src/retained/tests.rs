//! The store of retained messages: its limits, what expires, and what is found, against a naive list.

use mqtt_codec::{QoS, matches};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::store::EXAMINED_MAX;
use super::{Amount, Full, Piece, Rest, RetainedLimits, RetainedMessages, RetainedStore};
use crate::message::{Publication, StoredMessage};
use crate::pressure::Waitlist;
use crate::settings::SessionSettings;
use crate::testing::{key, now, publication};

fn message(topic: &str, payload: &str, stamp: u64, expires_at: Option<Instant>) -> Arc<StoredMessage> {
    message_of(1, topic, payload, stamp, expires_at)
}

/// Of the client with this hash.
fn message_of(
    publisher_hash: u64,
    topic: &str,
    payload: &str,
    stamp: u64,
    expires_at: Option<Instant>,
) -> Arc<StoredMessage> {
    let message = publication(topic, payload, QoS::AtLeastOnce);
    let publisher = Some(key(1));
    Arc::new(StoredMessage::new(&Publication {
        retain: true,
        stamp,
        expires_at,
        publisher,
        publisher_hash,
        ..message
    }))
}

fn amount(messages: usize, bytes: usize) -> Amount {
    Amount { messages, bytes }
}

/// Empty, with limits for all clients together.
fn store(messages: usize, bytes: usize) -> RetainedStore {
    RetainedStore::new(RetainedLimits {
        node: amount(messages, bytes),
        client: amount(usize::MAX, usize::MAX),
    })
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

/// Just the limits are kept. A message in place of another needs only the difference, and one that is refused changes
/// nothing.
#[test]
fn limits() {
    let now = now();
    let mut store = store(2, 20);
    assert!(store.is_empty());
    for (topic, payload, kept, len, bytes) in [
        ("a", "123456789", Ok(()), 1, 10),
        ("b", "123456789", Ok(()), 2, 20),
        ("c", "1", Err(Full::Node), 2, 20),
        ("a", "12345678", Ok(()), 2, 19),
        ("b", "1234567890", Ok(()), 2, 20),
        ("b", "12345678901", Err(Full::Node), 2, 20),
        ("never kept", "", Ok(()), 2, 20),
        ("b", "123456789012", Err(Full::Node), 2, 20),
        ("a", "", Ok(()), 1, 11),
        ("b", "123456789012", Ok(()), 1, 13),
    ] {
        assert_eq!(store.keep(message(topic, payload, 1, None), now), kept, "{topic} {payload}");
        assert_eq!((store.len(), store.bytes()), (len, bytes), "{topic} {payload}");
        store.check().unwrap();
    }
    assert!(!store.is_empty());
}

/// A client has its own limits: who sets a topic name is charged for it, in place of who set it before, until it is
/// replaced, removed, or expired.
#[test]
fn limits_of_a_client() {
    let now = now();
    let soon = Some(now + Duration::from_secs(1));
    let limits = RetainedLimits { node: amount(9, 999), client: amount(2, 10) };
    let mut store = RetainedStore::new(limits);
    for (client, topic, payload, expires_at, seconds, kept, first, second) in [
        (1, "a", "1", None, 0, Ok(()), (1, 2), (0, 0)),
        (1, "b", "1", None, 0, Ok(()), (2, 4), (0, 0)),
        (1, "c", "1", None, 0, Err(Full::Client), (2, 4), (0, 0)),
        (2, "c", "1", None, 0, Ok(()), (2, 4), (1, 2)),
        // In place of its own, up to its bytes.
        (1, "a", "1234567", None, 0, Ok(()), (2, 10), (1, 2)),
        (1, "a", "12345678", None, 0, Err(Full::Client), (2, 10), (1, 2)),
        // In place of another's: that is charged to it, if it finds room.
        (1, "c", "2", None, 0, Err(Full::Client), (2, 10), (1, 2)),
        (2, "a", "2", soon, 0, Ok(()), (1, 2), (2, 4)),
        (1, "c", "2", None, 0, Ok(()), (2, 4), (1, 2)),
        (2, "d", "2", soon, 0, Ok(()), (2, 4), (2, 4)),
        (2, "e", "2", None, 0, Err(Full::Client), (2, 4), (2, 4)),
        // Both of its own have expired; the first makes room.
        (2, "e", "2", None, 1, Ok(()), (2, 4), (2, 4)),
        // Whoever removes it.
        (1, "e", "", None, 1, Ok(()), (2, 4), (1, 2)),
    ] {
        let message = message_of(client, topic, payload, 1, expires_at);
        assert_eq!(store.keep(message, now + Duration::from_secs(seconds)), kept, "{client} {topic}");
        let charged = [1, 2].map(|client| store.of_client(client));
        assert_eq!(charged, [first, second].map(|(messages, bytes)| amount(messages, bytes)), "{topic}");
        store.check().unwrap();
    }
}

/// What the node publishes itself finds room whatever clients have, and takes nothing of theirs.
#[test]
fn the_nodes_own_are_counted_apart() {
    let now = now();
    let mut store = store(1, 9);
    let own = |topic: &str| {
        let message = publication(topic, "own", QoS::AtLeastOnce);
        let message = Publication { retain: true, stamp: 1, publisher: None, ..message };
        Arc::new(StoredMessage::new(&message))
    };
    for topic in ["$SYS/a", "$SYS/b", "$SYS/c"] {
        assert_eq!(store.keep(own(topic), now), Ok(()));
    }
    assert_eq!(store.keep(message("a", "1", 1, None), now), Ok(()));
    assert_eq!(store.keep(message("b", "1", 1, None), now), Err(Full::Node));
    // In place of what a client had.
    assert_eq!(store.keep(own("a"), now), Ok(()));
    assert_eq!(store.keep(message("b", "1", 1, None), now), Ok(()));
    assert_eq!(store.keep(message("a", "1", 1, None), now), Err(Full::Node));
    assert_eq!(store.len(), 5);
    store.check().unwrap();
}

/// Publishers on many threads never get more places than there are, and none is left free.
#[test]
fn the_last_places_are_given_once() {
    const THREADS: usize = 4;
    const EACH: usize = 500;
    let settings =
        SessionSettings { retained_messages_max: THREADS * EACH / 2, ..SessionSettings::default() };
    let kept = RetainedMessages::new(&settings, Arc::<Waitlist>::default());
    let now = now();
    let kept_by = |thread: usize| {
        let keeps = |number: &usize| {
            let topic = format!("{thread}/{number}");
            let message = publication(&topic, "x", QoS::AtLeastOnce);
            let (publisher, publisher_hash) = (Some(key(1)), thread as u64);
            let message = Publication { retain: true, publisher, publisher_hash, ..message };
            let admitted = kept.admit(&message, now).is_ok();
            if admitted {
                kept.keep(vec![Arc::new(StoredMessage::new(&message))]);
            }
            admitted
        };
        (0..EACH).filter(keeps).count()
    };
    let all: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || kept_by(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((all, kept.len()), (1000, 1000));
    kept.with_store(|store| store.check()).unwrap();
}

/// What is admitted has its place at once, and is found when it is kept: of several for one topic name one place, as large
/// as the last of them, and in the end that of the one that is kept.
#[test]
fn admitted_and_kept_later() {
    let now = now();
    let mut store = store(2, 20);
    let admit = |store: &mut RetainedStore, topic: &str, payload: &str| {
        store.admit(&message(topic, payload, 1, None).publication(), now)
    };
    for payload in ["1", "1234567", "12", ""] {
        assert_eq!(admit(&mut store, "a", payload), Ok(()));
    }
    assert_eq!((store.len(), store.of_client(1)), (0, amount(0, 0)));
    assert_eq!(admit(&mut store, "a", "123456789"), Ok(()));
    assert_eq!(admit(&mut store, "b", "1234567890"), Err(Full::Node));
    assert_eq!(admit(&mut store, "b", "123456789"), Ok(()));
    assert_eq!(admit(&mut store, "c", "1"), Err(Full::Node));
    assert_eq!(store.of_client(1), amount(2, 20));
    for (topic, payload, len, bytes) in
        [("a", "1", 1, 20), ("a", "1234567", 1, 20), ("a", "12", 1, 20), ("a", "", 0, 20)]
    {
        store.keep_admitted(message(topic, payload, 1, None));
        assert_eq!((store.len(), store.of_client(1)), (len, amount(2, bytes)), "{payload}");
    }
    store.keep_admitted(message("b", "123456789", 1, None));
    store.keep_admitted(message("a", "123456789", 1, None));
    assert_eq!((store.len(), store.bytes()), (2, 20));
    store.check().unwrap();
    // Lost before it was kept.
    assert_eq!(admit(&mut store, "a", ""), Ok(()));
    assert_eq!(admit(&mut store, "c", "1"), Ok(()));
    store.forget_admitted("a");
    store.forget_admitted("c");
    store.check().unwrap();
    assert_eq!(store.of_client(1), amount(2, 20));
}

/// In another order than they were admitted in: the limits may be exceeded by one, and nothing that was admitted is lost.
#[test]
fn kept_in_another_order_than_admitted() {
    let now = now();
    let mut store = store(1, 99);
    for (topic, payload) in [("a", "1"), ("a", ""), ("b", "1")] {
        assert_eq!(store.admit(&message(topic, payload, 1, None).publication(), now), Ok(()));
    }
    for (topic, payload, stamp) in [("a", "", 1), ("b", "1", 2), ("a", "1", 3)] {
        store.keep_admitted(message(topic, payload, stamp, None));
    }
    store.check().unwrap();
    assert_eq!((store.len(), store.of_client(1)), (2, amount(2, 4)));
    assert_eq!(store.keep(message("c", "1", 4, None), now), Err(Full::Node));
}

/// Room that is made is told, and only that.
#[test]
fn who_waits_is_called_when_room_is_made() {
    let room = Arc::<Waitlist>::default();
    let settings = SessionSettings { retained_messages_max: 2, ..SessionSettings::default() };
    let (kept, now) = (RetainedMessages::new(&settings, Arc::clone(&room)), now());
    let keep = |topic: &str, payload: &str| {
        kept.with_store(|store| store.keep(message(topic, payload, 1, None), now))
    };
    keep("a", "1").unwrap();
    let place = room.wait(std::task::Waker::noop());
    keep("b", "1").unwrap();
    assert_eq!(keep("c", "1"), Err(Full::Node));
    assert!(!place.was_called());
    keep("a", "").unwrap();
    assert!(place.was_called());
}

/// Of two for one topic name the later stamp wins; with the same stamp the last.
#[test]
fn stamps() {
    let now = now();
    let mut store = store(9, 99);
    for (payload, stamp, kept) in [("a", 5, "a"), ("b", 4, "a"), ("c", 5, "c"), ("", 4, "c"), ("d", 6, "d")] {
        store.keep(message("t", payload, stamp, None), now).unwrap();
        let found = store.find("t", None, 9, 99, &mut 0, now);
        assert_eq!(found.messages[0].publication().payload.as_slice(), kept.as_bytes());
    }
    store.keep(message("t", "", 6, None), now).unwrap();
    store.keep(message("never kept", "", 1, None), now).unwrap();
    assert_eq!((store.len(), store.bytes()), (0, 0));
}

/// [MQTT-3.3.2-5] What has expired is not found, and is gone with the first look at it.
#[test]
fn expired_messages_are_not_found() {
    let now = now();
    let after = |seconds| now + Duration::from_secs(seconds);
    let mut store = store(99, 999);
    for (topic, seconds) in [("a", 1), ("b", 2), ("c/d", 1), ("c/e", 3)] {
        store.keep(message(topic, "x", 1, Some(after(seconds))), now).unwrap();
    }
    assert_eq!(topics(&store.find("a", None, 9, 999, &mut 0, now)), ["a"]);
    assert!(topics(&store.find("a", None, 9, 999, &mut 0, after(1))).is_empty());
    assert_eq!((store.len(), store.bytes()), (3, 10));
    assert_eq!(all(&mut store, "#", 9, 999, after(2)).0, ["c/e"]);
    assert_eq!((store.len(), store.bytes()), (1, 4));
}

/// What has expired makes room as it is needed.
#[test]
fn expired_messages_make_room() {
    let now = now();
    let after = |milliseconds| now + Duration::from_millis(milliseconds);
    for (messages_max, bytes_max) in [(2, 99), (99, 4)] {
        let mut store = store(messages_max, bytes_max);
        for (topic, milliseconds) in [("b", 1500), ("a", 500)] {
            store.keep(message(topic, "x", 1, Some(after(milliseconds))), now).unwrap();
        }
        assert_eq!(store.keep(message("c", "x", 2, None), after(499)), Err(Full::Node));
        assert_eq!(store.keep(message("c", "x", 2, None), after(500)), Ok(()));
        assert_eq!(store.keep(message("d", "x", 3, None), after(501)), Err(Full::Node));
        assert_eq!((store.len(), store.bytes()), (2, 4));
        assert_eq!(all(&mut store, "+", 9, 99, after(1499)).0, ["b", "c"]);
        store.check().unwrap();
        assert!(!store.remove_expired(after(1500)));
        assert_eq!((store.len(), store.bytes()), (1, 2));
        store.check().unwrap();
    }
}

/// A message that takes its own place, with the same expiry or another, expires once, when the latest does.
#[test]
fn a_replaced_message_does_not_expire() {
    let now = now();
    let after = |seconds| now + Duration::from_secs(seconds);
    for (first, second, gone_at) in [(1, 1, 1), (1, 2, 2), (2, 1, 1)] {
        let mut store = store(9, 99);
        store.keep(message("t", "first", 1, Some(after(first))), now).unwrap();
        store.keep(message("t", "second", 2, Some(after(second))), now).unwrap();
        store.check().unwrap();
        store.remove_expired(after(gone_at - 1));
        assert_eq!(store.len(), 1);
        store.remove_expired(after(gone_at));
        assert_eq!(store.len(), 0);
        store.check().unwrap();
    }
}

/// A piece ends at just as many messages, or bytes, as asked for; the last may be longer.
#[test]
fn pieces() {
    let now = now();
    let mut store = store(99, 999);
    for topic in ["a", "b", "c", "d", "e"] {
        store.keep(message(topic, "x", 1, None), now).unwrap();
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
    let now = now();
    let mut store = store(99_999, 9_999_999);
    for number in 0..EXAMINED_MAX + 10 {
        store.keep(message(&format!("t/{number:05}"), "x", 1, None), now).unwrap();
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

/// What cannot match is leapt over: of each stretch of such names one is looked at.
#[test]
fn topic_names_that_cannot_match_are_not_walked() {
    let now = now();
    let mut store = store(99_999, 9_999_999);
    for topic in ["dev", "dev/a", "dev/a/b/c", "dev/b", "x", "x/y"] {
        store.keep(message(topic, "x", 1, None), now).unwrap();
    }
    for number in 0..1000 {
        for before_or_behind in ["dev!", "dev-a/", "dev0", "device/", "dev/a/", "$SYS/"] {
            store.keep(message(&format!("{before_or_behind}{number}"), "x", 1, None), now).unwrap();
        }
    }
    for (filter, found, examined_max) in [
        ("dev/#", 1004, 1006),
        ("dev/+", 2, 6),
        ("dev/a/b/#", 1, 3),
        ("dev/+/b/c", 1, 7),
        ("dev/+/none", 0, 6),
        ("+/y", 1, 5000),
        ("+", 2002, 2012),
        ("$SYS/#", 1000, 1000),
        ("device/+/#", 1000, 1000),
    ] {
        let mut examined = 0;
        let mut piece = store.find(filter, None, 9999, 999_999, &mut examined, now);
        let mut messages = piece.messages.len();
        while let Rest::Behind(topic) = piece.rest {
            let mut more = 0;
            piece = store.find(filter, Some(&topic), 9999, 999_999, &mut more, now);
            messages += piece.messages.len();
            examined += more;
        }
        assert_eq!(messages, found, "{filter}");
        assert!(examined <= examined_max, "{filter}: {examined} topic names");
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_list(
        kept in proptest::collection::vec(("[ab!0$](/[ab!0$]{0,2}){0,3}|(/[ab!0]{0,2}){1,3}", 0..3usize), 0..60),
        filters in proptest::collection::vec("(\\+|[ab!$]?)(/(\\+|[ab!0]?)){0,3}(/#)?|#", 10),
        (messages_max, bytes_max) in (1..4usize, 1..30usize),
    ) {
        let now = now();
        let mut store = store(999, 9999);
        let mut model: BTreeMap<String, usize> = BTreeMap::new();
        for (stamp, (topic, payload)) in kept.into_iter().enumerate() {
            store.keep(message(&topic, &"x".repeat(payload), stamp as u64, None), now).unwrap();
            if payload == 0 {
                model.remove(&topic);
            } else {
                model.insert(topic, payload);
            }
            prop_assert_eq!(store.check(), Ok(()));
            prop_assert_eq!(store.len(), model.len());
            prop_assert_eq!(store.bytes(), model.iter().map(|(topic, payload)| topic.len() + payload).sum::<usize>());
        }
        for filter in filters {
            let expected: Vec<String> = model.keys().filter(|topic| matches(&filter, topic)).cloned().collect();
            prop_assert_eq!(all(&mut store, &filter, messages_max, bytes_max, now).0, expected, "{}", filter);
        }
    }
}
