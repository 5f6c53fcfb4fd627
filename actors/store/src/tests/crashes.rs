//! What was told to be kept is there behind any crash, in order; what was not is there as a prefix, or not at all.

use super::*;
use crate::testing::Lot;

/// What is known of a log from outside.
#[derive(Debug, Default)]
struct Model {
    /// Told to be kept.
    kept: Position,
    /// By a checkpoint, which is on the disk.
    applied: Position,
    /// Written, or begun to be.
    written: Position,
}

impl Model {
    /// One life of a process: until the disk ends.
    fn live(&mut self, disk: &Disk, lot: &mut Lot, synced_each: u64) -> std::io::Result<()> {
        let Ok((opened, found)) = open(disk, self.applied) else {
            // It may end while the log is read.
            return Err(std::io::Error::other("not opened"));
        };
        let last = found.last().copied().unwrap_or(self.applied);
        assert!(found.iter().copied().eq(self.applied + 1..=last), "{self:?}: {found:?}");
        assert!((self.kept..=self.written).contains(&last), "{self:?}: the log ends with {last}");
        (self.kept, self.written) = (last, last);
        let mut writer = opened.into_writer();
        loop {
            let entries = 1 + lot.below(4) as u32;
            self.written = writer.written() + u64::from(entries);
            if lot.chance(10) {
                disk.fail_writes(1 + lot.below(2));
            }
            if lot.chance(60) {
                disk.fail_next_sync();
            }
            write(disk, &mut writer, entries)?;
            if lot.chance(synced_each) {
                writer.sync()?;
            }
            self.kept = writer.synced();
            if lot.chance(8) {
                self.applied += lot.below(self.kept - self.applied + 1);
                release(disk, &mut writer, self.applied)?;
            }
        }
    }
}

fn crash(seed: u64, synced_each: u64) {
    let (disk, mut lot, mut model) = (Disk::new(seed), Lot::new(seed), Model::default());
    for _ in 0..6 {
        disk.ends_after(1 + lot.below(120));
        model.live(&disk, &mut lot, synced_each).unwrap_err();
        if lot.chance(3) {
            disk.lose_process();
        } else {
            disk.lose_power();
        }
    }
    let (opened, _) = open(&disk, model.applied).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    assert!((model.kept..=model.written).contains(&opened.last()), "seed {seed}: {model:?}");
}

/// Writes find no room now and then, and a sync fails. Each group is on the disk before the next one is written.
#[test]
fn at_a_thousand_points() {
    (0..1000).for_each(|seed| crash(seed, 1));
}

/// Many groups are not on the disk: there may be holes among them.
#[test]
fn at_a_thousand_points_with_much_that_is_not_synced() {
    (0..1000).for_each(|seed| crash(seed, 5));
}

/// What could not be written is read until the power goes: it counts only once it is on the disk.
#[test]
fn behind_a_sync_that_failed() {
    for seed in 0..200 {
        let (disk, mut lot) = (Disk::new(seed), Lot::new(seed));
        let mut writer = open(&disk, 0).unwrap().0.into_writer();
        for _ in 0..lot.below(10) {
            write(&disk, &mut writer, 2).unwrap();
            writer.sync().unwrap();
        }
        let kept = writer.written();
        write(&disk, &mut writer, 3).unwrap();
        disk.fail_next_sync();
        writer.sync().unwrap_err();
        let read = open(&disk, 0).unwrap().0.last();
        assert_eq!(read, kept + 3, "seed {seed}: the operating system shows it");
        disk.lose_power();
        assert_eq!(open(&disk, 0).unwrap().0.last(), read, "seed {seed}: what was read is lost");
    }
}
