//! The thread of the log, and those that append.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::Step;
use crate::{Fatal, Kept, Listener};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what another thread does in a moment.
fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never comes");
        thread::park_timeout(Duration::from_millis(1));
    }
}

struct Running {
    journal: Journal,
    kept: mpsc::Receiver<(usize, Kept)>,
    fatal: mpsc::Receiver<Fatal>,
}

fn start(disk: &Disk, durability: Durability, lanes: usize) -> Running {
    let storage = Arc::new(disk.clone());
    let opened = Journal::open(storage, options(durability), 0, &mut |_| {}).unwrap();
    let (told, kept) = mpsc::channel();
    let listener = |lane| -> Listener {
        let (told, disk) = (told.clone(), disk.clone());
        Box::new(move |kept| {
            disk.note(Step::Kept(kept.position));
            let _ = told.send((lane, kept));
        })
    };
    let (ended, fatal) = mpsc::channel();
    let listeners = (0..lanes).map(listener).collect();
    let journal = opened.start(listeners, move |fatal| ended.send(fatal).unwrap()).unwrap();
    Running { journal, kept, fatal }
}

impl Running {
    fn append(&self, lane: usize, position: Position) -> u64 {
        let (shards, bytes) = entry(position);
        self.journal.lane(lane).append(&shards, &bytes)
    }

    fn until_kept(&self, lane: usize, ticket: u64) -> Position {
        loop {
            let (told, kept) = self.kept.recv_timeout(PATIENCE).unwrap();
            if told == lane && kept.ticket >= ticket {
                return kept.position;
            }
        }
    }
}

/// No entry is told to be kept before a sync that came behind its write.
#[test]
fn nothing_is_kept_that_was_not_synced() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 1);
    disk.steps();
    for position in 1..=50 {
        running.append(0, position);
        running.until_kept(0, position);
        assert!(running.journal.synced() >= position);
    }
    let Running { journal, .. } = running;
    drop(journal);
    let mut unsynced = 0;
    let mut told = 0;
    for step in disk.steps() {
        match step {
            // Heads of segments are written elsewhere.
            Step::Written(offset, _) => unsynced += u64::from(offset > 0),
            Step::Synced => unsynced = 0,
            Step::Kept(_) => {
                assert_eq!(unsynced, 0, "told before it was synced");
                told += 1;
            }
        }
    }
    assert_eq!(told, 50);
}

/// Where the disk is not waited for it has all after a while, by itself.
#[test]
fn what_is_written_is_synced_by_itself() {
    for durability in [Durability::Written, Durability::Deferred] {
        let disk = Disk::new(0);
        let running = start(&disk, durability, 1);
        running.append(0, 1);
        running.until_kept(0, 1);
        let deadline = std::time::Instant::now() + PATIENCE;
        while running.journal.synced() < 1 {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

/// Each lane hears of its own, and all that was appended is there behind an orderly end, whatever counts as kept.
#[test]
fn lanes_keep_their_order() {
    for durability in [Durability::Fsync, Durability::Written, Durability::Deferred] {
        let disk = Disk::new(0);
        let Running { journal, kept, .. } = start(&disk, durability, 3);
        std::thread::scope(|scope| {
            for lane in 0..3_usize {
                let lane = journal.lane(lane);
                scope.spawn(move || {
                    for number in 0..200_u32 {
                        assert_eq!(
                            lane.append(&[lane.lane as u16], &number.to_le_bytes()),
                            u64::from(number) + 1
                        );
                    }
                });
            }
        });
        drop(journal);
        let mut last = [0; 3];
        for (lane, kept) in kept.try_iter() {
            assert!(kept.ticket > last[lane]);
            last[lane] = kept.ticket;
        }
        assert_eq!(last, [200; 3]);
        let mut next = [0_u32; 3];
        let storage = Arc::new(disk.clone());
        let opened = Journal::open(storage, options(durability), 0, &mut |read| {
            let lane = usize::from(read.shards().next().unwrap());
            assert_eq!(read.bytes, next[lane].to_le_bytes());
            next[lane] += 1;
        });
        assert_eq!(opened.unwrap().last(), 600);
        assert_eq!(next, [200; 3]);
    }
}

/// What no segment has room for gets one of its own.
#[test]
fn an_entry_larger_than_a_segment_is_kept() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 1);
    let large = vec![7; 5 * SEGMENT_BYTES as usize];
    for ticket in 1..=4 {
        running.journal.lane(0).append(&[1], if ticket % 2 == 0 { &large } else { b"small" });
        running.until_kept(0, ticket);
    }
    drop(running);
    let mut lengths = Vec::new();
    Journal::open(Arc::new(disk), options(Durability::Fsync), 0, &mut |read| lengths.push(read.bytes.len()))
        .unwrap();
    assert_eq!(lengths, [5, large.len(), 5, large.len()]);
}

/// It is said before anything is written in part, what is kept stays, and it goes on once there is room.
#[test]
fn a_full_disk_is_said_early_and_left_again() {
    let disk = Disk::new(0);
    disk.set_room(3 * SEGMENT_BYTES);
    let running = start(&disk, Durability::Fsync, 1);
    let lane = running.journal.lane(0);
    let (mut position, mut kept) = (0, 0);
    while !lane.is_full() {
        position += 1;
        running.append(0, position);
        while kept < position && !lane.is_full() {
            kept =
                running.kept.recv_timeout(Duration::from_millis(10)).map_or(kept, |(_, told)| told.position);
        }
    }
    // What could not be made whole is gone in a moment.
    until(|| disk.names().iter().all(|name| name.starts_with("log-0")));
    let (called, room) = mpsc::channel();
    lane.when_there_is_room(move || called.send(()).unwrap());
    room.try_recv().unwrap_err();
    // A checkpoint gives room back, and what had to be kept nevertheless is.
    running.journal.release(kept);
    room.recv_timeout(PATIENCE).unwrap();
    assert!(!lane.is_full());
    position += 1;
    running.append(0, position);
    running.until_kept(0, position);
    for _ in 0..20 {
        position += 1;
        running.append(0, position);
        running.until_kept(0, position);
        running.journal.release(position);
    }
}

/// A file system may have no room for what is overwritten: it is tried again, and nothing is lost.
#[test]
fn a_write_that_finds_no_room_is_tried_again() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 1);
    running.append(0, 1);
    running.until_kept(0, 1);
    disk.fail_writes(1);
    running.append(0, 2);
    running.until_kept(0, 2);
    // It may have been the next segment that found none, which is tried again a second later.
    until(|| !running.journal.lane(0).is_full());
    drop(running);
    assert_eq!(open(&disk, 0).unwrap().0.last(), 2);
}

