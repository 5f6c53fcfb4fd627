//! Progress lines of long runs, summed over all engines.

use std::time::Duration;

use super::Engine;

/// Engines tell the first one what they did so often for each of its lines.
const TELLINGS: u64 = 4;

/// When to tell, in nanoseconds of the engine's clock.
#[derive(Debug)]
pub(super) struct Ticker {
    start: u64,
    next: u64,
    every: u64,
    told: u64,
}

impl Ticker {
    /// From `now` on; never without an interval.
    fn new(now: u64, interval: Option<Duration>) -> Self {
        let every = interval.map_or(u64::MAX, |it| (it.as_nanos() as u64 / TELLINGS).max(1));
        Self { start: now, next: now.saturating_add(every), every, told: 0 }
    }

    /// True once for each time to tell.
    fn is_due(&mut self, now: u64) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now.saturating_add(self.every);
            self.told += 1;
        }
        due
    }
}

impl Engine {
    /// For a part of the run that begins now.
    pub(super) fn ticker(&mut self) -> Ticker {
        if let Some(board) = &self.board {
            board.tell(self.lane.0, [0; 3]);
        }
        Ticker::new(self.traffic.tick(), self.settings.progress)
    }

    /// Tells the others these figures of this engine when it is time; the first one writes a line of the sums of all.
    pub(super) fn tell(
        &self,
        ticker: &mut Ticker,
        now: u64,
        own: [u64; 3],
        line: impl FnOnce([u64; 3]) -> String,
    ) {
        if !ticker.is_due(now) {
            return;
        }
        let sums = self.board.as_ref().map_or(own, |board| board.tell(self.lane.0, own));
        if self.lane.0 == 0 && ticker.told.is_multiple_of(TELLINGS) {
            eprintln!("{:.0} s: {}", (now - ticker.start) as f64 / 1e9, line(sums));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_for_each_telling() {
        let mut ticker = Ticker::new(100, Some(Duration::from_nanos(40)));
        let due: Vec<u64> = (100..150).filter(|&now| ticker.is_due(now)).collect();
        assert_eq!(due, [110, 120, 130, 140]);
        assert!(!Ticker::new(100, None).is_due(u64::MAX - 1));
    }
}
