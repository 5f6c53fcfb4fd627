//! The log on a disk that does what disks do.

mod crashes;
mod damage;
mod files;
mod threads;

use std::io::ErrorKind;
use std::sync::Arc;

use crate::error::OpenError;
use crate::options::{Durability, JournalOptions};
use crate::segment::{GROUP_HEAD, append_entry};
use crate::testing::Disk;
use crate::writer::{Writer, give_back, prepare};
use crate::{Journal, Opened, Position};

/// Small, so that there are many.
const SEGMENT_BYTES: u64 = 8 * 4096;

fn options(durability: Durability) -> JournalOptions {
    JournalOptions { durability, segment_bytes: SEGMENT_BYTES, lane_bytes_max: 64 * 1024 }
}

/// What an entry says, by its position: of any length, and of many shards or none.
fn entry(position: Position) -> (Vec<u16>, Vec<u8>) {
    let length = [0, 1, 17, 400, 3000, 9000][(position % 6) as usize];
    let shards = (0..position % 4).map(|shard| (position * 7 + shard) as u16).collect();
    (shards, (0..length).map(|at| (position + at) as u8).collect())
}

/// Reads a log; asserts that each entry says what its position does.
fn open(disk: &Disk, applied: Position) -> Result<(Opened, Vec<Position>), OpenError> {
    let mut found = Vec::new();
    let storage = Arc::new(disk.clone());
    let opened = Journal::open(storage, options(Durability::Fsync), applied, &mut |read| {
        let (shards, bytes) = entry(read.position);
        assert_eq!(read.bytes, bytes, "entry {}", read.position);
        assert_eq!(read.shards().collect::<Vec<_>>(), shards, "entry {}", read.position);
        found.push(read.position);
    })?;
    Ok((opened, found))
}

/// Writes the next entries as one group.
fn write(disk: &Disk, writer: &mut Writer, entries: u32) -> std::io::Result<()> {
    let mut group = vec![0; GROUP_HEAD];
    for position in writer.written() + 1..=writer.written() + u64::from(entries) {
        let (shards, bytes) = entry(position);
        append_entry(&mut group, &shards, &bytes);
    }
    let bytes = group.len() - GROUP_HEAD;
    while !writer.has_room(bytes) {
        if let Some(head) = writer.wanted(bytes) {
            writer.prepared(prepare(disk, head)?);
        }
    }
    loop {
        match writer.write(&mut group, entries) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            outcome => return outcome,
        }
    }
}

/// Gives back what a checkpoint has.
fn release(disk: &Disk, writer: &mut Writer, applied: Position) -> std::io::Result<()> {
    writer.release(applied).into_iter().try_for_each(|number| give_back(disk, number, SEGMENT_BYTES))
}

/// A log of some groups, each synced.
fn written(groups: &[u32]) -> Disk {
    let disk = Disk::new(0);
    let mut writer = open(&disk, 0).unwrap().0.into_writer();
    for entries in groups {
        write(&disk, &mut writer, *entries).unwrap();
        writer.sync().unwrap();
    }
    disk
}
