//! The log of a node: read once, then written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tracing::error;

use crate::Position;
use crate::error::{Fatal, OpenError};
use crate::groups::{Groups, Listener, Steps};
use crate::lanes::{Lane, Lanes};
use crate::options::JournalOptions;
use crate::scan::{LogSummary, Scan};
use crate::segment::Entry;
use crate::segments::run_errands;
use crate::storage::Storage;
use crate::writer::Writer;

/// A log that is open, and to which nothing is written yet.
#[derive(Debug)]
pub struct Opened {
    storage: Arc<dyn Storage>,
    options: JournalOptions,
    writer: Writer,
}

/// A log that is written.
#[derive(Debug)]
pub struct Journal {
    lanes: Arc<Lanes>,
    steps: Arc<Steps>,
    threads: Vec<JoinHandle<()>>,
}

impl Journal {
    /// Reads a log, and tells every entry that is behind `applied`, the last one that a checkpoint has.
    ///
    /// # Errors
    /// When it cannot be read, or something of it is missing.
    pub fn open(
        storage: Arc<dyn Storage>,
        options: JournalOptions,
        applied: Position,
        visit: &mut dyn FnMut(Entry<'_>),
    ) -> Result<Opened, OpenError> {
        let writer = Scan::new(&*storage, applied)?.run(options.segment_bytes, visit)?;
        Ok(Opened { storage, options, writer })
    }

    /// Reads a log as [`open`](Self::open) does, and leaves it as it is.
    ///
    /// # Errors
    /// As there.
    pub fn look(
        storage: &dyn Storage,
        applied: Position,
        visit: &mut dyn FnMut(Entry<'_>),
    ) -> Result<LogSummary, OpenError> {
        Scan::new(storage, applied)?.look(visit)
    }

    /// The lane with this number.
    pub fn lane(&self, lane: usize) -> Lane {
        Lane { lanes: Arc::clone(&self.lanes), lane }
    }

    /// The last entry that is on the disk. A checkpoint has none behind it.
    pub fn synced(&self) -> Position {
        self.steps.synced.load(SeqCst)
    }

    /// All entries up to this one are in a checkpoint, and need not be kept any longer.
    pub fn release(&self, applied: Position) {
        self.steps.applied.fetch_max(applied, SeqCst);
        self.lanes.wake();
    }

    /// Writes what the lanes hold, and ends. Whoever appends behind this hears nothing any more. Returns the last entry
    /// that is on the disk.
    pub fn close(self) -> Position {
        let steps = Arc::clone(&self.steps);
        drop(self);
        steps.synced.load(SeqCst)
    }
}

/// Writes what the lanes hold, and ends. Whoever appends behind this hears nothing any more.
impl Drop for Journal {
    fn drop(&mut self) {
        self.lanes.ends.store(true, SeqCst);
        self.lanes.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a thread of the log panicked");
            }
        }
    }
}

impl Opened {
    /// The last entry of the log.
    pub fn last(&self) -> Position {
        self.writer.written()
    }

    #[cfg(test)]
    pub(crate) fn into_writer(self) -> Writer {
        self.writer
    }

    /// Starts to write, with a lane for each who hears of one. `fatal` is told on the thread of the log what ends it.
    ///
    /// # Errors
    /// What the operating system says if it has no thread left.
    pub fn start(
        self,
        listeners: Vec<Listener>,
        fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> io::Result<Journal> {
        let Self { storage, options, writer } = self;
        let lanes = Arc::new(Lanes::new(listeners.len(), options.lane_bytes_max));
        let steps = Arc::new(Steps::default());
        steps.synced.store(writer.synced(), SeqCst);
        let ((errands, asked), (answers, answered)) = (mpsc::channel(), mpsc::channel());
        let errand = {
            let lanes = Arc::clone(&lanes);
            let segment_bytes = options.segment_bytes;
            move || run_errands(&*storage, segment_bytes, &asked, &answers, &lanes)
        };
        let durability = options.durability;
        let groups = Groups::new(
            writer,
            Arc::clone(&lanes),
            listeners,
            durability,
            Arc::clone(&steps),
            errands,
            answered,
        );
        let log = thread::Builder::new().name("journal".to_owned()).spawn(move || groups.run(fatal))?;
        lanes.set_thread(log.thread().clone());
        log.thread().unpark();
        let errand = thread::Builder::new().name("segments".to_owned()).spawn(errand)?;
        Ok(Journal { lanes, steps, threads: vec![log, errand] })
    }
}
