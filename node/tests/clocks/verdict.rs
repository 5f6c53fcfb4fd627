//! What was seen, and whether it was in time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::stalls::Stalls;

/// How late anything may be.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(500);

/// One event of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) lateness: Duration,
    /// How much of that this process overslept.
    pub(crate) overslept: Duration,
}

impl Event {
    /// Something that happened or did not, as it should.
    pub(crate) const RIGHT: Self = Self { lateness: Duration::ZERO, overslept: Duration::ZERO };

    /// Something that was not to come before `earliest`, as the client could know, and was due at `due`.
    pub(crate) fn at(
        seen: Instant,
        earliest: Instant,
        due: Instant,
        stalls: &Stalls,
    ) -> Result<Self, String> {
        if seen < earliest {
            return Err(format!("{:?} early", earliest - seen));
        }
        let lateness = seen.saturating_duration_since(due);
        Ok(Self { lateness, overslept: stalls.between(due, seen) })
    }
}

/// What came of each kind of event.
#[derive(Debug, Default)]
struct Kind {
    wanted: usize,
    seen: Vec<Event>,
    wrong: Vec<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    kinds: BTreeMap<&'static str, Kind>,
    /// What is worth telling beside that.
    pub(crate) notes: Vec<String>,
}

impl Verdict {
    /// Adds an event that was begun.
    pub(crate) fn event(&mut self, kind: &'static str, result: Result<Event, String>) {
        let kind = self.kinds.entry(kind).or_default();
        kind.wanted += 1;
        match result {
            Ok(event) => kind.seen.push(event),
            Err(wrong) => kind.wrong.push(wrong),
        }
    }

    /// Adds what another thread has seen.
    pub(crate) fn add(&mut self, other: Self) {
        for (name, mut more) in other.kinds {
            let kind = self.kinds.entry(name).or_default();
            kind.wanted += more.wanted;
            kind.seen.append(&mut more.seen);
            kind.wrong.append(&mut more.wrong);
        }
        self.notes.extend(other.notes);
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<52} {:>6} {:>8} {:>8} {:>10}",
            "milliseconds late", "events", "p99", "worst", "overslept"
        );
        for (name, kind) in &self.kinds {
            let mut late: Vec<u128> = kind.seen.iter().map(|event| event.lateness.as_millis()).collect();
            late.sort_unstable();
            let p99 = late.get(late.len() * 99 / 100).copied().unwrap_or_default();
            let worst = late.last().copied().unwrap_or_default();
            let overslept =
                kind.seen.iter().map(|event| event.overslept.as_millis()).max().unwrap_or_default();
            println!("{name:<52} {:>6} {p99:>8} {worst:>8} {overslept:>10}", kind.seen.len());
        }
        self.notes.iter().for_each(|note| println!("{note}"));
    }

    /// None is missing, wrong, early or late.
    ///
    /// # Errors
    /// What is, and whether that is for being late alone.
    pub(crate) fn judge(&self) -> Result<(), Bad> {
        let mut bad = Bad { is_late_alone: true, events: Vec::new() };
        for (name, kind) in &self.kinds {
            bad.is_late_alone &= kind.wrong.is_empty();
            bad.events.extend(kind.wrong.iter().map(|wrong| format!("{name}: {wrong}")));
            let late =
                kind.seen.iter().filter(|event| event.lateness.saturating_sub(event.overslept) > LATE_MAX);
            bad.events.extend(late.map(|event| format!("{name}: late: {event:?}")));
            assert_eq!(kind.wanted, kind.seen.len() + kind.wrong.len());
        }
        if bad.events.is_empty() { Ok(()) } else { Err(bad) }
    }
}

/// Events that were not as they should be.
#[derive(Debug)]
pub(crate) struct Bad {
    /// Each of them came, and was right but for the time.
    pub(crate) is_late_alone: bool,
    pub(crate) events: Vec<String>,
}
