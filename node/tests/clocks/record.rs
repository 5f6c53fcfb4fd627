//! What was measured: for each kind of clock how much too late (or early) every event came.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::TOLERANCE;
use super::program::Program;

/// Between two looks at whether this process is kept waiting.
const LOOK: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Seconds that the events of a kind came late; below 0 early.
    late: RefCell<BTreeMap<&'static str, Vec<f64>>>,
    /// How many events of a kind there were to be.
    expected: RefCell<BTreeMap<&'static str, usize>>,
    wrong: RefCell<Vec<String>>,
    lag: Cell<Duration>,
}

impl Record {
    /// There are to be so many more events of a kind.
    pub(crate) fn expect(&self, kind: &'static str, events: usize) {
        *self.expected.borrow_mut().entry(kind).or_default() += events;
    }

    /// An event came now that was due `after` a moment.
    pub(crate) fn came(&self, kind: &'static str, since: Instant, after: Duration) {
        self.late(kind, since.elapsed().as_secs_f64() - after.as_secs_f64());
    }

    /// An event came so many seconds late; 0 where only in time or not can be seen.
    pub(crate) fn late(&self, kind: &'static str, seconds: f64) {
        self.late.borrow_mut().entry(kind).or_default().push(seconds);
    }

    /// Something happened that must not.
    pub(crate) fn wrong(&self, sentence: String) {
        self.wrong.borrow_mut().push(sentence);
    }

    /// The longest time that this process, or within half a second the program, was kept waiting for a processor.
    pub(crate) fn lag(&self) -> Duration {
        self.lag.get()
    }

    fn kept_waiting(&self, time: Duration) {
        self.lag.set(self.lag.get().max(time));
    }

    /// Everything that was not as it has to be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.wrong.borrow().clone();
        let late = self.late.borrow();
        for (kind, expected) in self.expected.borrow().iter() {
            let events = late.get(kind).map_or(&[][..], Vec::as_slice);
            if events.len() != *expected {
                faults.push(format!("{kind}: {} events in place of {expected}", events.len()));
            }
            let beyond = events.iter().filter(|late| late.abs() > TOLERANCE.as_secs_f64());
            faults.extend(beyond.map(|late| format!("{kind}: {late:+.3} s")));
        }
        faults
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, events) in self.late.borrow().iter() {
            let mut sorted = events.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let mut off: Vec<f64> = events.iter().map(|late| late.abs()).collect();
            off.sort_unstable_by(f64::total_cmp);
            let p99 = off[(off.len() * 99).div_ceil(100).max(1) - 1];
            let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
            let count = events.len();
            writeln!(
                formatter,
                "{kind:<44} {count:>4} events, {first:+.3} to {last:+.3} s, p99 {p99:.3} s off"
            )?;
        }
        writeln!(formatter, "kept waiting for a processor for {:?} at most", self.lag.get())
    }
}

/// Looks again and again how much longer than asked for a short sleep takes.
pub(crate) async fn watch_own_lag(record: Rc<Record>) {
    loop {
        let asleep = Instant::now();
        sleep(LOOK).await;
        record.kept_waiting(asleep.elapsed().saturating_sub(LOOK));
    }
}

/// Looks again and again how long the threads of the program were ready to run without getting a processor.
pub(crate) async fn watch_lag_of(program: &Program, record: Rc<Record>) -> ! {
    let mut before = program.run_delays();
    loop {
        sleep(TOLERANCE).await;
        let now = program.run_delays();
        for (thread, delay) in &now {
            let grew = delay.saturating_sub(*before.get(thread).unwrap_or(&Duration::ZERO));
            record.kept_waiting(grew);
        }
        before = now;
    }
}
