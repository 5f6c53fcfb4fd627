//! A file that is looked at: what is written to it stays in memory, so that a checkpoint can be opened as the next start
//! would open it, and is as it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;
use redb::StorageBackend;

const PAGE: usize = 4096;

#[derive(Debug)]
struct State {
    /// Bytes that there seem to be.
    len: u64,
    /// Bytes of the file that are there still; those behind them are zero, or were written.
    of_file: u64,
    /// By number, those that were written.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: File,
    state: Mutex<State>,
}

impl Overlay {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, state: Mutex::new(State { len, of_file: len, pages: BTreeMap::new() }) })
    }

    /// A page as it is.
    fn page(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = state.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE];
        let begin = number * PAGE as u64;
        let there = state.of_file.saturating_sub(begin).min(PAGE as u64) as usize;
        self.file.read_exact_at(&mut page[..there], begin)?;
        Ok(page)
    }
}

/// The parts of some bytes that lie in one page each: its number, where in it, and where in them.
fn by_page(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == bytes {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % PAGE as u64) as usize;
        let count = (PAGE - within).min(bytes - done);
        done += count;
        Some((at / PAGE as u64, within, done - count..done))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, part) in by_page(offset, out.len()) {
            let count = part.len();
            out[part].copy_from_slice(&self.page(&state, number)?[within..within + count]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if len < state.len {
            let last = len / PAGE as u64;
            state.pages.retain(|number, _| *number <= last);
            if let Some(page) = state.pages.get_mut(&last) {
                page[(len % PAGE as u64) as usize..].fill(0);
            }
        }
        state.of_file = state.of_file.min(len);
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        for (number, within, part) in by_page(offset, data.len()) {
            let mut page = self.page(&state, number)?;
            let count = part.len();
            page[within..within + count].copy_from_slice(&data[part]);
            state.pages.insert(number, page);
        }
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }
}
