//! Sessions are there again behind every end of the process, and behind any length of its life.

mod messages;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use micro_mq_core::kept_shard::KeptSession;
use micro_mq_core::records::{Connected, Of, Position, Record, Subscribed};
use micro_mq_store::SegmentFile;
use mqtt_codec::{ProtocolVersion, QoS};
use tokio::sync::oneshot;

use super::*;

/// A folder of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("micro-mq-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    /// The same, there.
    fn folder(&self) -> &Path {
        std::fs::create_dir_all(&self.0).unwrap();
        &self.0
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

type Answered = oneshot::Receiver<Result<(), StoreError>>;

fn append(backend: &mut DiskBackend, entry: Entry) -> Answered {
    let (answer, answered) = Answer::new();
    backend.append(Arc::new(entry), answer);
    answered
}

fn keep(backend: &mut DiskBackend, entry: Entry) {
    append(backend, entry).blocking_recv().unwrap().unwrap();
}

fn connected(client: &str, expiry_interval: u32) -> Record<'_> {
    let (user_name, version, will) = (None, ProtocolVersion::V5, None);
    Record::Connected(Connected { client, user_name, version, expiry_interval, begins: true, will })
}

fn subscribed<'a>(of: Of<'a>, filters: &[(&'a str, u32)]) -> Record<'a> {
    let one = |(filter, identifier): &(&'a str, u32)| {
        let (options, identifier) = (QoS::AtLeastOnce.into(), *identifier);
        Subscribed { filter, options, identifier, replays: false }
    };
    Record::Subscribed(of, filters.iter().map(one).collect())
}

/// Sessions that begin, and what they subscribe to.
fn begin(
    entry: &mut Entry,
    homes: &Homes,
    client: &str,
    expiry_interval: u32,
    filters: &[(&str, u32)],
) -> u32 {
    let epoch = entry.push(&connected(client, expiry_interval), homes).epoch();
    if !filters.is_empty() {
        entry.push(&subscribed(Of { client, epoch }, filters), homes);
    }
    epoch
}

/// What each of so many workers loads, with the number of pieces and the highest position.
fn load(backend: &mut DiskBackend, workers: u16) -> (Vec<(Arc<str>, KeptSession)>, usize, Position) {
    let (mut all, mut pieces, mut highest) = (Vec::new(), 0, Position::default());
    for worker in 0..workers {
        let home = Home { worker, homes: Homes::new(&backend.hash_key(), workers.into()) };
        let mut after: Option<Cursor> = None;
        loop {
            let piece = backend.load(&home, after.as_ref()).unwrap();
            assert!(piece.kept.sessions.iter().all(|(client, _)| home.homes.of_client(client) == worker));
            pieces += usize::from(!piece.kept.sessions.is_empty());
            all.extend(piece.kept.sessions);
            highest = highest.max(piece.highest);
            after = piece.rest;
            if after.is_none() {
                break;
            }
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    (all, pieces, highest)
}

/// Client identifier, session expiry interval, and topic filters with their subscription identifiers.
type Seen<'a> = (&'a str, u32, Vec<(&'a str, u32)>);

fn seen(sessions: &[(Arc<str>, KeptSession)]) -> Vec<Seen<'_>> {
    sessions
        .iter()
        .map(|(client, session)| {
            let filters = session.subscriptions.iter().map(|(filter, it)| (&**filter, it.identifier));
            (&**client, session.expiry_interval, filters.collect())
        })
        .collect()
}

/// With a checkpoint, with a log alone, and with both.
#[test]
fn sessions_are_there_again() {
    let place = Place::new("again");
    let mut backend = place.open();
    let key = backend.hash_key();
    let homes = Homes::new(&key, 1);
    let mut entry = Entry::at(Position(1));
    let epoch = begin(&mut entry, &homes, "a", 60, &[("t/1", 7), ("t/2", 0)]);
    begin(&mut entry, &homes, "ab", 5, &[]);
    begin(&mut entry, &homes, "b", 9, &[("t/1", 1)]);
    let mut next = Entry::at(entry.next_position());
    keep(&mut backend, entry);
    let of = Of { client: "a", epoch };
    next.push(&Record::Unsubscribed(of, vec!["t/1"]), &homes);
    next.push(&Record::Ended("b"), &homes);
    next.push(&subscribed(of, &[("t/2", 8)]), &homes);
    let last = next.next_position();
    keep(&mut backend, next);
    let expected = [("a", 60, vec![("t/2", 8)]), ("ab", 5, vec![])];
    drop(backend);
    for workers in [1, 3] {
        let mut backend = place.open();
        let (sessions, _, highest) = load(&mut backend, workers);
        assert_eq!(seen(&sessions), expected);
        assert_eq!((backend.hash_key(), highest.next()), (key, last));
    }
    let mut entry = Entry::at(last);
    entry.push(&Record::Ended("a"), &homes);
    entry.push(&Record::Ended("ab"), &homes);
    let last = entry.next_position();
    keep(&mut place.open(), entry);
    let (sessions, _, highest) = load(&mut place.open(), 1);
    assert!(sessions.is_empty());
    assert_eq!(highest.next(), last, "positions go on though nothing is left");
}

/// As a kill leaves it: nothing of what was answered is in a checkpoint.
#[test]
fn a_log_without_its_checkpoint_is_enough() {
    let (place, copy) = (Place::new("kill"), Place::new("kill-copy"));
    let mut backend = place.open();
    let homes = Homes::new(&backend.hash_key(), 1);
    let mut at = Position(1);
    for number in 0..50 {
        let mut entry = Entry::at(at);
        begin(&mut entry, &homes, &format!("client-{number}"), 60, &[("t", number)]);
        at = entry.next_position();
        keep(&mut backend, entry);
    }
    std::fs::create_dir_all(&copy.0).unwrap();
    for file in std::fs::read_dir(&place.0).unwrap() {
        let file = file.unwrap();
        if file.file_name() != CHECKPOINT {
            std::fs::copy(file.path(), copy.0.join(file.file_name())).unwrap();
        }
    }
    let (found, ..) = load(&mut copy.open(), 2);
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|(_, session)| session.subscriptions.len() == 1));
}

/// Many sessions come in pieces, and one with very many subscriptions whole; it is changed as any other.
#[test]
fn sessions_come_in_pieces() {
    let place = Place::new("pieces");
    let mut backend = place.open();
    let homes = Homes::new(&backend.hash_key(), 1);
    let filters: Vec<String> = (0..10_000).map(|number| format!("some/long/filter/of/it/{number}")).collect();
    let all: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
    let mut entry = Entry::at(Position(1));
    let epoch = begin(&mut entry, &homes, "large", 1, &all);
    for number in 0..3_000 {
        begin(&mut entry, &homes, &format!("client-{number}"), 60, &[]);
    }
    let mut next = Entry::at(entry.next_position());
    keep(&mut backend, entry);
    drop(backend);
    let (found, pieces, _) = load(&mut place.open(), 3);
    assert_eq!(found.len(), 3_001);
    assert!(pieces > 256 / 2, "{pieces}");
    let large = |found: &[(Arc<str>, KeptSession)]| {
        let (_, large) = found.iter().find(|(client, _)| &**client == "large").unwrap();
        large.subscriptions.len()
    };
    assert_eq!(large(&found), filters.len());
    next.push(&Record::Unsubscribed(Of { client: "large", epoch }, vec![filters[9_999].as_str()]), &homes);
    keep(&mut place.open(), next);
    let (found, ..) = load(&mut place.open(), 1);
    assert_eq!((found.len(), large(&found)), (3_001, filters.len() - 1));
}

/// Each entry that is answered is answered behind all before it.
#[test]
fn entries_are_answered_in_their_order() {
    let place = Place::new("order");
    let mut backend = place.open();
    let homes = Homes::new(&backend.hash_key(), 1);
    let connect = |number: u32| {
        let mut entry = Entry::at(Position(u64::from(number) + 1));
        entry.push(&connected("a", number), &homes);
        entry
    };
    let mut answers: Vec<_> = (0..200).map(|number| append(&mut backend, connect(number))).collect();
    answers.pop().unwrap().blocking_recv().unwrap().unwrap();
    for mut answer in answers {
        assert!(matches!(answer.try_recv(), Ok(Ok(()))), "one before it");
    }
    drop(backend);
    assert_eq!(load(&mut place.open(), 1).0[0].1.expiry_interval, 199);
}

/// Files of a disk that is full as long as a test says so.
#[derive(Debug)]
struct FullDisk {
    files: Files,
    is_full: Arc<AtomicBool>,
}

impl Storage for FullDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn SegmentFile>> {
        if self.is_full.load(SeqCst) {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            self.files.create(name, size)
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        self.files.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn describe(&self, name: &str) -> String {
        self.files.describe(name)
    }
}

/// What finds no room waits, and nobody behind it: sessions are loaded meanwhile. When there is room all goes on, in order.
#[test]
fn a_full_disk_holds_up_no_load() {
    let place = Place::new("full");
    let homes = Homes::new(&place.open().hash_key(), 1);
    let is_full = Arc::new(AtomicBool::new(true));
    let storage = {
        let is_full = Arc::clone(&is_full);
        move |folder: &Path| -> Arc<dyn Storage> { Arc::new(FullDisk { files: Files::new(folder), is_full }) }
    };
    let fatal = |fatal| panic!("{fatal}");
    let mut backend = DiskBackend::open_on(&place.0, Durability::Fsync, storage, fatal).unwrap();
    let mut at = Position(1);
    let mut connect = |backend: &mut DiskBackend| {
        let mut entry = Entry::at(at);
        let name = format!("{at:?}");
        begin(&mut entry, &homes, &name, 60, &[(&"x".repeat(60_000), 0)]);
        at = entry.next_position();
        append(backend, entry)
    };
    let mut answers = Vec::new();
    // The next file was there before.
    for _ in 0..1_000 {
        answers.push(connect(&mut backend));
    }
    let deadline = crate::clock::now() + std::time::Duration::from_secs(60);
    while !backend.intake.is_held_up() {
        assert!(crate::clock::now() < deadline);
        std::thread::yield_now();
    }
    load(&mut backend, 1);
    is_full.store(false, SeqCst);
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    drop(backend);
    assert_eq!(load(&mut place.open(), 1).0.len(), 1_000);
}

/// What the log has beyond the checkpoint is taken in by many commits, and the last one has all.
#[test]
fn a_long_log_is_taken_in_by_pieces() {
    let place = Place::new("pieces-of-a-log");
    let mut checkpoints = Checkpoints::open(&place.folder().join(CHECKPOINT), drawn_key).unwrap();
    let homes = Homes::new(checkpoints.hash_key(), 1);
    let (mut entries, mut at) = (Vec::new(), Position(1));
    for number in 0..700_u64 {
        let mut entry = Entry::at(at);
        begin(&mut entry, &homes, &format!("client-{}", number % 500), 60, &[(&"x".repeat(60_000), 0)]);
        at = entry.next_position();
        entries.push((number + 1, entry.bytes().to_vec()));
    }
    assert!(entries.iter().map(|(_, entry)| entry.len()).sum::<usize>() > 2 * COMMIT_BYTES);
    take_in_pieces(&mut checkpoints, &homes, 700, &entries).unwrap();
    assert_eq!(checkpoints.applied(), 700);
    let loaded = (0..SHARDS).map(|shard| {
        let blobs = checkpoints.load(shard, None, usize::MAX).unwrap().blobs;
        let parts = blobs.iter().map(|(key, part)| (key.as_slice(), part.as_slice()));
        KeptParts::read(parts).unwrap().sessions.len()
    });
    assert_eq!(loaded.sum::<usize>(), 500);
}
