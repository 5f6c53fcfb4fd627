//! The files of the operating system, the folder, and the checkpoint.

use std::path::PathBuf;

use super::*;
use crate::{CheckpointError, Checkpoints, Files, Folder, Write};

/// A folder of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("micro-mq-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_has_one_user_and_says_who() {
    let place = Place::new("lock");
    let taken = Folder::take(&place.0.join("within/data")).unwrap();
    let refused = Folder::take(taken.path()).unwrap_err().to_string();
    assert_eq!(
        refused,
        format!("{} is in use by the process {}", taken.path().display(), std::process::id())
    );
    let path = taken.path().to_owned();
    drop(taken);
    Folder::take(&path).unwrap();
}

/// Segments are given back, and one of them is used again.
#[test]
fn a_log_of_files_is_read_again_and_does_not_grow() {
    let place = Place::new("files");
    let files = Arc::new(Files::new(&place.0));
    let mut applied = 0;
    for life in 0..3 {
        let mut found = 0;
        let mut visit = |_: crate::Entry<'_>| found += 1;
        let opened = Journal::open(files.clone(), options(Durability::Fsync), applied, &mut visit).unwrap();
        assert_eq!(found, if life == 0 { 0 } else { 10 });
        let first = opened.last() + 1;
        let (told, kept) = std::sync::mpsc::channel();
        let listener = Box::new(move |kept| told.send(kept).unwrap());
        let journal = opened.start(vec![listener], |fatal| panic!("{fatal}")).unwrap();
        for position in first..first + 100 {
            let (shards, bytes) = entry(position);
            journal.lane(0).append(&shards, &bytes);
            kept.recv().unwrap();
            journal.release(position.saturating_sub(10));
        }
        applied = first + 99 - 10;
        drop(journal);
        let segments = std::fs::read_dir(&place.0).unwrap().count();
        assert!(segments < 12, "{segments} files");
    }
}

#[test]
fn a_checkpoint_has_what_was_committed() {
    let place = Place::new("checkpoint");
    let file = place.0.join("checkpoint");
    let mut checkpoints = Checkpoints::open(&file, || [7; 16]).unwrap();
    assert_eq!(checkpoints.applied(), 0);
    let keys: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    let puts = keys.iter().map(|key| Write::Put(3, key.as_bytes(), b"value"));
    checkpoints.commit(5, puts).unwrap();
    let writes = [
        Write::Put(u16::MAX, b"last", b"1"),
        Write::Put(4, b"", b"of the next shard"),
        Write::Remove(3, b"key-0"),
        Write::RemoveRange(3, b"key-5", b"key-8"),
        Write::Put(3, b"key-6", b"again"),
    ];
    checkpoints.commit(9, writes).unwrap();
    drop(checkpoints);

    let mut checkpoints = Checkpoints::open(&file, || unreachable!("it has one")).unwrap();
    assert_eq!((checkpoints.applied(), checkpoints.hash_key()), (9, &[7; 16]));
    let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let piece = checkpoints.load(3, after.as_deref(), 20).unwrap();
        assert!(piece.blobs.len() <= 2);
        found.extend(piece.blobs.iter().map(|(key, _)| String::from_utf8(key.clone()).unwrap()));
        after = piece.blobs.last().map(|(key, _)| key.clone());
        if !piece.more {
            break;
        }
    }
    assert_eq!(found, ["key-1", "key-2", "key-3", "key-4", "key-6", "key-8", "key-9"]);
    assert_eq!(checkpoints.load(u16::MAX, None, 100).unwrap().blobs.len(), 1);
    assert!(checkpoints.load(5, None, 100).unwrap().blobs.is_empty());
}

#[test]
fn a_checkpoint_that_is_none_is_refused() {
    let place = Place::new("refused");
    let file = place.0.join("checkpoint");
    std::fs::write(&file, vec![1; 10_000]).unwrap();
    assert!(matches!(Checkpoints::open(&file, || [0; 16]), Err(CheckpointError::Failed(_))));
}