/// A log whose disk is full, with its last entry, and the last one that was told to be kept.
fn filled(durability: Durability) -> (Disk, Running, Position, Position) {
    let disk = Disk::new(0);
    disk.set_room(2 * SEGMENT_BYTES);
    let running = start(&disk, durability, 1);
    let lane = running.journal.lane(0);
    let (mut position, mut told) = (0, 0);
    while !lane.is_full() {
        position += 1;
        running.append(0, position);
        while told < position && !lane.is_full() {
            told =
                running.kept.recv_timeout(Duration::from_millis(10)).map_or(told, |(_, kept)| kept.position);
        }
    }
    (disk, running, position, told)
}

/// At the end as well: it comes, and what was told to be kept is there.
#[test]
fn a_full_disk_does_not_hold_up_the_end() {
    for durability in [Durability::Fsync, Durability::Written, Durability::Deferred] {
        let (disk, running, mut position, told) = filled(durability);
        for _ in 0..20 {
            position += 1;
            running.append(0, position);
        }
        let Running { journal, kept, .. } = running;
        let synced = ends_in_time(journal);
        let told = kept.try_iter().last().map_or(told, |(_, told)| told.position);
        assert!((1..position).contains(&told), "{told} of {position}");
        assert!(synced >= told, "{durability:?}: {synced} on the disk, {told} told");
        disk.lose_power();
        assert!(open(&disk, 0).unwrap().0.last() >= told, "{durability:?}");
    }
}

/// Nor does one that finds no room for what is overwritten.
#[test]
fn writes_that_find_no_room_do_not_hold_up_the_end() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 1);
    running.append(0, 1);
    running.until_kept(0, 1);
    disk.fail_writes(u64::MAX);
    running.append(0, 2);
    let lane = running.journal.lane(0);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !lane.is_full() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    let synced = ends_in_time(running.journal);
    disk.lose_power();
    // Of what nobody was told all may be there nevertheless.
    assert!(synced == 1 && [1, 2].contains(&open(&disk, 0).unwrap().0.last()));
}

/// How far the log is on the disk at its end.
fn ends_in_time(journal: Journal) -> Position {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(journal.close()));
    end.recv_timeout(PATIENCE).expect("the log ends")
}

/// One that could not be given back is given back before those behind it: a crash in between leaves no hole.
#[test]
fn segments_are_given_back_in_their_order() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 1);
    let mut position = 0;
    while disk.names().len() < 6 {
        position += 1;
        running.append(0, position);
        running.until_kept(0, position);
    }
    let first = disk.names()[0].clone();
    disk.fail_next_removal();
    running.journal.release(position);
    let deadline = std::time::Instant::now() + PATIENCE;
    while disk.names().contains(&first) {
        assert!(std::time::Instant::now() < deadline);
        // As a crash at this moment leaves it.
        let crashed = disk.copy();
        let opened = open(&crashed, position);
        assert!(opened.is_ok(), "{opened:?} {:?}", crashed.names());
        std::thread::yield_now();
    }
}

/// Nobody knows what is on the disk: nothing more is told to be kept.
#[test]
fn a_failed_sync_is_the_end() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 1);
    running.append(0, 1);
    running.until_kept(0, 1);
    // Not that of the next segment.
    let deadline = std::time::Instant::now() + PATIENCE;
    while disk.names() != ["log-0000000000000001", "log-0000000000000002"] {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    disk.fail_next_sync();
    running.append(0, 2);
    let fatal = running.fatal.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fatal.to_string(), "the log could not be written");
    assert_eq!(fatal.0.to_string(), "sync failed");
    running.append(0, 3);
    running.kept.try_recv().unwrap_err();
}

/// A lane says when too much waits, and when it does not any more.
#[test]
fn a_lane_has_a_bound() {
    let disk = Disk::new(0);
    let running = start(&disk, Durability::Fsync, 2);
    let lane = running.journal.lane(1);
    let mut ticket = 0;
    while !lane.is_full() {
        ticket = lane.append(&[], &[0; 30_000]);
    }
    let (called, room) = mpsc::channel();
    lane.when_there_is_room(move || called.send(()).unwrap());
    room.recv_timeout(PATIENCE).unwrap();
    running.until_kept(1, ticket);
    assert!(!lane.is_full());
}
