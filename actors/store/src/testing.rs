//! A disk for tests: it forgets what was not synced, sector by sector as a seed draws, runs full, fails, and ends in the
//! middle of whatever it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::{SegmentFile, Storage};

const SECTOR: usize = 512;

/// Draws numbers: xorshift64*.
#[derive(Debug, Clone)]
pub(crate) struct Lot(u64);

impl Lot {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// What was done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Written(u64, usize),
    Synced,
    /// Noted by a test: up to this entry all is kept.
    Kept(u64),
}

#[derive(Default)]
struct Contents {
    /// As programs see it.
    seen: Vec<u8>,
    /// As it is on the disk.
    durable: Vec<u8>,
    /// Sectors that are not on the disk, or may not be.
    dirty: BTreeSet<usize>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.seen.len())
    }
}

impl Contents {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        self.seen[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..=(offset + bytes.len() - 1) / SECTOR);
    }

    /// Of each sector that was not synced either the old bytes or the new ones are there.
    fn lose_power(&mut self, lot: &mut Lot) {
        // Most of it, little of it, or half.
        let one_in = 1 + lot.below(4);
        for sector in std::mem::take(&mut self.dirty) {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.seen.len());
            if lot.chance(one_in) {
                self.durable[range.clone()].copy_from_slice(&self.seen[range]);
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

#[derive(Debug)]
struct State {
    names: BTreeMap<String, u64>,
    files: BTreeMap<u64, Contents>,
    next_file: u64,
    lot: Lot,
    steps: Vec<Step>,
    /// Bytes that files may grow by.
    room: u64,
    /// What may still be done before it ends.
    life: u64,
    /// The next sync fails.
    sync_fails: bool,
    /// So many writes find no room.
    writes_full: u64,
    /// The next removal or renaming fails.
    remove_fails: bool,
}

/// A disk and its folder.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            lot: Lot::new(seed),
            steps: Vec::new(),
            room: u64::MAX,
            life: u64::MAX,
            sync_fails: false,
            writes_full: 0,
            remove_fails: false,
        })))
    }

    /// It ends after so many steps more: all that is asked of it fails from then on.
    pub(crate) fn ends_after(&self, steps: u64) {
        self.0.lock().life = steps;
    }

    pub(crate) fn set_room(&self, bytes: u64) {
        self.0.lock().room = bytes;
    }

    pub(crate) fn fail_next_sync(&self) {
        self.0.lock().sync_fails = true;
    }

    pub(crate) fn fail_writes(&self, writes: u64) {
        self.0.lock().writes_full = writes;
    }

    /// The next file that is given another name, or removed, stays.
    pub(crate) fn fail_next_removal(&self) {
        self.0.lock().remove_fails = true;
    }

    /// Whatever was to fail does not any more.
    fn forgive(state: &mut State) {
        (state.life, state.sync_fails, state.writes_full, state.remove_fails) = (u64::MAX, false, 0, false);
    }

    /// The power goes and comes back: what was not synced is there in part.
    pub(crate) fn lose_power(&self) {
        let mut state = self.0.lock();
        let State { files, lot, .. } = &mut *state;
        files.values_mut().for_each(|file| file.lose_power(lot));
        Self::forgive(&mut state);
    }

    /// Another process begins; the operating system goes on.
    pub(crate) fn lose_process(&self) {
        Self::forgive(&mut self.0.lock());
    }

    pub(crate) fn note(&self, step: Step) {
        self.0.lock().steps.push(step);
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        std::mem::take(&mut self.0.lock().steps)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.files[&state.names[name]].seen.clone()
    }

    /// Puts a file there, in place of another.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let file = state.next_file;
        state.next_file += 1;
        state.names.insert(name.to_owned(), file);
        state.files.insert(file, Contents { seen: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
    }

    pub(crate) fn remove_file(&self, name: &str) {
        self.0.lock().names.remove(name);
    }

    /// One with the same files.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(0);
        let state = self.0.lock();
        state.names.iter().for_each(|(name, file)| copy.put(name, state.files[file].seen.clone()));
        copy
    }

    fn step(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.0.lock();
        state.life = state.life.saturating_sub(1);
        if state.life == 0 { Err(io::Error::other("the disk is gone")) } else { Ok(state) }
    }
}

impl State {
    fn named(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file(&mut self, file: u64) -> &mut Contents {
        self.files.get_mut(&file).unwrap()
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.step()?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn SegmentFile>> {
        let mut state = self.step()?;
        let file = state.names.get(name).copied().unwrap_or(state.next_file);
        state.next_file = state.next_file.max(file + 1);
        state.names.insert(name.to_owned(), file);
        let room = state.room;
        let contents = state.files.entry(file).or_default();
        let is = contents.seen.len() as u64;
        let becomes = size.min(is.saturating_add(room));
        contents.seen.resize(becomes as usize, 0);
        contents.durable = contents.seen.clone();
        contents.dirty.clear();
        state.room = room.saturating_sub(becomes.saturating_sub(is));
        if becomes < size {
            Err(ErrorKind::StorageFull.into())
        } else {
            Ok(Box::new(DiskFile(self.clone(), file)))
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(DiskFile(self.clone(), self.step()?.named(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step()?;
        let file = state.named(from)?;
        if std::mem::take(&mut state.remove_fails) {
            return Err(io::Error::other("not renamed"));
        }
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.step()?;
        if std::mem::take(&mut state.remove_fails) {
            return Err(io::Error::other("not removed"));
        }
        let Some(file) = state.names.remove(name) else { return Ok(()) };
        let bytes = state.file(file).seen.len() as u64;
        state.room = state.room.saturating_add(bytes);
        Ok(())
    }

    fn describe(&self, name: &str) -> String {
        format!("disk/{name}")
    }
}

#[derive(Debug)]
struct DiskFile(Disk, u64);

impl SegmentFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.step()?.file(self.1).seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.0.step()?;
        let seen = &state.file(self.1).seen;
        let bytes = seen.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let step = self.0.step();
        let is_over = step.is_err();
        let mut state = step.unwrap_or_else(|_| self.0.0.lock());
        let is_full = std::mem::take(&mut state.writes_full);
        state.writes_full = is_full.saturating_sub(1);
        if is_over || is_full > 0 {
            // Some of it is written.
            let written = state.lot.below(bytes.len() as u64) as usize;
            if written > 0 {
                state.file(self.1).write(&bytes[..written], offset as usize);
            }
            return Err(if is_over {
                io::Error::other("the disk is gone")
            } else {
                ErrorKind::StorageFull.into()
            });
        }
        state.file(self.1).write(bytes, offset as usize);
        state.steps.push(Step::Written(offset, bytes.len()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.step()?;
        if std::mem::take(&mut state.sync_fails) {
            // As Linux does: what could not be written counts as written, and can be read until the power goes. Which
            // of it is on the disk nobody knows.
            let State { files, lot, .. } = &mut *state;
            let Some(file) = files.get_mut(&self.1) else { return Ok(()) };
            for sector in std::mem::take(&mut file.dirty) {
                let range = sector * SECTOR..((sector + 1) * SECTOR).min(file.seen.len());
                if lot.chance(2) {
                    file.durable[range.clone()].copy_from_slice(&file.seen[range]);
                }
            }
            return Err(io::Error::other("sync failed"));
        }
        let file = state.file(self.1);
        for sector in std::mem::take(&mut file.dirty) {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(file.seen.len());
            file.durable[range.clone()].copy_from_slice(&file.seen[range]);
        }
        state.steps.push(Step::Synced);
        Ok(())
    }
}
