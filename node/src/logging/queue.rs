//! Log lines on their way to stderr.
//!
//! Whoever logs appends to a bounded queue and goes on; one thread writes. So a stderr that takes nothing (its reader
//! stands still, the disk is full, the pipe is broken) makes nobody wait and fails nothing: lines beyond the bound, and
//! those that could not be written, are lost and counted.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::warn;

/// How long the thread waits before it writes again to a stderr that does not block and takes nothing just now.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// The memory that is kept for the next lines, in bytes; that of a burst goes back.
const KEPT_BYTES: usize = 16 * 1024;

/// See the module. Clones are the same queue.
#[derive(Debug, Clone)]
pub(crate) struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// There is nothing left to write.
    emptied: Condvar,
    bytes_max: usize,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that the thread is writing at this moment.
    in_writing: usize,
}

impl State {
    fn held(&self) -> usize {
        self.waiting.len() + self.in_writing
    }
}

impl LogQueue {
    /// Holds so many bytes at most. A single line always finds room in an empty queue.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            bytes_max,
            lost: AtomicU64::new(0),
        }))
    }

    /// Lines that were not written, because there was no room or stderr did not take them.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }

    fn lose(&self, lines: &[u8]) {
        let ends = lines.iter().filter(|byte| **byte == b'\n').count();
        // What was cut short is lost as well.
        let cut = usize::from(lines.last().is_some_and(|last| *last != b'\n'));
        self.0.lost.fetch_add((ends + cut) as u64, Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing within can be half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends whole lines, or loses them. Never waits for stderr.
    fn append(&self, lines: &[u8]) {
        let mut state = self.state();
        let held = state.held();
        if held > 0 && held + lines.len() > self.0.bytes_max {
            drop(state);
            return self.lose(lines);
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.0.filled.notify_one();
    }

    /// Starts the thread that writes to stderr, for as long as the process lives.
    ///
    /// # Errors
    /// What the operating system says if it has no thread or no descriptor left.
    pub(super) fn start_writing(&self) -> io::Result<()> {
        // A handle of its own: others that write to stderr do not wait for the lock that a blocked write would hold.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let queue = self.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || queue.write_to(stderr))?;
        Ok(())
    }

    fn write_to(&self, mut stderr: impl Write) {
        let mut lines = Vec::new();
        let mut told = 0;
        loop {
            self.take(&mut lines);
            let written = write_whole(&mut stderr, &lines);
            self.lose(&lines[written..]);
            {
                let mut state = self.state();
                state.in_writing = 0;
                if state.waiting.is_empty() {
                    self.0.emptied.notify_all();
                }
            }
            let lost = self.lost();
            if written == lines.len() && lost > told {
                warn!(lines = lost - told, "log lines were lost: stderr did not take them");
                told = lost;
            }
        }
    }

    /// Waits for lines, and takes them. Nobody who logs meanwhile waits for more than that they change hands.
    fn take(&self, lines: &mut Vec<u8>) {
        lines.clear();
        lines.shrink_to(KEPT_BYTES);
        let mut state = self.state();
        while state.waiting.is_empty() {
            state = self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, lines);
        state.in_writing = lines.len();
    }

    /// Waits until everything so far is written or lost, at most so long.
    pub(crate) fn flush(&self, patience: Duration) {
        let state = self.state();
        // Whether all of it was written makes no difference to whoever ends now.
        let _ = self.0.emptied.wait_timeout_while(state, patience, |state| state.held() > 0);
    }
}

/// Writes all, and returns how much of it was written before an error.
fn write_whole(stderr: &mut impl Write, lines: &[u8]) -> usize {
    let mut written = 0;
    while written < lines.len() {
        match stderr.write(&lines[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(_) => break,
        }
    }
    written
}

/// What an event is written to. It takes everything, so that nothing is made of a line that is lost.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a LogQueue);

impl Write for Line<'_> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.append(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for LogQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Takes nothing before it is told how much it may take, and says what it took.
    struct Reader {
        may_take: Receiver<io::Result<usize>>,
        took: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = match self.may_take.recv() {
                Ok(answer) => answer?.min(bytes.len()),
                // The test is over.
                Err(_) => bytes.len(),
            };
            let _ = self.took.send(bytes[..count].to_vec());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started(bytes_max: usize) -> (LogQueue, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let (allow, may_take) = channel();
        let (took, taken) = channel();
        let queue = LogQueue::new(bytes_max);
        let writing = queue.clone();
        thread::spawn(move || writing.write_to(Reader { may_take, took }));
        (queue, allow, taken)
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted_and_nobody_waits() {
        let (queue, allow, taken) = started(30);
        // Nobody takes anything: three lines of ten bytes fit, be they with the thread or not.
        for _ in 0..10 {
            queue.append(b"123456789\n");
        }
        assert_eq!(queue.lost(), 7);
        queue.flush(Duration::from_millis(1));
        for _ in 0..3 {
            allow.send(Ok(usize::MAX)).unwrap();
        }
        let mut all = Vec::new();
        while all.len() < 30 {
            all.extend(taken.recv_timeout(DEADLINE).unwrap());
        }
        assert_eq!(all, b"123456789\n".repeat(3));
        queue.flush(DEADLINE);
        assert_eq!(queue.lost(), 7);
        assert_eq!(queue.state().held(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_counted() {
        let (queue, allow, taken) = started(100);
        queue.append(b"one\ntwo\nthree\n");
        allow.send(Ok(6)).unwrap();
        allow.send(Err(ErrorKind::StorageFull.into())).unwrap();
        assert_eq!(taken.recv_timeout(DEADLINE).unwrap(), b"one\ntw");
        queue.flush(DEADLINE);
        assert_eq!(queue.lost(), 2);
    }

    #[test]
    fn a_line_longer_than_the_queue_finds_room_in_an_empty_one() {
        let (queue, allow, taken) = started(4);
        for answer in [Err(ErrorKind::WouldBlock.into()), Err(ErrorKind::Interrupted.into()), Ok(usize::MAX)]
        {
            allow.send(answer).unwrap();
        }
        queue.append(b"123456789\n");
        assert_eq!(taken.recv_timeout(DEADLINE).unwrap(), b"123456789\n");
        queue.flush(DEADLINE);
        assert_eq!(queue.lost(), 0);
    }
}
