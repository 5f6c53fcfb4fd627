//! Sessions are there again behind every end of the process, and behind any length of its life.

use std::path::PathBuf;

use micro_mq_core::changes::Change;
use micro_mq_core::subscriptions::Subscription;
use mqtt_codec::SubscriptionOptions;
use tokio::sync::oneshot;

use super::super::backend::StoredSession;
use super::*;

/// A folder of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("micro-mq-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn open(&self) -> DiskBackend {
        DiskBackend::open(&self.0, Durability::Fsync, |fatal| panic!("{fatal}")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Answered = oneshot::Receiver<Result<Position, StoreError>>;

fn append(backend: &mut DiskBackend, changes: &[(&str, Change)]) -> Answered {
    let changes = changes.iter().map(|(client, change)| SessionChange {
        client_identifier: (*client).into(),
        change: change.clone(),
    });
    let (answer, answered) = Answer::new();
    backend.append(changes.collect(), answer);
    answered
}

fn keep(backend: &mut DiskBackend, changes: &[(&str, Change)]) -> Position {
    append(backend, changes).blocking_recv().unwrap().unwrap()
}

fn subscribed(filter: &str, identifier: u32) -> Change {
    Change::Subscribed(filter.into(), subscription(identifier))
}

fn subscription(identifier: u32) -> Subscription {
    Subscription { options: SubscriptionOptions::from_bits(1).unwrap(), identifier }
}

/// What each of so many workers loads, with the number of pieces.
fn load(backend: &mut DiskBackend, workers: u16) -> (Vec<(Arc<str>, StoredSession)>, usize) {
    let (mut all, mut pieces) = (Vec::new(), 0);
    for worker in 0..workers {
        let mut after: Option<Arc<str>> = None;
        loop {
            let home = Home { worker, homes: Homes::new(&backend.hash_key(), workers.into()) };
            let piece = backend.load(home.clone(), after.as_deref()).unwrap();
            assert!(piece.sessions.iter().all(|(client_identifier, _)| home.is_of(client_identifier)));
            pieces += usize::from(!piece.sessions.is_empty());
            all.extend(piece.sessions);
            after = piece.rest;
            if after.is_none() {
                break;
            }
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    (all, pieces)
}

/// With a checkpoint, with a log alone, and with both.
#[test]
fn sessions_are_there_again() {
    let place = Place::new("again");
    let mut backend = place.open();
    let key = backend.hash_key();
    let first = keep(
        &mut backend,
        &[
            ("a", Change::Exists { expiry_interval: 60 }),
            ("a", subscribed("t/1", 7)),
            ("a", subscribed("t/2", 0)),
            ("ab", Change::Exists { expiry_interval: 5 }),
            ("b", Change::Exists { expiry_interval: 9 }),
            ("b", subscribed("t/1", 1)),
        ],
    );
    let second = keep(
        &mut backend,
        &[("a", Change::Unsubscribed("t/1".into())), ("b", Change::Ended), ("a", subscribed("t/2", 8))],
    );
    assert!(first < second);
    let expected = [
        (
            "a".into(),
            StoredSession { expiry_interval: 60, subscriptions: [("t/2".into(), subscription(8))].into() },
        ),
        ("ab".into(), StoredSession { expiry_interval: 5, subscriptions: [].into() }),
    ];
    drop(backend);
    for workers in [1, 3] {
        let mut backend = place.open();
        assert_eq!(load(&mut backend, workers).0, expected);
        assert_eq!(backend.hash_key(), key);
    }
    // Positions go on.
    let third = keep(&mut place.open(), &[("a", Change::Ended), ("ab", Change::Ended)]);
    assert!(third > second);
    assert!(load(&mut place.open(), 1).0.is_empty());
}

/// As a kill leaves it: nothing of what was answered is in a checkpoint.
#[test]
fn a_log_without_its_checkpoint_is_enough() {
    let (place, copy) = (Place::new("kill"), Place::new("kill-copy"));
    let mut backend = place.open();
    for number in 0..50 {
        let client = format!("client-{number}");
        keep(
            &mut backend,
            &[(&client, Change::Exists { expiry_interval: 60 }), (&client, subscribed("t", number))],
        );
    }
    std::fs::create_dir_all(&copy.0).unwrap();
    for file in std::fs::read_dir(&place.0).unwrap() {
        let file = file.unwrap();
        if file.file_name() != CHECKPOINT {
            std::fs::copy(file.path(), copy.0.join(file.file_name())).unwrap();
        }
    }
    let (found, _) = load(&mut copy.open(), 2);
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|(_, session)| session.subscriptions.len() == 1));
}

/// Many sessions come in pieces, and one with very many subscriptions whole.
#[test]
fn sessions_come_in_pieces() {
    let place = Place::new("pieces");
    let mut backend = place.open();
    let filters: Vec<String> = (0..10_000).map(|number| format!("some/long/filter/of/it/{number}")).collect();
    let mut changes = vec![("large", Change::Exists { expiry_interval: 1 })];
    changes.extend(filters.iter().map(|filter| ("large", subscribed(filter, 0))));
    let clients: Vec<String> = (0..3_000).map(|number| format!("client-{number}")).collect();
    changes.extend(clients.iter().map(|client| (&**client, Change::Exists { expiry_interval: 60 })));
    keep(&mut backend, &changes);
    drop(backend);
    let (found, pieces) = load(&mut place.open(), 3);
    assert_eq!(found.len(), 3_001);
    assert!(pieces > 256 / 2, "{pieces}");
    let large = found.iter().find(|(client_identifier, _)| &**client_identifier == "large").unwrap();
    assert_eq!(large.1.subscriptions.len(), filters.len());
}

/// Each batch that is answered is answered for all before it.
#[test]
fn batches_are_answered_in_their_order() {
    let place = Place::new("order");
    let mut backend = place.open();
    let exists = |expiry_interval| [("a", Change::Exists { expiry_interval })];
    let answers: Vec<_> = (0..200).map(|number| append(&mut backend, &exists(number))).collect();
    let mut last = Position::default();
    for answer in answers {
        let position = answer.blocking_recv().unwrap().unwrap();
        assert!(position >= last);
        last = position;
    }
    drop(backend);
    assert_eq!(load(&mut place.open(), 1).0[0].1.expiry_interval, 199);
}

#[test]
fn entries_are_read_as_they_were_written_or_refused() {
    let change = |change| SessionChange { client_identifier: "client".into(), change };
    let changes = [
        change(Change::Exists { expiry_interval: u32::MAX }),
        change(subscribed("a/+/#", 268_435_455)),
        change(Change::Unsubscribed("ä".into())),
        change(Change::Ended),
    ];
    let entry = encode(&changes);
    assert_eq!(decode(&entry).unwrap(), changes);
    for length in 0..entry.len() {
        // Cut between two changes it is an entry of fewer.
        assert!(decode(&entry[..length]).map_or(true, |fewer| changes.starts_with(&fewer)));
    }
    let newer: Vec<u8> = [9].into_iter().chain(entry[1..].iter().copied()).collect();
    assert_eq!(
        decode(&newer).unwrap_err().to_string(),
        "version 9 of an entry, and this one reads 1 at most"
    );
}
